"""A town as kernels take it: the road network in few arrays of records, with what traffic needs beyond it.

Few arrays, because a compiled function pays for each array that it is handed, when it is compiled and when it is called;
records, because a kernel reads most of a lane or a sample at once. Knows nothing of envs; made once a town and simulator.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from carla_rl.errors import UsageError
from carla_rl.roads.network import LaneKind, RoadNetwork, Roads

LATERAL_ACCEL = 2.5
"""m/s^2: how fast traffic takes a bend."""
BLOCK_M = 50.0
"""Side of a block of the grid of places."""
PLACE_STEP_M = 6.0
"""Distance between two places on a lane."""
STRAIGHT_RAD = 0.6
"""A junction lane that turns by less goes straight on."""

LANE = np.dtype(
    [
        ("first", "i8"),  # its samples: first .. last
        ("last", "i8"),
        ("length", "f8"),
        ("speed_limit", "f8"),
        ("junction", "i8"),
        ("entry", "i8"),
        ("signal", "i8"),
        ("turns_left", "?"),  # in a junction, across the oncoming traffic
        ("near_edge", "f8"),  # m from the centre to the right edge of the road
        ("far_edge", "f8"),  # m from the centre to the left edge of the road, over the lanes of both directions
        ("succ_first", "i8"),  # its rows of `successors`: succ_first .. succ_end - 1
        ("succ_end", "i8"),
        ("conflict_first", "i8"),  # likewise of `conflicts`
        ("conflict_end", "i8"),
    ],
    align=True,
)
"""A lane; fields that are not explained are those of `carla_rl.roads.network.Roads`."""

SAMPLE = np.dtype(
    [
        ("x", "f8"),
        ("y", "f8"),
        ("z", "f8"),
        ("yaw", "f8"),
        ("s", "f8"),
        ("half_width", "f8"),
        ("bend_speed", "f8"),  # m/s at which the bend here costs LATERAL_ACCEL, at most 100
        ("lane", "i8"),
    ],
    align=True,
)
"""A sample of a lane's centre line, likewise."""

SIGNAL = np.dtype([("junction", "i8"), ("phase", "i8"), ("phases", "i8")], align=True)
"""A traffic light, likewise."""


class Town(NamedTuple):
    """The arrays of a town; L lanes, S samples, T lights, Q places."""

    lanes: NDArray[np.void]
    """(L,) LANE."""
    samples: NDArray[np.void]
    """(S,) SAMPLE."""
    signals: NDArray[np.void]
    """(T,) SIGNAL."""
    successors: NDArray[np.int64]
    conflicts: NDArray[np.int64]
    cell_start: NDArray[np.int64]
    cell_sample: NDArray[np.int64]
    """The spatial index, as in `Roads`."""
    cell_m: float
    cell_x0: float
    cell_y0: float
    cell_nx: int
    cell_ny: int
    block_start: NDArray[np.int64]
    """(nx * ny + 1,) rows of `place`, CSR over square blocks of BLOCK_M, row-major."""
    place: NDArray[np.int64]
    """(Q,) samples of driving lanes outside junctions where an actor may be put, PLACE_STEP_M apart, by block."""
    block_x0: float
    block_y0: float
    block_nx: int
    block_ny: int


def survey(network: RoadNetwork) -> Town:
    """The town of a network.

    Raises:
        UsageError: the network has no driving lane.
    """
    roads = network.roads
    if not (roads.kind == LaneKind.DRIVING).any():
        raise UsageError(f"town {network.town}: the map has no driving lane, so nothing can drive there; choose another map")
    place = _places(roads)
    column = np.floor(roads.x[place] / BLOCK_M).astype(np.int64)
    row = np.floor(roads.y[place] / BLOCK_M).astype(np.int64)
    nx, ny = int(np.ptp(column)) + 1, int(np.ptp(row)) + 1
    block = (row - row.min()) * nx + column - column.min()
    block_start = np.zeros(nx * ny + 1, np.int64)
    np.cumsum(np.bincount(block, minlength=nx * ny), out=block_start[1:])
    return Town(
        lanes=_lanes(roads),
        samples=_samples(roads),
        signals=_rows(SIGNAL, junction=roads.signal_junction, phase=roads.signal_phase, phases=roads.signal_phases),
        successors=np.array(roads.succ, np.int64),
        conflicts=np.array(roads.conflict, np.int64),
        cell_start=np.array(roads.cell_start, np.int64),
        cell_sample=np.array(roads.cell_sample, np.int64),
        cell_m=float(roads.cell_m),
        cell_x0=float(roads.cell_x0),
        cell_y0=float(roads.cell_y0),
        cell_nx=int(roads.cell_nx),
        cell_ny=int(roads.cell_ny),
        block_start=block_start,
        place=place[np.argsort(block, kind="stable")],
        block_x0=float(column.min()) * BLOCK_M,
        block_y0=float(row.min()) * BLOCK_M,
        block_nx=nx,
        block_ny=ny,
    )


def _rows(kind: np.dtype[np.void], **fields: NDArray[np.generic]) -> NDArray[np.void]:
    """Records with these fields."""
    rows = np.zeros(len(next(iter(fields.values()))), kind)
    for name, values in fields.items():
        rows[name] = values
    return rows


def _lanes(roads: Roads) -> NDArray[np.void]:
    near_edge, far_edge = _edges(roads)
    return _rows(
        LANE,
        first=roads.start[:-1],
        last=roads.start[1:] - 1,
        length=roads.s[roads.start[1:] - 1],
        speed_limit=roads.speed_limit,
        junction=roads.junction,
        entry=roads.entry,
        signal=roads.signal,
        turns_left=_turns_left(roads),
        near_edge=near_edge,
        far_edge=far_edge,
        succ_first=roads.succ_start[:-1],
        succ_end=roads.succ_start[1:],
        conflict_first=roads.conflict_start[:-1],
        conflict_end=roads.conflict_start[1:],
    )


def _samples(roads: Roads) -> NDArray[np.void]:
    return _rows(
        SAMPLE,
        x=roads.x,
        y=roads.y,
        z=roads.z,
        yaw=roads.yaw,
        s=roads.s,
        half_width=roads.half_width,
        bend_speed=_bend_speed(roads),
        lane=roads.sample_lane,
    )


def _places(roads: Roads) -> NDArray[np.int64]:
    """Samples where an actor may be put: on driving lanes, not in junctions, not at the very ends of a lane; at least one."""
    driving = roads.kind == LaneKind.DRIVING
    chosen: list[int] = []
    for lane in np.flatnonzero(driving & (roads.junction < 0)):
        ahead = PLACE_STEP_M / 2
        for sample in range(int(roads.start[lane]), int(roads.start[lane + 1])):
            if roads.s[sample] >= ahead and roads.length[lane] - roads.s[sample] >= PLACE_STEP_M / 2:
                chosen.append(sample)
                ahead = roads.s[sample] + PLACE_STEP_M
    if not chosen:
        chosen = [int(roads.start[np.flatnonzero(driving)[0]])]
    return np.array(chosen, np.int64)


def _bend_speed(roads: Roads) -> NDArray[np.float64]:
    """Speed by sample from the change of heading between its neighbours on the same lane."""
    before = np.maximum(np.arange(len(roads.s)) - 1, roads.start[roads.sample_lane])
    after = np.minimum(np.arange(len(roads.s)) + 1, roads.start[roads.sample_lane + 1] - 1)
    turned = np.abs((roads.yaw[after] - roads.yaw[before] + np.pi) % (2 * np.pi) - np.pi)
    curvature = turned / np.maximum(roads.s[after] - roads.s[before], 0.1)
    speed: NDArray[np.float64] = np.minimum(np.sqrt(LATERAL_ACCEL / np.maximum(curvature, 1e-6)), 100.0)
    return speed


def _turns_left(roads: Roads) -> NDArray[np.bool_]:
    turned = (roads.yaw[roads.start[1:] - 1] - roads.yaw[roads.start[:-1]] + np.pi) % (2 * np.pi) - np.pi
    left: NDArray[np.bool_] = (roads.junction >= 0) & (turned > STRAIGHT_RAD)
    return left


def _edges(roads: Roads) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Distance from each lane's centre to the right and to the left edge of its road, from the lanes beside it."""
    half = np.array([roads.half_width[first:last].mean() for first, last in zip(roads.start[:-1], roads.start[1:], strict=True)])
    near, own = half.copy(), half.copy()
    for lane in range(len(half)):
        for neighbour, edge in ((roads.right, near), (roads.left, own)):
            beside = int(neighbour[lane])
            for _ in range(len(half)):
                if beside < 0:
                    break
                edge[lane] += 2 * half[beside]
                beside = int(neighbour[beside])
    far = own.copy()
    for lane in np.flatnonzero(roads.opposite >= 0).tolist():
        other = int(roads.opposite[lane])
        far[lane] = own[lane] + half[other] + near[other]
    return near, far
