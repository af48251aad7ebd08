"""Numba kernels that draw convex faces, and things made of parts, into a picture: nearer over farther.

Camera frame: x right, y down, z along the optical axis, m. A *view* is an array: x, y (m, map frame), height above the ground, cosine and
sine of the yaw, cosine and sine of the pitch, focal length in pixels; the optical axis meets the middle of the picture. Pixel (i, j) is
coloured where its centre (j + 0.5, i + 0.5) is covered. The depth buffer holds 1 / z, which is linear over a face's picture; 0 is nothing.
"""

import math

import numba
import numpy as np
from numpy.typing import NDArray

from toy_env.render.sky import GAIN, HAZE, HAZE_START, HORIZON, SUN
from toy_env.render.things import LENGTH, RED, SHAPE, WIDTH, YAW, X, Y

NEAR_M = 0.1
MAX_CORNERS = 12
SOLID, PAINT, SHADE = 0, 1, 2
"""How a face is filled: opaque with depth, flat on the ground without, or darkening what is there to colour[0] / 256."""
_THIN_PX, _SMALL_PX, _GROWN_PX = 0.6, 0.2, 5.0
"""Least half thickness of thin parts; small parts are left out where a metre is fewer pixels than 1 / _SMALL_PX; anchored ones grow by
_GROWN_PX per pixel that a metre falls short of it: a lamp of 0.26 m never has a radius below 1.3 pixels."""


@numba.njit(cache=True, error_model="numpy")
def turn(view: NDArray[np.float64], x: float, y: float, z: float) -> tuple[float, float, float]:
    """A direction of the map frame in the camera frame."""
    ahead = x * view[3] + y * view[4]
    return x * view[4] - y * view[3], ahead * view[6] - z * view[5], ahead * view[5] + z * view[6]


@numba.njit(cache=True, error_model="numpy")
def haze_share(distance: float, sky: NDArray[np.float64]) -> float:
    """How much of what is `distance` m away the haze hides, 0..1. `sky` is a row of `atmosphere`."""
    return 1.0 - math.exp(-sky[HAZE] * max(0.0, distance - sky[HAZE_START]))


@numba.njit(cache=True, error_model="numpy")
def in_sight(view: NDArray[np.float64], width: int, x: float, y: float, reach: float) -> bool:
    """Whether something within `reach` m of a place may be seen: not behind the camera nor beside its field of view."""
    right, _, ahead = turn(view, x - view[0], y - view[1], 1.0 - view[2])
    return bool(ahead + reach > NEAR_M and abs(right) <= (ahead + reach) * 0.5 * width / view[7] + 2.0 * reach)


@numba.njit(cache=True, error_model="numpy")
def fill(
    picture: NDArray[np.uint8],
    depth: NDArray[np.float32],
    corners: NDArray[np.float64],
    count: np.int64,
    focal: float,
    colour: NDArray[np.float64],
    mode: np.int64,
    scratch: NDArray[np.float64],
) -> None:
    """Fill a plane convex face given by its first `count` corners (camera frame); `scratch` is (MAX_CORNERS + 1, 2)."""
    height, width = picture.shape[0], picture.shape[1]
    n = clip_and_project(corners, count, focal, 0.5 * width, 0.5 * height, scratch)
    ax, ay, az = corners[1, 0] - corners[0, 0], corners[1, 1] - corners[0, 1], corners[1, 2] - corners[0, 2]
    bx, by, bz = corners[2, 0] - corners[0, 0], corners[2, 1] - corners[0, 1], corners[2, 2] - corners[0, 2]
    nx, ny, nz = ay * bz - az * by, az * bx - ax * bz, ax * by - ay * bx
    distance = nx * corners[0, 0] + ny * corners[0, 1] + nz * corners[0, 2]
    if n < 3 or distance == 0.0:
        return
    top, bottom = scratch[0, 1], scratch[0, 1]
    for k in range(1, n):
        top, bottom = min(top, scratch[k, 1]), max(bottom, scratch[k, 1])
    slope_x, slope_y, base = nx / distance / focal, ny / distance / focal, nz / distance
    for i in range(first_pixel(top, height), first_pixel(bottom, height)):
        y = i + 0.5
        left, right = math.inf, -math.inf
        for k in range(n):
            m = k + 1 if k + 1 < n else 0
            ya, yb = scratch[k, 1], scratch[m, 1]
            if (ya <= y) != (yb <= y):
                x = scratch[k, 0] + (y - ya) / (yb - ya) * (scratch[m, 0] - scratch[k, 0])
                left, right = min(left, x), max(right, x)
        if left < right:
            row = base + slope_y * (y - 0.5 * height) + slope_x * (0.5 - 0.5 * width)
            _span(picture[i], depth[i], first_pixel(left, width), first_pixel(right, width), row, slope_x, colour, mode)


@numba.njit(cache=True, error_model="numpy")
def _span(
    row: NDArray[np.uint8],
    depth: NDArray[np.float32],
    first: int,
    last: int,
    inverse: float,
    slope: float,
    colour: NDArray[np.float64],
    mode: np.int64,
) -> None:
    """Fill pixels first..last - 1 of a row; 1 / z of pixel j is inverse + j slope."""
    shade = int(colour[0])
    r, g, b = np.uint8(colour[0]), np.uint8(colour[1]), np.uint8(colour[2])
    for j in range(first, last):
        if mode == SHADE:
            for c in range(3):
                row[j, c] = (row[j, c] * shade) >> 8
            continue
        if mode == SOLID:
            near = np.float32(inverse + slope * j)
            if near <= depth[j]:
                continue
            depth[j] = near
        row[j, 0], row[j, 1], row[j, 2] = r, g, b


@numba.njit(cache=True, error_model="numpy")
def first_pixel(edge: float, size: int) -> int:
    """The first pixel whose centre is at or beyond the edge, kept within the picture."""
    return int(min(max(math.ceil(edge - 0.5), 0.0), float(size)))


@numba.njit(cache=True, error_model="numpy")
def clip_and_project(corners: NDArray[np.float64], count: int, focal: float, cx: float, cy: float, out: NDArray[np.float64]) -> int:
    """Cut off what is nearer than NEAR_M; the rest in pixels."""
    n = 0
    for k in range(count):
        m = k + 1 if k + 1 < count else 0
        za, zb = corners[k, 2], corners[m, 2]
        if za >= NEAR_M:
            out[n, 0] = cx + focal * corners[k, 0] / za
            out[n, 1] = cy + focal * corners[k, 1] / za
            n += 1
        if (za >= NEAR_M) != (zb >= NEAR_M):
            share = (NEAR_M - za) / (zb - za)
            out[n, 0] = cx + focal * (corners[k, 0] + share * (corners[m, 0] - corners[k, 0])) / NEAR_M
            out[n, 1] = cy + focal * (corners[k, 1] + share * (corners[m, 1] - corners[k, 1])) / NEAR_M
            n += 1
    return n


@numba.njit(cache=True, error_model="numpy")
def draw_thing(
    picture: NDArray[np.uint8],
    depth: NDArray[np.float32],
    view: NDArray[np.float64],
    sky: NDArray[np.float64],
    thing: NDArray[np.float64],
    state: int,
    table: NDArray[np.float64],
    counts: NDArray[np.int64],
) -> None:
    """Draw a row of `things` with the light `state`; `table` and `counts` are those of `shapes`."""
    corners, scratch = np.empty((MAX_CORNERS, 3), np.float64), np.empty((MAX_CORNERS + 1, 2), np.float64)
    box, axes, colour = np.empty(6, np.float64), np.empty((3, 3), np.float64), np.empty(3, np.float64)
    away = math.hypot(thing[X] - view[0], thing[Y] - view[1])
    haze, metre = haze_share(away, sky), view[7] / away
    c, s = math.cos(thing[YAW]), math.sin(thing[YAW])
    shape = int(thing[SHAPE])
    for m in range(counts[shape]):
        part = table[shape, m]
        if part[18] > 0.0 and metre * _SMALL_PX < 1.0:
            continue
        _place(part, thing, metre, box)
        x, y, z = thing[X] + box[0] * c - box[1] * s, thing[Y] + box[0] * s + box[1] * c, 0.5 * (box[2] + box[3])
        centre = turn(view, x - view[0], y - view[1], z - view[2])
        axes[0, 0], axes[0, 1], axes[0, 2] = turn(view, c * box[4], s * box[4], 0.0)
        axes[1, 0], axes[1, 1], axes[1, 2] = turn(view, -s * box[5], c * box[5], 0.0)
        axes[2, 0], axes[2, 1], axes[2, 2] = turn(view, 0.0, 0.0, box[3] - z)
        lamp = int(part[20])
        sun_ahead, sun_left = c * sky[SUN] + s * sky[SUN + 1], c * sky[SUN + 1] - s * sky[SUN]
        for axis in range(3 if part[16] == 0.0 else 1):
            count, sign = box_face(centre, axes, axis, corners) if part[16] == 0.0 else _disc(centre, axes, part[16], corners)
            if count == 0:
                continue
            light = (
                1.0
                if axis == 2 or part[16] != 0.0
                else 0.74 + 0.2 * max(0.0, sign * sun_ahead)
                if axis == 0
                else 0.66 + 0.2 * max(0.0, sign * sun_left)
            )
            light = light * sky[GAIN] if lamp == 0 else 1.0 if lamp == state else 0.2
            first = 13 if axis == 2 else 10
            for q in range(3):
                own = thing[RED + q] if part[first] < 0.0 else part[first + q]
                hidden = 0.4 * haze if lamp and lamp == state else haze
                colour[q] = min(own * light * (1.0 - hidden) + hidden * sky[HORIZON + q], 255.0)
            fill(picture, depth, corners, np.int64(count), view[7], colour, np.int64(SOLID), scratch)


@numba.njit(cache=True, error_model="numpy")
def _place(part: NDArray[np.float64], thing: NDArray[np.float64], metre: float, box: NDArray[np.float64]) -> None:
    """Centre x, y, bottom, top, half length, half width of a part in the thing's frame; `metre` is how many pixels a metre is there."""
    box[0] = part[0] * thing[LENGTH] + part[1]
    box[1] = part[2] * thing[WIDTH] + part[3]
    box[2], box[3] = part[4], part[5]
    box[4] = part[6] * thing[LENGTH] + part[7]
    box[5] = part[8] * thing[WIDTH] + part[9]
    anchor = part[17]
    if part[5] > anchor:
        grown = max(1.0, _GROWN_PX / metre)
        box[2], box[3] = anchor + (part[4] - anchor) * grown, anchor + (part[5] - anchor) * grown
        box[5] *= grown
    if part[19] > 0.0:
        box[4], box[5] = max(box[4], _THIN_PX / metre), max(box[5], _THIN_PX / metre)


@numba.njit(cache=True, error_model="numpy")
def box_face(centre: tuple[float, float, float], axes: NDArray[np.float64], axis: int, corners: NDArray[np.float64]) -> tuple[int, float]:
    """The one of two opposite faces that the camera sees: how many corners (0 where it sees neither), and on which side (1 or -1)."""
    along = centre[0] * axes[axis, 0] + centre[1] * axes[axis, 1] + centre[2] * axes[axis, 2]
    square = axes[axis, 0] ** 2 + axes[axis, 1] ** 2 + axes[axis, 2] ** 2
    if abs(along) <= square:
        return 0, 0.0
    sign = -1.0 if along > 0.0 else 1.0
    u, w = (axis + 1) % 3, (axis + 2) % 3
    for k in range(4):
        a, b = (1.0 if k < 2 else -1.0), (1.0 if k == 0 or k == 3 else -1.0)
        for q in range(3):
            corners[k, q] = centre[q] + sign * axes[axis, q] + a * axes[u, q] + b * axes[w, q]
    return 4, sign


@numba.njit(cache=True, error_model="numpy")
def _disc(centre: tuple[float, float, float], axes: NDArray[np.float64], shape: float, corners: NDArray[np.float64]) -> tuple[int, float]:
    """A regular polygon across the heading, as wide and high as the part: corners (0 where its back is seen), and the side it faces."""
    along = centre[0] * axes[0, 0] + centre[1] * axes[0, 1] + centre[2] * axes[0, 2]
    if (along > 0.0) != (shape > 0.0):
        return 0, 0.0
    count = int(abs(shape))
    start = math.pi / count if count % 2 == 0 else -0.5 * math.pi
    for k in range(count):
        angle = start + 2.0 * math.pi * k / count
        a, b = math.cos(angle), math.sin(angle)
        for q in range(3):
            corners[k, q] = centre[q] + a * axes[1, q] + b * axes[2, q]
    return count, -1.0
