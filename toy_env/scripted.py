"""Scripted actors: what an episode's scripts become, and how they are played. Their rules are in `carla_rl.scenario.behaviours`."""

import math
from enum import IntEnum

import numpy as np
from numpy.typing import NDArray

from carla_rl.errors import UsageError
from carla_rl.geometry import to_local
from carla_rl.roads.route import Route
from carla_rl.scenario.behaviours import crossing_pace, leads, steps_out
from carla_rl.scenario.model import Episode, ScriptedActor
from carla_rl.types import TICK_S, ObjectKind
from toy_env.compiled import compiled
from toy_env.contact import remember, stands_hit
from toy_env.paths import nearest_on, put
from toy_env.spawn import KERB_M, PEDESTRIAN_HALF_M, fresh
from toy_env.state import SCRIPT, Record, Role
from toy_env.town import Town
from toy_env.walkers import cross


class ScriptType(IntEnum):
    """The scenario types that are played here."""

    DYNAMIC_OBJECT_CROSSING = 0
    HARD_BREAK_ROUTE = 1


TYPES = {"DynamicObjectCrossing": ScriptType.DYNAMIC_OBJECT_CROSSING, "HardBreakRoute": ScriptType.HARD_BREAK_ROUTE}

CROSSING_TYPE = int(ScriptType.DYNAMIC_OBJECT_CROSSING)
PEDESTRIAN = int(ObjectKind.PEDESTRIAN)
CROSSING = int(Role.CROSSING)
TRAFFIC = int(Role.TRAFFIC)

WAITING = 0
PLAYING = 1
OVER = 2

OFF_ROUTE_M = 10.0
"""A trigger point farther from the route is a mistake."""
DISTANCE_M = 12.0
"""From a trigger point to the pedestrian, unless the parameter `distance` says otherwise (the leaderboard's default)."""
WALK_MPS = 2.0
"""Unless the parameter `speed` says otherwise."""
BRAKE_S = 4.0
"""A leading vehicle brakes for so long, unless the parameter `duration` says otherwise."""


def compile_scripts(episode: Episode) -> NDArray[np.void]:
    """(K,) SCRIPT: the episode's scripted actors, less the skipped ones, in their order.

    Raises:
        UsageError: a trigger point is off the route, or a parameter is not a number.
    """
    played = [actor for actor in episode.scenario.actors if actor.type in TYPES and name_of(actor) not in episode.skipped]
    rows = np.zeros(len(played), SCRIPT)
    for row, actor in zip(rows, played, strict=True):
        route = episode.route
        trigger = _along(route, actor, episode.scenario.scenario_id)
        row["type"] = TYPES[actor.type]
        row["trigger_s"] = trigger
        row["place_s"] = min(trigger + _number(actor, "distance", DISTANCE_M), route.length)
        row["speed"] = _number(actor, "speed", WALK_MPS)
        row["duration_s"] = _number(actor, "duration", BRAKE_S)
        if trigger < episode.start_m:
            row["phase"] = OVER
    return rows


def name_of(actor: ScriptedActor) -> str:
    """What a scripted actor is called in results: its name, its type where it has none."""
    return actor.name or actor.type


def unplayable(episode: Episode) -> tuple[str, ...]:
    """Scripted scenario types of the episode that cannot be played here, each once."""
    return tuple(dict.fromkeys(actor.type for actor in episode.scenario.actors if actor.type not in TYPES))


def _along(route: Route, actor: ScriptedActor, scenario: str) -> float:
    """m along the route of the actor's trigger point."""
    away = np.hypot(route.x - actor.x, route.y - actor.y)
    point = int(np.argmin(away))
    if away[point] > OFF_ROUTE_M:
        raise UsageError(
            f"scenario {scenario}: the trigger of {name_of(actor)} at ({actor.x:.1f}, {actor.y:.1f}) is {away[point]:.0f} m"
            f" from the route; move it to within {OFF_ROUTE_M:.0f} m"
        )
    return float(route.s[point])


def _number(actor: ScriptedActor, name: str, default: float) -> float:
    """A positive parameter of a scripted actor."""
    value = actor.parameters.get(name, default)
    try:
        number = float(value)
    except ValueError:
        number = math.nan
    if not 0 < number < math.inf:
        raise UsageError(f"scripted actor {name_of(actor)}: {name} must be a positive number (found {value!r})")
    return number


@compiled
def place_scripts(town: Town, points: Record, world: Record, actors: Record, scripts: Record) -> None:
    """Put the actors of all scripts into their slots, at a reset."""
    for k in range(world.scripts):
        script = scripts[k]
        if script.type != CROSSING_TYPE or script.phase == OVER:
            continue
        me = actors[world.vehicles + world.walkers + k]
        point = world.route_first
        while points[point].s < script.place_s and point < world.route_first + world.route_points - 1:
            point += 1
        fresh(world, me)
        me.kind, me.role = PEDESTRIAN, CROSSING
        me.half_length, me.half_width = PEDESTRIAN_HALF_M, PEDESTRIAN_HALF_M
        me.lane = points[point].lane
        me.sample = nearest_on(town, me.lane, points[point].x, points[point].y)
        me.s = town.samples[me.sample].s
        me.lateral = -(town.lanes[me.lane].near_edge + KERB_M)
        me.speed = 0.0
        put(town, me)
        me.yaw += 0.5 * math.pi


@compiled
def play(town: Town, world: Record, actors: Record, scripts: Record) -> None:
    """One tick of all scripts."""
    for k in range(world.scripts):
        script = scripts[k]
        if script.phase == OVER:
            continue
        if script.type == CROSSING_TYPE:
            me = actors[world.vehicles + world.walkers + k]
            if me.role != CROSSING:
                script.phase = OVER
                continue
            remember(me)
            if stands_hit(world, me) or me.kind == 0:
                continue
            if script.phase == WAITING:
                distance = script.place_s - world.s - world.half_length
                if steps_out(distance, world.speed, -me.lateral, script.speed):
                    script.phase = PLAYING
                    me.speed = crossing_pace(distance, world.speed, -me.lateral, script.speed)
            else:
                cross(town, me, town.lanes[me.lane].far_edge + KERB_M)
                if me.speed == 0.0:
                    script.phase = OVER
        elif world.s >= script.trigger_s:
            brake_leader(world, actors, script.duration_s)
            script.phase = OVER


@compiled
def brake_leader(world: Record, actors: Record, duration_s: float) -> None:
    """Let the nearest vehicle that leads the ego brake hard."""
    best, leader = 1.0e18, -1
    for k in range(world.vehicles):
        if actors[k].role != TRAFFIC or actors[k].kind == 0:
            continue
        ahead, aside = to_local(actors[k].x, actors[k].y, world.x, world.y, world.yaw)
        if leads(ahead, aside, 1.75) and ahead < best:
            best, leader = ahead, k
    if leader >= 0:
        actors[leader].brake_until = world.tick + int(duration_s / TICK_S)
