"""The state of the worlds as the values of the contracts: steps, observations, scenes. All are copies."""

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from carla_rl.types import ROUTE_POINTS, Ego, Facts, Needs, Observation, Scene, Step
from toy_env.observe import COLUMNS, see, see_signals
from toy_env.state import Worlds
from toy_env.town import Town

Groups = Sequence[tuple[Town, NDArray[np.int64]]]
"""Envs that drive in the same town, as kernels take it."""


def ego(worlds: Worlds) -> Ego:
    """The egos of all envs."""
    world = worlds.world
    return Ego(**{name: world[name].copy() for name in ("x", "y", "yaw", "speed", "yaw_rate", "acceleration")})


def step(worlds: Worlds) -> Step:
    """The state of all envs; an env that was never reset is at the origin with ending NONE."""
    world = worlds.world
    facts = Facts(
        tick=world["tick"].copy(),
        route_completion=world["completion"].copy(),
        route_length=world["end_s"] - world["start_s"],
        driven=world["driven"].copy(),
        infractions=worlds.counts.copy(),
        outside_share=world["outside_m"] / np.maximum(world["lanes_m"], 1e-9),
        lateral=world["lateral"].copy(),
        heading_error=world["heading_error"].copy(),
        speed_limit=world["speed_limit"].copy(),
    )
    return Step(ego(worlds), facts, world["ending"].astype(np.int8))


def observation(
    worlds: Worlds,
    points: NDArray[np.void],
    marks: NDArray[np.void],
    groups: Groups,
    needs: Needs,
    images: Mapping[str, NDArray[np.uint8]],
) -> Observation:
    """What the needs ask for."""
    world = worlds.world
    num_envs = len(world)

    def room(wanted: bool, *shape: int) -> NDArray[np.float32]:
        return np.zeros((num_envs if wanted else 0, *shape), np.float32)

    route, route_left = room(needs.route, ROUTE_POINTS, 2), room(needs.route)
    objects = room(needs.objects > 0, needs.objects, COLUMNS)
    light, stop_sign = room(needs.lights, 2), room(needs.lights, 2)
    for town, rows in groups:
        see(town, points, marks, worlds, rows, route, route_left, objects, light, stop_sign)
    return Observation(
        speed=world["speed"].astype(np.float32),
        yaw_rate=world["yaw_rate"].astype(np.float32),
        route=route if needs.route else None,
        route_left=route_left if needs.route else None,
        objects=objects if needs.objects else None,
        light=light if needs.lights else None,
        stop_sign=stop_sign if needs.lights else None,
        speed_limit=world["speed_limit"].astype(np.float32) if needs.speed_limit else None,
        images=images,
    )


def scene(worlds: Worlds, groups: Groups) -> Scene:
    """All actors and lights."""
    rows = worlds.actors
    actors = np.stack(
        [rows[name].astype(np.float32) for name in ("id", "kind", "x", "y", "yaw", "speed", "half_length", "half_width")], axis=-1
    )
    used = (rows["kind"] != 0) & (np.arange(rows.shape[1]) < worlds.world["actors"][:, None])
    actors[~used] = 0.0
    signals = max((len(town.signals) for town, _ in groups), default=0)
    lights = np.zeros((len(rows), signals), np.int8)
    for town, envs in groups:
        see_signals(town, worlds, envs, lights)
    return Scene(actors, lights)
