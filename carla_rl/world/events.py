"""The infractions of an env: counted, and kept with time and place. Knows nothing of what makes one."""

import numpy as np

from carla_rl.types import MAX_EVENTS, RARE_EVENTS, Event, Infraction
from carla_rl.world.compiled import inline_rule, rule
from carla_rl.world.state import Record, Worlds

COLLISION_PEDESTRIAN = int(Infraction.COLLISION_PEDESTRIAN)
COLLISION_VEHICLE = int(Infraction.COLLISION_VEHICLE)
COLLISION_STATIC = int(Infraction.COLLISION_STATIC)
RED_LIGHT = int(Infraction.RED_LIGHT)
STOP_SIGN = int(Infraction.STOP_SIGN)
NOBODY = np.int64(-1)
"""The `other` of an infraction that concerns no actor. Like the kinds of a fixed type, so that `record` is compiled once."""


@rule
def record(world: Record, events: Record, counts: Record, kind: np.int64, other: int | np.int64, value: float) -> None:
    """Count an infraction of the ego here and now, and keep it while there is room; RARE_EVENTS rows are for the kinds that are rare."""
    counts[kind] += 1
    often = kind in (COLLISION_PEDESTRIAN, COLLISION_VEHICLE, COLLISION_STATIC, RED_LIGHT, STOP_SIGN)
    if world.events < (MAX_EVENTS - RARE_EVENTS if often else MAX_EVENTS):
        event = events[world.events]
        event.kind, event.other, event.tick = kind, other, world.tick
        event.x, event.y, event.value = world.x, world.y, value
        world.events += 1


@inline_rule
def share_outside(world: Record) -> float:
    """Share of the driven route outside the route's lanes."""
    return world.outside_m / world.lanes_m if world.lanes_m > 0.0 else 0.0


def listed(worlds: Worlds, env: int) -> tuple[Event, ...]:
    """The env's infractions in order of time. The one of OUTSIDE_ROUTE_LANES carries the share so far."""
    world = worlds.world[env]
    found = []
    for number, row in enumerate(worlds.events[env, : world["events"]]):
        kind = Infraction(int(row["kind"]))
        outside = kind is Infraction.OUTSIDE_ROUTE_LANES and number == world["outside_event"]
        value = float(world["outside_m"] / world["lanes_m"]) if outside and world["lanes_m"] > 0 else float(row["value"])
        found.append(Event(kind, int(row["tick"]), float(row["x"]), float(row["y"]), int(row["other"]), value))
    return tuple(found)
