"""Numba kernels that colour rows of pixels from painted ground.

A colour travels as one int64 with a 16-bit field a channel (R << 32 | G << 16 | B): one multiplication scales all three. Places are in
fixed point with 16 fractional bits of a texel, so that a step along a row is two integer additions.
"""

import math

import numba
import numpy as np
from numpy.typing import NDArray

from toy_env.render.ground import OFFSETS, TEXEL_M, TILE_BITS

FIELDS = 0x00FF00FF00FF
_BITS = 16


@numba.njit(cache=True, error_model="numpy")
def add_row(
    total: NDArray[np.int64],
    fine: NDArray[np.uint8],
    coarse: NDArray[np.int32],
    palette: NDArray[np.int64],
    window: NDArray[np.int32],
    x: float,
    y: float,
    dx: float,
    dy: float,
    level: int,
    smooth: bool,
) -> None:
    """Add to `total` (W,) the colours of ground along a line: pixel j looks at x + j dx, y + j dy, in m from the window's corner.

    `fine`, `coarse`, `palette` are `ground.Tiles`, `window` (n, n) slots of tiles; outside of it is grass. `level` 0 is the finest;
    `smooth` blends the four nearest texels of a tile instead of taking the nearest.
    """
    unit = float(1 << _BITS) / (TEXEL_M * (1 << level))
    tile_shift, side = TILE_BITS - level + _BITS, 1 << (TILE_BITS - level)
    mask, offset = side - 1, OFFSETS[level]
    half = (1 << _BITS) >> 1 if smooth else 0
    px, py = int(math.floor(x * unit)) - half, int(math.floor(y * unit)) - half  # noqa: RUF046 (numba's floor of a float is a float)
    step_x, step_y = int(math.floor(dx * unit)), int(math.floor(dy * unit))  # noqa: RUF046
    rows, columns = window.shape
    for j in range(len(total)):
        tx, ty = px >> tile_shift, py >> tile_shift
        slot = np.int64(0)
        if tx >= 0 and ty >= 0 and tx < columns and ty < rows:
            slot = np.int64(window[ty, tx])
        ix, iy = (px >> _BITS) & mask, (py >> _BITS) & mask
        if not smooth:
            total[j] += palette[fine[slot, iy, ix]] if level == 0 else _fields(coarse[slot, offset + iy * side + ix])
        else:
            wx, wy = (px >> (_BITS - 4)) & 15, (py >> (_BITS - 4)) & 15
            jx, jy = min(ix + 1, mask), min(iy + 1, mask)
            if level == 0:
                top = palette[fine[slot, iy, ix]] * (16 - wx) + palette[fine[slot, iy, jx]] * wx
                bottom = palette[fine[slot, jy, ix]] * (16 - wx) + palette[fine[slot, jy, jx]] * wx
            else:
                here, below = offset + iy * side, offset + jy * side
                top = _fields(coarse[slot, here + ix]) * (16 - wx) + _fields(coarse[slot, here + jx]) * wx
                bottom = _fields(coarse[slot, below + ix]) * (16 - wx) + _fields(coarse[slot, below + jx]) * wx
            total[j] += ((top * (16 - wy) + bottom * wy) >> 8) & FIELDS
        px += step_x
        py += step_y


@numba.njit(cache=True, error_model="numpy")
def _fields(packed: np.int32) -> np.int64:
    colour = np.int64(packed)
    return (colour & 0xFF0000) << 16 | (colour & 0xFF00) << 8 | colour & 0xFF


@numba.njit(cache=True, error_model="numpy")
def write_row(row: NDArray[np.uint8], total: NDArray[np.int64], shift: int, gain: int, veil: int) -> None:
    """Pixels (W, 3) from sums of 2^shift colours, dimmed to gain / 256, with the colour `veil` added."""
    for j in range(len(total)):
        colour = ((((total[j] >> shift) & FIELDS) * gain >> 8) & FIELDS) + veil
        row[j, 0] = colour >> 32
        row[j, 1] = (colour >> 16) & 0xFF
        row[j, 2] = colour & 0xFF
