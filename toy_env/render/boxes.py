"""The drawn world as oriented boxes: what free cameras see and what rays hit, so that the two agree. No pixels and no rays here.

A *part* is a box in the frame of its owner; a *box* is one in the map frame. Shapes are those of `shapes`, stretched to the size that a
thing really has, and a disc is a thin box: unlike in the front camera, nothing grows with its distance.
"""

import math

import numba
import numpy as np
from numpy.typing import NDArray

from toy_env.render.shapes import COUNTS, TABLE, Shape

CENTRE, HALF, SIDE, TOP, TAG, NUMBER, LAMP, OWNER = 0, 3, 6, 9, 12, 13, 14, 15
"""Columns of a part: centre and half sizes (3 each, m; x forward, y left, z up), RGB of its sides and of its top, semantic tag, number of
the thing, `LightState` in which it shines (0: no lamp), row of its owner's pose."""
PART = 16
BOX_CENTRE, BOX_AXES, BOX_SIDE, BOX_TOP, BOX_TAG, BOX_NUMBER, BOX_GLOW, BOX_RADIUS, BOX_OWNER = 0, 3, 12, 15, 18, 19, 20, 21, 22
"""Columns of a box: centre (3), three half axes (3 each) in the map frame, the colours, tag and number of the part, its glow (0: no lamp,
1: a lamp that shines, 2: a lamp that is dark), radius of the sphere around it, row of its owner."""
BOX = 23
BUILDING, POLE, TRAFFIC_LIGHT, TRAFFIC_SIGN, RIDER = 3, 6, 7, 8, 13
"""Semantic tags of CARLA 0.9.16."""
_RIDER_FROM = 4
"""The parts of a two-wheeler from here on are who rides it."""


def thing_parts(
    shape: Shape,
    half: tuple[float, float, float],
    centre: tuple[float, float, float],
    paint: tuple[int, int, int],
    tag: int,
    number: int,
    owner: int,
) -> NDArray[np.float64]:
    """(n, PART) of a shape stretched to fill a box with these half sizes around `centre` (m, frame of the owner)."""
    rows = [row for row in TABLE[shape, : COUNTS[shape]] if row[16] >= 0.0]
    tallest = max(float(row[5]) for row in rows)
    out = np.zeros((len(rows), PART))
    for k, (part, row) in enumerate(zip(out, rows, strict=True)):
        stretch = 2.0 * half[2] / tallest
        bottom, top = stretch * row[4], stretch * row[5]
        middle = (row[0] * half[0] + row[1], row[2] * half[1] + row[3], 0.5 * (bottom + top) - half[2])
        part[CENTRE : CENTRE + 3] = np.add(centre, middle)
        # what is thinner than a centimetre could be missed by a ray
        part[HALF : HALF + 3] = np.maximum((row[6] * half[0] + row[7], row[8] * half[1] + row[9], 0.5 * (top - bottom)), 0.01)
        part[SIDE : SIDE + 3] = row[10:13] if row[10] >= 0.0 else paint
        part[TOP : TOP + 3] = row[13:16] if row[13] >= 0.0 else part[SIDE : SIDE + 3]
        if row[16] == 0.0 and row[13] < 0.0:
            part[TOP : TOP + 3] = paint
        part[TAG], part[NUMBER], part[LAMP], part[OWNER] = _tag(shape, k, tag), number, row[20], owner
    return out


def block_part(
    half: tuple[float, float, float], side: tuple[float, float, float], top: tuple[float, float, float], tag: int, number: int, owner: int
) -> NDArray[np.float64]:
    """(1, PART) of a plain box that stands on its owner's place: half sizes in m, colours of its sides and of its top."""
    part = np.zeros((1, PART))
    part[0, CENTRE + 2], part[0, HALF : HALF + 3], part[0, SIDE : SIDE + 3], part[0, TOP : TOP + 3] = half[2], half, side, top
    part[0, TAG], part[0, NUMBER], part[0, OWNER] = tag, number, owner
    return part


def _tag(shape: Shape, k: int, tag: int) -> int:
    """The tag of the k-th part of a thing: poles are poles and riders are riders."""
    if shape in (Shape.SIGNAL, Shape.STOP, Shape.YIELD):
        return POLE if k == 0 else TRAFFIC_LIGHT if shape is Shape.SIGNAL else TRAFFIC_SIGN
    return RIDER if shape is Shape.TWO_WHEELER and k >= _RIDER_FROM else tag


def natural_half(shape: Shape) -> tuple[float, float, float]:
    """Half sizes in m of a shape that has one size: signals and signs."""
    rows = [row for row in TABLE[shape, : COUNTS[shape]] if row[16] >= 0.0]
    return 0.0, 0.0, 0.5 * max(float(row[5]) for row in rows)


@numba.njit(cache=True, error_model="numpy", nogil=True)
def place_parts(parts: NDArray[np.float64], poses: NDArray[np.float32], states: NDArray[np.int8], out: NDArray[np.float64]) -> None:
    """Write the boxes (n, BOX) of parts (n, PART) whose owners have these poses.

    `poses` (m, 6) are x, y, z in m and pitch, yaw, roll in degrees in CARLA's frame (left-handed); `states` (m,) the `LightState` of each.
    """
    for k in range(len(parts)):
        part, box = parts[k], out[k]
        owner = int(part[OWNER])
        pose = poses[owner]
        pitch, yaw, roll = math.radians(pose[3]), math.radians(pose[4]), math.radians(pose[5])
        cp, sp, cy, sy, cr, sr = math.cos(pitch), math.sin(pitch), math.cos(yaw), math.sin(yaw), math.cos(roll), math.sin(roll)
        # columns of CARLA's rotation with y mirrored on both sides: forward, left, up in the map frame
        forward = (cp * cy, -cp * sy, sp)
        left = (-(cy * sp * sr - sy * cr), sy * sp * sr + cy * cr, cp * sr)
        up = (-cy * sp * cr - sy * sr, sy * sp * cr - cy * sr, cp * cr)
        x, y, z = part[0], part[1], part[2]
        a, b, c = part[3], part[4], part[5]
        place = (float(pose[0]), -float(pose[1]), float(pose[2]))
        for q in range(3):
            box[q] = place[q] + forward[q] * x + left[q] * y + up[q] * z
            box[3 + q], box[6 + q], box[9 + q] = forward[q] * a, left[q] * b, up[q] * c
        for q in range(8):
            box[12 + q] = part[6 + q]
        box[20] = 0.0 if part[LAMP] == 0.0 else 1.0 if part[LAMP] == states[owner] else 2.0
        box[21] = math.sqrt(a * a + b * b + c * c)
        box[22] = owner
