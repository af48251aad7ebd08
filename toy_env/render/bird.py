"""The bird's-eye view: painted ground turned heading up, and all that stands on it from above. For people and reports."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numba
import numpy as np
from numpy.typing import NDArray

from carla_rl.errors import UsageError
from carla_rl.types import ObjectKind
from toy_env.render.palette import LIGHTS, RGB
from toy_env.render.sampling import add_row, write_row
from toy_env.render.shapes import Shape
from toy_env.render.things import LEVEL, SHAPE, SIGNAL, Furniture, X, actor_colours

Line = tuple[NDArray[np.float64] | NDArray[np.float32], RGB, int]
"""Points (N, P, 2) m in the ego frame, colour, width in pixels."""

EGO_COLOUR: RGB = (0, 174, 239)
EGO_HALF_LENGTH, EGO_HALF_WIDTH = 2.45, 1.06
"""m, of CARLA's Lincoln MKZ 2020, the leaderboard's ego."""
_LEVEL_M = 4.0
"""Furniture farther above or below the ego is not drawn."""
_FIXED = 3
_EDGE: RGB = (24, 24, 26)
_PALE: RGB = (245, 245, 245)
_WEDGE_M = 1.0
"""Half length above which a box shows its front."""


@dataclass(frozen=True, slots=True)
class BirdSpec:
    """Size and scale of a bird's-eye view."""

    width: int = 512
    height: int = 512
    metres_per_px: float = 0.15
    ahead: float = 0.65
    """Share of the height that shows what is ahead of the ego's centre."""

    def __post_init__(self) -> None:
        if self.width < 1 or self.height < 1 or not 0.01 <= self.metres_per_px <= 10.0 or not 0.0 <= self.ahead <= 1.0:
            raise UsageError(
                f"bird's-eye view {self}: give at least one pixel each way, 0.01 to 10 metres_per_px and ahead between 0 and 1"
            )

    @property
    def reach_m(self) -> float:
        """How far from the ego the farthest corner is, m."""
        return self.metres_per_px * math.hypot(max(self.ahead, 1.0 - self.ahead) * self.height, 0.5 * self.width)


@numba.njit(cache=True, error_model="numpy", parallel=True)
def draw_ground(
    pictures: NDArray[np.uint8],
    tiles: tuple[NDArray[np.uint8], NDArray[np.int32], NDArray[np.int64]],
    windows: NDArray[np.int32],
    poses: NDArray[np.float64],
    scale: float,
    row: float,
    level: int,
) -> None:
    """Fill pictures (N, H, W, 3) with ground, `scale` metres a pixel, the ego's centre `row` pixels from the top.

    `poses` (N, 3) holds x, y in m from the windows' corners, and yaw; `tiles` and `level` are those of `sampling.add_row`.
    """
    for env in numba.prange(len(pictures)):
        x, y, c, s = poses[env, 0], poses[env, 1], math.cos(poses[env, 2]), math.sin(poses[env, 2])
        total = np.empty(pictures.shape[2], np.int64)
        left = (0.5 * pictures.shape[2] - 0.5) * scale
        for i in range(pictures.shape[1]):
            ahead = (row - i - 0.5) * scale
            total[:] = 0
            x_left, y_left = x + ahead * c - left * s, y + ahead * s + left * c
            add_row(total, tiles[0], tiles[1], tiles[2], windows[env], x_left, y_left, scale * s, -scale * c, level, True)
            write_row(pictures[env, i], total, 0, 256, 0)


class Overlay:
    """Draws on one env's picture, in map or ego coordinates, smooth-edged."""

    def __init__(self, picture: NDArray[np.uint8], spec: BirdSpec, x: float, y: float, yaw: float) -> None:
        self._picture = picture
        self._spec = spec
        self._origin = np.array((x, y))
        self._axes = np.array(((math.cos(yaw), -math.sin(yaw)), (math.sin(yaw), math.cos(yaw))))

    def to_ego(self, points: NDArray[np.float64]) -> NDArray[np.float64]:
        """Map points (P, 2) in the ego frame."""
        offset = points - self._origin
        c, s = self._axes[0, 0], self._axes[1, 0]
        return np.stack((offset[:, 0] * c + offset[:, 1] * s, offset[:, 1] * c - offset[:, 0] * s), axis=-1)

    def polygon(self, points: NDArray[np.float64], colour: RGB, outline: RGB | None = None) -> None:
        """A filled convex polygon, ego frame."""
        pixels = self._pixels(points)
        cv2.fillConvexPoly(self._picture, pixels, colour, cv2.LINE_AA, _FIXED)
        if outline is not None:
            cv2.polylines(self._picture, [pixels], True, outline, 1, cv2.LINE_AA, _FIXED)

    def line(self, points: NDArray[np.float64], colour: RGB, width: int) -> None:
        """An open polyline, ego frame."""
        cv2.polylines(self._picture, [self._pixels(points)], False, colour, width, cv2.LINE_AA, _FIXED)

    def disc(self, point: NDArray[np.float64], radius_m: float, colour: RGB) -> None:
        """A disc with a dark rim, ego frame."""
        ((u, v),) = self._pixels(point[None])
        radius = max(radius_m / self._spec.metres_per_px, 2.0)
        for extra, paint in ((1.0, _EDGE), (0.0, colour)):
            cv2.circle(self._picture, (int(u), int(v)), round((radius + extra) * (1 << _FIXED)), paint, -1, cv2.LINE_AA, _FIXED)

    def _pixels(self, points: NDArray[np.float64]) -> NDArray[np.int32]:
        spec = self._spec
        u = 0.5 * spec.width - points[:, 1] / spec.metres_per_px - 0.5
        v = spec.ahead * spec.height - points[:, 0] / spec.metres_per_px - 0.5
        far = float(1 << 20)
        return np.rint(np.clip(np.stack((u, v), axis=-1) * (1 << _FIXED), -far, far)).astype(np.int32)


def draw_things(
    overlay: Overlay,
    actors: NDArray[np.float32],
    shown: NDArray[np.bool_],
    states: NDArray[np.int8],
    town: Furniture,
    near: float,
    level: float,
) -> None:
    """Stop lines, actors, the ego and lamps of one env; `near` m is how far from the ego things are drawn, `level` the ego's height."""
    for line in town.lines[np.abs(town.lines[:, 5] - level) <= _LEVEL_M]:
        ends = overlay.to_ego(line[:4].reshape(2, 2))
        state = int(states[int(line[6])])
        if state and np.hypot(*ends.mean(axis=0)) <= near:
            overlay.line(ends, _light(state), 3)
    drawn = actors[shown & (actors[:, 1] != ObjectKind.NONE)]
    for actor, colour in zip(drawn.astype(np.float64), actor_colours(drawn).tolist(), strict=True):
        centre = overlay.to_ego(actor[None, 2:4])[0]
        if np.hypot(*centre) <= near + 10.0:
            heading = float(actor[4])
            front = overlay.to_ego(actor[None, 2:4] + np.array(((math.cos(heading), math.sin(heading)),)))[0] - centre
            _box(overlay, centre, front, float(actor[6]), float(actor[7]), tuple(colour))
    _box(overlay, np.zeros(2), np.array((1.0, 0.0)), EGO_HALF_LENGTH, EGO_HALF_WIDTH, EGO_COLOUR)
    for thing in town.things[np.abs(town.things[:, LEVEL] - level) <= _LEVEL_M]:
        place = overlay.to_ego(thing[None, X : X + 2])[0]
        if np.hypot(*place) <= near:
            match int(thing[SHAPE]):
                case Shape.SIGNAL:
                    overlay.disc(place, 0.6, _light(int(states[int(thing[SIGNAL])])))
                case Shape.STOP:
                    overlay.polygon(place + 0.8 * _polygon(8), (206, 28, 36), _PALE)
                case _:
                    overlay.polygon(place + 0.9 * _polygon(3), _PALE, (206, 28, 36))


def draw_lines(overlay: Overlay, env: int, lines: Sequence[Line]) -> None:
    """The polylines of one env."""
    for points, colour, width in lines:
        overlay.line(np.asarray(points[env], np.float64), colour, width)


def _polygon(corners: int) -> NDArray[np.float64]:
    """A regular polygon with a corner towards the back, or an edge where the corners are even in number; radius 1."""
    angles = np.pi * (1.0 + (2.0 * np.arange(corners) + 1.0 - corners % 2) / corners)
    return np.stack((np.cos(angles), np.sin(angles)), axis=-1)


def _light(state: int) -> RGB:
    r, g, b = LIGHTS[state]
    return int(r), int(g), int(b)


def _box(overlay: Overlay, centre: NDArray[np.float64], front: NDArray[np.float64], length: float, width: float, colour: RGB) -> None:
    """A rectangle with a pale wedge that shows where its front is."""
    left = np.array((-front[1], front[0]))
    nose, tail, side = centre + length * front, centre - length * front, width * left
    overlay.polygon(np.stack((nose + side, nose - side, tail - side, tail + side)), colour, _EDGE)
    if length > _WEDGE_M:
        back = centre + 0.35 * length * front
        overlay.polygon(np.stack((centre + 0.85 * length * front, back - 0.7 * side, back + 0.7 * side)), _PALE)
