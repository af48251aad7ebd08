"""Pictures from what `surfaces` has seen: colours, semantic tags, numbers and distances, in the bytes of CARLA's images (BGRA).

Knows nothing of actors and towns: boxes carry their colours, tags and numbers, the ground is sampled from painted tiles.
"""

import math

import numba
import numpy as np
from numpy.typing import NDArray

from carla_rl.world.compiled import inline_rule
from toy_env.render.ground import COARSE, OFFSETS, TEXEL_M, TILE, TILE_BITS
from toy_env.render.palette import GROUND, MIX, Ground
from toy_env.render.sky import GAIN, HAZE, HAZE_START, HORIZON, SUN, ZENITH
from toy_env.render.surfaces import FAR_M, FOCAL, GROUND_SEEN, GROUND_Z

ROAD, SIDEWALK, TERRAIN, SKY, ROAD_LINE = 1, 2, 10, 11, 24
"""Semantic tags of CARLA 0.9.16."""
_TAGS = {
    Ground.GRASS: TERRAIN,
    Ground.GRASS_DARK: TERRAIN,
    Ground.GRASS_LIGHT: TERRAIN,
    Ground.SIDEWALK: SIDEWALK,
    Ground.SIDEWALK_DARK: SIDEWALK,
    Ground.CURB: SIDEWALK,
    Ground.WHITE: ROAD_LINE,
    Ground.YELLOW: ROAD_LINE,
}
OPAQUE = 0xFF000000
"""A pixel is a number: alpha, red, green, blue from the highest byte down, which lie as BGRA in the memory of a little-endian machine."""
_SKY_STEP = 4
"""Pixels in a row that share a colour of the sky."""
_SHIFTED = 1 << 24
"""Makes texels' coordinates positive: a number cut off is then one rounded down."""


def _ground_tags() -> NDArray[np.uint8]:
    """(len(MIXED),) the tag of each painted colour; that of the greater part where two are mixed."""
    own = np.array([_TAGS.get(surface, ROAD) for surface in Ground], np.uint8)
    tags = np.zeros(256, np.uint8)
    tags[: len(GROUND)] = own
    for a in range(len(GROUND)):
        for b in range(a + 1, len(GROUND)):
            for quarters in range(1, 4):
                tags[MIX[a, b, quarters]] = own[b] if quarters >= 2 else own[a]
    return tags


GROUND_TAGS = _ground_tags()


def haze_table(sky: NDArray[np.float64]) -> NDArray[np.int64]:
    """(FAR_M + 1,) how much the haze hides at each metre, of 256; `sky` is a row of `atmosphere`."""
    away = np.maximum(np.arange(int(FAR_M) + 1) - sky[HAZE_START], 0.0)
    hidden: NDArray[np.int64] = np.rint(256.0 * (1.0 - np.exp(-sky[HAZE] * away))).astype(np.int64)
    return hidden


@numba.njit(cache=True, error_model="numpy", nogil=True)
def develop_colours(
    out: NDArray[np.uint32],
    inverse: NDArray[np.float32],
    face: NDArray[np.int32],
    camera: NDArray[np.float64],
    boxes: NDArray[np.float64],
    tiles: tuple[NDArray[np.uint8], NDArray[np.int32], NDArray[np.int64]],
    window: NDArray[np.int32],
    corner: NDArray[np.float64],
    sky: NDArray[np.float64],
    haze: NDArray[np.int64],
) -> None:
    """Fill out (H, W) with colours; `tiles`, `window`, `corner` as from `GroundMap`, of one place; `haze` is `haze_table(sky)`."""
    height, width = inverse.shape
    focal, above = camera[FOCAL], camera[2] - camera[GROUND_Z]
    paints = np.empty((6 * len(boxes), 3), np.int64)
    _shade(boxes, sky, paints)
    red, green, blue = int(sky[HORIZON]), int(sky[HORIZON + 1]), int(sky[HORIZON + 2])
    # depths from which each coarser level is taken: where a pixel covers 1.5 texels, in the mean of along and across the view
    steps = np.empty(COARSE)
    for level in range(COARSE):
        steps[level] = (1.5 * TEXEL_M * 2.0**level * focal * math.sqrt(max(above, 0.01))) ** (2.0 / 3.0)
    gain, last = int(256.0 * sky[GAIN]), len(haze) - 1
    for i in range(height):
        v = (i + 0.5 - 0.5 * height) / focal
        dx, dy, dz = camera[3] - v * camera[9], camera[4] - v * camera[10], camera[5] - v * camera[11]
        for j in range(width):
            seen = face[i, j]
            u = (j + 0.5 - 0.5 * width) / focal
            if seen < GROUND_SEEN:
                if j % _SKY_STEP and face[i, j - 1] < GROUND_SEEN:
                    out[i, j] = out[i, j - 1]
                else:
                    out[i, j] = _sky_colour(sky, dx + u * camera[6], dy + u * camera[7], dz + u * camera[8])
                continue
            depth = 1.0 / float(inverse[i, j])
            hidden = haze[min(int(depth), last)]
            if seen == GROUND_SEEN:
                x, y = camera[0] + depth * (dx + u * camera[6]) - corner[0], camera[1] + depth * (dy + u * camera[7]) - corner[1]
                level = 0
                while level < COARSE and depth > steps[level]:
                    level += 1
                colour, light = _ground_colour(tiles, window, x, y, level), (gain * (256 - hidden)) >> 8
                r, g, b = (colour >> 32) * light, ((colour >> 16) & 0xFF) * light, (colour & 0xFF) * light
            else:
                light = 256 - hidden
                r, g, b = paints[seen, 0] * light, paints[seen, 1] * light, paints[seen, 2] * light
            r, g, b = (r + red * hidden) >> 8, (g + green * hidden) >> 8, (b + blue * hidden) >> 8
            out[i, j] = np.uint32(OPAQUE | r << 16 | g << 8 | b)


@inline_rule
def _sky_colour(sky: NDArray[np.float64], x: float, y: float, z: float) -> np.uint32:
    """The sky in a direction of the map frame."""
    blue = math.sqrt(min(max(1.4 * z / math.sqrt(x * x + y * y + z * z), 0.0), 1.0))
    colour = OPAQUE
    for q in range(3):
        colour |= int(sky[HORIZON + q] + (sky[ZENITH + q] - sky[HORIZON + q]) * blue) << (16 - 8 * q)
    return np.uint32(colour)


@inline_rule
def _ground_colour(
    tiles: tuple[NDArray[np.uint8], NDArray[np.int32], NDArray[np.int64]], window: NDArray[np.int32], x: float, y: float, level: int
) -> np.int64:
    """The colour of the ground x, y m from the window's corner, as R << 32 | G << 16 | B."""
    slot, iy, ix = _texel(window, x, y)
    if level == 0:
        return np.int64(tiles[2][tiles[0][slot, iy, ix]])
    packed = np.int64(tiles[1][slot, OFFSETS[level] + ((iy >> level) << (TILE_BITS - level)) + (ix >> level)])
    return (packed & 0xFF0000) << 16 | (packed & 0xFF00) << 8 | packed & 0xFF


@numba.njit(cache=True, error_model="numpy", nogil=True)
def _shade(boxes: NDArray[np.float64], sky: NDArray[np.float64], paints: NDArray[np.int64]) -> None:
    """The colour of each face in the light: tops are brighter than sides, and sides brighter towards the sun; lamps shine by themselves."""
    for k in range(len(boxes)):
        box = boxes[k]
        for axis in range(3):
            x, y, z = box[3 + 3 * axis], box[4 + 3 * axis], box[5 + 3 * axis]
            size = math.sqrt(x * x + y * y + z * z)
            sun = (x * sky[SUN] + y * sky[SUN + 1]) / size
            first = 15 if axis == 2 else 12
            for side in range(2):
                light = 1.0 if axis == 2 else (0.74 if axis == 0 else 0.66) + 0.2 * max(0.0, sun if side else -sun)
                light = light * sky[GAIN] if box[20] == 0.0 else 1.0 if box[20] == 1.0 else 0.2
                for q in range(3):
                    paints[6 * k + 2 * axis + side, q] = int(min(box[first + q] * light, 255.0))


@inline_rule
def _texel(window: NDArray[np.int32], x: float, y: float) -> tuple[np.int64, np.int64, np.int64]:
    """The tile's slot, and the texel's row and column in it, of what is x, y m from the window's corner; outside of the window is grass."""
    ix, iy = np.int64(x * (1.0 / TEXEL_M) + _SHIFTED), np.int64(y * (1.0 / TEXEL_M) + _SHIFTED)
    tx, ty = (ix >> TILE_BITS) - (_SHIFTED >> TILE_BITS), (iy >> TILE_BITS) - (_SHIFTED >> TILE_BITS)
    slot = np.int64(window[ty, tx]) if 0 <= tx < window.shape[1] and 0 <= ty < window.shape[0] else np.int64(0)
    return slot, iy & (TILE - 1), ix & (TILE - 1)


@inline_rule
def ground_tag(fine: NDArray[np.uint8], tags: NDArray[np.uint8], window: NDArray[np.int32], x: float, y: float) -> int:
    """The semantic tag of the ground x, y m from the window's corner."""
    slot, iy, ix = _texel(window, x, y)
    return int(tags[fine[slot, iy, ix]])


@numba.njit(cache=True, error_model="numpy", nogil=True)
def develop_labels(
    out: NDArray[np.uint32],
    inverse: NDArray[np.float32],
    face: NDArray[np.int32],
    camera: NDArray[np.float64],
    boxes: NDArray[np.float64],
    fine: NDArray[np.uint8],
    tags: NDArray[np.uint8],
    window: NDArray[np.int32],
    corner: NDArray[np.float64],
    numbered: bool,
) -> None:
    """Fill out (H, W): semantic tag in red; where `numbered`, the low and high byte of the thing's number in green and blue."""
    height, width = inverse.shape
    focal = camera[FOCAL]
    for i in range(height):
        v = (i + 0.5 - 0.5 * height) / focal
        for j in range(width):
            seen = face[i, j]
            tag, number = SKY, 0
            if seen == GROUND_SEEN:
                u, depth = (j + 0.5 - 0.5 * width) / focal, 1.0 / inverse[i, j]
                x = camera[0] + depth * (camera[3] + u * camera[6] - v * camera[9]) - corner[0]
                y = camera[1] + depth * (camera[4] + u * camera[7] - v * camera[10]) - corner[1]
                tag = ground_tag(fine, tags, window, x, y)
            elif seen >= 0:
                tag, number = int(boxes[seen // 6, 18]), int(boxes[seen // 6, 19])
            mark = (number & 0xFF) << 8 | (number >> 8) & 0xFF if numbered else 0
            out[i, j] = np.uint32(OPAQUE | tag << 16 | mark)


@numba.njit(cache=True, error_model="numpy", nogil=True)
def develop_depth(out: NDArray[np.uint32], inverse: NDArray[np.float32]) -> None:
    """Fill out (H, W): depth along the optical axis as a share of FAR_M in 24 bits, the lowest byte in red, the highest in blue."""
    height, width = inverse.shape
    for i in range(height):
        for j in range(width):
            near = float(inverse[i, j])
            value = 16777215 if near * FAR_M <= 1.0 else int(16777215.0 / (near * FAR_M) + 0.5)
            out[i, j] = np.uint32(OPAQUE | (value & 0xFF) << 16 | value & 0xFF00 | value >> 16)
