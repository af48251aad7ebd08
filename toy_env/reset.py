"""The start of an episode: from an `Episode` to a world record, and the world around it. Knows nothing of ticks."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from carla_rl.errors import UsageError
from carla_rl.scenario.model import Episode
from carla_rl.types import TICK_S
from toy_env.compiled import compiled
from toy_env.criteria import BASE_LIMIT_S
from toy_env.kernel import locate
from toy_env.rng import mix
from toy_env.routes import Slice
from toy_env.scripted import place_scripts
from toy_env.spawn import spawn_vehicle, spawn_walker
from toy_env.state import WORLD, Record, Worlds
from toy_env.town import Town
from toy_env.vehicle import VehicleModel

LEAST_ROUTE_M = 1.0
"""An episode needs so much route ahead of its start."""


def world_record(episode: Episode, place: Slice, scripts: int, vehicle: VehicleModel) -> NDArray[np.void]:
    """(1,) WORLD of an episode that has not begun: its route, its rules and how much traffic it wants.

    Raises:
        UsageError: the start is not on the route.
    """
    route, rules, wanted = episode.route, episode.scenario.rules, episode.scenario.traffic
    if not 0.0 <= episode.start_m <= route.length - LEAST_ROUTE_M:
        raise UsageError(
            f"episode {episode.episode_id}: start_m = {episode.start_m:g} is not on its route of {route.length:.1f} m;"
            f" start between 0 and {route.length - LEAST_ROUTE_M:.1f}"
        )
    start = max(int(np.searchsorted(route.s, episode.start_m, side="right")) - 1, 0)
    fields: dict[str, Any] = {
        "seed": episode.seed,
        "driving": True,
        "half_length": vehicle.half_length,
        "half_width": vehicle.half_width,
        "route_first": place.first,
        "route_points": place.points,
        "mark_first": place.mark_first,
        "mark_count": place.marks,
        "next_mark": place.mark_first,
        "start_s": episode.start_m,
        "end_s": route.length,
        "outside_event": -1,
        "limit_s": BASE_LIMIT_S,
        "fixed_limit_s": rules.time_limit_s or 0.0,
        "blocked_ticks": round(rules.blocked_after_s / TICK_S),
        "deviation_limit": rules.deviation_m,
        "ends_on": sum(1 << kind for kind in set(rules.ends_on)),
        "min_speed": rules.min_speed,
        "vehicles": wanted.vehicles,
        "walkers": wanted.pedestrians,
        "scripts": scripts,
        "actors": wanted.vehicles + wanted.pedestrians + scripts,
        "speed_factor": wanted.speed_factor,
        "headway_s": wanted.headway_s,
    }
    fields |= dict.fromkeys(("near", "passed", "lanes_point", "deviation_point", "limit_point"), start)
    fields |= dict.fromkeys(("lane", "approach", "judged_lane", "red_light", "entry"), -1)
    record = np.zeros(1, WORLD)
    for name, value in fields.items():
        record[name] = value
    return record


@compiled
def put_ego(points: Record, world: Record) -> None:
    """Put the ego on its route at start_s, at rest, heading along it."""
    k = world.route_first + world.near
    a, b = points[k], points[k + 1]
    share = (world.start_s - a.s) / (b.s - a.s)
    world.x = a.x + share * (b.x - a.x)
    world.y = a.y + share * (b.y - a.y)
    world.z = a.z
    world.yaw = a.yaw


@compiled
def populate(town: Town, points: Record, world: Record, actors: Record, scripts: Record) -> None:
    """Fill the world: scripted actors first, then traffic, then walkers, each with its own stream of numbers."""
    for k in range(len(actors)):
        actors[k].kind, actors[k].role = 0, 0
        actors[k].seed, actors[k].draws = mix(world.seed, k), 0
    place_scripts(town, points, world, actors, scripts)
    for k in range(world.vehicles + world.walkers):
        if k < world.vehicles:
            spawn_vehicle(town, world, actors, k)
        else:
            spawn_walker(town, world, actors, k)
        if actors[k].kind != 0:
            world.placed += 1


@compiled
def start(town: Town, points: NDArray[np.void], marks: NDArray[np.void], worlds: Worlds, envs: NDArray[np.int64]) -> None:
    """Begin the episodes of the given envs, whose world records and scripts have been filled in; all are in one town."""
    for number in range(len(envs)):
        env = envs[number]
        world = worlds.world[env]
        worlds.counts[env, :] = 0
        put_ego(points, world)
        locate(town, points, marks, world)
        populate(town, points, world, worlds.actors[env], worlds.scripts[env])
        world.begun = True
