"""Buildings beside the roads of a town: oriented boxes, worked out from the road network by a fixed rule. A town always has the same.

CARLA's own buildings are in its assets and not in OpenDRIVE: these are none of them. They stand in rows along the outermost lanes, and
never within CLEAR_M of any lane, sidewalk or crosswalk, in a junction, or on an island between roads. The kernel does not know them.
"""

import math
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from carla_rl.roads.network import RoadNetwork, Roads
from toy_env.render.palette import Ground
from toy_env.render.strips import edge, ground_quads

CLEAR_M = 3.0
"""From every surface of a road,"""
FAST_CLEAR_M = 12.0
"""and from the road along which they stand where that is faster than FAST_MPS."""
FAST_MPS = 17.0
ISLAND_M2 = 1600.0
"""Free ground that roads enclose and that is smaller than this has none."""
FRONT_M, DEPTH_M, GAP_M = (9.0, 24.0), (9.0, 16.0), (1.5, 9.0)
"""Least and most length along the road, depth, and distance of two in a row."""
STOREYS, STOREY_M = (1, 6), 3.2
APART_M = 1.0
"""From buildings of other rows."""
STEP_M = 4.0
"""Where none has room the next one is tried so far on."""
FOOT_M = 3.0
"""They begin so far below the lowest road beside them where the roads of the town are not level."""
CELL_M, MOST_CELLS = 0.5, 4096
"""Side of a cell of the raster, and how many there are along the longer side at most; larger towns have larger cells."""
MARGIN_M = 60.0
SEED = 20
PAINTS = np.array([(176, 160, 138), (156, 92, 74), (198, 190, 176), (122, 128, 136), (206, 178, 132), (142, 148, 128)], np.float64)
"""RGB of walls."""
_LINES = (Ground.WHITE, Ground.YELLOW, Ground.CURB)


class Building(NamedTuple):
    """A building in the map frame: middle of its ground plan and heading of its front's length in m and rad, half sizes, heights in m."""

    x: float
    y: float
    yaw: float
    half_length: float
    half_width: float
    bottom: float
    top: float
    paint: tuple[float, float, float]


class _Ground:
    """Where there is room: a raster over the town."""

    def __init__(self, network: RoadNetwork) -> None:
        quads = ground_quads(network)
        corners = quads.corners[~np.isin(quads.colour, _LINES)]
        low, high = corners.min(axis=(0, 1)) - MARGIN_M, corners.max(axis=(0, 1)) + MARGIN_M
        self._cell = max(CELL_M, float((high - low).max()) / MOST_CELLS)
        self._low = low
        columns, rows = (int(n) for n in np.ceil((high - low) / self._cell))
        free = np.ones((rows, columns), np.uint8)
        for polygon in (*corners, *_junctions(network.roads)):
            cv2.fillConvexPoly(free, np.rint((polygon - low) / self._cell - 0.5).astype(np.int32), 0)
        _, numbers, stats, _ = cv2.connectedComponentsWithStats(free, connectivity=4)
        small = stats[:, cv2.CC_STAT_AREA] * self._cell**2 < ISLAND_M2
        away = cv2.distanceTransform(free, cv2.DIST_L2, cv2.DIST_MASK_PRECISE).astype(np.float64) * self._cell
        away[small[numbers]] = 0.0
        # what is painted is rounded to cells
        self._away: NDArray[np.float64] = away - self._cell
        self._taken = np.zeros((rows, columns), np.bool_)

    def take(self, x: float, y: float, yaw: float, half: tuple[float, float], clear: float) -> bool:
        """Whether a rectangle is free and so far from all roads; then it is no longer free."""
        c, s = math.cos(yaw), math.sin(yaw)
        reach = [half[0] + APART_M, half[1] + APART_M]
        u, v = np.meshgrid(*(np.linspace(-size, size, math.ceil(2.0 * size / self._cell) + 1) for size in reach))
        column = np.floor((x + u * c - v * s - self._low[0]) / self._cell).astype(np.int64)
        row = np.floor((y + u * s + v * c - self._low[1]) / self._cell).astype(np.int64)
        rows, columns = self._away.shape
        if column.min() < 0 or row.min() < 0 or column.max() >= columns or row.max() >= rows:
            return False
        # the rectangle with the strip around it is APART_M nearer to the road
        if self._away[row, column].min() < clear - APART_M * math.sqrt(2.0) or self._taken[row, column].any():
            return False
        inner = (np.abs(u) <= half[0]) & (np.abs(v) <= half[1])
        if self._away[row[inner], column[inner]].min() < clear:
            return False
        self._taken[row[inner], column[inner]] = True
        return True


def buildings(network: RoadNetwork) -> list[Building]:
    """All buildings of a town."""
    roads, ground = network.roads, _Ground(network)
    random = np.random.Generator(np.random.Philox(SEED))
    level = bool(np.ptp(roads.z) < 0.05)
    found: list[Building] = []
    for lane in _outermost(roads):
        for side in (-1.0, 1.0):
            found += _row(roads, int(lane), side, ground, random, level)
    return found


def _row(roads: Roads, lane: int, side: float, ground: _Ground, random: np.random.Generator, level: bool) -> list[Building]:
    """The buildings along one side (1: left) of a lane."""
    part = slice(int(roads.start[lane]), int(roads.start[lane + 1]))
    s, z = roads.s[part], roads.z[part]
    clear = FAST_CLEAR_M if roads.speed_limit[lane] > FAST_MPS else CLEAR_M
    row: list[Building] = []
    at = 0.0
    while True:
        draws = random.random(6)
        front, depth, gap = (low + share * (high - low) for share, (low, high) in zip(draws, (FRONT_M, DEPTH_M, GAP_M), strict=False))
        if at + front > s[-1]:
            return row
        middle = at + 0.5 * front
        x, y, half = (float(np.interp(middle, s, values[part])) for values in (roads.x, roads.y, roads.half_width))
        yaw = float(np.interp(middle, s, np.unwrap(roads.yaw[part])))
        # two cells more than needed: the raster rounds
        aside = side * (half + clear + 2.0 * CELL_M + 0.5 * depth)
        x, y = x - aside * math.sin(yaw), y + aside * math.cos(yaw)
        if not ground.take(x, y, yaw, (0.5 * front, 0.5 * depth), clear):
            at += STEP_M
            continue
        beside = z[(s >= at - 2.0) & (s <= at + front + 2.0)]
        storeys = STOREYS[0] + int(draws[3] * draws[4] * (STOREYS[1] - STOREYS[0] + 1))
        bottom = float(beside.min()) - (0.0 if level else FOOT_M)
        paint = PAINTS[int(draws[5] * len(PAINTS))]
        top = float(beside.max()) + storeys * STOREY_M
        row.append(Building(x, y, yaw, 0.5 * front, 0.5 * depth, bottom, top, (float(paint[0]), float(paint[1]), float(paint[2]))))
        at += front + gap


def _outermost(roads: Roads) -> NDArray[np.int64]:
    """The outermost lane of each side of each section of each road outside junctions."""
    outside = np.flatnonzero(roads.junction < 0)
    order = outside[np.lexsort((np.abs(roads.lane_id[outside]), roads.lane_id[outside] > 0, roads.section[outside], roads.road[outside]))]
    keys = np.stack((roads.road[order], roads.section[order], roads.lane_id[order] > 0), axis=-1)
    last = np.append((keys[1:] != keys[:-1]).any(axis=1), True)
    found: NDArray[np.int64] = order[last].astype(np.int64)
    return found


def _junctions(roads: Roads) -> list[NDArray[np.float64]]:
    """The convex hull of the lanes of each junction: (P, 2) m."""
    hulls = []
    of_sample = roads.junction[roads.sample_lane]
    for junction in np.unique(of_sample[of_sample >= 0]):
        samples = np.flatnonzero(of_sample == junction)
        points = np.concatenate((edge(roads, samples, 1.0), edge(roads, samples, -1.0))).astype(np.float32)
        hulls.append(cv2.convexHull(points)[:, 0].astype(np.float64))
    return hulls
