"""Where lights and signs rule traffic: the box before a junction in which a vehicle is *at* one, and where a sign stands beside its road.

All from the road network: an OpenDRIVE file says of a sign only the road, how far along and for which direction.
Knows nothing of states. Poses are in the map frame (right-handed, metres, radians).
"""

import math
from typing import NamedTuple
from xml.etree import ElementTree

import numpy as np

from carla_rl.roads.network import LaneKind, Right, RoadNetwork

TRIGGER_M = 4.0
"""Length of the trigger volume, which ends at the line."""
TRIGGER_HALF_HEIGHT_M = 2.0
BRAKE = 5.0
"""m/s^2 with which who sees a light at the far end of its reach still stops."""
LEAST_REACH_M = 8.0
MOST_REACH_M = 40.0
BESIDE_M = 1.5
"""A sign stands so far beside the outermost lane."""
STOP, YIELD, SPEED = "206", "205", "274"
RULES = {STOP: Right.STOP, YIELD: Right.YIELD}


class Line(NamedTuple):
    """The end of the lanes that come to a junction from one side."""

    x: float
    """Middle of the line,"""
    y: float
    z: float
    yaw: float
    """direction of travel there,"""
    half_width: float
    """m, over all these lanes;"""
    reach: float
    """m before the line within which a vehicle is at it."""


class Sign(NamedTuple):
    """A static sign of the map."""

    type_id: str
    """Of the actor: `traffic.stop`, `traffic.yield`, `traffic.speed_limit.30`."""
    number: str
    """OpenDRIVE id."""
    x: float
    y: float
    z: float
    yaw: float
    """Direction of travel of those it is for."""
    line: Line | None
    """None: it rules no junction."""


def line_of(network: RoadNetwork, lanes: list[int]) -> Line:
    """The line at the start of junction lanes that begin side by side."""
    roads = network.roads
    first = roads.start[lanes]
    yaw = math.atan2(float(np.sin(roads.yaw[first]).mean()), float(np.cos(roads.yaw[first]).mean()))
    left_x, left_y = -math.sin(yaw), math.cos(yaw)
    aside = roads.x[first] * left_x + roads.y[first] * left_y
    low, high = float((aside - roads.half_width[first]).min()), float((aside + roads.half_width[first]).max())
    shift = (low + high) / 2.0 - float(aside.mean())
    speed = float(roads.speed_limit[lanes].max())
    reach = min(max(speed * speed / (2.0 * BRAKE), LEAST_REACH_M), MOST_REACH_M)
    x, y = float(roads.x[first].mean()) + shift * left_x, float(roads.y[first].mean()) + shift * left_y
    return Line(x, y, float(roads.z[first].mean()), yaw, (high - low) / 2.0, reach)


def light_lines(network: RoadNetwork) -> list[Line]:
    """The line of each signal, in the order of the network's signals; a signal is in the network because it rules lanes."""
    return [line_of(network, np.flatnonzero(network.roads.signal == signal).tolist()) for signal in range(len(network.roads.signal_id))]


def signs_of(network: RoadNetwork, xodr: str) -> list[Sign]:
    """The stop, yield and speed signs of an OpenDRIVE text that stand on roads with lanes of their direction."""
    signs = []
    for road in ElementTree.fromstring(xodr).iter("road"):
        for signal in road.iter("signal"):
            kind = signal.get("type", "")
            if kind in (STOP, YIELD, SPEED):
                signs += _placed(network, int(road.get("id", "-1")), kind, signal)
    return signs


def _placed(network: RoadNetwork, road: int, kind: str, signal: ElementTree.Element) -> list[Sign]:
    """The sign beside the outermost lanes of its direction, once or not at all."""
    roads = network.roads
    side = 1 if signal.get("orientation") == "-" else -1
    lanes = np.flatnonzero((roads.road == road) & (np.sign(roads.lane_id) == side) & (roads.kind == LaneKind.DRIVING))
    if not len(lanes):
        return []
    sections = sorted({int(section) for section in roads.section[lanes]}, reverse=side > 0)
    outer = [max(lanes[roads.section[lanes] == section].tolist(), key=lambda lane: abs(int(roads.lane_id[lane]))) for section in sections]
    total = float(roads.length[outer].sum())
    along = float(signal.get("s", "0"))
    if not math.isfinite(along):
        raise ValueError(f"signal {signal.get('id')} stands at s = {along}")
    at = min(max(along if side < 0 else total - along, 0.0), total)
    for lane in outer:
        if at <= roads.length[lane] or lane == outer[-1]:
            break
        at -= float(roads.length[lane])
    k = int(roads.start[lane]) + int(np.searchsorted(roads.s[roads.start[lane] : roads.start[lane + 1]], at - 1e-6))
    k = min(k, int(roads.start[lane + 1]) - 1)
    yaw, off = float(roads.yaw[k]), float(roads.half_width[k]) + BESIDE_M
    x, y = float(roads.x[k]) + off * math.sin(yaw), float(roads.y[k]) - off * math.cos(yaw)
    name = {STOP: "traffic.stop", YIELD: "traffic.yield"}.get(kind) or f"traffic.speed_limit.{float(signal.get('value', '0')):.0f}"
    return [Sign(name, signal.get("id", ""), x, y, float(roads.z[k]), yaw, _ruled(network, lanes.tolist(), kind))]


def _ruled(network: RoadNetwork, lanes: list[int], kind: str) -> Line | None:
    """The line at the end of lanes, where a rule of this kind holds there; or at their start, where they are themselves in the junction."""
    roads = network.roads
    entries = sorted({entry for lane in lanes for entry in [lane, *network.successors(lane)] if roads.entry[entry] == RULES.get(kind, -1)})
    return line_of(network, entries) if entries else None
