"""A small layer over scenariogeneration for whole towns: streets with absolute poses, and junctions with one connecting road for each move.

Everything is placed absolutely, so nothing has to be adjusted afterwards. Coordinates are OpenDRIVE's: metres, radians, right-handed;
traffic drives on the right. Knows nothing of what the towns look like; needs the `towns` extra (scenariogeneration).
"""

import math
import xml.etree.ElementTree as ET
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from pyclothoids import Clothoid  # type: ignore[import-untyped]
from scenariogeneration import xodr

LANE_M = 3.5
"""Width of every driving lane."""
Pose = tuple[float, float, float]
Edge = Literal["broken", "solid", "curb", "none"]
Control = Literal["signal", "stop", "yield", "priority"]
_SIGN_TYPES = {"signal": "1000001", "stop": "206", "yield": "205"}


@dataclass(frozen=True)
class LaneSpec:
    """A lane of a street: its OpenDRIVE type, its width and the line on its outer edge; a broken line may be crossed to change lanes."""

    kind: str
    width: float
    edge: Edge = "none"


@dataclass(frozen=True)
class Profile:
    """A street's cross-section. Lanes are listed from the middle outwards; those on the right go with the reference line, those on the
    left against."""

    left: tuple[LaneSpec, ...]
    right: tuple[LaneSpec, ...]
    centre: Edge
    speed_kmh: int
    kind: str = "town"


@dataclass
class Street:
    """A road outside junctions."""

    road: Any
    profile: Profile
    start: Pose
    end: Pose
    length: float


@dataclass(frozen=True)
class Arm:
    """One end of a street at a junction."""

    street: Street
    at_end: bool

    @property
    def pose(self) -> Pose:
        """The street's reference line where it meets the junction, pointing into it."""
        x, y, heading = self.street.end if self.at_end else self.street.start
        return (x, y, heading) if self.at_end else (x, y, heading + math.pi)

    @property
    def out_pose(self) -> Pose:
        """The same, pointing away from the junction."""
        x, y, heading = self.pose
        return x, y, heading + math.pi

    def lanes(self, into: bool) -> list[tuple[int, float]]:
        """The driving lanes into the junction (or out of it), from the middle outwards: OpenDRIVE id, offset of the edge nearer to the
        middle."""
        on_right = self.at_end == into
        found, offset = [], 0.0
        for i, lane in enumerate(self.street.profile.right if on_right else self.street.profile.left):
            if lane.kind == "driving":
                found.append((-(i + 1) if on_right else i + 1, offset))
            offset += lane.width
        return found

    @property
    def side_width(self) -> float:
        """m from the middle to the outermost edge on the side of the traffic into the junction."""
        profile = self.street.profile
        return sum(lane.width for lane in (profile.right if self.at_end else profile.left))


@dataclass
class Town:
    """A town in the making."""

    name: str
    streets: list[Street] = field(default_factory=list)
    _connecting: list[Any] = field(default_factory=list)
    _junctions: list[Any] = field(default_factory=list)
    _controllers: list[tuple[int, int, int]] = field(default_factory=list)
    """(id, junction, signal)"""
    _ids: int = 0
    _signals: int = 0

    def street(self, profile: Profile, start: Pose, geometry: Sequence[Any]) -> Street:
        """Add a street that starts at `start` and follows `geometry` (scenariogeneration's Line, Arc, Spiral)."""
        planview = _planview(start, geometry)
        self._ids += 1
        road = xodr.Road(self._ids, planview, _lanes(profile), name=f"{self.name} {self._ids}")
        road.add_type(getattr(xodr.RoadType, profile.kind), speed=profile.speed_kmh, speed_unit="km/h")
        street = Street(road, profile, start, planview.get_end_point(), planview.get_total_length())
        self.streets.append(street)
        return street

    def join(self, before: Street, after: Street) -> None:
        """Let `after` go on where `before` ends; both have the same cross-section."""
        before.road.add_successor(xodr.ElementType.road, after.road.id, xodr.ContactPoint.start)
        after.road.add_predecessor(xodr.ElementType.road, before.road.id, xodr.ContactPoint.end)
        for street, link in ((before, "successor"), (after, "predecessor")):
            section = street.road.lanes.lanesections[0]
            for i, lane in enumerate(section.leftlanes):
                lane.add_link(link, i + 1)
            for i, lane in enumerate(section.rightlanes):
                lane.add_link(link, -(i + 1))

    def junction(
        self, arms: Sequence[Arm], moves: Sequence[tuple[int, int, int, int]], control: Sequence[Control], crosswalks: bool = False
    ) -> None:
        """Join `arms`. A move is (arm in, lane in, arm out, lane out), lanes counted from the middle outwards.

        `control` says for each arm what stands at its entry; each arm with a signal is a phase of its own, as in CARLA's towns.
        """
        self._ids += 1
        number = 1000 + self._ids
        junction = xodr.Junction(f"{self.name} junction {number}", number)
        for arm in arms:
            (arm.street.road.add_successor if arm.at_end else arm.street.road.add_predecessor)(xodr.ElementType.junction, number)
        for a, i, b, j in moves:
            self._connect(junction, number, arms[a], arms[a].lanes(into=True)[i], arms[b], arms[b].lanes(into=False)[j])
        self._junctions.append(junction)
        for arm, right in zip(arms, control, strict=True):
            if right != "priority" and arm.lanes(into=True):
                self._sign(arm, right, number)
            if crosswalks:
                self._crosswalk(arm)

    def _connect(self, junction: Any, number: int, a: Arm, lane_in: tuple[int, float], b: Arm, lane_out: tuple[int, float]) -> None:
        start, end = _right(a.pose, lane_in[1]), _right(b.out_pose, lane_out[1])
        self._ids += 1
        lanes = _lanes(Profile((), (LaneSpec("driving", LANE_M),), "none", 0))
        road = xodr.Road(self._ids, _planview(start, [curve(start, end)]), lanes, road_type=number)
        contact = {True: xodr.ContactPoint.end, False: xodr.ContactPoint.start}
        road.add_predecessor(xodr.ElementType.road, a.street.road.id, contact[a.at_end])
        road.add_successor(xodr.ElementType.road, b.street.road.id, contact[b.at_end])
        lane = road.lanes.lanesections[0].rightlanes[0]
        lane.add_link("predecessor", lane_in[0])
        lane.add_link("successor", lane_out[0])
        connection = xodr.Connection(a.street.road.id, road.id, xodr.ContactPoint.start)
        connection.add_lanelink(lane_in[0], -1)
        junction.add_connection(connection)
        self._connecting.append(road)

    def _sign(self, arm: Arm, right: str, junction: int) -> None:
        """A light or sign at the end of an arm, right of its lanes."""
        self._signals += 1
        s = arm.street.length - 0.5 if arm.at_end else 0.5
        t = -(arm.side_width + 0.5) if arm.at_end else arm.side_width + 0.5
        facing = xodr.Orientation.positive if arm.at_end else xodr.Orientation.negative
        dynamic = xodr.Dynamic.yes if right == "signal" else xodr.Dynamic.no
        signal = xodr.Signal(s, t, "OpenDRIVE", _SIGN_TYPES[right], id=str(self._signals), name=right, dynamic=dynamic, orientation=facing)
        lanes = sorted(lane for lane, _ in arm.lanes(into=True))
        signal.add_validity(lanes[0], lanes[-1])
        arm.street.road.signals.append(signal)
        if right == "signal":
            self._controllers.append((5000 + self._signals, junction, self._signals))

    def _crosswalk(self, arm: Arm) -> None:
        """A crosswalk across a street's end, just inside the junction."""
        profile = arm.street.profile
        half_right, half_left = (sum(lane.width for lane in side if lane.kind != "sidewalk") for side in (profile.right, profile.left))
        near, far = (0.5, 3.5) if arm.at_end else (-3.5, -0.5)
        s = arm.street.length if arm.at_end else 0.0
        crosswalk = xodr.Object(s, 0.0, xodr.ObjectType.crosswalk, id=str(9000 + 2 * arm.street.road.id + arm.at_end), name="crosswalk")
        outline = xodr.Outline()
        for u, v in ((near, -half_right), (far, -half_right), (far, half_left), (near, half_left), (near, -half_right)):
            outline.add_corner(xodr.CornerLocal(u, v, 0.0, 0.0))
        crosswalk.add_outline(outline)
        arm.street.road.objects.append(crosswalk)

    def xml(self) -> str:
        """The OpenDRIVE text: the same for the same town (no date; numbers rounded to 1e-9)."""
        drive = xodr.OpenDrive(self.name, geo_reference="+proj=tmerc +lat_0=0 +lon_0=0 +k=1 +x_0=0 +y_0=0 +datum=WGS84 +units=m +no_defs")
        for road in [street.road for street in self.streets] + self._connecting:
            drive.add_road(road)
        for junction in self._junctions:
            drive.add_junction(junction)
        root = drive.get_element()
        root.find("header").set("date", "2026-01-01T00:00:00")
        junctions = {junction.get("id"): junction for junction in root.findall("junction")}
        for sequence, (number, junction, signal) in enumerate(self._controllers):
            controller = ET.SubElement(root, "controller", id=str(number), name=f"controller {number}", sequence=str(sequence))
            ET.SubElement(controller, "control", signalId=str(signal), type="")
            ET.SubElement(junctions[str(junction)], "controller", id=str(number), type="0", sequence=str(sequence))
        for thing in root.iter("object"):
            # CARLA reads outlines as OpenDRIVE 1.4 has them: without <outlines> around them
            for outlines in thing.findall("outlines"):
                thing.remove(outlines)
                thing.extend(outlines)
        for element in root.iter():
            for name, value in element.attrib.items():
                element.set(name, _tidy(value))
        ET.indent(root, " ")
        return ET.tostring(root, encoding="unicode") + "\n"


def _tidy(value: str) -> str:
    """Long decimal numbers cut to nine digits after the point, so that the last bits of a libm do not change the file."""
    if "." not in value and "e-" not in value:
        return value
    try:
        number = round(float(value), 9)
    except ValueError:
        return value
    return repr(number + 0.0)


def _planview(start: Pose, geometry: Sequence[Any]) -> Any:
    planview = xodr.PlanView(*start)
    for piece in geometry:
        planview.add_geometry(piece)
    planview.set_start_point(*start)
    planview.adjust_geometries()
    return planview


def _lanes(profile: Profile) -> Any:
    centre = xodr.Lane(lane_type=xodr.LaneType.none)
    centre.add_roadmark(_mark(profile.centre, change=False))
    section = xodr.LaneSection(0.0, centre)
    for lanes, add in ((profile.left, section.add_left_lane), (profile.right, section.add_right_lane)):
        for spec in lanes:
            lane = xodr.Lane(lane_type=getattr(xodr.LaneType, spec.kind), a=spec.width)
            lane.add_roadmark(_mark(spec.edge, change=spec.kind == "driving" and spec.edge == "broken"))
            add(lane)
    made = xodr.Lanes()
    made.add_lanesection(section)
    return made


def _mark(edge: Edge, change: bool) -> Any:
    return xodr.RoadMark(getattr(xodr.RoadMarkType, edge), 0.12, laneChange=xodr.LaneChange.both if change else xodr.LaneChange.none)


def _right(pose: Pose, offset: float) -> Pose:
    """A pose moved to its right."""
    x, y, heading = pose
    return x + offset * math.sin(heading), y - offset * math.cos(heading), heading


def curve(start: Pose, end: Pose) -> Any:
    """The single clothoid (a line or an arc where that does) from one pose to another."""
    clothoid = Clothoid.G1Hermite(*start, *end)
    k0, k1 = clothoid.KappaStart, clothoid.KappaEnd
    if max(abs(k0), abs(k1)) < 1e-7:
        return xodr.Line(clothoid.length)
    if abs(k0 - k1) < 1e-7:
        return xodr.Arc((k0 + k1) / 2, length=clothoid.length)
    return xodr.Spiral(k0, k1, length=clothoid.length)


def through_moves(arms: Sequence[Arm]) -> list[tuple[int, int, int, int]]:
    """All moves of an ordinary junction: right turns between outermost lanes, left turns between innermost ones, straight on lane by
    lane; no U-turns."""
    moves = []
    for a, come in enumerate(arms):
        for b, leave in enumerate(arms):
            into, out = len(come.lanes(into=True)), len(leave.lanes(into=False))
            if a == b or not into or not out:
                continue
            turn = math.remainder(leave.out_pose[2] - come.pose[2], 2 * math.pi)
            if turn > math.pi / 4:
                moves.append((a, 0, b, 0))
            elif turn < -math.pi / 4:
                moves.append((a, into - 1, b, out - 1))
            else:
                moves += [(a, i, b, i) for i in range(min(into, out))]
    return moves
