"""The start of an episode: from an `Episode` to a world record. Knows nothing of ticks, and puts nobody but the ego."""

import numpy as np
from numpy.typing import NDArray

from carla_rl.errors import UsageError
from carla_rl.scenario.model import Episode
from carla_rl.types import TICK_S
from carla_rl.world.compiled import rule
from carla_rl.world.criteria import BASE_LIMIT_S
from carla_rl.world.routes import Slice
from carla_rl.world.scripted import Compiled
from carla_rl.world.state import WORLD, Record

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


def write(worlds: NDArray[np.void], env: int, episode: Episode, place: Slice, scripts: Compiled, half_size: tuple[float, float]) -> None:
    """Make an env's row of WORLD that of an episode that has not begun: its route, its rules and how much traffic it wants.

    `half_size` is half the length and half the width of the ego, m.
    """
    route, rules, wanted = episode.route, episode.scenario.rules, episode.scenario.traffic
    worlds[env] = BLANK
    world = worlds[env]
    start = max(int(np.searchsorted(route.s, episode.start_m, side="right")) - 1, 0)
    for name in ("near", "passed", "lanes_point", "deviation_point", "limit_point"):
        world[name] = start
    world["seed"], world["driving"] = episode.seed, True
    world["half_length"], world["half_width"] = half_size
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
    world["lights_together"] = episode.scenario.lights == "together"
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
