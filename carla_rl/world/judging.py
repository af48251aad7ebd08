"""After every tick: where the ego is, what the criteria say of it, and whether the episode ends. Knows nothing of what moved the ego."""

import math

from carla_rl.types import TICK_S, Ending, Infraction
from carla_rl.world import criteria
from carla_rl.world.compiled import inline_rule
from carla_rl.world.crossings import pass_lines
from carla_rl.world.events import NOBODY, record
from carla_rl.world.progress import find_lane, find_marks, project
from carla_rl.world.state import Record
from carla_rl.world.town import Town

NONE = int(Ending.NONE)
COMPLETED = int(Ending.COMPLETED)
DEVIATED = int(Ending.ROUTE_DEVIATION)
BLOCKED = int(Ending.VEHICLE_BLOCKED)
ENDED_BY_INFRACTION = int(Ending.INFRACTION)
TIMEOUT = int(Ending.ROUTE_TIMEOUT)
KINDS = len(Infraction)


@inline_rule
def account(world: Record, old_x: float, old_y: float, old_speed: float) -> None:
    """Add the way that the ego has made in a tick, and set its acceleration along its own axis."""
    dx, dy = world.x - old_x, world.y - old_y
    world.driven += math.sqrt(dx * dx + dy * dy)
    world.acceleration = (world.speed - old_speed) / TICK_S


@inline_rule
def locate(town: Town, points: Record, marks: Record, world: Record) -> float:
    """Set the ego's place on route, lanes and before junctions; m beyond the edge of the nearest lane."""
    project(points, world)
    find_marks(points, marks, town, world)
    return float(find_lane(points, town, world))


@inline_rule
def judge(town: Town, points: Record, world: Record, actors: Record, events: Record, counts: Record, beyond_m: float) -> None:
    """All criteria after a tick, and the ending. Where several end the episode in one tick the order is that of the code."""
    completed = criteria.complete(points, world)
    criteria.keep_lanes(town, points, world, events, counts, beyond_m)
    pass_lines(town, world, events, counts)
    criteria.keep_pace(world, actors, events, counts)
    ending = NONE
    if criteria.keep_route(points, world):
        record(world, events, counts, criteria.ROUTE_DEVIATION, NOBODY, 0.0)
        ending = DEVIATED
    if criteria.is_blocked(world) and ending == NONE:
        record(world, events, counts, criteria.VEHICLE_BLOCKED, NOBODY, 0.0)
        ending = BLOCKED
    if ending == NONE and world.ends_on != 0:
        for kind in range(KINDS):
            if counts[kind] > 0 and (world.ends_on >> kind) & 1:
                ending = ENDED_BY_INFRACTION
    if ending == NONE and completed:
        ending = COMPLETED
    if criteria.is_late(points, world) and ending == NONE:
        record(world, events, counts, criteria.ROUTE_TIMEOUT, NOBODY, 0.0)
        ending = TIMEOUT
    if ending != NONE:
        criteria.close_pace(world, events, counts)
    world.ending = ending
    world.driving = ending == NONE
