"""The ground of a whole drive, painted once as levels of one channel, with the colours that the levels stand for. BGR, as OpenCV has it."""

import math
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from carla_rl.records.steps import StepLog
from carla_rl.report.ground import Ground
from carla_rl.roads.network import LaneKind, Marking

Colour = tuple[int, int, int]
Image = NDArray[np.uint8]
Floats = NDArray[np.float64]

MOST_PIXELS = 60_000_000
"""The painted ground of a drive that needs more is painted coarser."""
SHIFT = 3
"""Bits of a fraction of a pixel."""
GRASS, ROAD, ROUTE, PARKED, SHOULDER, WALK, CURB, PAINT = 20, 60, 84, 100, 116, 164, 200, 250
"""Levels of the painted ground, which has one channel: it is turned in a third of the time, and coloured afterwards. Where two levels
meet, the colours between them show as a thin seam."""
SURFACES = {LaneKind.SIDEWALK: WALK, LaneKind.SHOULDER: SHOULDER, LaneKind.PARKING: PARKED, LaneKind.DRIVING: ROAD}
"""In the order in which they are painted."""
PALETTE: dict[int, Colour] = {
    0: (92, 128, 100),
    30: (92, 128, 100),
    50: (86, 82, 80),
    70: (86, 82, 80),
    ROUTE: (112, 106, 100),
    PARKED: (118, 108, 104),
    SHOULDER: (124, 130, 130),
    WALK: (160, 168, 172),
    CURB: (190, 198, 200),
    PAINT: (236, 240, 240),
    255: (236, 240, 240),
}
"""Colours of levels; between them they are mixed."""


@dataclass(frozen=True, slots=True)
class Canvas:
    """The painted ground: which pixel a place is."""

    image: Image
    """One channel of levels."""
    x0: float
    y1: float
    scale: float
    """Pixels a metre."""

    def pixels(self, points: NDArray[np.floating]) -> NDArray[np.int32]:
        """Map points (P, 2) as OpenCV's shifted pixels."""
        uv = np.stack((points[:, 0] - self.x0, self.y1 - points[:, 1]), axis=-1) * self.scale * (1 << SHIFT)
        return np.rint(uv).astype(np.int32)


def paint_ground(log: StepLog, ground: Ground | None, reach_m: float, finest_m: float) -> Canvas:
    """The ground of a drive and `reach_m` around it, a pixel `finest_m` or, for long drives, more; without `ground` the route alone."""
    xy = np.concatenate((log.ego[:, :2], log.route[:, :2])).astype(np.float64)
    low, high = xy.min(axis=0) - reach_m, xy.max(axis=0) + reach_m
    scale = min(1.0 / finest_m, math.sqrt(MOST_PIXELS / float(np.prod(high - low))))
    shape = (math.ceil((high[1] - low[1]) * scale), math.ceil((high[0] - low[0]) * scale))
    canvas = Canvas(np.full(shape, GRASS, np.uint8), float(low[0]), float(high[1]), scale)
    _paint(canvas, log, ground)
    return canvas


def _paint(canvas: Canvas, log: StepLog, ground: Ground | None) -> None:
    lanes = () if ground is None else ground.lanes
    for kind, level in SURFACES.items():
        for lane in lanes:
            if lane.kind == kind:
                outline = canvas.pixels(np.concatenate((lane.left, lane.right[::-1])))
                cv2.fillPoly(canvas.image, [outline], level, cv2.LINE_AA, SHIFT)
    width = max(1, round(float(2.0 * log.route[:, 3].mean()) * canvas.scale))
    cv2.polylines(canvas.image, [canvas.pixels(log.route[:, :2])], False, ROUTE, width, cv2.LINE_AA, SHIFT)
    for points in () if ground is None else ground.crosswalks:
        cv2.polylines(canvas.image, [canvas.pixels(points)], True, PAINT, 1, cv2.LINE_AA, SHIFT)
    for lane in lanes:
        if not lane.in_junction:
            for edge, marking in ((lane.left, lane.left_marking), (lane.right, lane.right_marking)):
                _mark(canvas, edge.astype(np.float64), marking)


def colour_table() -> Image:
    """(256, 1, 3): the colour of every level."""
    levels, colours = list(PALETTE), np.array(list(PALETTE.values()), np.float64)
    mixed = np.stack([np.interp(np.arange(256), levels, colours[:, k]) for k in range(3)], axis=-1)
    return np.rint(mixed).astype(np.uint8)[:, None]


def _mark(canvas: Canvas, edge: Floats, marking: int) -> None:
    match marking:
        case Marking.SOLID:
            lines, level = [edge], PAINT
        case Marking.CURB:
            lines, level = [edge], CURB
        case Marking.BROKEN:
            lines, level = _dashes(edge), PAINT
        case _:
            return
    cv2.polylines(canvas.image, [canvas.pixels(line) for line in lines], False, level, 1, cv2.LINE_AA, SHIFT)


def _dashes(edge: Floats, dash: float = 3.0, gap: float = 4.5) -> list[Floats]:
    """A line cut into dashes, m."""
    along = np.concatenate(([0.0], np.cumsum(np.hypot(*np.diff(edge, axis=0).T))))
    starts = np.arange(0.0, along[-1], dash + gap)
    ends = np.minimum(starts + dash, along[-1])
    return [np.stack([np.interp((a, b), along, edge[:, k]) for k in (0, 1)], axis=-1) for a, b in zip(starts, ends, strict=True)]
