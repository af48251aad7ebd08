"""Where the ego is: on its route, on the lanes and before the next stop line. Knows nothing of what is an infraction."""

import math

from carla_rl.geometry import to_local, wrap
from carla_rl.world.compiled import inline_rule
from carla_rl.world.paths import CLEAR, nearest_sample
from carla_rl.world.state import Record
from carla_rl.world.town import Town

SEARCH_POINTS = 2
"""The projection is looked for so many points ahead of and behind the last one,"""
WIDE_SEARCH_POINTS = 15
WIDE_SEARCH_TICKS = 10
"""and now and then farther, for an ego that cuts a corner."""
NEAR_LINE_SHARE = 0.5
"""Of the half width of the route's lane: so near its line the ego is on that lane."""
NEAR_JUNCTION_M = 60.0
"""From here on before a junction others reckon with the ego."""
ON_ROUTE_M = 6.0
"""An ego farther from its route is not expected to follow it through a junction."""


@inline_rule
def project(points: Record, world: Record) -> None:
    """Set the ego's place beside the route: near, s, lateral, heading_error, speed_limit and z.

    The search is local, so where a route crosses or repeats itself the ego stays on its part of it.
    """
    first, last = world.route_first, world.route_first + world.route_points - 2
    window = WIDE_SEARCH_POINTS if world.tick % WIDE_SEARCH_TICKS == 0 else SEARCH_POINTS
    low = max(first + world.near - window, first)
    high = min(first + world.near + window, last)
    best, best_k, best_way = 1.0e18, low, 0.0
    for k in range(low, high + 1):
        point = points[k]
        dx, dy = world.x - point.x, world.y - point.y
        way = min(max(dx * point.chord_x + dy * point.chord_y, 0.0), points[k + 1].s - point.s)
        dx -= way * point.chord_x
        dy -= way * point.chord_y
        away = dx * dx + dy * dy
        if away < best:
            best, best_k, best_way = away, k, way
    a, b = points[best_k], points[best_k + 1]
    best_share = best_way / (b.s - a.s)
    world.near = best_k - first
    world.s = a.s + best_share * (b.s - a.s)
    world.z = a.z + best_share * (b.z - a.z)
    yaw = a.yaw + best_share * wrap(b.yaw - a.yaw)
    side = (world.y - a.y) * a.chord_x - (world.x - a.x) * a.chord_y
    world.lateral = math.sqrt(best) if side >= 0.0 else -math.sqrt(best)
    world.heading_error = wrap(world.yaw - yaw)
    world.speed_limit = a.speed_limit


@inline_rule
def find_marks(points: Record, marks: Record, town: Town, world: Record) -> None:
    """Set the next stop line of the route, and the junction that others see the ego in or coming to."""
    end = world.mark_first + world.mark_count
    while world.next_mark < end and marks[world.next_mark].s < world.s:
        world.next_mark += 1
    while world.next_mark > world.mark_first and marks[world.next_mark - 1].s >= world.s:
        world.next_mark -= 1
    world.entry, world.entry_m = -1, 0.0
    if abs(world.lateral) > ON_ROUTE_M:
        return
    if world.next_mark > world.mark_first:
        mark = marks[world.next_mark - 1]
        junction = town.lanes[mark.lane].junction
        if junction >= 0 and town.lanes[points[world.route_first + world.near].lane].junction == junction:
            world.entry, world.entry_m = mark.lane, mark.s - world.s
            return
    if world.next_mark < end:
        mark = marks[world.next_mark]
        if town.lanes[mark.lane].junction >= 0 and mark.s - world.s < NEAR_JUNCTION_M:
            world.entry, world.entry_m = mark.lane, mark.s - world.s


@inline_rule
def find_lane(points: Record, town: Town, world: Record) -> float:
    """Set the lane under the ego and the last one outside junctions. Returns m that the ego's centre is beyond the lane's edge.

    Near the route's line that is the route's lane, also where others cross it; elsewhere the nearest one.
    """
    here = points[world.route_first + world.near]
    if abs(world.lateral) < NEAR_LINE_SHARE * here.half_width:
        lane, yaw, beyond_m = here.lane, here.yaw, abs(world.lateral) - here.half_width
    else:
        k = nearest_sample(town, world.x, world.y, world.z)
        if k < 0:
            world.lane = -1
            return CLEAR
        sample = town.samples[k]
        along, aside = to_local(world.x, world.y, sample.x, sample.y, sample.yaw)
        # beyond the end of a lane the distance to its last sample counts
        away = abs(aside) if abs(along) <= 1.5 else math.hypot(along, aside)
        lane, yaw, beyond_m = sample.lane, sample.yaw, away - sample.half_width
    world.lane, world.lane_yaw = lane, yaw
    if town.lanes[lane].junction < 0 and lane != world.approach:
        world.approach, world.stop_done = lane, False
    return float(beyond_m)
