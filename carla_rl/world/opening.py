"""The start of an episode: from an `Episode` to a world record. Knows nothing of ticks, and puts nobody but the ego."""

import numpy as np
from numpy.typing import NDArray

from carla_rl.errors import UsageError
from carla_rl.scenario.model import Episode
from carla_rl.scenario.places import LEAST_ROUTE_M
from carla_rl.types import TICK_S
from carla_rl.world.compiled import rule
from carla_rl.world.criteria import BASE_LIMIT_S
from carla_rl.world.routes import Slice
from carla_rl.world.scripted import Compiled
from carla_rl.world.state import WORLD, Record


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
    start = max(int(np.searchsorted(route.s, episode.start_m, side="right")) - 1, 0)
    half_length, half_width = half_size
    written = {
        "near": start,
        "passed": start,
        "lanes_point": start,
        "deviation_point": start,
        "limit_point": start,
        "seed": episode.seed,
        "driving": True,
        "half_length": half_length,
        "half_width": half_width,
        "route_first": place.first,
        "route_points": place.points,
        "line_first": place.line_first,
        "mark_first": place.mark_first,
        "mark_count": place.marks,
        "next_mark": place.mark_first,
        "start_s": episode.start_m,
        "end_s": route.length,
        "fixed_limit_s": rules.time_limit_s or 0.0,
        "blocked_ticks": round(rules.blocked_after_s / TICK_S),
        "deviation_limit": rules.deviation_m,
        "ends_on": sum(1 << kind for kind in set(rules.ends_on)),
        "min_speed": rules.min_speed,
        "vehicles": wanted.vehicles,
        "walkers": wanted.pedestrians,
        "cast": scripts.slots,
        "actors": wanted.vehicles + wanted.pedestrians + scripts.slots,
        "scripts": len(scripts.scripts),
        "lights_together": episode.scenario.lights == "together",
        "speed_factor": wanted.speed_factor,
        "headway_s": wanted.headway_s,
    }
    # a whole row at once: field by field numpy takes three times as long
    worlds[env] = tuple((BLANK | written).values())


def _blank() -> dict[str, object]:
    """A WORLD in which nothing is known yet, by field in the order of WORLD."""
    world = dict(zip(WORLD.names or (), np.zeros((), WORLD).item(), strict=True))
    for name in (
        "lane",
        "approach",
        "judged_lane",
        "red_light",
        "hit_id",
        "lie_tick",
        "entry",
        "lights_junction",
        "shut_junction",
        "outside_event",
    ):
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
