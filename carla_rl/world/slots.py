"""The slots that actors live in: who is new in one, who leaves it, who has room. Knows nothing of how actors move."""

import math

from carla_rl.types import ObjectKind
from carla_rl.world.compiled import rule
from carla_rl.world.rng import mix, uniform
from carla_rl.world.state import Record, Role

NONE = int(ObjectKind.NONE)
TRAFFIC = int(Role.TRAFFIC)

RESET_RING_M = (12.0, 100.0)
"""Distance from the ego at a reset."""
RECYCLE_RING_M = (60.0, 110.0)
"""Distance from the ego of an actor that is put back."""
LOST_M = 120.0
"""An actor farther from the ego is put back."""
STUCK_TICKS = 2400
"""So is a vehicle that has stood for 120 s."""
ROOM_M = 3.0
"""Between two actors that are put somewhere, on top of their half lengths."""
LANE_M = 2.5
"""Who is less to the side is on the same lane."""


@rule
def draw(actor: Record) -> float:
    """The next number of the actor's own stream, in [0, 1)."""
    actor.draws += 1
    return float(uniform(actor.seed, actor.draws))


@rule
def fresh(world: Record, me: Record) -> None:
    """Make a slot a new actor, nowhere yet: another id and another stream of numbers."""
    me.seed = mix(me.seed, me.draws)
    me.draws = 0
    me.id = world.next_id
    world.next_id += 1
    me.entry, me.entry_m, me.held, me.stop_done, me.still_ticks = -1, 0.0, False, -1, 0
    me.acceleration, me.brake_until = 0.0, 0
    me.stuck_tick = -1


@rule
def has_room(world: Record, actors: Record, j: int, along_m: float) -> bool:
    """Whether actor j, where it is, has ROOM_M around it, and `along_m` m before and behind it on its lane. Heights are not looked at."""
    me = actors[j]
    c, s = math.cos(me.yaw), math.sin(me.yaw)
    for k in range(world.actors):
        if k == j or actors[k].kind == NONE:
            continue
        lengths = me.half_length + actors[k].half_length
        dx, dy = actors[k].x - me.x, actors[k].y - me.y
        if dx * dx + dy * dy < (lengths + ROOM_M) * (lengths + ROOM_M):
            return False
        if abs(dy * c - dx * s) < LANE_M and abs(dx * c + dy * s) < lengths + along_m:
            return False
    return True


@rule
def send_away(me: Record) -> None:
    """Take an actor of the background out of the way. Its slot is empty; whoever moves the background puts it elsewhere."""
    me.kind = NONE
