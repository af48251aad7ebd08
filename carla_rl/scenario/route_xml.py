"""CARLA leaderboard route files, in both dialects, as scenarios.

| | leaderboard 1.0 | leaderboard 2.x, Bench2Drive |
|---|---|---|
| positions | `<waypoint x y z pitch yaw roll>` in `<route>` | `<waypoints><position x y z>` |
| weather | `<weather ...>` in `<route>` | `<weathers><weather route_percentage ...>` |
| scripted scenarios | in a JSON file of their own, not read | `<scenarios><scenario name type><trigger_point x y z yaw>`, parameters |

A route with id 5 becomes the scenario `RouteScenario_5`, the name that the leaderboard's results use, so results can be joined by it.
CARLA's frame is turned into ours here, by `carla_rl.geometry.from_carla`. What a file asks for and a scenario cannot carry becomes a note.
A document type is refused, so entities cannot be declared, let alone expanded.
"""

import math
import xml.etree.ElementTree as ET
from pathlib import Path

from carla_rl.errors import UsageError
from carla_rl.geometry import from_carla
from carla_rl.scenario.hashing import whole
from carla_rl.scenario.model import Scenario, ScriptedActor, Weather

PREFIX = "RouteScenario_"
_DEFAULT_WEATHER = {"cloudiness": 50.0, "sun_altitude_angle": 70.0}
"""What the leaderboard sets where a route names no weather."""

Notes = dict[str, tuple[str, ...]]


def route_id(scenario_id: str) -> str | None:
    """The id that a scenario's route has in its XML file; None for a scenario that comes from elsewhere."""
    return scenario_id.removeprefix(PREFIX) if scenario_id.startswith(PREFIX) else None


class _NoDoctype(ET.TreeBuilder):
    def doctype(self, name: str, pubid: str | None, system: str | None) -> None:
        raise UsageError(f"it declares a document type ({name}); remove the <!DOCTYPE ...> declaration")


class _Place:
    """Where in the file we are, for messages; and the checked reading of attributes there."""

    def __init__(self, text: str) -> None:
        self.text = text

    def error(self, problem: str) -> UsageError:
        return UsageError(f"{self.text}: {problem}")

    def attribute(self, element: ET.Element, name: str) -> str:
        value = element.get(name)
        if not value:
            raise self.error(f'<{element.tag}> has no {name}; add {name}="..."')
        return value

    def number(self, element: ET.Element, name: str, default: float | None = None) -> float:
        if default is not None and name not in element.attrib:
            return default
        text = self.attribute(element, name)
        try:
            value = float(text)
        except ValueError:
            value = math.nan
        if not math.isfinite(value):
            raise self.error(f"{name}={text!r} of <{element.tag}> is not a number; write a finite number")
        return value


def read_routes(path: Path) -> tuple[tuple[Scenario, ...], Notes]:
    """All routes of a file in its order, and by scenario id the notes on what was left out.

    Raises:
        UsageError: the file cannot be read, is not well-formed, declares a document type or has no routes; a route lacks something, holds
            something that is not a number, or has an id that another one has. The message names file, route and remedy.
    """
    root = _parse(path)
    if root.tag != "routes":
        raise UsageError(f"{path}: the outermost element is <{root.tag}>; a route file has <routes>")
    scenarios: dict[str, Scenario] = {}
    notes: Notes = {}
    for number, route in enumerate(root.iter("route"), start=1):
        identifier = _Place(f"{path}: route number {number}").attribute(route, "id")
        place = _Place(f"{path}: route {identifier}")
        scenario, left_out = _scenario(route, identifier, place)
        if scenario.scenario_id in scenarios:
            raise place.error("the id is used more than once; route ids must differ")
        scenarios[scenario.scenario_id] = scenario
        if left_out:
            notes[scenario.scenario_id] = tuple(f"route {identifier}: {note}" for note in left_out)
    if not scenarios:
        raise UsageError(f"{path} has no <route>; give a route file with at least one")
    return tuple(scenarios.values()), notes


def _parse(path: Path) -> ET.Element:
    try:
        return ET.fromstring(path.read_bytes(), parser=ET.XMLParser(target=_NoDoctype()))
    except OSError as error:
        raise UsageError(f"cannot read the route file {path}: {error.strerror}; check the path") from None
    except UsageError as error:
        raise UsageError(f"{path} is refused: {error}") from None
    except (ET.ParseError, LookupError, ValueError) as error:
        raise UsageError(f"{path} is not well-formed XML: {error}; correct that place") from None


def _scenario(route: ET.Element, identifier: str, place: _Place) -> tuple[Scenario, list[str]]:
    notes: list[str] = []
    waypoints = route.find("waypoints")
    points = route.findall("waypoint") if waypoints is None else waypoints.findall("position")
    if len(points) < 2:
        raise place.error(
            f"it has {len(points)} waypoint(s); a route needs at least two, "
            "as <waypoints><position x y z/></waypoints> or as <waypoint x y z/>"
        )
    if waypoints is None:
        notes.append("a route of the leaderboard 1.0 keeps its scripted scenarios in a separate JSON file, which is not read")
    town = place.attribute(route, "town")
    data = {
        "scenario_id": PREFIX + identifier,
        "town": town,
        "positions": tuple((*_xy(point, place), place.number(point, "z", 0.0)) for point in points),
        "seed": whole("route xml", town, identifier),
        "weather": _weather(route, place, notes),
        "actors": tuple(_actor(element, place) for element in route.findall("scenarios/scenario")),
    }
    return Scenario.checked(data, place.text), notes


def _xy(element: ET.Element, place: _Place) -> tuple[float, float]:
    return from_carla(place.number(element, "x"), place.number(element, "y"))[:2]


def _weather(route: ET.Element, place: _Place, notes: list[str]) -> Weather:
    """The first keyframe: the one with the smallest route_percentage."""
    elements = route.findall("weathers/weather") + route.findall("weather")
    if not elements:
        return Weather(**_DEFAULT_WEATHER)
    element = min(elements, key=lambda item: place.number(item, "route_percentage", 0.0))
    if any(_fields(other) != _fields(element) for other in elements):
        notes.append("the weather changes along the route; it is driven in the weather of the first keyframe")
    unknown = sorted(set(_fields(element)) - set(Weather.model_fields))
    if unknown:
        notes.append(f"weather attributes that CARLA does not have: {', '.join(unknown)}")
    values = {name: place.number(element, name) for name in _fields(element) if name not in unknown}
    return Weather.checked(values, f"{place.text}: <weather>")


def _fields(element: ET.Element) -> dict[str, str]:
    return {name: value for name, value in element.attrib.items() if name not in ("id", "route_percentage")}


def _actor(element: ET.Element, place: _Place) -> ScriptedActor:
    kind = place.attribute(element, "type")
    inner = _Place(f"{place.text}: scenario {element.get('name') or kind}")
    trigger = element.find("trigger_point")
    if trigger is None:
        raise inner.error('it has no <trigger_point>; add <trigger_point x="..." y="..." z="..." yaw="..."/>')
    x, y, yaw = from_carla(inner.number(trigger, "x"), inner.number(trigger, "y"), inner.number(trigger, "yaw"))
    parameters: dict[str, str | float] = {}
    for child in element:
        if child is not trigger:
            parameters.update(_parameters(child, inner))
    return ScriptedActor(name=element.get("name") or kind, type=kind, x=x, y=y, yaw=yaw, parameters=parameters)


def _parameters(element: ET.Element, place: _Place) -> dict[str, str | float]:
    """`<distance value="30"/>` as distance = 30.0; any other attribute as e.g. interval.from. A place is turned into the map frame."""
    if len(element):
        raise place.error(f"<{element.tag}> has elements inside; a parameter has attributes only")
    values: dict[str, str | float] = {name: _number_or_text(value) for name, value in element.attrib.items()}
    if "x" in values and "y" in values:
        x, y, yaw = from_carla(place.number(element, "x"), place.number(element, "y"), place.number(element, "yaw", 0.0))
        values.update({"x": x, "y": y} | ({"yaw": yaw} if "yaw" in values else {}))
    return {element.tag if name == "value" else f"{element.tag}.{name}": value for name, value in values.items()}


def _number_or_text(text: str) -> str | float:
    try:
        value = float(text)
    except ValueError:
        return text
    return value if math.isfinite(value) else text
