"""The mesh on which the client's own crowd walks: sidewalks and crosswalks as square cells, in the file format of Recast's Detour.

The format is that of one tile of Detour (version 7, 32-bit references) in a `MSET` file, as recastnavigation's sample writes it; axes
are x, up, y of CARLA. Cells share their corners, so every two that touch are neighbours. Knows nothing of walkers.
"""

import hashlib
import struct

import numpy as np
from numpy.typing import NDArray

from carla_rl.roads.network import LaneKind, RoadNetwork

FORMAT = b"2"
"""Another one when the file of the same map changes."""
CELL_M = 1.0
FINE_M = 0.5
"""Distance between the points that find the cells of a surface."""
AROUND_CROSSWALK_M = 1.5
"""A crosswalk reaches so far beyond its polygon: to the sidewalks, if it can."""
MOST_CELLS = 60_000
MOST_CORNERS = 0xFFFF
"""Corners are numbered with 16 bits; a larger mesh is none."""
HALF_KEY = 1 << 20
"""Columns and rows are at most so far from 0."""
SIDEWALK, CROSSWALK = 1, 2
FLAGS = {SIDEWALK: 0x02, CROSSWALK: 0x04}
"""By area, as CARLA's crowd knows them."""
HEIGHT_M, RADIUS_M, CLIMB_M = 1.8, 0.3, 0.5

POLY = np.dtype([("link", "<u4"), ("verts", "<u2", 6), ("neighbours", "<u2", 6), ("flags", "<u2"), ("count", "u1"), ("area", "u1")])
DETAIL = np.dtype([("vert", "<u4"), ("tri", "<u4"), ("verts", "u1"), ("tris", "u1"), ("pad", "<u2")])
MAGIC, VERSION = 0x444E4156, 7
SET_MAGIC, SET_VERSION = 0x4D534554, 1
LINK_BYTES = 12
CORNERS = ((0, 0), (0, 1), (1, 1), (1, 0))
"""Of a cell: column, row. They turn as Detour wants it: with the other sense areas are negative and paths are not found."""
SIDES = ((-1, 0), (0, 1), (1, 0), (0, -1))
"""Beyond the side that begins at each corner: column, row."""


def nav_name(town: str, xodr: str) -> str:
    """Name of the mesh's file; clients keep files for ever, so it changes with the map and with this module's format."""
    return f"carla-rl-{town}-{hashlib.sha256(FORMAT + xodr.encode()).hexdigest()[:16]}.bin"


def nav_mesh(network: RoadNetwork) -> bytes | None:
    """The file; None where there is nothing to walk on, or too much."""
    cells, areas, heights = cells_of(network)
    if not 0 < len(cells) <= MOST_CELLS:
        return None
    around = np.concatenate([cells + np.array(corner) for corner in CORNERS])
    keys, numbers = np.unique(_key(around), return_inverse=True)
    corners = _cell(keys)
    if len(corners) >= MOST_CORNERS:
        return None
    quads = numbers.reshape(4, len(cells)).T
    up = np.zeros(len(corners))
    up[quads.ravel()] = np.repeat(heights, 4)
    verts = np.stack([corners[:, 0] * CELL_M, up, corners[:, 1] * CELL_M], axis=1).astype("<f4")
    return _file(verts, _polys(cells, areas, quads))


def cells_of(network: RoadNetwork) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]]:
    """(n, 2) column and row of the cells in CARLA's frame, (n,) area, (n,) height in m. A cell of both kinds is sidewalk."""
    parts = [(SIDEWALK, _sidewalks(network)), (CROSSWALK, _crosswalks(network))]
    points = np.concatenate([part for _, part in parts])
    area = np.concatenate([np.full(len(part), kind) for kind, part in parts])
    if not len(points):
        return np.zeros((0, 2), np.int64), np.zeros(0, np.int64), np.zeros(0)
    keys, first = np.unique(_key(_columns(points)), return_index=True)
    # the first point of a cell is a sidewalk's where there is one: they stand first
    return _cell(keys), area[first], points[first, 2]


def _columns(points: NDArray[np.float64]) -> NDArray[np.int64]:
    """(n, 2) column and row of the cells of points in the map frame."""
    return np.floor(np.stack([points[:, 0], -points[:, 1]], axis=1) / CELL_M).astype(np.int64)


def _key(cells: NDArray[np.int64]) -> NDArray[np.int64]:
    """(n,) one number for each column and row: rows of arrays are slow to sort."""
    key: NDArray[np.int64] = (cells[:, 0] + HALF_KEY) * (2 * HALF_KEY) + cells[:, 1] + HALF_KEY
    return key


def _cell(keys: NDArray[np.int64]) -> NDArray[np.int64]:
    """The inverse of `_key`."""
    return np.stack([keys // (2 * HALF_KEY) - HALF_KEY, keys % (2 * HALF_KEY) - HALF_KEY], axis=1)


def _sidewalks(network: RoadNetwork) -> NDArray[np.float64]:
    """(n, 3) points over all sidewalks, map frame."""
    roads = network.roads
    found = [np.zeros((0, 3))]
    for lane in np.flatnonzero(roads.kind == LaneKind.SIDEWALK):
        part = slice(int(roads.start[lane]), int(roads.start[lane + 1]))
        s = np.arange(0.0, float(roads.s[part][-1]) + FINE_M, FINE_M)
        x, y, z, half = (np.interp(s, roads.s[part], values[part]) for values in (roads.x, roads.y, roads.z, roads.half_width))
        yaw = np.interp(s, roads.s[part], np.unwrap(roads.yaw[part]))
        widest = float(half.max())
        aside = np.arange(-widest, widest + FINE_M, FINE_M)[:, None]
        all_z = np.broadcast_to(z, (len(aside), len(z)))
        points = np.stack([x - aside * np.sin(yaw), y + aside * np.cos(yaw), all_z], axis=-1)[np.abs(aside) <= half]
        # one of a cell is enough
        found.append(points[np.unique(_key(_columns(points)), return_index=True)[1]])
    return np.concatenate(found)


def _crosswalks(network: RoadNetwork) -> NDArray[np.float64]:
    """(n, 3) points over all crosswalks and a little around them."""
    found = [np.zeros((0, 3))]
    heights = network.roads
    for polygon in network.crosswalks:
        low, high = polygon.min(axis=0) - AROUND_CROSSWALK_M, polygon.max(axis=0) + AROUND_CROSSWALK_M
        x, y = (axis.ravel() for axis in np.meshgrid(*(np.arange(a, b, FINE_M) for a, b in zip(low, high, strict=True))))
        on = _inside(x, y, polygon)
        near = int(np.argmin(np.hypot(heights.x - polygon[:, 0].mean(), heights.y - polygon[:, 1].mean())))
        found.append(np.stack([x[on], y[on], np.full(int(on.sum()), float(heights.z[near]))], axis=1))
    return np.concatenate(found)


def _inside(x: NDArray[np.float64], y: NDArray[np.float64], polygon: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Whether points lie in a polygon or at most AROUND_CROSSWALK_M from its edges."""
    inside = np.zeros(len(x), np.bool_)
    nearest = np.full(len(x), np.inf)
    for (ax, ay), (bx, by) in zip(polygon, np.roll(polygon, -1, axis=0), strict=True):
        square = (bx - ax) ** 2 + (by - ay) ** 2
        if square == 0.0:
            continue
        share = np.clip(((x - ax) * (bx - ax) + (y - ay) * (by - ay)) / square, 0.0, 1.0)
        nearest = np.minimum(nearest, np.hypot(x - ax - share * (bx - ax), y - ay - share * (by - ay)))
        if ay != by:
            inside ^= ((ay > y) != (by > y)) & (x < (bx - ax) * (y - ay) / (by - ay) + ax)
    return inside | (nearest <= AROUND_CROSSWALK_M)


def _polys(cells: NDArray[np.int64], areas: NDArray[np.int64], quads: NDArray[np.int64]) -> NDArray[np.void]:
    """The polygons; each knows its neighbour beyond each of its sides (1 is the first, 0 is none)."""
    polys = np.zeros(len(cells), POLY)
    polys["verts"][:, :4], polys["count"], polys["area"] = quads, 4, areas
    polys["flags"] = np.where(areas == SIDEWALK, FLAGS[SIDEWALK], FLAGS[CROSSWALK])
    low, span = cells.min(axis=0) - 1, np.ptp(cells, axis=0) + 3
    number = np.zeros(tuple(span), np.int64)
    number[tuple((cells - low).T)] = np.arange(1, len(cells) + 1)
    for side, step in enumerate(SIDES):
        polys["neighbours"][:, side] = number[tuple((cells - low + np.array(step)).T)]
    return polys


def _file(verts: NDArray[np.float32], polys: NDArray[np.void]) -> bytes:
    """Header, tile and all, around corners and polygons. Every polygon is two triangles; links are made by who loads it."""
    count = len(polys)
    low, high = verts.min(axis=0) - np.array([0.0, 1.0, 0.0]), verts.max(axis=0) + np.array([0.0, HEIGHT_M, 0.0])
    links = int((polys["neighbours"] > 0).sum()) + 4 * count
    details = np.zeros(count, DETAIL)
    details["tri"], details["tris"] = 2 * np.arange(count), 2
    # corners of the two triangles, and which of their sides are sides of the polygon (2 bits a side)
    triangles = np.tile(np.array([[0, 1, 2, 0b000101], [0, 2, 3, 0b010100]], np.uint8), (count, 1))
    counts = (count, len(verts), links, count, 0, 2 * count, 0, 0, count)
    header = struct.pack("<5iI9i3f6ff", MAGIC, VERSION, 0, 0, 0, 0, *counts, HEIGHT_M, RADIUS_M, CLIMB_M, *low, *high, 1.0 / CELL_M)
    tile = header + verts.tobytes() + polys.tobytes() + bytes(LINK_BYTES * links) + details.tobytes() + triangles.tobytes()
    size = float(max(high[0] - low[0], high[2] - low[2])) + CELL_M
    most = 1 << (count - 1).bit_length()
    head = struct.pack("<iii3fffii", SET_MAGIC, SET_VERSION, 1, *low, size, size, 1, most)
    # the tile is the first of its kind (salt 1): the reference that it is added under
    reference = 1 << (max(most, 1).bit_length() - 1)
    return head + struct.pack("<Ii", reference, len(tile)) + tile
