"""Where the ego is: on its route, on the lanes and before the next stop line. Knows nothing of what is an infraction."""

import math

from carla_rl.geometry import to_local, wrap
from toy_env.compiled import compiled
from toy_env.paths import CLEAR, nearest_sample
from toy_env.state import Record
from toy_env.town import Town

SEARCH_POINTS = 3
"""The projection is looked for so many points ahead of and behind the last one,"""
WIDE_SEARCH_POINTS = 15
WIDE_SEARCH_TICKS = 10
"""and now and then farther, for an ego that cuts a corner."""
NEAR_JUNCTION_M = 60.0
"""From here on before a junction others reckon with the ego."""
ON_ROUTE_M = 6.0
"""An ego farther from its route is not expected to follow it through a junction."""


@compiled
def project(points: Record, world: Record) -> None:
    """Set the ego's place beside the route: near, s, lateral, heading_error, speed_limit and z.

    The search is local, so where a route crosses or repeats itself the ego stays on its part of it.
    """
    first, last = world.route_first, world.route_first + world.route_points - 2
    window = WIDE_SEARCH_POINTS if world.tick % WIDE_SEARCH_TICKS == 0 else SEARCH_POINTS
    low = max(first + world.near - window, first)
    high = min(first + world.near + window, last)
    best, best_k, best_share = 1.0e18, low, 0.0
    for k in range(low, high + 1):
        px, py = points[k].x, points[k].y
        ex, ey = points[k + 1].x - px, points[k + 1].y - py
        square = ex * ex + ey * ey
        share = ((world.x - px) * ex + (world.y - py) * ey) / square if square > 0.0 else 0.0
        share = min(max(share, 0.0), 1.0)
        dx, dy = world.x - px - share * ex, world.y - py - share * ey
        away = dx * dx + dy * dy
        if away < best:
            best, best_k, best_share = away, k, share
    a, b = points[best_k], points[best_k + 1]
    world.near = best_k - first
    world.s = a.s + best_share * (b.s - a.s)
    world.z = a.z + best_share * (b.z - a.z)
    yaw = a.yaw + best_share * wrap(b.yaw - a.yaw)
    dx, dy = world.x - a.x - best_share * (b.x - a.x), world.y - a.y - best_share * (b.y - a.y)
    side = dy * math.cos(yaw) - dx * math.sin(yaw)
    world.lateral = math.sqrt(best) if side >= 0.0 else -math.sqrt(best)
    world.heading_error = wrap(world.yaw - yaw)
    world.speed_limit = a.speed_limit


@compiled
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


@compiled
def find_lane(town: Town, world: Record) -> float:
    """Set the lane under the ego and the last one outside junctions. Returns m that the ego's centre is beyond the lane's edge."""
    k = nearest_sample(town, world.x, world.y, world.z)
    if k < 0:
        world.lane = -1
        return CLEAR
    lane = town.samples[k].lane
    world.lane, world.lane_sample = lane, k
    if town.lanes[lane].junction < 0 and lane != world.approach:
        world.approach, world.stop_done = lane, False
    along, aside = to_local(world.x, world.y, town.samples[k].x, town.samples[k].y, town.samples[k].yaw)
    # beyond the end of a lane the distance to its last sample counts
    away = abs(aside) if abs(along) <= 1.5 else math.hypot(along, aside)
    return float(away - town.samples[k].half_width)
