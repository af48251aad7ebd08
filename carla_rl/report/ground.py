"""The ground of a town as outlines for drawing: lanes as polygons with their lines, crosswalks, stop lines.

Outlines are simplified to a few centimetres, and only what lies near the drives is kept. Knows nothing of who draws them.
"""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from carla_rl.report.pack import Table, pack
from carla_rl.roads.network import Right, RoadNetwork

SIMPLIFY_M = 0.08
"""Largest distance between an outline and its simplified form."""
NEAR_M = 90.0
"""Lanes farther than this from every place given are left out."""
CELL_M = 30.0
"""Side of the squares in which nearness is looked up."""
_GRAIN_M = 0.04

Points = NDArray[np.float32]


@dataclass(frozen=True)
class LaneShape:
    """One lane: both edges in its direction of travel, map frame."""

    kind: int
    """`LaneKind`."""
    left: Points
    """(P, 2) m."""
    right: Points
    """(Q, 2) m."""
    left_marking: int
    """`Marking`."""
    right_marking: int
    in_junction: bool


@dataclass(frozen=True)
class Ground:
    """What of a town is drawn."""

    town: str
    lanes: tuple[LaneShape, ...]
    crosswalks: tuple[Points, ...]
    stop_lines: NDArray[np.float64]
    """(K, 6): x1, y1, x2, y2 in m, `Right` of the entry, index of its signal or -1."""


def make_ground(network: RoadNetwork, places: NDArray[np.floating]) -> Ground:
    """The ground near `places` (P, 2) m, map frame."""
    roads = network.roads
    near = _near_cells(places)
    centre = np.stack((roads.x, roads.y), axis=-1)
    side = np.stack((-np.sin(roads.yaw), np.cos(roads.yaw)), axis=-1) * roads.half_width[:, None]
    kept = _is_near(centre, near)
    lanes, lines = [], []
    for lane in range(len(roads.road)):
        part = slice(int(roads.start[lane]), int(roads.start[lane + 1]))
        if not kept[part].any():
            continue
        left, right = centre[part] + side[part], centre[part] - side[part]
        lanes.append(
            LaneShape(
                int(roads.kind[lane]),
                _simplified(left),
                _simplified(right),
                int(roads.left_marking[lane]),
                int(roads.right_marking[lane]),
                bool(roads.junction[lane] >= 0),
            )
        )
        if roads.entry[lane] != Right.PRIORITY:
            lines.append((*left[0], *right[0], float(roads.entry[lane]), float(roads.signal[lane])))
    crosswalks = tuple(points.astype(np.float32) for points in network.crosswalks if _is_near(points, near).any())
    return Ground(network.town, tuple(lanes), crosswalks, np.array(lines, np.float64).reshape(-1, 6))


def pack_ground(ground: Ground) -> str:
    """For a page: `static/world.js` draws it."""
    lanes = ground.lanes
    about = [(lane.kind, len(lane.left), len(lane.right), lane.left_marking, lane.right_marking, int(lane.in_junction)) for lane in lanes]
    edges = [points for lane in lanes for points in (lane.left, lane.right)]
    return pack(
        (
            Table("lanes", np.array(about, np.int64).reshape(-1, 6)),
            Table("edges", np.concatenate([np.zeros((0, 2), np.float32), *edges]), _GRAIN_M, down=1),
            Table("crosswalks", np.array([len(points) for points in ground.crosswalks], np.int64)),
            Table("corners", np.concatenate([np.zeros((0, 2), np.float32), *ground.crosswalks]), _GRAIN_M, down=1),
            Table("stop_ends", ground.stop_lines[:, :4], _GRAIN_M, down=1),
            Table("stop_rules", ground.stop_lines[:, 4:]),
        )
    )


def _simplified(points: NDArray[np.float64]) -> Points:
    # about the first point, since OpenCV takes single precision
    origin = points[0]
    thin: Points = cv2.approxPolyDP((points - origin).astype(np.float32)[:, None], SIMPLIFY_M, False)[:, 0] + origin
    return thin.astype(np.float32)


def _near_cells(places: NDArray[np.floating]) -> NDArray[np.int64]:
    """The codes of all cells within NEAR_M of a place, sorted."""
    cells = np.unique(np.floor(np.asarray(places, np.float64) / CELL_M).astype(np.int64), axis=0)
    reach = int(np.ceil(NEAR_M / CELL_M))
    steps = np.arange(-reach, reach + 1)
    around = np.stack(np.meshgrid(steps, steps), axis=-1).reshape(-1, 2)
    return np.unique(_code((cells[:, None] + around[None]).reshape(-1, 2)))


def _is_near(points: NDArray[np.floating], near: NDArray[np.int64]) -> NDArray[np.bool_]:
    return np.isin(_code(np.floor(np.asarray(points, np.float64) / CELL_M).astype(np.int64)), near)


def _code(cells: NDArray[np.int64]) -> NDArray[np.int64]:
    code: NDArray[np.int64] = cells[:, 0] * np.int64(1 << 32) + cells[:, 1]
    return code
