"""What rules the lanes of a map: lights, stop and yield signs at junction entries, speed limits, and which junction lanes cross.

Works on plain tables in our frame; knows nothing of XML nor of CARLA's classes.

Lights and signs stand either on an incoming road or, in CARLA's own towns, as references on the connecting roads; both are understood.
Speed limits: the limit of `<road><type><speed>`; a road without one takes that of the nearest road upstream, and DEFAULT_LIMIT where
there is none.
CARLA's vehicles obey the signs that they pass, so a speed sign (type 274) overrides the type's limit from where it stands along the lanes
that follow, until the next sign or until a road whose type has another limit. A lane that holds a sign takes the limit that rules the
longer part of it.
"""

import heapq
import itertools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from carla_rl.carla_sim.xodr_file import XodrFile
from carla_rl.errors import UsageError
from carla_rl.roads.network import Right

DEFAULT_LIMIT = 30.0 / 3.6
"""m/s where a map says nothing at all: CARLA's limit for a vehicle that has passed no sign."""
OVERLAP = 0.85
"""Two junction lanes conflict where their centre lines come nearer than this share of the sum of their half widths."""
LIGHT, STOP, YIELD, SPEED = "1000001", "206", "205", "274"
"""Landmark types, as in `carla.LandmarkType`."""


@dataclass(frozen=True)
class LaneTable:
    """The lanes, by index."""

    road: NDArray[np.int32]
    lane_id: NDArray[np.int32]
    driving: NDArray[np.bool_]
    junction: NDArray[np.int32]
    length: NDArray[np.float64]
    posted: NDArray[np.float64]
    """m/s of the road's type, NaN where there is none."""
    successors: list[list[int]]
    points: list[NDArray[np.float64]]
    """(n, 5) each: x, y, z, yaw, half width."""
    stations: list[tuple[float, float]]
    """OpenDRIVE s of the first and last point, in the direction of travel."""

    def predecessors(self) -> list[list[int]]:
        """The lanes that lead to each lane."""
        before: list[list[int]] = [[] for _ in self.successors]
        for lane, after in enumerate(self.successors):
            for item in after:
                before[item].append(lane)
        return before

    def at(self, road: int, s: float, lane_ids: Sequence[int]) -> list[int]:
        """The driving lanes of a road at OpenDRIVE station s, among `lane_ids`."""
        found = []
        for lane in np.flatnonzero((self.road == road) & self.driving).tolist():
            a, b = sorted(self.stations[lane])
            if self.lane_id[lane] in lane_ids and a - 0.1 <= s <= b + 0.1:
                found.append(lane)
        return found


class SignTable(NamedTuple):
    """One sign or light at one place where it is valid."""

    type: str
    sign: str
    road: int
    s: float
    lanes: tuple[int, ...]
    """OpenDRIVE lane ids that it is for."""
    value: float
    """m/s for speed signs."""
    x: float
    y: float


class Rules(NamedTuple):
    """Fields of `carla_rl.roads.network.Roads`."""

    entry: NDArray[np.int8]
    signal: NDArray[np.int32]
    signal_id: NDArray[np.int32]
    signal_junction: NDArray[np.int32]
    signal_phase: NDArray[np.int32]
    signal_phases: NDArray[np.int32]
    signal_x: NDArray[np.float64]
    signal_y: NDArray[np.float64]


def _ruled(table: LaneTable, before: list[list[int]], sign: SignTable) -> list[int]:
    """The junction lanes whose entry a light or sign rules."""
    entries: set[int] = set()
    for lane in table.at(sign.road, sign.s, sign.lanes):
        inside = table.junction[lane] != -1
        # along the road of the sign to the lane section that borders on the junction: back if it stands inside, else on
        links = before if inside else table.successors
        while len(links[lane]) == 1 and table.road[links[lane][0]] == sign.road:
            lane = links[lane][0]
        entries.update([lane] if inside else [after for after in table.successors[lane] if table.junction[after] != -1])
    return sorted(entries)


def rule_entries(table: LaneTable, signs: Sequence[SignTable], file: XodrFile) -> Rules:
    """Entries and signals. Raises UsageError for a signal whose id is not a whole number."""
    before = table.predecessors()
    entry = np.full(len(table.successors), Right.PRIORITY, np.int8)
    signal = np.full(len(table.successors), -1, np.int32)
    for kind, right in ((YIELD, Right.YIELD), (STOP, Right.STOP)):
        for sign in signs:
            if sign.type == kind:
                entry[_ruled(table, before, sign)] = right
    lamps: dict[tuple[int, str], SignTable] = {}
    lanes: dict[tuple[int, str], list[int]] = {}
    for sign in signs:
        if sign.type == LIGHT:
            for lane in _ruled(table, before, sign):
                key = (int(table.junction[lane]), sign.sign)
                lamps.setdefault(key, sign)
                lanes.setdefault(key, []).append(lane)
    keys = sorted(lamps)
    for i, key in enumerate(keys):
        if not key[1].isdecimal():
            raise UsageError(
                f"{file.path}: the traffic light {key[1]!r} has an id that is not a whole number; number the signals of the map"
            )
        entry[lanes[key]] = Right.SIGNAL
        signal[lanes[key]] = i
    phase = [file.phases.get(key, -1) for key in keys]
    for junction in {key[0] for key in keys}:
        members = [i for i, key in enumerate(keys) if key[0] == junction]
        if any(phase[i] < 0 for i in members):
            for i, value in zip(members, _phases_by_heading([_heading(table, lanes[keys[i]]) for i in members]), strict=True):
                phase[i] = value
        # controllers may have numbered signals that rule no lane
        used = sorted({phase[i] for i in members})
        for i in members:
            phase[i] = used.index(phase[i])
    count = {junction: 1 + max(phase[i] for i, key in enumerate(keys) if key[0] == junction) for junction, _ in keys}
    return Rules(
        entry,
        signal,
        np.array([int(sign) for _, sign in keys], np.int32),
        np.array([junction for junction, _ in keys], np.int32),
        np.array(phase, np.int32),
        np.array([count[junction] for junction, _ in keys], np.int32),
        np.array([lamps[key].x for key in keys], np.float64).round(4),
        np.array([lamps[key].y for key in keys], np.float64).round(4),
    )


def _heading(table: LaneTable, lanes: Sequence[int]) -> float:
    """rad, the mean heading at the start of the given lanes."""
    yaw = [table.points[lane][0, 3] for lane in lanes]
    return math.atan2(sum(map(math.sin, yaw)), sum(map(math.cos, yaw)))


def _phases_by_heading(headings: Sequence[float]) -> list[int]:
    """Phases of a junction without controllers: arms that run along the same axis within 45 degrees, from either side, are green
    together."""
    axes: list[float] = []
    phases = []
    for heading in headings:
        near = [i for i, axis in enumerate(axes) if abs(math.sin(heading - axis)) < math.sin(math.pi / 4)]
        phases.append(near[0] if near else len(axes))
        if not near:
            axes.append(heading)
    return phases


def conflicts(table: LaneTable) -> list[list[int]]:
    """For every junction lane the lanes of the same junction with another entry whose swept area overlaps its own."""
    before = table.predecessors()
    found: list[list[int]] = [[] for _ in table.successors]
    inside = [lane for lane in range(len(found)) if table.junction[lane] != -1 and table.driving[lane]]
    entries = {lane: _entry_lanes(table, before, lane) for lane in inside}
    for i, a in enumerate(inside):
        for b in inside[i + 1 :]:
            if table.junction[a] == table.junction[b] and not entries[a] & entries[b] and _overlap(table.points[a], table.points[b]):
                found[a].append(b)
                found[b].append(a)
    return [sorted(items) for items in found]


def _entry_lanes(table: LaneTable, before: list[list[int]], lane: int) -> set[int]:
    """The lanes outside the junction from which a junction lane is reached; the lane itself where there is none."""
    outside: set[int] = set()
    seen, stack = {lane}, [lane]
    while stack:
        for item in before[stack.pop()]:
            if table.junction[item] != table.junction[lane]:
                outside.add(item)
            elif item not in seen:
                seen.add(item)
                stack.append(item)
    return outside or {lane}


def _overlap(a: NDArray[np.float64], b: NDArray[np.float64]) -> bool:
    delta = a[:, None, :3] - b[None, :, :3]
    near = np.hypot(delta[..., 0], delta[..., 1]) < OVERLAP * (a[:, None, 4] + b[None, :, 4])
    return bool((near & (np.abs(delta[..., 2]) < 3.0)).any())


def speed_limits(table: LaneTable, signs: Sequence[SignTable]) -> NDArray[np.float64]:
    """(L,) m/s; the rule stands in the module's docstring."""
    posted = {lane: float(limit) for lane, limit in enumerate(table.posted) if not math.isnan(limit)}
    inherited = _spread(table, [(0.0, lane, limit) for lane, limit in posted.items()], lambda _, lane: lane not in posted)
    base = [posted.get(lane, inherited.get(lane, DEFAULT_LIMIT)) for lane in range(len(table.posted))]
    signs_on: dict[int, list[tuple[float, float]]] = {}
    for sign in signs:
        if sign.type == SPEED and sign.value > 0:
            for lane in table.at(sign.road, sign.s, sign.lanes):
                s0, s1 = table.stations[lane]
                place = min(max((sign.s - s0) / (s1 - s0), 0.0), 1.0) * float(table.length[lane])
                signs_on.setdefault(lane, []).append((place, sign.value))
    sources = [(float(table.length[lane]) - max(places)[0], lane, max(places)[1]) for lane, places in signs_on.items()]
    carried = _spread(table, sources, lambda source, lane: base[source] == base[lane])
    limits = np.array([carried.get(lane, base[lane]) for lane in range(len(base))])
    for lane, places in signs_on.items():
        cuts = [(0.0, float(limits[lane])), *sorted(places), (float(table.length[lane]), 0.0)]
        limits[lane] = max((after[0] - here[0], here[1]) for here, after in itertools.pairwise(cuts))[1]
    return limits.round(4)


def _spread(table: LaneTable, sources: Sequence[tuple[float, int, float]], enters: Callable[[int, int], bool]) -> dict[int, float]:
    """Carry values downstream: each lane reached takes the value of the nearest source before it; nothing passes through a source.

    `sources` are (m from there to the lane's end, lane, value); a value of a source enters a lane where `enters(source, lane)`.
    """
    queue = [(distance, after, lane, value) for distance, lane, value in sources for after in table.successors[lane]]
    heapq.heapify(queue)
    barriers = {lane for _, lane, _ in sources}
    reached: dict[int, float] = {}
    while queue:
        distance, lane, source, value = heapq.heappop(queue)
        if lane in reached or not enters(source, lane):
            continue
        reached[lane] = value
        if lane not in barriers:
            for after in table.successors[lane]:
                heapq.heappush(queue, (distance + float(table.length[lane]), after, source, value))
    return reached
