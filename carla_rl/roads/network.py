"""A road network: lanes as sampled centre lines, how they connect, and what rules them. The compiled form of an OpenDRIVE map.

All arrays are plain NumPy so that numba kernels take them as they are; the file form is one `.npz` without pickles.
Frame: map (right-handed, metres, radians; see `carla_rl.types`).
Knows nothing of XML nor of CARLA: `carla_rl.carla_sim.opendrive` makes it.
"""

from dataclasses import dataclass
from enum import IntEnum
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray


class LaneKind(IntEnum):
    """What a lane is for. Only DRIVING lanes are in the graph; the others are there for criteria and for drawing."""

    DRIVING = 0
    PARKING = 1
    SHOULDER = 2
    SIDEWALK = 3


class Right(IntEnum):
    """Who may enter a junction lane: what stands at its entry."""

    PRIORITY = 0
    SIGNAL = 1
    STOP = 2
    YIELD = 3


class Marking(IntEnum):
    """The line on a lane's left or right edge."""

    NONE = 0
    BROKEN = 1
    SOLID = 2
    CURB = 3


class Roads(NamedTuple):
    """The arrays of a network; L lanes, S samples, E edges, C conflicts, G cells of the spatial index.

    A *lane* is one lane of one OpenDRIVE lane section, sampled in its direction of travel, at most 2 m apart, both ends included.
    Lists of lists are in CSR form: the items of lane i are `items[start[i]:start[i + 1]]`.
    """

    # lanes
    road: NDArray[np.int32]
    """(L,) OpenDRIVE road id."""
    section: NDArray[np.int32]
    """(L,) OpenDRIVE lane section index."""
    lane_id: NDArray[np.int32]
    """(L,) OpenDRIVE lane id (negative: right of the reference line)."""
    kind: NDArray[np.int8]
    """(L,) `LaneKind`."""
    junction: NDArray[np.int32]
    """(L,) OpenDRIVE junction id, -1 outside junctions."""
    length: NDArray[np.float64]
    """(L,) m along the centre line."""
    speed_limit: NDArray[np.float64]
    """(L,) m/s."""
    left: NDArray[np.int32]
    """(L,) driving lane to the left with the same direction of travel that may be changed into, -1 where there is none."""
    right: NDArray[np.int32]
    """(L,) likewise to the right."""
    opposite: NDArray[np.int32]
    """(L,) nearest driving lane of the opposite direction beside this one, -1 where there is none."""
    left_marking: NDArray[np.int8]
    """(L,) `Marking` on the left edge."""
    right_marking: NDArray[np.int8]
    """(L,) `Marking` on the right edge."""
    entry: NDArray[np.int8]
    """(L,) `Right` at the start of the lane (PRIORITY outside junctions)."""
    signal: NDArray[np.int32]
    """(L,) index into the signals of the light that rules the lane's entry, -1 where there is none."""
    # successors: lanes that the end of a lane leads to
    succ_start: NDArray[np.int32]
    """(L + 1,)"""
    succ: NDArray[np.int32]
    """(E,)"""
    # conflicts: junction lanes whose swept areas overlap this one's (same junction, other entry)
    conflict_start: NDArray[np.int32]
    """(L + 1,)"""
    conflict: NDArray[np.int32]
    """(C,)"""
    # samples
    start: NDArray[np.int32]
    """(L + 1,) first sample of each lane."""
    x: NDArray[np.float64]
    """(S,) m."""
    y: NDArray[np.float64]
    z: NDArray[np.float64]
    yaw: NDArray[np.float64]
    """(S,) rad, direction of travel."""
    s: NDArray[np.float64]
    """(S,) m from the lane's start along its centre line; s[start[i]] = 0."""
    half_width: NDArray[np.float64]
    """(S,) m."""
    sample_lane: NDArray[np.int32]
    """(S,) the lane of each sample."""
    # spatial index over the samples of DRIVING and PARKING lanes: a grid of square cells, row-major, y rows
    cell_m: float
    cell_x0: float
    cell_y0: float
    cell_nx: int
    cell_ny: int
    cell_start: NDArray[np.int32]
    """(G + 1,)"""
    cell_sample: NDArray[np.int32]
    """Samples whose point lies in the cell or within one cell of it: a look-up reads one cell only."""
    # signals: traffic lights; a phase is a group of signals of a junction that are green together
    signal_id: NDArray[np.int32]
    """(T,) OpenDRIVE signal id."""
    signal_junction: NDArray[np.int32]
    """(T,) junction ruled."""
    signal_phase: NDArray[np.int32]
    """(T,) index of the phase within the junction's cycle, from 0."""
    signal_phases: NDArray[np.int32]
    """(T,) number of phases of that junction."""
    signal_x: NDArray[np.float64]
    """(T,) where the lamp stands, for drawing."""
    signal_y: NDArray[np.float64]


@dataclass(frozen=True)
class RoadNetwork:
    """A named network with its crosswalks. `town` is CARLA's name of the map or that of one of our own towns."""

    town: str
    roads: Roads
    crosswalks: tuple[NDArray[np.float64], ...]
    """Polygons, each (P, 2) m."""
    source_sha256: str
    """Of the OpenDRIVE text that it was compiled from."""

    def lane_points(self, lane: int) -> NDArray[np.float64]:
        """(n, 2) centre line of a lane, m."""
        part = slice(self.roads.start[lane], self.roads.start[lane + 1])
        return np.stack((self.roads.x[part], self.roads.y[part]), axis=-1)

    def successors(self, lane: int) -> list[int]:
        """Lanes that the end of `lane` leads to."""
        roads = self.roads
        return [int(n) for n in roads.succ[roads.succ_start[lane] : roads.succ_start[lane + 1]]]
