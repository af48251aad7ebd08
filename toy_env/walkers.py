"""Pedestrians: along the edge of the road, and across it when it is free. Knows nothing of scripts."""

import math

from carla_rl.geometry import wrap
from carla_rl.types import TICK_S
from carla_rl.world.compiled import rule
from carla_rl.world.paths import put
from carla_rl.world.rng import uniform
from carla_rl.world.slots import NONE
from carla_rl.world.state import Record
from carla_rl.world.town import Town
from toy_env.spawn import KERB_M

WALK = 0
WAIT = 1
CROSS = 2
WALK_MPS = 1.3
"""Times the walker's own eagerness."""
THINK_TICKS = 40
"""A walker thinks of crossing every 2 s."""
CROSS_CHANCE = 0.1
PATIENCE_TICKS = 200
"""After 10 s of waiting it walks on."""
FREE_S = 1.5
"""s that must be left, after the walker is over, before whatever comes."""


@rule
def comes_too_soon(me: Record, x: float, y: float, yaw: float, speed: float, need_s: float) -> bool:
    """Whether a vehicle that keeps its speed and heading is at the walker's place within `need_s` s."""
    dx, dy = me.x - x, me.y - y
    ahead = dx * math.cos(yaw) + dy * math.sin(yaw)
    aside = abs(dy * math.cos(yaw) - dx * math.sin(yaw))
    return bool(aside < 12.0 and -4.0 < ahead < 5.0 + speed * need_s)


@rule
def road_is_free(town: Town, world: Record, actors: Record, me: Record) -> bool:
    """Whether the walker gets across before anything arrives."""
    need_s = (town.lanes[me.lane].near_edge + town.lanes[me.lane].far_edge) / (WALK_MPS * me.eagerness) + FREE_S
    if comes_too_soon(me, world.x, world.y, world.yaw, max(world.speed, 3.0), need_s):
        return False
    for k in range(world.vehicles):
        other = actors[k]
        if other.kind != NONE and comes_too_soon(me, other.x, other.y, other.yaw, max(other.speed, 3.0), need_s):
            return False
    return True


@rule
def walk(town: Town, world: Record, actors: Record, j: int) -> None:
    """Move walker j by one tick."""
    me = actors[j]
    pace = WALK_MPS * me.eagerness
    waited = world.tick - me.mode_tick
    turn = 0.0
    if me.mode == WALK:
        me.speed = pace
        me.s += me.direction * pace * TICK_S
        if me.s <= 0.0 or me.s >= town.lanes[me.lane].length:
            me.s = min(max(me.s, 0.0), town.lanes[me.lane].length)
            me.direction = -me.direction
        turn = 0.0 if me.direction > 0 else math.pi
        if (world.tick + j) % THINK_TICKS == 0 and uniform(me.seed, world.tick) < CROSS_CHANCE:
            me.mode, me.mode_tick, me.side = WAIT, world.tick, 1 if me.lateral < 0.0 else -1
    elif me.mode == WAIT:
        me.speed = 0.0
        turn = 0.5 * math.pi * me.side
        if (world.tick + j) % 5 == 0 and road_is_free(town, world, actors, me):
            me.mode, me.mode_tick = CROSS, world.tick
        elif waited > PATIENCE_TICKS:
            me.mode, me.mode_tick = WALK, world.tick
    else:
        me.speed = pace
        me.lateral += me.side * pace * TICK_S
        turn = 0.5 * math.pi * me.side
        if me.lateral > town.lanes[me.lane].far_edge + KERB_M or me.lateral < -(town.lanes[me.lane].near_edge + KERB_M):
            me.mode, me.mode_tick = WALK, world.tick
    put(town, me)
    me.yaw = wrap(me.yaw + turn)
