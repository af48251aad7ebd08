"""The bird's-eye view for films and strips: the ground of a whole drive painted once, then turned and cut for every frame.

Works for every simulator, since it paints road networks and step logs; needs no compiled kernel. Colours are BGR, as OpenCV has them.
"""

import math

import cv2
import numpy as np
from numpy.typing import NDArray

from carla_rl.records.steps import StepLog
from carla_rl.report.ground import Ground
from carla_rl.report.instants import Instant
from carla_rl.report.painted import GRASS, SHIFT, Colour, Floats, Image, colour_table, paint_ground
from carla_rl.roads.network import Right
from carla_rl.types import LightState, ObjectKind

METRES_PER_PX = 0.13
AHEAD = 0.66
"""Share of the height that shows what is ahead of the ego."""
TRAIL_DECISIONS = 60
"""How much of the way driven is shown."""
WEDGE_M = 0.9
"""Half length above which a box shows its front."""
_FAR = float(1 << 15)
_ALONG = np.array((1.0, 1.0, -1.0, -1.0, 0.85, 0.35, 0.35, 0.0))[:, None]
_ACROSS = np.array((1.0, -1.0, -1.0, 1.0, 0.0, 0.7, -0.7, 0.0))[:, None]
"""Corners of a box and of its wedge, and its middle, in half lengths and half widths."""
FARTHEST = math.hypot(0.5, AHEAD)
"""From the ego to the farthest corner of a picture, in sizes of it."""
LONGEST_M = 8.0
"""Half the length of a long vehicle: so far outside a picture its middle may be while a part of it shows."""
EGO_HALF_LENGTH, EGO_HALF_WIDTH = 2.45, 1.06
"""m, of CARLA's Lincoln MKZ 2020, the leaderboard's ego."""

WHITE: Colour = (236, 240, 240)
TRAIL: Colour = (200, 170, 110)
EDGE: Colour = (20, 20, 20)
EGO: Colour = (239, 174, 0)
PLAN: Colour = (255, 210, 60)
SFT: Colour = (40, 160, 255)
EXPERT: Colour = (110, 220, 120)
ALARM: Colour = (60, 60, 235)
LIGHTS: dict[int, Colour] = {
    LightState.NONE: (120, 120, 120),
    LightState.GREEN: (90, 220, 60),
    LightState.YELLOW: (40, 200, 255),
    LightState.RED: (50, 50, 245),
}
ACTORS: dict[int, Colour] = {
    ObjectKind.VEHICLE: (190, 170, 150),
    ObjectKind.PEDESTRIAN: (160, 70, 240),
    ObjectKind.STATIC: (80, 110, 150),
    ObjectKind.BICYCLE: (60, 190, 240),
    ObjectKind.EMERGENCY: (60, 60, 255),
    ObjectKind.NONE: EGO,
}
"""The ego, which no actor table has, goes by NONE."""


class BirdPainter:
    """Draws one drive from above, heading up. Not for use from two threads at a time."""

    def __init__(self, log: StepLog, ground: Ground | None, size: int) -> None:
        """`size` is the width and height of a picture in pixels; without `ground` only the route is drawn."""
        self._log = log
        self._size = size
        self._canvas = paint_ground(log, ground, size * METRES_PER_PX, METRES_PER_PX)
        self._colours = colour_table()
        self._stops = np.zeros((0, 6)) if ground is None else ground.stop_lines
        self._trail = log.ego[:, :2].astype(np.float64)
        named = ((log.expert_waypoints, EXPERT), (log.sft_waypoints, SFT), (log.waypoints, PLAN))
        self._plans = [(_to_map(plans, log.ego), colour) for plans, colour in named if plans is not None]

    def draw(self, now: Instant, *, alarm: tuple[float, float] | None = None, into: Image | None = None) -> Image:
        """The picture (size, size, 3) of an instant; `alarm` is a place in the map frame that gets a ring.

        It is drawn on `into` where that is given: a part of a larger picture.
        """
        picture = self._cut(now, into)
        frame = _Frame(picture, now, self._size)
        self._draw_lights(frame, now)
        frame.line(self._trail[max(0, now.decision - TRAIL_DECISIONS) : now.decision + 1], TRAIL, 2)
        ego = np.array(((0.0, ObjectKind.NONE, now.x, now.y, now.yaw, now.speed, EGO_HALF_LENGTH, EGO_HALF_WIDTH),))
        frame.bodies(np.concatenate((now.actors, ego)))
        for plans, colour in self._plans:
            frame.plan(plans[now.decision], colour)
        if alarm is not None:
            frame.ring(alarm, 3.2, ALARM)
        return picture

    def _cut(self, now: Instant, into: Image | None) -> Image:
        """The painted ground about the ego, its heading up."""
        canvas, size = self._canvas, self._size
        c, s = math.cos(now.yaw), math.sin(now.yaw)
        step = METRES_PER_PX * canvas.scale
        # one pixel to the right is (s, -c) in the map frame, one down (-c, -s); the painted ground has its y turned
        right, down = np.array((s, c)) * step, np.array((-c, s)) * step
        centre = np.array(((now.x - canvas.x0) * canvas.scale, (canvas.y1 - now.y) * canvas.scale))
        matrix = np.stack((right, down, centre - right * size / 2 - down * size * AHEAD), axis=-1)
        flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
        cut = cv2.warpAffine(canvas.image, matrix, (size, size), flags=flags, borderMode=cv2.BORDER_CONSTANT, borderValue=GRASS)
        picture = np.empty((size, size, 3), np.uint8) if into is None else into
        cv2.applyColorMap(cut, self._colours, picture)
        return picture

    def _draw_lights(self, frame: "_Frame", now: Instant) -> None:
        near = np.flatnonzero(np.hypot(self._stops[:, 0] - now.x, self._stops[:, 1] - now.y) <= FARTHEST * self._size * METRES_PER_PX)
        if not len(near):
            return
        ends = frame.pixels(self._stops[near, :4].reshape(-1, 2)).reshape(-1, 2, 2)
        for line, (rule, signal) in zip(ends, self._stops[near, 4:6].astype(int).tolist(), strict=True):
            state = int(now.lights[signal]) if 0 <= signal < len(now.lights) else 0
            lit = rule == Right.SIGNAL
            frame.stroke(line, LIGHTS[state] if lit else WHITE, 4 if lit else 2)


class _Frame:
    """Draws on the picture of an instant, in the map frame."""

    def __init__(self, picture: Image, now: Instant, size: int) -> None:
        c, s = math.cos(now.yaw), math.sin(now.yaw)
        self._picture = picture
        self._turn = np.array(((s, -c), (-c, -s))) * ((1 << SHIFT) / METRES_PER_PX)
        self._offset = np.array((size / 2, size * AHEAD)) * (1 << SHIFT) - np.array((now.x, now.y)) @ self._turn
        self._centre = (now.x, now.y)
        self._reach = FARTHEST * size * METRES_PER_PX + LONGEST_M

    def line(self, points: Floats, colour: Colour, width: int) -> None:
        self.stroke(self.pixels(points), colour, width)

    def stroke(self, pixels: NDArray[np.int32], colour: Colour, width: int) -> None:
        cv2.polylines(self._picture, [pixels], False, colour, width, cv2.LINE_AA, SHIFT)

    def plan(self, points: Floats, colour: Colour) -> None:
        """A plan's waypoints (H, 2), every fifth with a dot."""
        pixels = self.pixels(points)
        self.stroke(pixels, colour, 2)
        for u, v in pixels[4::5].tolist():
            cv2.circle(self._picture, (u, v), 3 << SHIFT, colour, -1, cv2.LINE_AA, SHIFT)

    def bodies(self, actors: Floats) -> None:
        """The rows of an actor table that are within reach, the last on top: boxes with a pale wedge at the front where they are long
        enough to have one, pedestrians as dots."""
        x, y = self._centre
        near = actors[np.hypot(actors[:, 2] - x, actors[:, 3] - y) <= self._reach]
        c, s, length, width = np.cos(near[:, 4]), np.sin(near[:, 4]), near[:, 6], near[:, 7]
        along, across = _ALONG * length, _ACROSS * width
        # the corners, those of the wedge, and the middle: (8, A) each
        corners = np.stack((near[:, 2] + c * along - s * across, near[:, 3] + s * along + c * across), axis=-1)
        pixels = np.ascontiguousarray(self.pixels(corners.reshape(-1, 2)).reshape(*corners.shape).swapaxes(0, 1))
        for points, kind, half in zip(pixels, near[:, 1].astype(int).tolist(), length.tolist(), strict=True):
            if kind == ObjectKind.PEDESTRIAN:
                cv2.circle(self._picture, points[7].tolist(), 5 << SHIFT, ACTORS[kind], -1, cv2.LINE_AA, SHIFT)
                continue
            cv2.fillConvexPoly(self._picture, points[:4], ACTORS.get(kind, ACTORS[ObjectKind.VEHICLE]), cv2.LINE_AA, SHIFT)
            cv2.polylines(self._picture, [points[:4]], True, EDGE, 1, cv2.LINE_AA, SHIFT)
            if half > WEDGE_M:
                cv2.fillConvexPoly(self._picture, points[4:7], WHITE, cv2.LINE_AA, SHIFT)

    def ring(self, place: tuple[float, float], radius_m: float, colour: Colour) -> None:
        ((u, v),) = self.pixels(np.array((place,))).tolist()
        cv2.circle(self._picture, (u, v), round(radius_m / METRES_PER_PX * (1 << SHIFT)), colour, 3, cv2.LINE_AA, SHIFT)

    def pixels(self, points: Floats) -> NDArray[np.int32]:
        """Map points (P, 2) as OpenCV's shifted pixels."""
        uv = points @ self._turn
        uv += self._offset
        np.minimum(np.maximum(uv, -_FAR, out=uv), _FAR, out=uv)
        return np.rint(uv, out=uv).astype(np.int32)


def _to_map(plans: NDArray[np.float32], ego: NDArray[np.float32]) -> Floats:
    """Plans (T, H, 2), each in the frame of its row of `ego`, as points of the map."""
    x, y, yaw = (ego[: len(plans), i, None].astype(np.float64) for i in range(3))
    c, s = np.cos(yaw), np.sin(yaw)
    return np.stack((x + plans[..., 0] * c - plans[..., 1] * s, y + plans[..., 0] * s + plans[..., 1] * c), axis=-1)
