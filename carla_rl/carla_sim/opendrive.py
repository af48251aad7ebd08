"""The map compiler: an OpenDRIVE file in, a `RoadNetwork` out, with `carla.Map` as the OpenDRIVE engine (it needs no server).

CARLA answers in its left-handed frame; `_sample`, `_signs` and `_crosswalks` turn that into ours: y -> -y, yaw in degrees -> -yaw in
radians.
Only OpenDRIVE lanes of the types driving, parking, shoulder and sidewalk are kept. Lanes may be changed outside junctions only, where the
marking permits it on at least a quarter of the lane (on-ramps have a solid line but in their middle).
"""

import itertools
import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from carla_rl.carla_sim.xodr_file import XodrFile, read_xodr
from carla_rl.carla_sim.xodr_rules import LaneTable, SignTable, conflicts, rule_entries, speed_limits
from carla_rl.errors import UsageError
from carla_rl.roads.network import LaneKind, Marking, RoadNetwork, Roads
from carla_rl.roads.spatial import build_index

STEP_M = 2.0
"""Largest distance between two samples of a lane."""
_INSET_M = 1e-3
"""Lanes are sampled this far inside their ends, where CARLA still answers for their own section."""
_KINDS = {"Driving": LaneKind.DRIVING, "Parking": LaneKind.PARKING, "Shoulder": LaneKind.SHOULDER, "Sidewalk": LaneKind.SIDEWALK}
_MARKINGS = {
    "NONE": Marking.NONE,
    "Broken": Marking.BROKEN,
    "BrokenBroken": Marking.BROKEN,
    "BottsDots": Marking.BROKEN,
    "Curb": Marking.CURB,
}
_LEFT, _RIGHT = 2, 1
"""Bits of `carla.LaneChange`."""

Key = tuple[int, int, int]
"""OpenDRIVE road, section, lane."""


@dataclass(frozen=True)
class _Lane:
    key: Key
    junction: int
    kind: LaneKind
    speed: float | None
    waypoints: tuple[Any, ...]
    points: NDArray[np.float64]
    """(n, 5): x, y, z, yaw, half width, in our frame, in the direction of travel."""


def compile_opendrive(path: Path, town: str | None = None) -> RoadNetwork:
    """Compile a `.xodr` or `.xodr.gz`; `town` defaults to the file's name without its endings.

    Raises UsageError for a broken map (not XML, no driving lane, dangling link, road of zero length), and where the carla wheel is missing.
    """
    carla = _carla()
    file = read_xodr(path)
    town = town or path.name.removesuffix(".gz").removesuffix(".xodr")
    try:
        world_map = carla.Map(town, file.text)
    except RuntimeError as error:
        raise UsageError(f"{path}: CARLA cannot read the map ({error}); repair the map") from error
    lanes = _lanes(world_map, file)
    if not any(lane.kind == LaneKind.DRIVING for lane in lanes):
        raise UsageError(f"{path}: the map has no driving lane; give a map with roads to drive on")
    table = _table(world_map, lanes)
    signs = _signs(world_map, file)
    return RoadNetwork(town, _roads(lanes, table, signs, file), _crosswalks(world_map), file.sha256)


def _carla() -> Any:
    try:
        import carla
    except ImportError as error:
        raise UsageError(
            "compiling an OpenDRIVE map needs the carla wheel; install carla-rl[carla], or use an already compiled road network (.npz)"
        ) from error
    return carla


def _lanes(world_map: Any, file: XodrFile) -> list[_Lane]:
    """All lanes of the kept kinds, ordered by road (as in the file), section and lane from left to right."""
    lanes = []
    for road in file.roads:
        for index, section in enumerate(road.sections):
            for lane_id in section.lanes:
                middle = world_map.get_waypoint_xodr(road.road, lane_id, (section.s0 + section.s1) / 2)
                if middle is None or str(middle.lane_type) not in _KINDS:
                    continue
                waypoints, points = _sample(world_map, road.road, lane_id, section.s0, section.s1)
                kind = _KINDS[str(middle.lane_type)]
                if kind == LaneKind.DRIVING and middle.section_id != index:
                    raise UsageError(f"{file.path}: section {index} of road {road.road} is too short to be told apart; repair the map")
                lanes.append(_Lane((road.road, index, lane_id), road.junction, kind, section.speed, waypoints, points))
    return lanes


def _sample(world_map: Any, road: int, lane_id: int, s0: float, s1: float) -> tuple[tuple[Any, ...], NDArray[np.float64]]:
    """The lane's waypoints and its (n, 5) points, at most STEP_M apart along the centre line, in the direction of travel."""
    inset = min(_INSET_M, (s1 - s0) / 4)
    steps = max(1, math.ceil((s1 - s0) / STEP_M))
    while True:
        stations = np.linspace(s0 + inset, s1 - inset, steps + 1)
        if lane_id > 0:
            stations = stations[::-1]
        found = (world_map.get_waypoint_xodr(road, lane_id, float(s)) for s in stations)
        waypoints = tuple(waypoint for waypoint in found if waypoint is not None)
        transforms = [waypoint.transform for waypoint in waypoints]
        points = np.array(
            [
                (t.location.x, -t.location.y, t.location.z, -math.radians(t.rotation.yaw), w.lane_width / 2)
                for t, w in zip(transforms, waypoints, strict=True)
            ]
        )
        longest = float(np.hypot(*np.diff(points[:, :2], axis=0).T).max())
        # (coordinates are rounded afterwards)
        if longest <= STEP_M - 1e-3:
            return waypoints, points
        steps = math.ceil(steps * max(longest / STEP_M, 1.01))


def _table(world_map: Any, lanes: Sequence[_Lane]) -> LaneTable:
    """What the rules need to know of the lanes; successors are CARLA's topology."""
    index = {lane.key: i for i, lane in enumerate(lanes)}
    successors: list[list[int]] = [[] for _ in lanes]
    for before, after in world_map.get_topology():
        a, b = ((w.road_id, w.section_id, w.lane_id) for w in (before, after))
        if a != b and a in index and b in index and index[b] not in successors[index[a]]:
            successors[index[a]].append(index[b])
    lengths = [float(np.hypot(*np.diff(lane.points[:, :2], axis=0).T).sum()) for lane in lanes]
    return LaneTable(
        road=np.array([lane.key[0] for lane in lanes], np.int32),
        lane_id=np.array([lane.key[2] for lane in lanes], np.int32),
        driving=np.array([lane.kind == LaneKind.DRIVING for lane in lanes]),
        junction=np.array([lane.junction for lane in lanes], np.int32),
        length=np.array(lengths),
        posted=np.array([math.nan if lane.speed is None else lane.speed for lane in lanes]),
        successors=[sorted(items) for items in successors],
        points=[lane.points for lane in lanes],
        stations=[(lane.waypoints[0].s, lane.waypoints[-1].s) for lane in lanes],
    )


def _signs(world_map: Any, file: XodrFile) -> list[SignTable]:
    """Every landmark of every place where it is valid; `carla.Map` lists references to a signal like the signal itself."""
    signs = []
    for mark in world_map.get_all_landmarks():
        place = mark.transform.location
        lanes = {lane for low, high in mark.get_lane_validities() for lane in range(min(low, high), max(low, high) + 1) if lane}
        unit = file.sign_units.get(mark.id, 1 / 3.6)
        signs.append(SignTable(mark.type, mark.id, mark.road_id, mark.s, tuple(sorted(lanes)), mark.value * unit, place.x, -place.y))
    return sorted(signs)


def _crosswalks(world_map: Any) -> tuple[NDArray[np.float64], ...]:
    """CARLA lists all polygons in one go, each closed by its first point again."""
    polygons: list[NDArray[np.float64]] = []
    current: list[tuple[float, float]] = []
    for place in world_map.get_crosswalks():
        point = (round(place.x, 4), round(-place.y, 4))
        if current and point == current[0]:
            polygons.append(np.array(current))
            current = []
        else:
            current.append(point)
    return tuple(polygons)


def _roads(lanes: Sequence[_Lane], table: LaneTable, signs: Sequence[SignTable], file: XodrFile) -> Roads:
    """All arrays. Coordinates are rounded to 0.1 mm (CARLA answers in float32), which makes the file small."""
    counts = np.array([len(lane.points) for lane in lanes])
    start = np.concatenate(([0], np.cumsum(counts))).astype(np.int32)
    points = np.concatenate([lane.points for lane in lanes]).round(4)
    sample_lane = np.repeat(np.arange(len(lanes), dtype=np.int32), counts)
    s = np.concatenate([_along(points[a:b]) for a, b in itertools.pairwise(start)])
    yaw = np.angle(np.exp(1j * np.concatenate([lane.points[:, 3] for lane in lanes]))).round(6)
    kind = np.array([lane.kind for lane in lanes], np.int8)
    left, right, opposite, left_marking, right_marking = _sides(lanes)
    rules = rule_entries(table, signs, file)
    overlaps = conflicts(table)
    x, y = np.ascontiguousarray(points[:, 0]), np.ascontiguousarray(points[:, 1])
    return Roads(
        road=table.road,
        section=np.array([lane.key[1] for lane in lanes], np.int32),
        lane_id=table.lane_id,
        kind=kind,
        junction=table.junction,
        length=s[start[1:] - 1],
        speed_limit=speed_limits(table, signs),
        left=left,
        right=right,
        opposite=opposite,
        left_marking=left_marking,
        right_marking=right_marking,
        entry=rules.entry,
        signal=rules.signal,
        succ_start=_starts(table.successors),
        succ=_flat(table.successors),
        conflict_start=_starts(overlaps),
        conflict=_flat(overlaps),
        start=start,
        x=x,
        y=y,
        z=np.ascontiguousarray(points[:, 2]),
        yaw=yaw,
        s=s,
        half_width=np.ascontiguousarray(points[:, 4]),
        sample_lane=sample_lane,
        **build_index(kind, sample_lane, x, y)._asdict(),
        signal_id=rules.signal_id,
        signal_junction=rules.signal_junction,
        signal_phase=rules.signal_phase,
        signal_phases=rules.signal_phases,
        signal_x=rules.signal_x,
        signal_y=rules.signal_y,
    )


def _along(points: NDArray[np.float64]) -> NDArray[np.float64]:
    """(n,) m from the first point along the polyline, in the plane."""
    return np.concatenate(([0.0], np.cumsum(np.hypot(*np.diff(points[:, :2], axis=0).T))))


def _starts(lists: Sequence[Sequence[int]]) -> NDArray[np.int32]:
    return np.concatenate(([0], np.cumsum([len(items) for items in lists]))).astype(np.int32)


def _flat(lists: Sequence[Sequence[int]]) -> NDArray[np.int32]:
    return np.array([item for items in lists for item in items], np.int32)


def _sides(lanes: Sequence[_Lane]) -> tuple[NDArray[Any], ...]:
    """left, right, opposite, left marking, right marking of every lane."""
    index = {lane.key: i for i, lane in enumerate(lanes)}
    sides = np.full((3, len(lanes)), -1, np.int32)
    markings = np.zeros((2, len(lanes)), np.int8)
    for i, lane in enumerate(lanes):
        if lane.kind != LaneKind.DRIVING and lane.kind != LaneKind.PARKING:
            continue
        markings[0, i] = _marking([w.left_lane_marking for w in lane.waypoints])
        markings[1, i] = _marking([w.right_lane_marking for w in lane.waypoints])
        if lane.kind != LaneKind.DRIVING:
            continue
        middle = lane.waypoints[len(lane.waypoints) // 2]
        permitted = [int(w.lane_change) for w in lane.waypoints]
        for side, bit, beside in ((0, _LEFT, middle.get_left_lane()), (1, _RIGHT, middle.get_right_lane())):
            other = -1 if beside is None else index.get((beside.road_id, beside.section_id, beside.lane_id), -1)
            if other < 0 or lanes[other].kind != LaneKind.DRIVING:
                continue
            if lanes[other].key[2] * lane.key[2] < 0:
                if side == 0:
                    sides[2, i] = other
            elif lane.junction == -1 and 4 * sum(bool(p & bit) for p in permitted) >= len(permitted):
                sides[side, i] = other
    return sides[0], sides[1], sides[2], markings[0], markings[1]


def _marking(markings: Sequence[Any]) -> Marking:
    """The most frequent marking along a lane's edge; whatever is neither broken nor a kerb nor absent counts as solid."""
    names = Counter(str(marking.type) for marking in markings if marking is not None)
    return _MARKINGS.get(min(names, key=lambda name: (-names[name], name)), Marking.SOLID) if names else Marking.NONE
