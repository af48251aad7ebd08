"""What the egos see: route ahead, nearest objects, light and stop sign ahead. Reads the worlds and changes nothing."""

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from carla_rl.geometry import wrap
from carla_rl.roads.network import Right
from carla_rl.types import ROUTE_POINTS, ROUTE_SPACING_M, SIGHT_M
from carla_rl.world.compiled import inline_rule, kernel
from carla_rl.world.events import share_outside
from carla_rl.world.routes import LINE_M
from carla_rl.world.signals import light_state
from carla_rl.world.state import Record, Worlds
from carla_rl.world.town import Town

SIGNAL = int(Right.SIGNAL)
STOP = int(Right.STOP)
COLUMNS = 7
STRIDE = round(ROUTE_SPACING_M / LINE_M)
TOLD = 13


class Told(NamedTuple):
    """What a step returns of N envs, as kernels fill it."""

    numbers: NDArray[np.float64]
    """(TOLD, N): see `tell_env`."""
    ticks: NDArray[np.int64]
    """(N,)"""
    endings: NDArray[np.int8]
    """(N,)"""


@inline_rule
def see_route(line: NDArray[np.float64], world: Record, out: NDArray[np.float32]) -> None:
    """Fill (ROUTE_POINTS, 2): the route from the ego's projection on, in the ego frame; straight on past the destination."""
    c, s, x, y = math.cos(world.yaw), math.sin(world.yaw), world.x, world.y
    first = int(world.s / LINE_M)
    share = world.s / LINE_M - first
    first += world.line_first
    for number in range(ROUTE_POINTS):
        k = first + number * STRIDE
        dx = line[k, 0] + share * (line[k + 1, 0] - line[k, 0]) - x
        dy = line[k, 1] + share * (line[k + 1, 1] - line[k, 1]) - y
        out[number, 0] = dx * c + dy * s
        out[number, 1] = dy * c - dx * s


@inline_rule
def see_room(width: NDArray[np.float64], world: Record, out: NDArray[np.float32]) -> None:
    """Fill (ROUTE_POINTS, 3): how wide the road is at the points of the route that are seen."""
    first = world.line_first + int(world.s / LINE_M)
    for number in range(ROUTE_POINTS):
        for side in range(3):
            out[number, side] = width[first + number * STRIDE, side]


@inline_rule
def nearest_first(world: Record, actors: Record, reach_m: float, most: int) -> int:
    """Link the `most` nearest actors within `reach_m` m by `further`, or all that there are; the slot of the nearest, -1 for none."""
    first = -1
    for k in range(world.actors):
        me = actors[k]
        dx, dy = me.x - world.x, me.y - world.y
        away = dx * dx + dy * dy
        if me.kind == 0 or away > reach_m * reach_m:
            continue
        me.away = away
        before, after, place = -1, first, 0
        # who is beyond the last that is wanted is left out, which bounds the search
        while place < most and after >= 0 and (actors[after].away < away or (actors[after].away == away and actors[after].id < me.id)):
            before, after, place = after, actors[after].further, place + 1
        if place == most:
            continue
        me.further = after
        if before < 0:
            first = k
        else:
            actors[before].further = k
    return first


@inline_rule
def see_objects(world: Record, actors: Record, reach_m: float, out: NDArray[np.float32]) -> None:
    """Fill (M, 7) with the nearest actors within `reach_m` m, nearest first, ties by id; zeros beyond."""
    c, s, x, y = math.cos(world.yaw), math.sin(world.yaw), world.x, world.y
    first = nearest_first(world, actors, reach_m, len(out))
    seen = 0
    while seen < len(out) and first >= 0:
        me, row = actors[first], out[seen]
        dx, dy = me.x - x, me.y - y
        row[0], row[1], row[2], row[3] = dx * c + dy * s, dy * c - dx * s, wrap(me.yaw - world.yaw), me.speed
        row[4], row[5], row[6] = me.half_length, me.half_width, me.kind
        first = me.further
        seen += 1
    out[seen:, :] = 0.0


@inline_rule
def see_lights(town: Town, marks: Record, world: Record, light: NDArray[np.float32], stop_sign: NDArray[np.float32]) -> None:
    """Fill (2,) each: m from the ego's centre to the next light and its state, to the next stop sign and whether a stop is owed."""
    light[0], light[1], stop_sign[0], stop_sign[1] = SIGHT_M, 0.0, SIGHT_M, 0.0
    lit, signed = False, False
    for k in range(world.next_mark, world.mark_first + world.mark_count):
        mark = marks[k]
        distance = mark.s - world.s
        if distance > SIGHT_M or (lit and signed):
            return
        if not lit and mark.signal >= 0:
            lit = True
            light[0], light[1] = distance, light_state(town, world, mark.signal)
        elif not signed and mark.entry == STOP:
            signed = True
            owed = not (world.stop_done and world.approach == mark.approach)
            stop_sign[0], stop_sign[1] = distance, 1.0 if owed else 0.0


@inline_rule
def see_env(
    town: Town,
    line: NDArray[np.float64],
    width: NDArray[np.float64],
    marks: NDArray[np.void],
    worlds: Worlds,
    env: int,
    route: NDArray[np.float32],
    route_left: NDArray[np.float32],
    objects: NDArray[np.float32],
    objects_m: float,
    light: NDArray[np.float32],
    stop_sign: NDArray[np.float32],
    room: NDArray[np.float32],
) -> None:
    """Fill an env's rows. An array of no rows is not filled."""
    world = worlds.world[env]
    if len(route) > 0:
        see_route(line, world, route[env])
        route_left[env] = max(world.end_s - world.s, 0.0)
    if len(objects) > 0:
        see_objects(world, worlds.actors[env], objects_m, objects[env])
    if len(light) > 0:
        see_lights(town, marks, world, light[env], stop_sign[env])
    if len(room) > 0:
        see_room(width, world, room[env])


@kernel
def see(
    envs: NDArray[np.int64],
    town: Town,
    line: NDArray[np.float64],
    width: NDArray[np.float64],
    marks: NDArray[np.void],
    worlds: Worlds,
    route: NDArray[np.float32],
    route_left: NDArray[np.float32],
    objects: NDArray[np.float32],
    objects_m: float,
    light: NDArray[np.float32],
    stop_sign: NDArray[np.float32],
    room: NDArray[np.float32],
) -> None:
    """Fill the rows of the given envs, all in one town."""
    for number in range(len(envs)):
        see_env(town, line, width, marks, worlds, envs[number], route, route_left, objects, objects_m, light, stop_sign, room)


@kernel
def see_signals(town: Town, worlds: Worlds, envs: NDArray[np.int64], out: NDArray[np.int8]) -> None:
    """Fill (N, S) int8: the state of every signal of the town, for the given envs."""
    for number in range(len(envs)):
        env = envs[number]
        world = worlds.world[env]
        for signal in range(len(town.signals)):
            out[env, signal] = light_state(town, world, signal)


@inline_rule
def tell_env(me: Record, told: Told, env: int) -> None:
    """Fill an env's column."""
    numbers = told.numbers
    numbers[0, env], numbers[1, env], numbers[2, env] = me.x, me.y, me.yaw
    numbers[3, env], numbers[4, env], numbers[5, env] = me.speed, me.yaw_rate, me.acceleration
    numbers[6, env], numbers[7, env], numbers[8, env] = me.completion, me.end_s - me.start_s, me.driven
    numbers[9, env] = share_outside(me)
    numbers[10, env], numbers[11, env], numbers[12, env] = me.lateral, me.heading_error, me.speed_limit
    told.ticks[env], told.endings[env] = me.tick, me.ending


@kernel
def tell(envs: NDArray[np.int64], world: NDArray[np.void], told: Told) -> None:
    """Fill the columns of the given envs."""
    for number in range(len(envs)):
        tell_env(world[envs[number]], told, envs[number])
