"""Scripted actors strewn over a drawn route: each type's share, at random places. Knows no simulator.

Every number is a hash of its key (`hashing`), so a type that is added changes no other type's draws but by the room that it takes.
"""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from carla_rl.roads.network import RoadNetwork
from carla_rl.roads.route import Route
from carla_rl.scenario import places
from carla_rl.scenario.casting import cast
from carla_rl.scenario.casting.stage import NoPlace
from carla_rl.scenario.hashing import unit, whole
from carla_rl.scenario.model import Scenario, ScriptedActor
from carla_rl.scenario.script import Script
from carla_rl.scenario.suite_file import ActorTemplate, Draw

TRIES = 8
"""Places that are tried for one actor before it is left out."""


@dataclass(frozen=True, slots=True)
class _Placed:
    """An actor that found its place."""

    actor: ScriptedActor
    trigger_s: float
    """m along the route."""
    over_s: float
    """m along the route where the scene is over."""


def strew(draw: Draw, network: RoadNetwork, route: Route, scenario: Scenario, key: str) -> tuple[ScriptedActor, ...]:
    """The scripted actors of a drawn route, in the order of their triggers; fewer where there is no room. `key` is the route's.

    Where the draw is `fitted`, an actor whose type has no meaning at a place, whose obstacle shuts the only lane, or whose scene would meet
    another one, tries other places.
    """
    free = places.open_stretches(network, route)
    placed: list[_Placed] = []
    for index, number in _wanted(draw, route, key):
        for attempt in range(TRIES):
            if not len(free):
                break
            s = _place(free, draw, key, index, number, attempt)
            found = _at(network, route, scenario, draw.actors[index], s, fitted=draw.fitted)
            if found and not (draw.fitted and any(_overlap(found, other) for other in placed)):
                placed.append(found)
                free = free[abs(free - s) >= places.APART_M]
                break
    placed.sort(key=lambda item: item.trigger_s)
    named = tuple(_named(placed))
    # what is drawn of a scene depends on its name: as it is called now it is tried once more
    return tuple(actor for actor in named if _script(network, route, scenario, actor)) if draw.fitted else named


def _wanted(draw: Draw, route: Route, key: str) -> Iterator[tuple[int, int]]:
    """Template and number of each actor, in a random order: where room is short, no type comes first."""
    wanted: list[tuple[int, int, int]] = []
    for index, template in enumerate(draw.actors):
        share = template.per_km * route.length / 1000.0
        count = int(share) + (unit("count", index, key, draw.seed) < share % 1.0)
        wanted += [(whole("order", index, number, key, draw.seed), index, number) for number in range(count)]
    return ((index, number) for _, index, number in sorted(wanted))


def _place(free: NDArray[np.float64], draw: Draw, key: str, index: int, number: int, attempt: int) -> float:
    """One of the free places, m along the route."""
    again = (attempt,) if attempt else ()
    return float(free[whole("place", index, number, key, draw.seed, *again) % len(free)])


def _at(network: RoadNetwork, route: Route, scenario: Scenario, template: ActorTemplate, s: float, *, fitted: bool) -> _Placed | None:
    """The actor with its trigger `s` metres along the route; with `fitted` None where it does not fit."""
    x, y, yaw = places.pose_at(route, s)
    actor = ScriptedActor(type=template.type, x=round(x, 3), y=round(y, 3), yaw=round(yaw, 5), parameters=template.parameters)
    if not fitted:
        return _Placed(actor, s, s)
    script = _script(network, route, scenario, actor)
    return None if script is None else _Placed(actor, s, script.over_s)


def _script(network: RoadNetwork, route: Route, scenario: Scenario, actor: ScriptedActor) -> Script | None:
    """What the actor does at its place; None where its type has no meaning there, or nobody gets past what then stands in the lane."""
    try:
        (script,) = cast(network, route, scenario.model_copy(update={"actors": (actor,)}))
    except NoPlace:
        return None
    return script if script.passable else None


def _overlap(one: _Placed, other: _Placed) -> bool:
    """Whether one is triggered before the other is over."""
    first, second = sorted((one, other), key=lambda item: item.trigger_s)
    return second.trigger_s < first.over_s + places.CLEAR_BEHIND_M


def _named(placed: list[_Placed]) -> Iterator[ScriptedActor]:
    names: Counter[str] = Counter()
    for item in placed:
        names[item.actor.type] += 1
        yield item.actor.model_copy(update={"name": f"{item.actor.type}_{names[item.actor.type]}"})
