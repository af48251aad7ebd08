"""From a suite file to scenarios: defaults inherited, routes drawn, actors strewn. The same file gives the same scenarios anywhere.

Every number is a hash of its key (`hashing`), so that adding a table to a file changes none of the others' draws but by the rule that no
route comes twice in a suite.
"""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from carla_rl.config import Config
from carla_rl.errors import UsageError
from carla_rl.roads.network import RoadNetwork
from carla_rl.roads.route import Route
from carla_rl.roads.tracing import draw_route, route_key, trace
from carla_rl.scenario import places
from carla_rl.scenario.hashing import unit, whole
from carla_rl.scenario.model import Scenario, ScriptedActor, Split, Traffic, Weather
from carla_rl.scenario.parts import belongs, digit, seed_in_part
from carla_rl.scenario.strewing import strew
from carla_rl.scenario.suite_file import ActorEntry, Draw, Head, ScenarioEntry, SuiteFile, TrafficRange

_SHORT = {"training": "train", "validation": "val", "evaluation": "eval", "any": "any"}

Networks = Callable[[str], RoadNetwork]
Section = TypeVar("Section", bound=Config)


@dataclass
class _Expansion:
    """What has been expanded of one suite file so far."""

    head: Head
    networks: Networks
    source: Path
    scenarios: dict[str, Scenario] = field(default_factory=dict)
    routes: list[Route] = field(default_factory=list)
    keys: set[str] = field(default_factory=set)

    def add(self, scenario: Scenario, route: Route) -> None:
        if scenario.scenario_id in self.scenarios:
            raise UsageError(f"{self.source}: scenario id {scenario.scenario_id!r} is used more than once; give a [[draw]] another prefix")
        self.scenarios[scenario.scenario_id] = scenario
        self.routes.append(route)
        self.keys.add(route_key(route))


def expand(file: SuiteFile, networks: Networks, source: Path) -> tuple[tuple[Scenario, ...], tuple[Route, ...]]:
    """The scenarios of a suite file, in its order (written ones first), and their routes.

    Raises:
        UsageError: a town that is unknown, a route that cannot be traced or found, a trigger past the end of its route.
    """
    expansion = _Expansion(file.suite, networks, source)
    for entry in file.scenario:
        _add_written(expansion, entry)
    numbers: Counter[str] = Counter()
    for draw in file.draw:
        _add_drawn(expansion, draw, numbers)
    return tuple(expansion.scenarios.values()), tuple(expansion.routes)


def network_of(networks: Networks, town: str, where: str) -> RoadNetwork:
    """The road network of a town. Raises UsageError for an unknown one, saying who asked for it."""
    try:
        return networks(town)
    except UsageError as error:
        raise UsageError(f"{where}: {error}") from None


def inherit(default: Section, own: Section | None) -> Section:
    """The default with the fields that `own` sets itself."""
    return default if own is None else default.model_copy(update={name: getattr(own, name) for name in own.model_fields_set})


def _add_written(expansion: _Expansion, entry: ScenarioEntry) -> None:
    head, where = expansion.head, f"{expansion.source}: scenario {entry.id}"
    route = trace(network_of(expansion.networks, entry.town, where), entry.positions, where)
    scenario = Scenario(
        scenario_id=entry.id,
        town=entry.town,
        positions=entry.positions,
        seed=seed_in_part(head.split, head.name, entry.id) if entry.seed is None else entry.seed,
        traffic=inherit(head.traffic, entry.traffic),
        lights=entry.lights or head.lights,
        weather=inherit(head.weather, entry.weather),
        rules=inherit(head.rules, entry.rules),
        actors=tuple(_placed(actor, number, route, where) for number, actor in enumerate(entry.actors)),
    )
    expansion.add(scenario, route)


def _placed(actor: ActorEntry, number: int, route: Route, where: str) -> ScriptedActor:
    if actor.x is not None and actor.y is not None:
        x, y = actor.x, actor.y
        yaw = places.heading_near(route, x, y) if actor.yaw is None else actor.yaw
    else:
        at = actor.at_m or 0.0
        if at > route.length:
            raise UsageError(f"{where}: actors.{number}.at_m is {at:g}, but the route is {route.length:.1f} m long; write less than that")
        x, y, yaw = places.pose_at(route, at)
    return ScriptedActor(name=actor.name or f"{actor.type}_{number + 1}", type=actor.type, x=x, y=y, yaw=yaw, parameters=actor.parameters)


def _add_drawn(expansion: _Expansion, draw: Draw, numbers: Counter[str]) -> None:
    head = expansion.head
    part: Split = draw.part or head.split
    prefix = draw.prefix or f"{draw.town}-{_SHORT[part]}"
    network = network_of(expansion.networks, draw.town, f"{expansion.source}: draw {prefix}")
    for number in range(draw.count):
        scenario_id = f"{prefix}-{numbers[prefix]:03d}"
        numbers[prefix] += 1
        where = f"{expansion.source}: scenario {scenario_id}"
        seed = whole("route", draw.town, part, draw.seed, number)
        try:
            positions = draw_route(network, seed, *draw.length_m, lambda key: belongs(key, part) and key not in expansion.keys)
        except UsageError:
            raise UsageError(
                f"{where}: found no further {part} route of {draw.length_m[0]:g} to {draw.length_m[1]:g} m in {draw.town}; "
                "lower count or widen length_m"
            ) from None
        route = trace(network, positions, where)
        key = route_key(route)
        scenario = Scenario(
            scenario_id=scenario_id,
            town=draw.town,
            positions=positions,
            seed=(whole("seed", key, draw.seed) >> 4) * 10 + digit(key),
            traffic=_traffic(head.traffic, draw.traffic, key, draw.seed),
            lights=head.lights,
            weather=_weather(head.weather, draw.weather, key, draw.seed),
            rules=inherit(head.rules, draw.rules),
        )
        expansion.add(scenario.model_copy(update={"actors": strew(draw, network, route, scenario, key)}), route)


def _traffic(default: Traffic, ranges: TrafficRange, *key: str | int) -> Traffic:
    drawn: dict[str, int | float] = {}
    for name in sorted(ranges.model_fields_set):
        low, high = getattr(ranges, name)
        share = unit("traffic", name, *key)
        drawn[name] = low + int(share * (high - low + 1)) if isinstance(low, int) else round(low + share * (high - low), 3)
    return default.model_copy(update=drawn)


def _weather(default: Weather, choice: tuple[Weather, ...] | None, *key: str | int) -> Weather:
    return default if choice is None else inherit(default, choice[whole("weather", *key) % len(choice)])
