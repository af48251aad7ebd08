"""What rays have hit: semantic tag, owner, and the angle at which they came."""

import math

import numba
import numpy as np
from numpy.typing import NDArray

from toy_env.render.boxes import BOX_OWNER, BOX_TAG
from toy_env.render.developing import ground_tag
from toy_env.render.rays import GROUND_HIT, NOTHING_HIT, turned
from toy_env.render.relief import cosine


@numba.njit(cache=True, error_model="numpy", nogil=True)
def label(
    labels: NDArray[np.int64],
    cosines: NDArray[np.float64],
    origin: NDArray[np.float64],
    turn: NDArray[np.float64],
    rays: NDArray[np.float64],
    distance: NDArray[np.float64],
    face: NDArray[np.int32],
    boxes: NDArray[np.float64],
    ground: tuple[NDArray[np.uint8], NDArray[np.uint8], NDArray[np.int32], NDArray[np.float64]],
    heights: NDArray[np.float64],
    grid: NDArray[np.float64],
) -> None:
    """Fill labels (n, 2) with tag and owner of what each ray has hit (-1: no owner, or nothing hit), and the cosines (n,) to the surfaces.

    The arguments are those of `rays.cast` and its results; `ground` holds the fine tiles, their tags, the window and its corner.
    """
    for k in range(len(rays)):
        labels[k, 0], labels[k, 1], cosines[k] = 0, -1, 0.0
        if face[k] == NOTHING_HIT:
            continue
        x, y, z = turned(turn, rays, k)
        if face[k] == GROUND_HIT:
            east, north = origin[0] + x * distance[k], origin[1] + y * distance[k]
            labels[k, 0] = ground_tag(ground[0], ground[1], ground[2], east - ground[3][0], north - ground[3][1])
            cosines[k] = abs(z) if len(heights) == 0 else cosine(heights, grid, east, north, (x, y, z))
        else:
            box, first = face[k] // 6, 3 + 3 * (face[k] % 6 // 2)
            labels[k, 0], labels[k, 1] = int(boxes[box, BOX_TAG]), int(boxes[box, BOX_OWNER])
            a, b, c = boxes[box, first], boxes[box, first + 1], boxes[box, first + 2]
            cosines[k] = abs(x * a + y * b + z * c) / math.sqrt(a * a + b * b + c * c)
