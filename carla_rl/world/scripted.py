"""From an episode's scripts to records that kernels play. Knows nothing of how they are played, see `carla_rl.world.playing`."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Any

import numpy as np
from numpy.typing import NDArray

from carla_rl.roads.network import RoadNetwork
from carla_rl.roads.route import Route
from carla_rl.scenario.casting import TYPES, cast
from carla_rl.scenario.model import Episode, Scenario
from carla_rl.scenario.script import Noise, Part, Script
from carla_rl.types import TICK_S, ObjectKind
from carla_rl.world.routes import RoutePool
from carla_rl.world.state import PART, SCRIPT


class Phase(IntEnum):
    """How far a script is."""

    ASLEEP = 0
    """The ego is far away."""
    WAITING = 1
    """What appears early is there."""
    PLAYING = 2
    OVER = 3


class State(IntEnum):
    """How far a part is."""

    AWAY = 0
    STANDS = 1
    MOVES = 2
    DONE = 3
    """At its end, or gone for good."""


SHOW_M = 120.0
"""What appears early is there when the ego comes so near to the trigger along the route."""
NOISE = -1
"""The `law` of a row that is a place of noise."""


@dataclass(frozen=True)
class Compiled:
    """The scripts of a scenario on its route, as rows to copy."""

    scripts: NDArray[np.void]
    """(K,) SCRIPT in the order of their triggers."""
    parts: NDArray[np.void]
    """(R,) PART."""
    slots: int
    """Actors at the same time."""
    models: tuple[str, ...]
    """(R,) CARLA's blueprint of each part, as `carla_rl.scenario.script.Model` names it; empty for a place of noise."""


def unplayable(episode: Episode) -> tuple[str, ...]:
    """Scripted scenario types of the episode that cannot be played here, each once."""
    return tuple(dict.fromkeys(actor.type for actor in episode.scenario.actors if actor.type not in TYPES))


class ScriptPool:
    """Compiled scripts of scenarios on their routes, each compiled once while it is in the pool. Told apart by identity."""

    def __init__(self) -> None:
        self._known: dict[tuple[int, int, tuple[str, ...]], tuple[Scenario, Route, Compiled]] = {}

    def get(self, episode: Episode, network: RoadNetwork, routes: RoutePool) -> Compiled:
        """The episode's scripts; their paths are in the route pool.

        Raises:
            UsageError: a script cannot be cast, see `carla_rl.scenario.casting.cast`.
        """
        key = (id(episode.scenario), id(episode.route), episode.skipped)
        if key not in self._known:
            scripts = cast(network, episode.route, episode.scenario, episode.skipped)
            traffic = episode.scenario.traffic
            compiled = compile_scripts(scripts, routes, episode.route, traffic.vehicles + traffic.pedestrians)
            self._known[key] = (episode.scenario, episode.route, compiled)
        return self._known[key][2]


def rows_for(compiled: Compiled, start_m: float) -> NDArray[np.void]:
    """(K,) SCRIPT for an episode that starts at start_m: what was triggered before is over."""
    rows = compiled.scripts.copy()
    rows["phase"][rows["trigger_s"] < start_m] = Phase.OVER
    return rows


def compile_scripts(scripts: Sequence[Script], routes: RoutePool, route: Route, first_slot: int) -> Compiled:
    """Records of scripts, in the order of their triggers; their actors' slots begin at first_slot.

    Actors of scripts that are never there together share slots.
    """
    ordered = sorted(scripts, key=lambda script: script.trigger_s)
    script_rows = np.zeros(len(ordered), SCRIPT)
    part_rows: list[dict[str, Any]] = []
    free_from: list[float] = []
    """By slot: m along the route from which on it is free."""
    for row, script in zip(script_rows, ordered, strict=True):
        first, firsts = len(part_rows), []
        for part in script.parts:
            firsts.append(len(part_rows))
            if part.model.kind != ObjectKind.NONE:
                part_rows += _members(part, routes.add_path(part.path))
        show_s = script.trigger_s - SHOW_M
        slots = [slot for slot, until in enumerate(free_from) if until <= show_s]
        for rows in part_rows[first:]:
            if not slots:
                slots.append(len(free_from))
                free_from.append(0.0)
            slot = slots.pop(0)
            rows["slot"], free_from[slot] = first_slot + slot, script.over_s
        part_rows += [_noise(noise, route) for noise in script.noises]
        yields = firsts[script.yields_part] if script.yields_part >= 0 else -1
        _fill(row, _script(script) | {"show_s": show_s, "part_first": first, "part_end": len(part_rows), "yields": yields})
    parts = np.zeros(len(part_rows), PART)
    models = tuple(str(fields.pop("model", "")) for fields in part_rows)
    for row, fields in zip(parts, part_rows, strict=True):
        _fill(row, fields)
    return Compiled(script_rows, parts, len(free_from), models)


def _fill(row: np.void, fields: dict[str, Any]) -> None:
    for name, value in fields.items():
        row[name] = value


def _ticks(seconds: float) -> int:
    return round(seconds / TICK_S)


def _script(script: Script) -> dict[str, Any]:
    lights, blocked = script.lights, script.blocked
    return {
        "trigger_s": script.trigger_s,
        "over_s": script.over_s,
        "timeout_ticks": _ticks(script.timeout_s),
        "lights_junction": -1 if lights is None else lights.junction,
        "lights_first": 0 if lights is None else sum(1 << phase for phase in lights.first),
        "lights_then": 0 if lights is None else sum(1 << phase for phase in lights.then),
        "red_ticks": 0 if lights is None else _ticks(lights.red_s),
        "junction": script.junction,
        "brake_ticks": _ticks(script.brake_s),
        "blocked_lane": -1 if blocked is None else blocked.lane,
        "blocked_s": 0.0 if blocked is None else blocked.s,
        "beside": -1 if blocked is None else blocked.beside,
        "beside_s": 0.0 if blocked is None else blocked.beside_s,
        "oncoming": script.oncoming,
        "deadline": -1,
    }


def _members(part: Part, path: int) -> list[dict[str, Any]]:
    """One row, or one for each vehicle that a flow has on its path at the same time."""
    same = ("start_s", "appears", "cue", "place_s", "meet_s", "cue_time_s", "cue_m", "law", "speed", "first_speed", "arrived_share")
    fields: dict[str, Any] = {name: getattr(part, name) for name in (*same, "aside", "aside_to", "aside_m", "end", "filled")}
    fields |= {
        "model": part.model.blueprint,
        "kind": part.model.kind,
        "half_length": part.model.half_length,
        "half_width": part.model.half_width,
    }
    fields |= {"path": path, "path_points": len(part.path.s), "delay_ticks": _ticks(part.delay_s), "cued": -1}
    fields |= {"brake_after_ticks": _ticks(part.brake_after_s), "brake_ticks": _ticks(part.brake_s)}
    if part.flow is None:
        return [fields]
    fields |= {"gap_low": part.flow[0], "gap_high": part.flow[1], "gap": part.flow[1]}
    count = math.ceil((part.path.length - part.start_s) / part.flow[0]) + 1
    return [fields | {"members": count if number == 0 else -1} for number in range(count)]


def _noise(noise: Noise, route: Route) -> dict[str, Any]:
    return {
        "law": NOISE,
        "x": float(np.interp(noise.s, route.s, route.x)),
        "y": float(np.interp(noise.s, route.s, route.y)),
        "speed": noise.radius_m,
        "throttle_mean": noise.throttle[0],
        "throttle_deviation": noise.throttle[1],
        "steer_mean": noise.steer[0],
        "steer_deviation": noise.steer[1],
    }
