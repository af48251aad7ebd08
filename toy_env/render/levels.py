"""Which storey of a town a thing is on, from its place and heading alone: a scene does not record heights."""

import math

import numba
import numpy as np
from numpy.typing import NDArray

from carla_rl.roads.network import RoadNetwork
from carla_rl.types import Floats

_TURN_M2 = 30.0
"""What a heading across the lane costs, in m^2 of squared distance: of two crossing roads a vehicle is on the one that it follows."""


def heights(network: RoadNetwork, x: Floats, y: Floats, yaw: Floats) -> NDArray[np.float64]:
    """Height in m of the driving or parking lane that fits each place and heading best, NaN where none is near; any shape."""
    roads = network.roads
    out = np.empty(x.size, np.float64)
    _heights(
        np.array(x, np.float64, order="C").reshape(-1),
        np.array(y, np.float64, order="C").reshape(-1),
        np.array(yaw, np.float64, order="C").reshape(-1),
        np.array((roads.cell_m, roads.cell_x0, roads.cell_y0)),
        int(roads.cell_nx),
        int(roads.cell_ny),
        np.array(roads.cell_start),
        np.array(roads.cell_sample),
        np.stack((roads.x, roads.y, roads.z, roads.yaw), axis=-1),
        out,
    )
    return out.reshape(x.shape)


@numba.njit(cache=True)
def _heights(
    x: NDArray[np.float64],
    y: NDArray[np.float64],
    yaw: NDArray[np.float64],
    grid: NDArray[np.float64],
    nx: int,
    ny: int,
    cell_start: NDArray[np.int32],
    cell_sample: NDArray[np.int32],
    samples: NDArray[np.float64],
    out: NDArray[np.float64],
) -> None:
    for k in range(len(x)):
        out[k] = math.nan
        column, row = math.floor((x[k] - grid[1]) / grid[0]), math.floor((y[k] - grid[2]) / grid[0])
        if not (0 <= column < nx and 0 <= row < ny):
            continue
        best = math.inf
        cell = int(row * nx + column)
        for m in range(cell_start[cell], cell_start[cell + 1]):
            sample = cell_sample[m]
            dx, dy = samples[sample, 0] - x[k], samples[sample, 1] - y[k]
            cost = dx * dx + dy * dy + _TURN_M2 * (1.0 - math.cos(samples[sample, 3] - yaw[k]))
            if cost < best:
                best = cost
                out[k] = samples[sample, 2]
