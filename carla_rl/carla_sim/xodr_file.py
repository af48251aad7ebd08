"""The text of an OpenDRIVE file: read, checked, and the few facts that CARLA's own map class does not give.

CARLA's parser aborts or answers nonsense for broken maps, so they are refused here first. Knows nothing of lane geometry.
"""

import gzip
import hashlib
import math
import xml.etree.ElementTree as ET
import zlib
from dataclasses import dataclass
from pathlib import Path

from carla_rl.errors import UsageError

_UNITS = {"mph": 0.44704, "km/h": 1.0 / 3.6, "m/s": 1.0}
_NO_LIMIT = 130.0 / 3.6
"""m/s for `max="no limit"`: Germany's recommended speed."""


@dataclass(frozen=True)
class Section:
    """One lane section: where it lies on its road's reference line, and its lanes from left to right without the centre."""

    s0: float
    s1: float
    lanes: tuple[int, ...]
    speed: float | None
    """m/s, of the road type in force in its middle; None where there is none."""


@dataclass(frozen=True)
class XodrRoad:
    """One road."""

    road: int
    junction: int
    """-1 outside junctions."""
    sections: tuple[Section, ...]


@dataclass(frozen=True)
class XodrFile:
    """What the compiler needs of the file besides CARLA's map."""

    path: Path
    text: str
    sha256: str
    roads: tuple[XodrRoad, ...]
    phases: dict[tuple[int, str], int]
    """Phase of (junction, signal id), from the junction's controllers: each one is a phase."""
    sign_units: dict[str, float]
    """m/s per unit of the speed signs that are written as `<signal type="274">`, by id."""


def read_xodr(path: Path) -> XodrFile:
    """Read and check a `.xodr` or `.xodr.gz`; raises UsageError naming the file and the problem."""
    try:
        raw = path.read_bytes()
        text = (gzip.decompress(raw) if path.suffix == ".gz" else raw).decode()
        root = ET.fromstring(text)
    except OSError as error:
        raise UsageError(f"{path}: cannot read the map ({error}); give an OpenDRIVE file, .xodr or .xodr.gz") from error
    except (EOFError, UnicodeDecodeError, ET.ParseError, zlib.error) as error:
        raise UsageError(f"{path}: not an OpenDRIVE file ({error}); give well-formed OpenDRIVE XML") from error
    if root.tag != "OpenDRIVE":
        raise UsageError(f"{path}: the root element is <{root.tag}>, not <OpenDRIVE>; give an OpenDRIVE file")
    try:
        roads = tuple(_road(element) for element in root.findall("road"))
        _check_links(root, roads)
        phases, units = _phases(root), _sign_units(root)
    except (ValueError, KeyError) as error:
        raise UsageError(f"{path}: {error}; repair the map") from error
    if not any(lane.get("type") == "driving" for lane in root.iter("lane")):
        raise UsageError(f"{path}: the map has no driving lane; give a map with roads to drive on")
    return XodrFile(path, text, hashlib.sha256(text.encode()).hexdigest(), roads, phases, units)


def _number(element: ET.Element, name: str, what: str) -> float:
    try:
        value = float(element.get(name, ""))
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise ValueError(f"{what} has no valid {name} ({element.get(name)!r})")
    return value


def _whole(element: ET.Element, name: str, what: str) -> int:
    try:
        return int(element.get(name, ""))
    except ValueError as error:
        raise ValueError(f"{what} has no whole number as {name} ({element.get(name)!r}), which CARLA needs") from error


def _road(element: ET.Element) -> XodrRoad:
    road = _whole(element, "id", "a road")
    what = f"road {road}"
    length = _number(element, "length", what)
    if length < 0.01:
        raise ValueError(f"{what} has zero length ({length} m)")
    if element.get("rule", "RHT") != "RHT":
        raise ValueError(f"{what} is driven on the left, and only right-hand traffic is supported")
    if not element.findall("planView/geometry"):
        raise ValueError(f"{what} has no geometry")
    sections = element.findall("lanes/laneSection")
    starts = [_number(section, "s", f"a lane section of {what}") for section in sections]
    if not sections or starts != sorted(starts):
        raise ValueError(f"{what} has no lane sections in ascending order")
    speeds = [(_number(kind, "s", f"a type of {what}"), _speed(kind, what)) for kind in element.findall("type")]
    made = []
    for section, s0, s1 in zip(sections, starts, [*starts[1:], length], strict=True):
        lanes = tuple(sorted((_whole(lane, "id", f"a lane of {what}") for lane in section.iter("lane")), reverse=True))
        speed = next((value for s, value in reversed(speeds) if s <= (s0 + s1) / 2), None)
        made.append(Section(s0, s1, tuple(lane for lane in lanes if lane), speed))
    return XodrRoad(road, _whole(element, "junction", what), tuple(made))


def _speed(kind: ET.Element, what: str) -> float | None:
    """m/s of a road type; the standard's unit where none is written is m/s."""
    speed = kind.find("speed")
    if speed is None or speed.get("max") in ("undefined", None):
        return None
    if speed.get("max") == "no limit":
        return _NO_LIMIT
    unit = speed.get("unit", "m/s")
    if unit not in _UNITS:
        raise ValueError(f"{what} has a speed in unknown unit {unit!r}")
    return _number(speed, "max", f"a speed of {what}") * _UNITS[unit]


def _check_links(root: ET.Element, roads: tuple[XodrRoad, ...]) -> None:
    """Every road, junction and lane that a link names must exist."""
    by_id = {road.road: road for road in roads}
    if len(by_id) != len(roads):
        raise ValueError("two roads have the same id")
    junctions = {_whole(junction, "id", "a junction") for junction in root.findall("junction")}
    for element, road in zip(root.findall("road"), roads, strict=True):
        if road.junction != -1 and road.junction not in junctions:
            raise ValueError(f"road {road.road} belongs to junction {road.junction}, which does not exist")
        for link in ("predecessor", "successor"):
            end = element.find(f"link/{link}")
            if end is None:
                continue
            other, kind = _whole(end, "elementId", f"the {link} of road {road.road}"), end.get("elementType")
            if other not in (junctions if kind == "junction" else by_id):
                raise ValueError(f"dangling link: the {link} of road {road.road} is {kind} {other}, which does not exist")
    for junction in root.findall("junction"):
        for connection in junction.findall("connection"):
            _check_connection(f"junction {junction.get('id')}", connection, by_id)


def _check_connection(what: str, connection: ET.Element, by_id: dict[int, XodrRoad]) -> None:
    incoming = _whole(connection, "incomingRoad", f"a connection of {what}")
    connecting = _whole(connection, "connectingRoad", f"a connection of {what}")
    for road in (incoming, connecting):
        if road not in by_id:
            raise ValueError(f"dangling link: {what} connects road {road}, which does not exist")
    at_start = connection.get("contactPoint", "start") == "start"
    for link in connection.findall("laneLink"):
        lane = _whole(link, "to", f"a lane link of {what}")
        if lane not in by_id[connecting].sections[0 if at_start else -1].lanes:
            raise ValueError(f"dangling link: {what} leads to lane {lane} of road {connecting}, which does not exist")
        lane = _whole(link, "from", f"a lane link of {what}")
        if not any(lane in section.lanes for section in (by_id[incoming].sections[0], by_id[incoming].sections[-1])):
            raise ValueError(f"dangling link: {what} comes from lane {lane} of road {incoming}, which does not exist")


def _phases(root: ET.Element) -> dict[tuple[int, str], int]:
    signals = {
        controller.get("id"): [control.get("signalId", "") for control in controller.findall("control")]
        for controller in root.findall("controller")
    }
    phases: dict[tuple[int, str], int] = {}
    for junction in root.findall("junction"):
        ruled = [signals.get(controller.get("id"), []) for controller in junction.findall("controller")]
        for phase, group in enumerate(group for group in ruled if group):
            for signal in group:
                phases.setdefault((int(junction.get("id", "")), signal), phase)
    return phases


def _sign_units(root: ET.Element) -> dict[str, float]:
    units = {}
    for signal in root.iter("signal"):
        if signal.get("type") == "274":
            unit = signal.get("unit") or "km/h"
            if unit not in _UNITS:
                raise ValueError(f"speed sign {signal.get('id')} has a limit in unknown unit {unit!r}")
            units[signal.get("id", "")] = _UNITS[unit]
    return units
