"""Putting actors into the world around the ego, at the start and again when they have gone too far. Knows nothing of how they move."""

import math

import numpy as np

from carla_rl.types import ObjectKind
from carla_rl.world.compiled import rule
from carla_rl.world.paths import put
from carla_rl.world.rng import pick
from carla_rl.world.slots import NONE, RECYCLE_RING_M, RESET_RING_M, TRAFFIC, draw, fresh, has_room
from carla_rl.world.state import Record, Role
from carla_rl.world.town import BLOCK_M, Town

VEHICLE = int(ObjectKind.VEHICLE)
PEDESTRIAN = int(ObjectKind.PEDESTRIAN)
WALKER = int(Role.WALKER)

START_MPS = 5.0
"""Vehicles are at most so fast at a reset: who follows at `slots.ROOM_M` can still stop."""
RECYCLE_ROOM_S = 1.0
"""A vehicle that is put back into moving traffic keeps so much more room, at the speed limit, and moves with it."""
RECYCLE_SHARE = 0.8
TRIES = 24
TRUCKS = 0.12
"""Share of the background vehicles; the others are cars from 3.9 to 5.0 m,"""
MOTORBIKES = 0.06
"""and this share motorbikes."""
PEDESTRIAN_HALF_M = 0.25
KERB_M = 0.8
"""m outside the road's edge where pedestrians walk."""


@rule
def draw_place(town: Town, seed: np.uint64, number: int, x: float, y: float, outer: float) -> int:
    """A place (sample) in the blocks that the square of half side `outer` around (x, y) touches, -1 if they hold none."""
    grid = town.grid[0]
    first_column = max(int((x - outer - grid.block_x0) // BLOCK_M), 0)
    last_column = min(int((x + outer - grid.block_x0) // BLOCK_M), grid.block_nx - 1)
    first_row = max(int((y - outer - grid.block_y0) // BLOCK_M), 0)
    last_row = min(int((y + outer - grid.block_y0) // BLOCK_M), grid.block_ny - 1)
    if last_column < first_column:
        return -1
    count = 0
    for row in range(first_row, last_row + 1):
        line = grid.block_first + row * grid.block_nx
        count += town.table[line + last_column + 1] - town.table[line + first_column]
    if count == 0:
        return -1
    chosen = pick(seed, number, count)
    for row in range(first_row, last_row + 1):
        line = grid.block_first + row * grid.block_nx
        start = town.table[line + first_column]
        held = town.table[line + last_column + 1] - start
        if chosen < held:
            return int(town.table[start + chosen])
        chosen -= held
    return -1


@rule
def find_place(town: Town, world: Record, actors: Record, j: int, inner: float, outer: float, room_s: float, aside: float) -> bool:
    """Put actor j on a free place between `inner` and `outer` m from the ego; `aside` m beyond the right edge of the road if positive.

    Free is what `has_room` with the way of `room_s` s at the lane's speed limit.
    """
    me = actors[j]
    for _ in range(TRIES):
        me.draws += 1
        sample = draw_place(town, me.seed, me.draws, world.x, world.y, outer)
        if sample < 0:
            return False
        place = town.samples[sample]
        lane = town.lanes[place.lane]
        me.lane, me.sample, me.s = place.lane, sample, place.s
        me.lateral = -(lane.near_edge + aside) if aside > 0.0 else 0.0
        put(town, me)
        away = math.hypot(me.x - world.x, me.y - world.y)
        along_m = room_s * lane.speed_limit
        if inner <= away <= outer and has_room(world, actors, j, along_m):
            return True
    return False


@rule
def spawn_vehicle(town: Town, world: Record, actors: Record, j: int) -> None:
    """Put a new vehicle into slot j, at a reset or later; the slot stays empty where there is no room."""
    me = actors[j]
    inner, outer = RECYCLE_RING_M if world.begun else RESET_RING_M
    me.kind = NONE
    fresh(world, me)
    size = draw(me)
    if size < TRUCKS:
        me.half_length, me.half_width = 3.6, 1.2
    elif size < TRUCKS + MOTORBIKES:
        me.half_length, me.half_width = 1.1, 0.4
    else:
        me.half_length, me.half_width = 1.9 + 0.6 * size, 0.85 + 0.2 * size
    me.eagerness = 0.85 + 0.3 * draw(me)
    if find_place(town, world, actors, j, inner, outer, RECYCLE_ROOM_S if world.begun else 0.0, 0.0):
        me.kind, me.role = VEHICLE, TRAFFIC
        wish = min(town.lanes[me.lane].speed_limit * world.speed_factor * me.eagerness, math.sqrt(town.outlook[me.sample].bend_square))
        me.speed = RECYCLE_SHARE * wish if world.begun else min(0.5 * wish, START_MPS)


@rule
def spawn_walker(town: Town, world: Record, actors: Record, j: int) -> None:
    """Put a new pedestrian into slot j, beside the road, at a reset or later; the slot stays empty where there is no room."""
    me = actors[j]
    inner, outer = RECYCLE_RING_M if world.begun else RESET_RING_M
    me.kind = NONE
    fresh(world, me)
    me.half_length, me.half_width = PEDESTRIAN_HALF_M, PEDESTRIAN_HALF_M
    me.direction = 1 if draw(me) < 0.5 else -1
    me.eagerness = 0.8 + 0.4 * draw(me)
    me.mode, me.side, me.mode_tick = 0, 0, world.tick
    if find_place(town, world, actors, j, inner, outer, 0.0, KERB_M):
        me.kind, me.role = PEDESTRIAN, WALKER
        me.speed = 0.0
