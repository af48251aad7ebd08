"""A town as kernels take it: the road network in few arrays of records, with what traffic needs beyond it.

Few arrays, because a compiled function pays for each array that it is handed, when it is compiled and when it is called;
records, because a kernel reads most of a lane or a sample at once. Knows nothing of envs; made once a town and simulator.
"""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from carla_rl.errors import UsageError
from carla_rl.roads.network import LaneKind, RoadNetwork, Roads
from carla_rl.world.state import aligned

LATERAL_ACCEL = 2.5
"""m/s^2: how fast traffic takes a bend."""
BLOCK_M = 50.0
"""Side of a block of the grid of places."""
PLACE_STEP_M = 6.0
"""Distance between two places on a lane."""
STRAIGHT_RAD = 0.6
"""A junction lane that turns by less goes straight on."""
BEND_BRAKE = 2.5
"""m/s^2 at which traffic slows down for a bend, and for the end of a lane that turns off."""
STRAY_M = 0.4
"""A lane is straight ahead of a sample as far as it stays within this of the sample's direction."""
STRAIGHT_SAMPLES = 40
"""So many samples ahead are looked at for that."""

LANE = np.dtype(
    [
        # what those look at who drive there
        ("first", "i4"),  # its samples: first .. last
        ("last", "i4"),
        ("length", "f8"),
        ("speed_limit", "f8"),
        ("bend_square", "f8"),  # of its first sample
        ("junction", "i4"),
        ("entry", "i4"),
        ("signal", "i4"),
        ("only", "i4"),  # its successor, if it has just one; else -1
        ("succ_first", "i4"),  # its successors: rows succ_first .. succ_end - 1 of `table`
        ("succ_end", "i4"),
        ("turns_left", "?"),  # in a junction, across the oncoming traffic
        # what is seldom needed
        ("near_edge", "f8"),  # m from the centre to the right edge of the road
        ("far_edge", "f8"),  # m from the centre to the left edge of the road, over the lanes of both directions
        ("conflict_first", "i8"),  # as of the successors: the lanes whose ways its own crosses
        ("conflict_end", "i8"),
        ("spare", "f8", (4,)),  # fills the line
    ],
    align=True,
)
"""A lane, 128 bytes: two lines of a cache; fields that are not explained are those of `carla_rl.roads.network.Roads`."""

SAMPLE = np.dtype(
    [
        ("x", "f8"),
        ("y", "f8"),
        ("s", "f8"),
        ("next_s", "f8"),  # of the sample after it
        ("yaw", "f8"),
        ("z", "f4"),
        ("x_slope", "f4"),  # of x, y and yaw by s, up to the next sample of the lane
        ("y_slope", "f4"),
        ("yaw_slope", "f4"),
        ("half_width", "f4"),
        ("lane", "i4"),
    ],
    align=True,
)
"""A sample of a lane's centre line, likewise. 64 bytes: one line of a cache, and all that it takes to move between two samples."""

OUTLOOK = np.dtype(
    [
        ("s", "f8"),  # of the sample
        ("bend_square", "f4"),  # (m/s)^2: as fast as the bends from here to the lane's end allow who brakes with BEND_BRAKE
        ("straight_m", "f4"),  # how far ahead the lane is straight
    ],
    align=True,
)
"""What lies ahead of a sample. 16 bytes: a driver looks over many samples, and four are one line of a cache."""

SIGNAL = np.dtype([("junction", "i8"), ("phase", "i8"), ("phases", "i8")], align=True)
"""A traffic light, likewise."""


GRID = np.dtype(
    [
        ("cell_m", "f8"),
        ("cell_x0", "f8"),
        ("cell_y0", "f8"),
        ("cell_nx", "i8"),
        ("cell_ny", "i8"),
        ("cell_first", "i8"),  # row of `table` with the first cell's begin; its samples are the rows from that begin to the next one's
        ("block_x0", "f8"),
        ("block_y0", "f8"),
        ("block_nx", "i8"),
        ("block_ny", "i8"),
        ("block_first", "i8"),  # likewise of the square blocks of BLOCK_M, row-major, and the places in them
    ],
    align=True,
)
"""The spatial index of `Roads`, and that of the places where an actor may be put."""


class Town(NamedTuple):
    """The arrays of a town; L lanes, S samples, T lights."""

    lanes: NDArray[np.void]
    """(L,) LANE."""
    samples: NDArray[np.void]
    """(S,) SAMPLE."""
    outlook: NDArray[np.void]
    """(S,) OUTLOOK."""
    signals: NDArray[np.void]
    """(T,) SIGNAL."""
    table: NDArray[np.int64]
    """All lists of numbers, one after the other: successors, conflicts, cells and their samples, blocks and their places.
    A place is a sample of a driving lane outside junctions; on a lane they are PLACE_STEP_M apart."""
    grid: NDArray[np.void]
    """(1,) GRID."""


def survey(network: RoadNetwork) -> Town:
    """The town of a network.

    Raises:
        UsageError: the network has no driving lane.
    """
    roads = network.roads
    if not (roads.kind == LaneKind.DRIVING).any():
        raise UsageError(f"town {network.town}: the map has no driving lane, so nothing can drive there; choose another map")
    table = _Table()
    successors, conflicts = table.add(roads.succ), table.add(roads.conflict)
    return Town(
        lanes=_lanes(roads, successors, conflicts),
        samples=_samples(roads),
        outlook=_rows(OUTLOOK, s=roads.s, bend_square=_bend_square(roads), straight_m=_straight(roads)),
        signals=_rows(SIGNAL, junction=roads.signal_junction, phase=roads.signal_phase, phases=roads.signal_phases),
        grid=_grid(roads, table),
        table=table.joined(),
    )


class _Table:
    """Lists of numbers, put one after the other."""

    def __init__(self) -> None:
        self._parts: list[NDArray[np.int64]] = []
        self._used = 0

    def add(self, numbers: NDArray[np.integer[Any]]) -> int:
        """Where the list begins."""
        self._parts.append(np.array(numbers, np.int64))
        self._used += len(numbers)
        return self._used - len(numbers)

    def add_groups(self, begins: NDArray[np.integer[Any]], members: NDArray[np.integer[Any]]) -> int:
        """Likewise of lists in CSR form: where the begins of the groups are listed, as rows of this table."""
        return self.add(np.array(begins, np.int64) + self.add(members))

    def joined(self) -> NDArray[np.int64]:
        """All of it."""
        return np.concatenate(self._parts)


def _grid(roads: Roads, table: _Table) -> NDArray[np.void]:
    """The two spatial indices; their lists go into the table."""
    place = _places(roads)
    column = np.floor(roads.x[place] / BLOCK_M).astype(np.int64)
    row = np.floor(roads.y[place] / BLOCK_M).astype(np.int64)
    nx, ny = int(np.ptp(column)) + 1, int(np.ptp(row)) + 1
    block = (row - row.min()) * nx + column - column.min()
    begins = np.zeros(nx * ny + 1, np.int64)
    np.cumsum(np.bincount(block, minlength=nx * ny), out=begins[1:])
    grid = np.zeros(1, GRID)
    for name in ("cell_m", "cell_x0", "cell_y0", "cell_nx", "cell_ny"):
        grid[name] = getattr(roads, name)
    grid["cell_first"] = table.add_groups(roads.cell_start, roads.cell_sample)
    grid["block_x0"], grid["block_y0"] = column.min() * BLOCK_M, row.min() * BLOCK_M
    grid["block_nx"], grid["block_ny"] = nx, ny
    grid["block_first"] = table.add_groups(begins, place[np.argsort(block, kind="stable")])
    return grid


def _rows(kind: np.dtype[np.void], **fields: NDArray[np.generic]) -> NDArray[np.void]:
    """Records with these fields."""
    rows = aligned((len(next(iter(fields.values()))),), kind)
    for name, values in fields.items():
        rows[name] = values
    return rows


def _lanes(roads: Roads, successors: int, conflicts: int) -> NDArray[np.void]:
    """LANE of all lanes, whose successors and conflicts begin at these rows of the table."""
    near_edge, far_edge = _edges(roads)
    alone = np.diff(roads.succ_start) == 1
    only = np.full(len(alone), -1)
    only[alone] = roads.succ[roads.succ_start[:-1][alone]]
    return _rows(
        LANE,
        first=roads.start[:-1],
        last=roads.start[1:] - 1,
        length=roads.s[roads.start[1:] - 1],
        speed_limit=roads.speed_limit,
        bend_square=_bend_square(roads)[roads.start[:-1]],
        junction=roads.junction,
        entry=roads.entry,
        signal=roads.signal,
        only=only,
        turns_left=_turns_left(roads),
        near_edge=near_edge,
        far_edge=far_edge,
        succ_first=roads.succ_start[:-1] + successors,
        succ_end=roads.succ_start[1:] + successors,
        conflict_first=roads.conflict_start[:-1] + conflicts,
        conflict_end=roads.conflict_start[1:] + conflicts,
    )


def _samples(roads: Roads) -> NDArray[np.void]:
    after = np.minimum(np.arange(len(roads.s)) + 1, roads.start[roads.sample_lane + 1] - 1)
    span = roads.s[after] - roads.s
    step = np.where(span > 0.0, span, np.inf)
    turn = (roads.yaw[after] - roads.yaw + np.pi) % (2 * np.pi) - np.pi
    return _rows(
        SAMPLE,
        x=roads.x,
        y=roads.y,
        z=roads.z,
        yaw=roads.yaw,
        s=roads.s,
        next_s=np.append(roads.s[1:], np.inf),
        half_width=roads.half_width,
        x_slope=(roads.x[after] - roads.x) / step,
        y_slope=(roads.y[after] - roads.y) / step,
        yaw_slope=turn / step,
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


def _bend_square(roads: Roads) -> NDArray[np.float64]:
    """By sample: the square of the speed at which the bend there costs LATERAL_ACCEL, lowered where the lane bends more further on."""
    before = np.maximum(np.arange(len(roads.s)) - 1, roads.start[roads.sample_lane])
    after = np.minimum(np.arange(len(roads.s)) + 1, roads.start[roads.sample_lane + 1] - 1)
    turned = np.abs((roads.yaw[after] - roads.yaw[before] + np.pi) % (2 * np.pi) - np.pi)
    curvature = turned / np.maximum(roads.s[after] - roads.s[before], 0.1)
    square: NDArray[np.float64] = np.minimum(LATERAL_ACCEL / np.maximum(curvature, 1e-6), 1.0e4)
    for lane in range(len(roads.length)):
        part = slice(roads.start[lane], roads.start[lane + 1])
        # with u(s) = v^2(s) + 2 a s, braking keeps u, so what is allowed here is the least u from here on
        energy = square[part] + 2.0 * BEND_BRAKE * roads.s[part]
        square[part] = np.minimum.accumulate(energy[::-1])[::-1] - 2.0 * BEND_BRAKE * roads.s[part]
    return square


def _straight(roads: Roads) -> NDArray[np.float64]:
    """By sample: m ahead on the same lane to the last sample before the first that lies more than STRAY_M off its direction."""
    here = np.arange(len(roads.s))
    last = roads.start[roads.sample_lane + 1] - 1
    cos, sin = np.cos(roads.yaw), np.sin(roads.yaw)
    straight = np.zeros(len(here))
    going = np.ones(len(here), np.bool_)
    for count in range(1, STRAIGHT_SAMPLES + 1):
        ahead = np.minimum(here + count, last)
        aside = (roads.y[ahead] - roads.y) * cos - (roads.x[ahead] - roads.x) * sin
        going &= (here + count <= last) & (np.abs(aside) <= STRAY_M)
        straight[going] = (roads.s[ahead] - roads.s)[going]
    return straight


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
