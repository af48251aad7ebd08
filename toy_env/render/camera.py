"""The front camera's kernel: one picture per env, ground and sky first, then everything that stands on it.

Knows arrays only; `toy_env.render.renderer` gathers them. One env's picture reads nothing of another's.
"""

import math

import numba
import numpy as np
from numpy.typing import NDArray

from toy_env.render.sampling import add_row, write_row
from toy_env.render.sky import GAIN, HORIZON, ZENITH
from toy_env.render.solids import MAX_CORNERS, PAINT, SHADE, draw_thing, fill, haze_share, in_sight, turn
from toy_env.render.strips import STOP_LINE_M
from toy_env.render.things import LENGTH, LEVEL, SHAPE, SIGNAL, WIDTH, YAW, X, Y

SEEN_M = 120.0
"""Things farther away are not drawn."""
LEVEL_M = 4.0
"""Things whose ground is farther above or below the ego's are not drawn."""
_SHADOW = 140.0
"""What is left of the light in a shadow, of 256."""
_SHADOW_M = 0.1
"""How far the shadow under an actor stands out."""


@numba.njit(cache=True, error_model="numpy", parallel=True)
def draw_cameras(
    pictures: NDArray[np.uint8],
    tiles: tuple[NDArray[np.uint8], NDArray[np.int32], NDArray[np.int64]],
    windows: NDArray[np.int32],
    corners: NDArray[np.float64],
    views: NDArray[np.float64],
    lens: tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64], NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]],
    sky: NDArray[np.float64],
    levels: NDArray[np.float64],
    actors: NDArray[np.float64],
    states: NDArray[np.int8],
    lines: NDArray[np.float64],
    furniture: NDArray[np.float64],
    shapes: tuple[NDArray[np.float64], NDArray[np.int64]],
    lights: NDArray[np.uint8],
) -> None:
    """Fill pictures (N, H, W, 3).

    `tiles` is a `ground.Tiles`, `windows` and `corners` what `GroundMap.windows` returned; `views` (N, 8) as in `solids`; `lens` a `Lens`;
    `sky` (N, ATMOSPHERE); `levels` (N,) m; `actors` (N, A, THING); `states` as in `Scene`; `lines` and `furniture` as in `Furniture`;
    `shapes` the tables of `shapes`; `lights` those of `palette`.
    """
    for env in numba.prange(len(pictures)):
        draw_ground_and_sky(pictures[env], tiles, windows[env], corners[env], views[env], lens, sky[env])
        draw_standing(pictures[env], views[env], sky[env], levels[env], actors[env], states[env], lines, furniture, shapes, lights)


@numba.njit(cache=True, error_model="numpy")
def draw_standing(
    picture: NDArray[np.uint8],
    view: NDArray[np.float64],
    sky: NDArray[np.float64],
    level: float,
    actors: NDArray[np.float64],
    states: NDArray[np.int8],
    lines: NDArray[np.float64],
    furniture: NDArray[np.float64],
    shapes: tuple[NDArray[np.float64], NDArray[np.int64]],
    lights: NDArray[np.uint8],
) -> None:
    """Everything on the ground of one env: first what lies flat, then what stands; arguments as those of `draw_cameras`, of one env."""
    depth = np.zeros((picture.shape[0], picture.shape[1]), np.float32)
    draw_marks(picture, depth, view, sky, lines, states, level, actors, lights)
    for k in range(len(actors) + len(furniture)):
        thing = actors[k] if k < len(actors) else furniture[k - len(actors)]
        if _seen(view, picture.shape[1], thing, level):
            state = int(states[int(thing[SIGNAL])]) if thing[SIGNAL] >= 0.0 else 0
            draw_thing(picture, depth, view, sky, thing, state, shapes[0], shapes[1])


@numba.njit(cache=True, error_model="numpy")
def _seen(view: NDArray[np.float64], width: int, thing: NDArray[np.float64], level: float) -> bool:
    away = math.hypot(thing[X] - view[0], thing[Y] - view[1])
    if thing[SHAPE] < 0.0 or abs(thing[LEVEL] - level) > LEVEL_M or away > SEEN_M or away == 0.0:
        return False
    return bool(in_sight(view, width, thing[X], thing[Y], thing[LENGTH] + thing[WIDTH] + 1.0))


@numba.njit(cache=True, error_model="numpy")
def draw_ground_and_sky(
    picture: NDArray[np.uint8],
    tiles: tuple[NDArray[np.uint8], NDArray[np.int32], NDArray[np.int64]],
    window: NDArray[np.int32],
    corner: NDArray[np.float64],
    view: NDArray[np.float64],
    lens: tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64], NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]],
    sky: NDArray[np.float64],
) -> None:
    """Flat ground below the horizon, seen through haze, and sky above it; arguments as those of `draw_cameras`, of one env."""
    shift, level, depth, ahead, step, blue = lens
    total = np.empty(picture.shape[1], np.int64)
    x0, y0 = view[0] - corner[0], view[1] - corner[1]
    middle = 0.5 - 0.5 * picture.shape[1]
    for i in range(picture.shape[0]):
        total[:] = 0
        ground = shift[i] >= 0
        hidden = haze_share(depth[i], sky) if ground else 1.0
        gain, veil = 0, 0
        for q in range(3):
            far = sky[HORIZON + q] + (0.0 if ground else (sky[ZENITH + q] - sky[HORIZON + q]) * blue[i])
            veil = veil << 16 | int(hidden * far)
        if ground:
            gain = int(256.0 * sky[GAIN] * (1.0 - hidden))
            for k in range(1 << shift[i]):
                d, a = step[i, k], ahead[i, k]
                x, y = x0 + a * view[3] + middle * d * view[4], y0 + a * view[4] - middle * d * view[3]
                add_row(total, tiles[0], tiles[1], tiles[2], window, x, y, d * view[4], -d * view[3], level[i], shift[i] == 0)
        write_row(picture[i], total, max(shift[i], 0), gain, veil)


@numba.njit(cache=True, error_model="numpy")
def draw_marks(
    picture: NDArray[np.uint8],
    depth: NDArray[np.float32],
    view: NDArray[np.float64],
    sky: NDArray[np.float64],
    lines: NDArray[np.float64],
    states: NDArray[np.int8],
    level: float,
    actors: NDArray[np.float64],
    lights: NDArray[np.uint8],
) -> None:
    """What lies flat: stop lines in the colour of their signal, at least a pixel thick, for traffic that faces them; then shadows."""
    corners, scratch, colour = np.empty((MAX_CORNERS, 3), np.float64), np.empty((MAX_CORNERS + 1, 2), np.float64), np.empty(3, np.float64)
    for k in range(len(lines) + len(actors)):
        line = k < len(lines)
        if line:
            seen = _lay_line(view, lines[k], level, states[int(lines[k, 6])], picture.shape[1], corners)
            hidden = haze_share(math.hypot(lines[k, 0] - view[0], lines[k, 1] - view[1]), sky)
            for q in range(3):
                light = float(lights[states[int(lines[k, 6])], q]) * (0.3 + 0.7 * sky[GAIN])
                colour[q] = light * (1.0 - hidden) + hidden * sky[HORIZON + q]
        else:
            thing = actors[k - len(lines)]
            seen = _seen(view, picture.shape[1], thing, level)
            _lay_shadow(view, thing, corners)
            colour[0] = _SHADOW + (256.0 - _SHADOW) * haze_share(math.hypot(thing[X] - view[0], thing[Y] - view[1]), sky)
        if seen:
            fill(picture, depth, corners, np.int64(4), view[7], colour, np.int64(PAINT if line else SHADE), scratch)


@numba.njit(cache=True, error_model="numpy")
def _lay_line(
    view: NDArray[np.float64], line: NDArray[np.float64], level: float, state: int, width: int, corners: NDArray[np.float64]
) -> bool:
    """The corners of a stop line in the camera frame; whether it is to be drawn."""
    x, y = 0.5 * (line[0] + line[2]), 0.5 * (line[1] + line[3])
    away = math.hypot(x - view[0], y - view[1])
    c, s = math.cos(line[4]), math.sin(line[4])
    if (
        state == 0
        or away > SEEN_M
        or abs(line[5] - level) > LEVEL_M
        or c * view[3] + s * view[4] < 0.0
        or not in_sight(view, width, x, y, 4.0)
    ):
        return False
    thick = max(STOP_LINE_M, 1.1 * away * away / (view[2] * view[7]))
    for k in range(4):
        end, back = (0 if k == 0 or k == 3 else 2), (0.0 if k < 2 else thick)
        x, y = line[end] - back * c, line[end + 1] - back * s
        corners[k, 0], corners[k, 1], corners[k, 2] = turn(view, x - view[0], y - view[1], -view[2])
    return True


@numba.njit(cache=True, error_model="numpy")
def _lay_shadow(view: NDArray[np.float64], thing: NDArray[np.float64], corners: NDArray[np.float64]) -> None:
    """The corners of the ground under a thing in the camera frame."""
    c, s = math.cos(thing[YAW]), math.sin(thing[YAW])
    for k in range(4):
        along = (thing[LENGTH] + _SHADOW_M) * (1.0 if k < 2 else -1.0)
        across = (thing[WIDTH] + _SHADOW_M) * (1.0 if k == 0 or k == 3 else -1.0)
        x, y = thing[X] + along * c - across * s, thing[Y] + along * s + across * c
        corners[k, 0], corners[k, 1], corners[k, 2] = turn(view, x - view[0], y - view[1], -view[2])
