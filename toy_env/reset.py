"""The start of an episode: from an `Episode` to a world record, and the world around it. Knows nothing of ticks."""

import numpy as np
from numpy.typing import NDArray

from carla_rl.errors import UsageError
from carla_rl.scenario.model import Episode
from carla_rl.types import TICK_S
from toy_env.compiled import kernel, rule
from toy_env.criteria import BASE_LIMIT_S
from toy_env.kernel import locate
from toy_env.playing import play
from toy_env.rng import mix
from toy_env.routes import Slice
from toy_env.scripted import Compiled
from toy_env.spawn import spawn_vehicle, spawn_walker
from toy_env.state import WORLD, Record, Worlds
from toy_env.town import Town
from toy_env.vehicle import VehicleModel

LEAST_ROUTE_M = 1.0
"""An episode needs so much route ahead of its start."""


def check_start(episode: Episode) -> None:
    """Raise UsageError where the start is not on the route."""
    route = episode.route
    if not 0.0 <= episode.start_m <= route.length - LEAST_ROUTE_M:
        raise UsageError(
            f"episode {episode.episode_id}: start_m = {episode.start_m:g} is not on its route of {route.length:.1f} m;"
            f" start between 0 and {route.length - LEAST_ROUTE_M:.1f}"
        )


def write(worlds: NDArray[np.void], env: int, episode: Episode, place: Slice, scripts: Compiled, vehicle: VehicleModel) -> None:
    """Make an env's row of WORLD that of an episode that has not begun: its route, its rules and how much traffic it wants."""
    route, rules, wanted = episode.route, episode.scenario.rules, episode.scenario.traffic
    worlds[env] = BLANK
    world = worlds[env]
    start = max(int(np.searchsorted(route.s, episode.start_m, side="right")) - 1, 0)
    for name in ("near", "passed", "lanes_point", "deviation_point", "limit_point"):
        world[name] = start
    world["seed"], world["driving"] = episode.seed, True
    world["half_length"], world["half_width"] = vehicle.half_length, vehicle.half_width
    world["route_first"], world["route_points"], world["line_first"] = place.first, place.points, place.line_first
    world["mark_first"], world["mark_count"], world["next_mark"] = place.mark_first, place.marks, place.mark_first
    world["start_s"], world["end_s"] = episode.start_m, route.length
    world["fixed_limit_s"] = rules.time_limit_s or 0.0
    world["blocked_ticks"] = round(rules.blocked_after_s / TICK_S)
    world["deviation_limit"] = rules.deviation_m
    world["ends_on"] = sum(1 << kind for kind in set(rules.ends_on))
    world["min_speed"] = rules.min_speed
    world["vehicles"], world["walkers"], world["cast"] = wanted.vehicles, wanted.pedestrians, scripts.slots
    world["actors"] = wanted.vehicles + wanted.pedestrians + scripts.slots
    world["scripts"] = len(scripts.scripts)
    world["speed_factor"], world["headway_s"] = wanted.speed_factor, wanted.headway_s


def _blank() -> NDArray[np.void]:
    """() WORLD in which nothing is known yet."""
    world = np.zeros((), WORLD)
    for name in ("lane", "approach", "judged_lane", "red_light", "entry", "lights_junction", "shut_junction", "outside_event"):
        world[name] = -1
    world["limit_s"] = BASE_LIMIT_S
    return world


BLANK = _blank()


@rule
def put_ego(points: Record, world: Record) -> None:
    """Put the ego on its route at start_s, at rest, heading along it."""
    k = world.route_first + world.near
    a, b = points[k], points[k + 1]
    share = (world.start_s - a.s) / (b.s - a.s)
    world.x = a.x + share * (b.x - a.x)
    world.y = a.y + share * (b.y - a.y)
    world.z = a.z
    world.yaw = a.yaw


@rule
def populate(
    town: Town, points: Record, world: Record, actors: Record, scripts: Record, parts: Record, events: Record, counts: Record
) -> None:
    """Fill the world: what scripts show from the start first, then traffic, then walkers, each with its own stream of numbers."""
    for k in range(len(actors)):
        actors[k].kind, actors[k].role = 0, 0
        actors[k].seed, actors[k].draws = mix(world.seed, k), 0
    play(town, points, world, actors, scripts, parts, events, counts)
    for k in range(world.vehicles + world.walkers):
        if k < world.vehicles:
            spawn_vehicle(town, world, actors, k)
        else:
            spawn_walker(town, world, actors, k)
        if actors[k].kind != 0:
            world.placed += 1


@kernel
def start(town: Town, points: NDArray[np.void], marks: NDArray[np.void], worlds: Worlds, envs: NDArray[np.int64]) -> None:
    """Begin the episodes of the given envs, whose world records and scripts have been filled in; all are in one town."""
    for number in range(len(envs)):
        env = envs[number]
        world = worlds.world[env]
        worlds.counts[env, :] = 0
        put_ego(points, world)
        locate(town, points, marks, world)
        populate(town, points, world, worlds.actors[env], worlds.scripts[env], worlds.parts[env], worlds.events[env], worlds.counts[env])
        world.begun = True
