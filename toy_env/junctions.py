"""Who may enter a junction: lights, stop signs, right of way. Knows nothing of how a vehicle brakes.

Right of way is a total order over those who want to enter, so of two that are in each other's way exactly one goes:
by what stands at the entry, then straight on before turning left, then first come first served, then the smaller id.
"""

import numpy as np

from carla_rl.roads.network import Right
from carla_rl.world.compiled import inline_rule, rule
from carla_rl.world.shut import COMMITTED_M, is_before_ego
from carla_rl.world.signals import GREEN, YELLOW, light_state
from carla_rl.world.state import Record
from carla_rl.world.town import Town

SIGNAL = int(Right.SIGNAL)
STOP = int(Right.STOP)
YIELD = int(Right.YIELD)

YELLOW_BRAKE = 3.0
"""m/s^2: who would have to brake harder for a yellow light drives on."""
STOP_NEAR_M = 4.0
"""m before the line within which a stop counts."""
LOOK_M = 8.0
"""m before the line from which a standing vehicle looks for others; a moving one looks from its stopping distance on top."""
ARRIVAL_S = 3.5
"""Others that arrive later do not count."""
SLOW_MPS = 0.1
WAITED_TICKS = 200
"""Who has waited 10 s no longer gives way to those outside the junction; who has stood 10 s at a line is no longer given way to."""
EGO_ID = np.int64(-1)
"""Sorts before every actor. Of a fixed type, so that one compiled function serves ego and actors."""


@rule
def rank(town: Town, lane: int) -> int:
    """Order of entry by what stands there; smaller goes first."""
    order, row = 0, town.lanes[lane]
    if row.entry == YIELD:
        order = 2
    elif row.entry == STOP:
        order = 4
    return order + 1 if row.turns_left else order


@rule
def gives_way(
    town: Town, me: Record, entry: int, entry_m: float, half_length: float, speed: float, still: int, number: int | np.int64
) -> bool:
    """Whether `me` lets another pass that is in or near the same junction; the other's junction lane is `entry`, its id `number`."""
    mine = town.lanes[me.entry]
    k, end = mine.conflict_first, mine.conflict_end
    while k < end and town.table[k] != entry:
        k += 1
    if k == end:
        return False
    if entry_m - half_length < 0.0:
        return True
    if me.still_ticks > WAITED_TICKS or (still > WAITED_TICKS and speed < SLOW_MPS):
        return False
    if entry_m - half_length > 6.0 and entry_m - half_length > ARRIVAL_S * speed:
        return False
    my_rank, other_rank = rank(town, me.entry), rank(town, entry)
    if my_rank != other_rank:
        return bool(other_rank < my_rank)
    # first come, first served: the nearer one is the earlier, and a second of standing counts as 2 m
    my_key = me.entry_m - 0.1 * min(me.still_ticks, WAITED_TICKS)
    other_key = entry_m - 0.1 * min(still, WAITED_TICKS)
    return bool(other_key < my_key or (other_key == my_key and number < me.id))


@inline_rule
def is_held(town: Town, world: Record, me: Record, line_m: float) -> bool:
    """Whether a light or a stop sign holds `me`, whose front is `line_m` before the line. Notes a stop at a stop sign."""
    lane = town.lanes[me.entry]
    if lane.entry == STOP:
        if me.stop_done != me.entry and me.speed < SLOW_MPS and line_m < STOP_NEAR_M:
            me.stop_done = me.entry
        return bool(me.stop_done != me.entry)
    if lane.signal < 0:
        return False
    state = light_state(town, world, lane.signal)
    if state == YELLOW:
        return bool(me.speed * me.speed <= 2.0 * YELLOW_BRAKE * max(line_m, 0.1))
    return bool(state != GREEN)


@inline_rule
def must_wait(town: Town, world: Record, actors: Record, j: int) -> bool:
    """Whether actor j has to stay before the junction ahead of it."""
    me = actors[j]
    me.held = False
    line_m = me.entry_m - me.half_length
    if me.entry < 0 or line_m < -COMMITTED_M:
        return False
    me.held = is_held(town, world, me, line_m)
    junction = town.lanes[me.entry].junction
    if me.held or (junction == world.shut_junction and not is_before_ego(town, world, me)):
        return True
    if line_m > LOOK_M + me.speed * me.speed / 4.0:
        return False
    # a red light holds the ego too, as far as one can tell from outside
    wait = False
    if world.entry >= 0 and town.lanes[world.entry].junction == junction and not ego_is_held(town, world):
        wait = gives_way(town, me, world.entry, world.entry_m, world.half_length, world.speed, world.still_ticks, EGO_ID)
    for k in range(world.vehicles):
        other = actors[k]
        if other.entry < 0 or other.kind == 0 or other.held or k == j or town.lanes[other.entry].junction != junction:
            continue
        if not wait and other.entry != me.entry:
            wait = gives_way(town, me, other.entry, other.entry_m, other.half_length, other.speed, other.still_ticks, other.id)
    return wait


@inline_rule
def ego_is_held(town: Town, world: Record) -> bool:
    """Whether the ego, still before the line, has a red light."""
    signal = town.lanes[world.entry].signal
    if signal < 0 or world.entry_m - world.half_length < 0.0:
        return False
    return bool(light_state(town, world, signal) > YELLOW)
