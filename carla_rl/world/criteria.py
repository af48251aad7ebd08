"""What the leaderboard's criteria measure along the route: completion, lanes, deviation, standing still, speed and time.

One function a criterion of `srunner/scenariomanager/scenarioatomics/atomic_criteria.py` (and `timer.py` for the time limit), with its
thresholds. Each keeps its own point of the route that only moves forward, as there. Knows nothing of collisions, lights and signs.
"""

import math

import numpy as np

from carla_rl.geometry import wrap
from carla_rl.types import TICK_S, Ending, Infraction
from carla_rl.world.compiled import inline_rule, rule
from carla_rl.world.events import NOBODY, record
from carla_rl.world.state import Record
from carla_rl.world.town import Town

COMPLETE_SHARE = 0.99
COMPLETE_M = 10.0
COMPLETE_POINTS = 2
"""Points looked ahead for route completion and for the time limit."""
LANES_POINTS = 3
ALLOWED_OUT_M = 0.5
WRONG_VEHICLE_RAD = math.radians(120.0)
WRONG_LANE_RAD = math.radians(150.0)
DEVIATION_POINTS = 5
DEVIATION_FAR_M = 15.0
DEVIATION_SHARE = 0.3
STILL_MPS = 0.1
BASE_LIMIT_S = 300.0
LIMIT_SPEED_SHARE = 0.1
QUARTERS = 4
LAST_QUARTER_SHARE = 0.95

COMPLETED = int(Ending.COMPLETED)
OUTSIDE_ROUTE_LANES = np.int64(Infraction.OUTSIDE_ROUTE_LANES)
ROUTE_DEVIATION = np.int64(Infraction.ROUTE_DEVIATION)
VEHICLE_BLOCKED = np.int64(Infraction.VEHICLE_BLOCKED)
ROUTE_TIMEOUT = np.int64(Infraction.ROUTE_TIMEOUT)
MIN_SPEED = np.int64(Infraction.MIN_SPEED)


@inline_rule
def has_passed(point: Record, world: Record) -> bool:
    """Whether the ego's centre is ahead of a route point, in the point's direction."""
    return bool((world.x - point.x) * point.cos + (world.y - point.y) * point.sin > 0.0)


@inline_rule
def passed_point(points: Record, world: Record, current: int, window: int) -> int:
    """The last point passed among `current` and the next `window`; `current` if none is."""
    found = current
    for k in range(current, min(current + window + 1, world.route_points)):
        if has_passed(points[world.route_first + k], world):
            found = k
    return found


@inline_rule
def complete(points: Record, world: Record) -> bool:
    """RouteCompletionTest: set the share of the route driven, in steps of 0.01 %. True when the destination is reached."""
    first = world.route_first
    reached = passed_point(points, world, world.passed, COMPLETE_POINTS)
    if reached > world.passed:
        world.passed = reached
        share = (points[first + reached].s - world.start_s) / (world.end_s - world.start_s)
        world.completion = max(world.completion, math.floor(min(share, 1.0) * 10000.0 + 0.5) / 10000.0)
    end = points[first + world.route_points - 1]
    if world.completion > COMPLETE_SHARE and math.hypot(world.x - end.x, world.y - end.y) < COMPLETE_M:
        world.completion = 1.0
        return True
    return False


@inline_rule
def judge_direction(town: Town, world: Record) -> None:
    """Set whether the ego is on a lane of the wrong direction. Judged when the lane changes; never inside junctions."""
    lane = world.lane
    if lane < 0:
        return
    yaw = world.lane_yaw
    if town.lanes[lane].junction >= 0:
        world.wrong_way = False
    elif lane != world.judged_lane:
        if world.judged_lane < 0 or town.lanes[world.judged_lane].junction >= 0:
            world.wrong_way = abs(wrap(world.yaw - yaw)) > WRONG_VEHICLE_RAD
        elif abs(wrap(world.judged_yaw - yaw)) >= WRONG_LANE_RAD:
            # onto the oncoming lane, or back
            world.wrong_way = not world.wrong_way
        else:
            world.wrong_way = False
    world.judged_lane, world.judged_yaw = lane, yaw


@inline_rule
def keep_lanes(town: Town, points: Record, world: Record, events: Record, counts: Record, beyond_m: float) -> None:
    """OutsideRouteLanesTest: add the way since the last tick to the way driven, and to the way outside the lanes if it was.

    `beyond_m` m is how far the ego's centre is beyond the edge of the nearest driving or parking lane.
    """
    world.outside = beyond_m > ALLOWED_OUT_M
    judge_direction(town, world)
    first = world.route_first
    for k in range(world.lanes_point + 1, min(world.lanes_point + LANES_POINTS + 1, world.route_points)):
        if not has_passed(points[first + k], world):
            continue
        way = points[first + k].s - points[first + world.lanes_point].s
        world.lanes_point = k
        world.lanes_m += way
        if world.outside or (world.wrong_way and not world.oncoming):
            world.outside_m += way
            if counts[OUTSIDE_ROUTE_LANES] == 0:
                # one event, whose share grows; see `events.share_outside`
                world.outside_event = world.events
                record(world, events, counts, OUTSIDE_ROUTE_LANES, NOBODY, 0.0)


@inline_rule
def keep_route(points: Record, world: Record) -> bool:
    """InRouteTest. True when the ego has left the route: too far from it now, or 15 m or more from it for more than 30 % of it."""
    first = world.route_first
    best, closest = 1.0e18, world.deviation_point
    for k in range(world.deviation_point, min(world.deviation_point + DEVIATION_POINTS + 1, world.route_points)):
        dx, dy = points[first + k].x - world.x, points[first + k].y - world.y
        if dx * dx + dy * dy <= best:
            best, closest = dx * dx + dy * dy, k
    away = math.sqrt(best)
    left = away >= world.deviation_limit
    if not left:
        world.far = away >= DEVIATION_FAR_M
    if closest != world.deviation_point:
        if world.far:
            world.deviation_m += points[first + closest].s - points[first + world.deviation_point].s
            left = left or world.deviation_m > DEVIATION_SHARE * (world.end_s - world.start_s)
        world.deviation_point = closest
    return bool(left)


@inline_rule
def is_blocked(world: Record) -> bool:
    """ActorBlockedTest. Counts the ticks below 0.1 m/s."""
    world.still_ticks = world.still_ticks + 1 if world.speed < STILL_MPS else 0
    return bool(world.still_ticks > world.blocked_ticks)


@inline_rule
def is_late(points: Record, world: Record) -> bool:
    """RouteTimeoutBehavior: 300 s, and for each metre of advance the time that it takes at 10 % of the speed limit; or the fixed limit."""
    if world.fixed_limit_s > 0.0:
        return bool(world.tick * TICK_S >= world.fixed_limit_s - 1e-9)
    reached = passed_point(points, world, world.limit_point, COMPLETE_POINTS)
    if reached > world.limit_point:
        way = points[world.route_first + reached].s - points[world.route_first + world.limit_point].s
        world.limit_s += way / (LIMIT_SPEED_SHARE * max(world.speed_limit, 1.0))
        world.limit_point = reached
    return bool(world.tick * TICK_S > world.limit_s)


@inline_rule
def keep_pace(world: Record, actors: Record, events: Record, counts: Record) -> None:
    """MinimumSpeedRouteTest: at each quarter of the route, the ego's mean speed as a share of the traffic's; an event below 1.

    Means over the ticks in which there is traffic, of it the mean of each tick.
    """
    if not world.min_speed:
        return
    there, speeds = 0, 0.0
    for k in range(world.vehicles):
        if actors[k].kind != 0:
            there += 1
            speeds += actors[k].speed
    if there > 0:
        world.speed_sum += world.speed
        world.traffic_sum += speeds / there
    if world.completion * QUARTERS >= world.quarter + 1 and world.quarter < QUARTERS:
        close_quarter(world, events, counts)


@rule
def close_quarter(world: Record, events: Record, counts: Record) -> None:
    """Judge the quarter of the route that ends here and begin the next."""
    if world.traffic_sum > 0.0:
        share = world.speed_sum / world.traffic_sum
        if share < 1.0:
            record(world, events, counts, MIN_SPEED, NOBODY, share)
    world.quarter += 1
    world.speed_sum, world.traffic_sum = 0.0, 0.0


@inline_rule
def close_pace(world: Record, events: Record, counts: Record) -> None:
    """At an ending: judge the last quarter, too, where LAST_QUARTER_SHARE of the route was driven."""
    if world.min_speed and world.quarter == QUARTERS - 1 and world.completion > LAST_QUARTER_SHARE:
        close_quarter(world, events, counts)
