"""What the egos see: route ahead, nearest objects, light and stop sign ahead. Reads the worlds and changes nothing."""

import math

import numpy as np
from numpy.typing import NDArray

from carla_rl.geometry import to_local, wrap
from carla_rl.roads.network import Right
from carla_rl.types import ROUTE_POINTS, ROUTE_SPACING_M, SIGHT_M
from toy_env.compiled import compiled
from toy_env.signals import light_state
from toy_env.state import Record, Worlds
from toy_env.town import Town

OBJECTS_M = 60.0
"""Objects farther away are not seen."""
SIGNAL = int(Right.SIGNAL)
STOP = int(Right.STOP)
COLUMNS = 7


@compiled
def see_route(points: Record, world: Record, out: NDArray[np.float32]) -> None:
    """Fill (ROUTE_POINTS, 2): the route from the ego's projection on, in the ego frame; straight on past the destination."""
    first, last = world.route_first, world.route_first + world.route_points - 1
    c, s = math.cos(world.yaw), math.sin(world.yaw)
    k = first + world.near
    for number in range(ROUTE_POINTS):
        at = world.s + number * ROUTE_SPACING_M
        while k < last - 1 and points[k + 1].s <= at:
            k += 1
        a, b = points[k], points[k + 1]
        if at <= b.s:
            share = (at - a.s) / (b.s - a.s)
            x, y = a.x + share * (b.x - a.x), a.y + share * (b.y - a.y)
        else:
            x, y = b.x + (at - b.s) * math.cos(b.yaw), b.y + (at - b.s) * math.sin(b.yaw)
        dx, dy = x - world.x, y - world.y
        out[number, 0] = dx * c + dy * s
        out[number, 1] = dy * c - dx * s


@compiled
def comes_before(actors: Record, k: int, distance: float, other: int, other_distance: float) -> bool:
    """Whether actor k is listed before another: nearer, or as near with a smaller id."""
    return bool(distance < other_distance or (distance == other_distance and actors[k].id < actors[other].id))


@compiled
def see_objects(world: Record, actors: Record, out: NDArray[np.float32]) -> None:
    """Fill (M, 7) with the nearest actors, nearest first, ties by id; zeros beyond."""
    last, last_distance = -1, -1.0
    for row in range(len(out)):
        # the first of those that come after the one in the row before
        best, best_distance = -1, OBJECTS_M * OBJECTS_M
        for k in range(world.actors):
            if actors[k].kind == 0:
                continue
            dx, dy = actors[k].x - world.x, actors[k].y - world.y
            distance = dx * dx + dy * dy
            if distance > OBJECTS_M * OBJECTS_M or (last >= 0 and not comes_before(actors, last, last_distance, k, distance)):
                continue
            if best < 0 or comes_before(actors, k, distance, best, best_distance):
                best, best_distance = k, distance
        if best < 0:
            out[row:, :] = 0.0
            return
        actor = actors[best]
        out[row, 0], out[row, 1] = to_local(actor.x, actor.y, world.x, world.y, world.yaw)
        out[row, 2], out[row, 3] = wrap(actor.yaw - world.yaw), actor.speed
        out[row, 4], out[row, 5], out[row, 6] = actor.half_length, actor.half_width, actor.kind
        last, last_distance = best, best_distance


@compiled
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
            light[0], light[1] = distance, light_state(town, mark.signal, world.seed, world.tick)
        elif not signed and mark.entry == STOP:
            signed = True
            owed = not (world.stop_done and world.approach == mark.approach)
            stop_sign[0], stop_sign[1] = distance, 1.0 if owed else 0.0


@compiled
def see(
    town: Town,
    points: NDArray[np.void],
    marks: NDArray[np.void],
    worlds: Worlds,
    envs: NDArray[np.int64],
    route: NDArray[np.float32],
    route_left: NDArray[np.float32],
    objects: NDArray[np.float32],
    light: NDArray[np.float32],
    stop_sign: NDArray[np.float32],
) -> None:
    """Fill the rows of the given envs, all in one town. An array of no rows is not filled."""
    for number in range(len(envs)):
        env = envs[number]
        world = worlds.world[env]
        if len(route) > 0:
            see_route(points, world, route[env])
            route_left[env] = max(world.end_s - world.s, 0.0)
        if len(objects) > 0:
            see_objects(world, worlds.actors[env], objects[env])
        if len(light) > 0:
            see_lights(town, marks, world, light[env], stop_sign[env])


@compiled
def see_signals(town: Town, worlds: Worlds, envs: NDArray[np.int64], out: NDArray[np.int8]) -> None:
    """Fill (N, S) int8: the state of every signal of the town, for the given envs."""
    for number in range(len(envs)):
        env = envs[number]
        world = worlds.world[env]
        for signal in range(len(town.signals)):
            out[env, signal] = light_state(town, signal, world.seed, world.tick)
