"""The spatial index of a network: which samples may be nearest to a point, by square cell. Pure NumPy; knows nothing of how lanes were
made."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from carla_rl.roads.network import LaneKind

CELL_M = 6.0
"""Side of a cell. A look-up finds every sample within this distance for certain, none beyond twice the cell's diagonal."""


class SpatialIndex(NamedTuple):
    """The `cell_*` fields of `carla_rl.roads.network.Roads`, in their order."""

    cell_m: float
    cell_x0: float
    cell_y0: float
    cell_nx: int
    cell_ny: int
    cell_start: NDArray[np.int32]
    cell_sample: NDArray[np.int32]


def build_index(
    kind: NDArray[np.int8], sample_lane: NDArray[np.int32], x: NDArray[np.float64], y: NDArray[np.float64], cell_m: float = CELL_M
) -> SpatialIndex:
    """Index the samples of DRIVING and PARKING lanes; `kind` is per lane, the others per sample (m).

    Each sample is listed in its own cell and in the eight around it, so a look-up reads one cell only. Within a cell samples are in
    ascending order.
    """
    drivable = (kind == LaneKind.DRIVING) | (kind == LaneKind.PARKING)
    sample = np.flatnonzero(drivable[sample_lane])
    x0 = float(np.floor(x[sample].min() / cell_m) - 1.0) * cell_m
    y0 = float(np.floor(y[sample].min() / cell_m) - 1.0) * cell_m
    column = ((x[sample] - x0) // cell_m).astype(np.int64)
    row = ((y[sample] - y0) // cell_m).astype(np.int64)
    nx, ny = int(column.max()) + 2, int(row.max()) + 2
    cells = np.concatenate([(row + dy) * nx + column + dx for dy in (-1, 0, 1) for dx in (-1, 0, 1)])
    samples = np.tile(sample, 9)
    order = np.lexsort((samples, cells))
    start = np.zeros(nx * ny + 1, np.int32)
    np.cumsum(np.bincount(cells, minlength=nx * ny), out=start[1:])
    return SpatialIndex(cell_m, x0, y0, nx, ny, start, samples[order].astype(np.int32))
