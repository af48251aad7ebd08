"""The ground of a town that is not level: heights at the nodes of a grid, from the roads, and where a ray meets it.

On and beside roads the ground is as high as they are; between them it goes smoothly from one to the other. Where roads cross above one
another there are two *storeys*, the lower and the upper roads; who looks sees the ground of the storey on which it stands.

SciPy is loaded where it is needed: most towns are level, and a server shall start at once.
"""

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from carla_rl.roads.network import RoadNetwork, Roads
from carla_rl.world.compiled import inline_rule

CELL_M, MOST_CELLS = 4.0, 1024
"""Distance of the nodes, and how many there are along the longer side at most; larger towns have larger cells."""
MARGIN_M = 24.0
STOREY_M, CROSSING_M = 3.0, 16.0
"""Roads of two storeys are at least so much above one another, within so many m."""
ON_ROAD_M = 8.0
"""Nodes so near to the middle of a lane are as high as it is; others are smoothed SMOOTHINGS times."""
SMOOTHINGS = 40
REACH_M = 160.0
"""Around who looks; beyond, the ground is as at the edge."""
EVEN_M = 0.05
STEEP, LEAST_M, LEAST_SHARE = 0.35, 1.0, 0.03
"""A ray goes in steps: what the steepest ground would allow, but none steeper than this, and at least so many m and such a share of its
way."""
GRID = 6


class Relief(NamedTuple):
    """A part of the ground."""

    heights: NDArray[np.float64]
    """(rows, columns) m; (0, 0): it is level there."""
    grid: NDArray[np.float64]
    """(GRID,) x and y of the first node, distance of the nodes, least and greatest height, how steep it is at most."""


LEVEL = Relief(np.zeros((0, 0)), np.zeros(GRID))


class Ground:
    """The ground of a town that is not level."""

    def __init__(self, network: RoadNetwork) -> None:
        roads = network.roads
        low = np.array((roads.x.min(), roads.y.min())) - MARGIN_M
        span = np.array((roads.x.max(), roads.y.max())) + MARGIN_M - low
        self._cell = max(CELL_M, float(span.max()) / MOST_CELLS)
        self._low = low
        columns, rows = (int(n) for n in np.ceil(span / self._cell) + 1)
        x, y = np.meshgrid(low[0] + self._cell * np.arange(columns), low[1] + self._cell * np.arange(rows))
        lower, upper = self._storeys(roads, (rows, columns))
        self._heights = [_surface(roads, x, y, lower)]
        if not upper.all():
            self._heights.append(_surface(roads, x, y, upper))
        self._around: tuple[tuple[int, int, int], Relief] = ((-1, -1, -1), LEVEL)
        """The storey and the node that were looked from last, and what was seen: who looks again is mostly at the same node."""

    def around(self, x: float, y: float, z: float) -> Relief:
        """What who looks from there sees, on a road of the height z."""
        column, row = round((x - self._low[0]) / self._cell), round((y - self._low[1]) / self._cell)
        rows, columns = self._heights[0].shape
        column, row = min(max(column, 0), columns - 1), min(max(row, 0), rows - 1)
        storey = min(range(len(self._heights)), key=lambda k: abs(float(self._heights[k][row, column]) - z))
        key, part = self._around
        if key != (storey, row, column):
            part = self._part(self._heights[storey], row, column)
            self._around = (storey, row, column), part
        return part

    def _part(self, heights: NDArray[np.float64], row: int, column: int) -> Relief:
        """The ground of a storey around a node."""
        reach = math.ceil(REACH_M / self._cell)
        first_row, first_column = max(row - reach, 0), max(column - reach, 0)
        part = np.ascontiguousarray(heights[first_row : row + reach + 1, first_column : column + reach + 1])
        low, high = float(part.min()), float(part.max())
        if high - low < EVEN_M:
            return LEVEL
        corner = self._low + self._cell * np.array((first_column, first_row))
        steep = math.hypot(float(np.abs(np.diff(part, axis=0)).max()), float(np.abs(np.diff(part, axis=1)).max())) / self._cell
        return Relief(part, np.array((*corner, self._cell, low, high, min(steep, STEEP))))

    def _storeys(self, roads: Roads, shape: tuple[int, int]) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
        """(S,) which samples are of the lower and of the upper storey; most are of both."""
        from scipy.ndimage import maximum_filter, minimum_filter

        cell = tuple(np.rint((np.stack((roads.y, roads.x)) - self._low[::-1, None]) / self._cell).astype(np.int64))
        least, most = np.full(shape, np.inf), np.full(shape, -np.inf)
        np.minimum.at(least, cell, roads.z)
        np.maximum.at(most, cell, roads.z)
        size = 2 * math.ceil(CROSSING_M / self._cell / 2.0) + 1
        return roads.z < minimum_filter(least, size)[cell] + STOREY_M, roads.z > maximum_filter(most, size)[cell] - STOREY_M


def _surface(roads: Roads, x: NDArray[np.float64], y: NDArray[np.float64], chosen: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Heights of the nodes by the chosen samples."""
    from scipy.spatial import cKDTree

    rise, lane = np.zeros(len(roads.z)), roads.sample_lane
    inner = np.flatnonzero(lane[1:] == lane[:-1])
    rise[inner] = (roads.z[inner + 1] - roads.z[inner]) / np.maximum(roads.s[inner + 1] - roads.s[inner], 1e-6)
    last = roads.start[1:][np.diff(roads.start) > 1] - 1
    rise[last] = rise[last - 1]
    samples = np.flatnonzero(chosen)
    tree = cKDTree(np.stack((roads.x, roads.y), axis=-1)[samples])
    found = np.asarray(tree.query(np.stack((x.ravel(), y.ravel()), axis=-1))[1], np.int64)
    k = samples[found].reshape(x.shape)
    past = (x - roads.x[k]) * np.cos(roads.yaw[k]) + (y - roads.y[k]) * np.sin(roads.yaw[k])
    on_road = np.hypot(x - roads.x[k], y - roads.y[k]) < ON_ROAD_M
    heights: NDArray[np.float64] = roads.z[k] + np.where(on_road, rise[k] * past, 0.0)
    for _ in range(SMOOTHINGS):
        wide = np.pad(heights, 1, mode="edge")
        mean = 0.25 * (wide[:-2, 1:-1] + wide[2:, 1:-1] + wide[1:-1, :-2] + wide[1:-1, 2:])
        heights = np.where(on_road, heights, mean)
    return heights


@inline_rule
def height(heights: NDArray[np.float64], grid: NDArray[np.float64], x: float, y: float) -> float:
    """Height in m at a place; outside of the grid that of its edge. A cell is two triangles that share its first and its last corner."""
    u = min(max((x - grid[0]) / grid[2], 0.0), heights.shape[1] - 1.001)
    v = min(max((y - grid[1]) / grid[2], 0.0), heights.shape[0] - 1.001)
    i, j = int(v), int(u)
    p, q = v - i, u - j
    first, last = heights[i, j], heights[i + 1, j + 1]
    if q > p:
        return float(first + q * (heights[i, j + 1] - first) + p * (last - heights[i, j + 1]))
    return float(first + p * (heights[i + 1, j] - first) + q * (last - heights[i + 1, j]))


@inline_rule
def meet(
    heights: NDArray[np.float64],
    grid: NDArray[np.float64],
    origin: NDArray[np.float64],
    x: float,
    y: float,
    z: float,
    limit: float,
) -> float:
    """How often a direction (x, y, z) can be gone from the origin until the ground is met; `limit` where that is not before.

    Who begins below the ground meets none.
    """
    flat, at = math.sqrt(x * x + y * y), 0.0
    if origin[2] > grid[4]:
        if z >= 0.0:
            return limit
        at = (grid[4] - origin[2]) / z
    gap = origin[2] + at * z - height(heights, grid, origin[0] + at * x, origin[1] + at * y)
    if gap < 0.0 and at == 0.0:
        return limit
    while at < limit and (z <= 0.0 or origin[2] + at * z <= grid[4]):
        # as far as steep ground would allow, and at least so far that only a small crest far away is missed
        step = max(gap / (grid[5] * flat + abs(z)), (LEAST_M + LEAST_SHARE * at * flat) / max(flat, 0.2))
        after = origin[2] + (at + step) * z - height(heights, grid, origin[0] + (at + step) * x, origin[1] + (at + step) * y)
        if after <= 0.0:
            return float(min(at + step * gap / (gap - after), limit))
        at, gap = at + step, after
    return limit


@inline_rule
def cosine(heights: NDArray[np.float64], grid: NDArray[np.float64], x: float, y: float, way: tuple[float, float, float]) -> float:
    """The cosine of the angle at which a unit vector comes to the ground at a place."""
    rise_x = height(heights, grid, x + 0.5, y) - height(heights, grid, x - 0.5, y)
    rise_y = height(heights, grid, x, y + 0.5) - height(heights, grid, x, y - 0.5)
    return float(abs(way[2] - rise_x * way[0] - rise_y * way[1]) / math.sqrt(1.0 + rise_x * rise_x + rise_y * rise_y))
