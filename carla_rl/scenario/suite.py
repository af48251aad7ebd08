"""Suites: a named set of scenarios, from a TOML file, a CARLA leaderboard route file, or one that ships with the program."""

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

from carla_rl.errors import UsageError
from carla_rl.roads.network import RoadNetwork
from carla_rl.roads.route import Route
from carla_rl.roads.tracing import route_key, trace
from carla_rl.scenario import places
from carla_rl.scenario.expansion import expand, network_of
from carla_rl.scenario.model import Scenario, Split
from carla_rl.scenario.route_xml import read_routes
from carla_rl.scenario.selection import select
from carla_rl.scenario.suite_file import read_suite_file


@dataclass(frozen=True)
class Suite:
    """What is to be driven, expanded: nothing in it is random any more."""

    name: str
    split: Split
    description: str
    source: Path
    """The file that it was read from."""
    scenarios: tuple[Scenario, ...]
    routes: tuple[Route, ...]
    """The traced route of each scenario."""
    omitted: tuple[str, ...] = ()
    """What the file asks for and a scenario cannot carry, a sentence each; for the results."""

    @property
    def keys(self) -> tuple[str, ...]:
        """The key of each scenario's route: equal keys are the same route."""
        return tuple(route_key(route) for route in self.routes)

    @property
    def sha256(self) -> str:
        """Of the scenarios as canonical JSON: the same digest means the same drives, whatever the file is called."""
        data = [scenario.model_dump(mode="json") for scenario in self.scenarios]
        return hashlib.sha256(json.dumps(data, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def shipped_suites() -> tuple[str, ...]:
    """Names of the suites that ship with the program, which `load_suite` takes without a path."""
    return tuple(
        sorted(entry.name.removesuffix(".toml") for entry in files("carla_rl.scenarios").iterdir() if entry.name.endswith(".toml"))
    )


def load_suite(reference: str | Path, networks: Callable[[str], RoadNetwork], routes: str | None = None) -> Suite:
    """Read a suite, draw its random routes and trace all of them.

    Args:
        reference: path of a `.toml` suite or an `.xml` route file, or the name of a shipped suite.
        networks: gives the road network of a town by name, e.g. `Simulator.network`.
        routes: which scenarios to keep (see `carla_rl.scenario.selection`); None keeps all. Only these are traced.

    Raises:
        UsageError: a suite that does not exist, cannot be read or does not hold together; a selection of what it does not have.
    """
    path = _locate(reference)
    return _from_routes(path, networks, routes) if path.suffix.lower() == ".xml" else _from_toml(path, networks, routes)


def overlap(a: Suite, b: Suite) -> tuple[str, ...]:
    """The routes and seeds that two suites share, a sentence each; empty where they are disjoint."""
    routes = {key: scenario.scenario_id for scenario, key in zip(a.scenarios, a.keys, strict=True)}
    seeds = {scenario.seed: scenario.scenario_id for scenario in a.scenarios}
    shared = []
    for scenario, key in zip(b.scenarios, b.keys, strict=True):
        if twin := routes.get(key):
            shared.append(f"{twin} of {a.name} and {scenario.scenario_id} of {b.name} drive the same route of {scenario.town}")
        if twin := seeds.get(scenario.seed):
            shared.append(f"{twin} of {a.name} and {scenario.scenario_id} of {b.name} have the same seed {scenario.seed}")
    return tuple(shared)


def _locate(reference: str | Path) -> Path:
    path = Path(reference)
    if path.suffix.lower() in (".toml", ".xml"):
        if not path.is_file():
            raise UsageError(f"no suite file {path}; give the path of a .toml or .xml file, or one of the shipped suites: {_shipped()}")
        return path
    if str(reference) not in shipped_suites():
        raise UsageError(f"no suite {str(reference)!r}; give the path of a .toml or .xml file, or one of the shipped suites: {_shipped()}")
    return Path(str(files("carla_rl.scenarios").joinpath(f"{reference}.toml")))


def _shipped() -> str:
    return ", ".join(shipped_suites())


def _from_toml(path: Path, networks: Callable[[str], RoadNetwork], routes: str | None) -> Suite:
    file = read_suite_file(path)
    scenarios, traced = expand(file, networks, path)
    by_id = {scenario.scenario_id: route for scenario, route in zip(scenarios, traced, strict=True)}
    kept = scenarios if routes is None else select(scenarios, routes, str(path))
    return Suite(
        name=file.suite.name,
        split=file.suite.split,
        description=file.suite.description,
        source=path,
        scenarios=kept,
        routes=tuple(by_id[scenario.scenario_id] for scenario in kept),
    )


def _from_routes(path: Path, networks: Callable[[str], RoadNetwork], routes: str | None) -> Suite:
    scenarios, notes = read_routes(path)
    kept = scenarios if routes is None else select(scenarios, routes, str(path))
    scenarios_on_route, traced = [], []
    omitted = [note for scenario in kept for note in notes.get(scenario.scenario_id, ())]
    for scenario in kept:
        where = f"{path}: scenario {scenario.scenario_id}"
        route = trace(network_of(networks, scenario.town, where), scenario.positions, where)
        on_route, off_route = _without_strays(scenario, route)
        scenarios_on_route.append(on_route)
        traced.append(route)
        omitted += off_route
    return Suite(
        name=path.stem,
        split="any",
        description=f"CARLA leaderboard routes of {path.name}",
        source=path,
        scenarios=tuple(scenarios_on_route),
        routes=tuple(traced),
        omitted=tuple(omitted),
    )


def _without_strays(scenario: Scenario, route: Route) -> tuple[Scenario, list[str]]:
    """The scenario without the scripted actors that its route never triggers, and a sentence on each.

    Route files have such triggers (Longest6 in Town04: 12 of 94), and the leaderboard passes over them with a warning.
    """
    stray = [actor for actor in scenario.actors if not places.on_route(route, actor.x, actor.y, actor.yaw)]
    kept = tuple(actor for actor in scenario.actors if actor not in stray)
    notes = [
        f"{scenario.scenario_id}: {actor.name} is never triggered, as the route passes its place "
        f"at {places.distance_to(route, actor.x, actor.y):.1f} m or in another direction; the leaderboard passes over it too"
        for actor in stray
    ]
    return scenario.model_copy(update={"actors": kept}), notes
