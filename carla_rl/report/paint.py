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
_ALONG = np.array((1.0, 1.0, -1.0, -1.0, 0.85, 0.35, 0.35))[:, None]
_ACROSS = np.array((1.0, -1.0, -1.0, 1.0, 0.0, 0.7, -0.7))[:, None]
"""Corners of a box and of its wedge, in half lengths and half widths."""
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
}


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

    def draw(self, now: Instant, *, alarm: tuple[float, float] | None = None) -> Image:
        """The picture (size, size, 3) of an instant; `alarm` is a place in the map frame that gets a ring."""
        picture = self._cut(now)
        frame = _Frame(picture, now, self._size)
        self._draw_lights(frame, now)
        frame.line(self._trail[max(0, now.decision - TRAIL_DECISIONS) : now.decision + 1], TRAIL, 2)
        frame.actors(now.actors)
        ego = np.array(((0.0, ObjectKind.NONE, now.x, now.y, now.yaw, now.speed, EGO_HALF_LENGTH, EGO_HALF_WIDTH),))
        frame.boxes(ego, [EGO])
        for plans, colour in self._plans:
            frame.plan(plans[now.decision], colour)
        if alarm is not None:
            frame.ring(alarm, 3.2, ALARM)
        return picture

    def _cut(self, now: Instant) -> Image:
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
        picture: Image = cv2.applyColorMap(cut, self._colours)
        return picture

    def _draw_lights(self, frame: "_Frame", now: Instant) -> None:
        stops = self._stops
        near = stops[np.hypot(stops[:, 0] - now.x, stops[:, 1] - now.y) <= self._size * METRES_PER_PX]
        for stop in near:
            rule, signal = int(stop[4]), int(stop[5])
            state = int(now.lights[signal]) if 0 <= signal < len(now.lights) else 0
            lit = rule == Right.SIGNAL
            frame.line(stop[:4].reshape(2, 2), LIGHTS[state] if lit else WHITE, 4 if lit else 2)


class _Frame:
    """Draws on the picture of an instant, in the map frame."""

    def __init__(self, picture: Image, now: Instant, size: int) -> None:
        c, s = math.cos(now.yaw), math.sin(now.yaw)
        self._picture = picture
        self._turn = np.array(((s, -c), (-c, -s))) * ((1 << SHIFT) / METRES_PER_PX)
        self._offset = np.array((size / 2, size * AHEAD)) * (1 << SHIFT) - np.array((now.x, now.y)) @ self._turn
        self._centre = np.array((now.x, now.y))
        self._reach = 1.2 * size * METRES_PER_PX

    def line(self, points: Floats, colour: Colour, width: int) -> None:
        cv2.polylines(self._picture, [self._pixels(points)], False, colour, width, cv2.LINE_AA, SHIFT)

    def plan(self, points: Floats, colour: Colour) -> None:
        """A plan's waypoints (H, 2), every fifth with a dot."""
        pixels = self._pixels(points)
        cv2.polylines(self._picture, [pixels], False, colour, 2, cv2.LINE_AA, SHIFT)
        for u, v in pixels[4::5].tolist():
            cv2.circle(self._picture, (u, v), 3 << SHIFT, colour, -1, cv2.LINE_AA, SHIFT)

    def actors(self, actors: Floats) -> None:
        """The rows of an actor table that are within reach."""
        near = actors[np.hypot(actors[:, 2] - self._centre[0], actors[:, 3] - self._centre[1]) <= self._reach]
        walking = near[:, 1] == ObjectKind.PEDESTRIAN
        for u, v in self._pixels(near[walking, 2:4]).tolist():
            cv2.circle(self._picture, (u, v), 5 << SHIFT, ACTORS[ObjectKind.PEDESTRIAN], -1, cv2.LINE_AA, SHIFT)
        others = near[~walking]
        self.boxes(others, [ACTORS.get(kind, ACTORS[ObjectKind.VEHICLE]) for kind in others[:, 1].astype(int).tolist()])

    def boxes(self, actors: Floats, colours: list[Colour]) -> None:
        """Rectangles with a pale wedge at the front, where they are long enough to have one."""
        front = np.stack((np.cos(actors[:, 4]), np.sin(actors[:, 4])), axis=-1)
        left = np.stack((-front[:, 1], front[:, 0]), axis=-1)
        nose, side = (front * actors[:, 6:7])[:, None], (left * actors[:, 7:8])[:, None]
        centre = actors[:, None, 2:4]
        corners = self._pixels(centre + nose * _ALONG + side * _ACROSS)
        for points, length, colour in zip(corners, actors[:, 6].tolist(), colours, strict=True):
            cv2.fillConvexPoly(self._picture, points[:4], colour, cv2.LINE_AA, SHIFT)
            cv2.polylines(self._picture, [points[:4]], True, EDGE, 1, cv2.LINE_AA, SHIFT)
            if length > WEDGE_M:
                cv2.fillConvexPoly(self._picture, points[4:], WHITE, cv2.LINE_AA, SHIFT)

    def ring(self, place: tuple[float, float], radius_m: float, colour: Colour) -> None:
        ((u, v),) = self._pixels(np.array((place,))).tolist()
        cv2.circle(self._picture, (u, v), round(radius_m / METRES_PER_PX * (1 << SHIFT)), colour, 3, cv2.LINE_AA, SHIFT)

    def _pixels(self, points: Floats) -> NDArray[np.int32]:
        uv = points @ self._turn + self._offset
        return np.rint(np.clip(uv, -_FAR, _FAR)).astype(np.int32)


def _to_map(plans: NDArray[np.float32], ego: NDArray[np.float32]) -> Floats:
    """Plans (T, H, 2), each in the frame of its row of `ego`, as points of the map."""
    x, y, yaw = (ego[: len(plans), i, None].astype(np.float64) for i in range(3))
    c, s = np.cos(yaw), np.sin(yaw)
    return np.stack((x + plans[..., 0] * c - plans[..., 1] * s, y + plans[..., 0] * s + plans[..., 1] * c), axis=-1)
