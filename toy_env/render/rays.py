"""Rays from one place against the ground and the boxes of `boxes`: how far each goes and what it hits.

A box in which the rays begin is not seen, as a camera within it sees out. Boxes are sorted into bins by their direction, so that a ray only
looks at those that it may meet.
"""

import math

import numba
import numpy as np
from numpy.typing import NDArray

GROUND_HIT, NOTHING_HIT = -1, -2
"""Instead of a face; faces are numbered as in `surfaces`."""
BINS = 512
_COLUMNS = 18
"""Of a prepared box: its place in units of its half axes (3), its axes for the same (9), least and greatest slope (2) and distance (1), the
ends of its bins (2), its row (1)."""


@numba.njit(cache=True, error_model="numpy", nogil=True)
def cast(
    origin: NDArray[np.float64],
    rays: NDArray[np.float64],
    limit: float,
    ground_z: float,
    boxes: NDArray[np.float64],
    distance: NDArray[np.float64],
    face: NDArray[np.int32],
) -> None:
    """Cast rays (n, 3; unit vectors, map frame) from `origin`; fill distance (n,) in m and face (n,). What is farther than `limit` m is
    not hit: then the distance is `limit`."""
    ready = np.empty((len(boxes), _COLUMNS))
    start = np.zeros(BINS + 1, np.int64)
    count = _prepare(origin, boxes, limit, ready, start)
    member = np.empty(start[BINS], np.int64)
    _sort(ready, count, start, member)
    above = origin[2] - ground_z
    for k in range(len(rays)):
        x, y, z = rays[k, 0], rays[k, 1], rays[k, 2]
        best, hit = limit, NOTHING_HIT
        if z < 0.0 and above > 0.0 and above < -z * limit:
            best, hit = -above / z, GROUND_HIT
        flat = math.sqrt(x * x + y * y)
        slope = z / max(flat, 1e-12)
        place = _bin(x, y)
        for m in range(start[place], start[place + 1]):
            one = ready[member[m]]
            if slope < one[12] or slope > one[13] or best < one[14]:
                continue
            enter, leave, axis, side = -math.inf, math.inf, -1, 0
            for a in range(3):
                along = x * one[3 + 3 * a] + y * one[4 + 3 * a] + z * one[5 + 3 * a]
                if along == 0.0:
                    along = 1e-300
                near, far = (one[a] - 1.0) / along, (one[a] + 1.0) / along
                if near > far:
                    near, far = far, near
                if near > enter:
                    enter, axis, side = near, a, 1 if along < 0.0 else 0
                leave = min(leave, far)
            if 0.0 < enter <= leave and enter < best:
                best, hit = enter, int(6 * one[17]) + 2 * axis + side
        distance[k], face[k] = best, hit


@numba.njit(cache=True, error_model="numpy", nogil=True)
def _pseudo(x: float, y: float) -> float:
    """A number from 0 to 4 that grows with the angle of a direction."""
    size = abs(x) + abs(y)
    if size == 0.0:
        return 0.0
    part = y / size
    if x < 0.0:
        return 2.0 - part
    return part if y >= 0.0 else 4.0 + part


@numba.njit(cache=True, error_model="numpy", nogil=True)
def _bin(x: float, y: float) -> int:
    return min(int(_pseudo(x, y) * (BINS / 4)), BINS - 1)


@numba.njit(cache=True, error_model="numpy", nogil=True)
def _prepare(
    origin: NDArray[np.float64], boxes: NDArray[np.float64], limit: float, ready: NDArray[np.float64], start: NDArray[np.int64]
) -> int:
    """Write what rays need of each box within the limit; how many there are. `start` then holds the sizes of the bins, one further on."""
    count = 0
    for k in range(len(boxes)):
        box = boxes[k]
        x, y, z, radius = box[0] - origin[0], box[1] - origin[1], box[2] - origin[2], box[21]
        away = math.sqrt(x * x + y * y)
        if math.sqrt(away * away + z * z) - radius > limit:
            continue
        one = ready[count]
        inside = True
        for a in range(3):
            square = box[3 + 3 * a] ** 2 + box[4 + 3 * a] ** 2 + box[5 + 3 * a] ** 2
            for q in range(3):
                one[3 + 3 * a + q] = box[3 + 3 * a + q] / square
            one[a] = x * one[3 + 3 * a] + y * one[4 + 3 * a] + z * one[5 + 3 * a]
            inside = inside and abs(one[a]) < 1.0
        if inside:
            continue
        rise = abs(box[5]) + abs(box[8]) + abs(box[11])
        nearest = away - radius
        one[12], one[13], one[14], one[17] = -math.inf, math.inf, 0.0, k
        first, last = 0, BINS - 1
        if nearest > 1e-3:
            one[12] = min((z - rise) / nearest, (z - rise) / (away + radius))
            one[13] = max((z + rise) / nearest, (z + rise) / (away + radius))
            one[14] = nearest
            wide, turn = math.asin(radius / away), math.atan2(y, x)
            first = _bin(math.cos(turn - wide), math.sin(turn - wide))
            last = _bin(math.cos(turn + wide), math.sin(turn + wide))
        one[15], one[16] = first, last
        count += 1
        place = first
        while True:
            start[place + 1] += 1
            if place == last:
                break
            place = (place + 1) % BINS
    for place in range(BINS):
        start[place + 1] += start[place]
    return count


@numba.njit(cache=True, error_model="numpy", nogil=True)
def _sort(ready: NDArray[np.float64], count: int, start: NDArray[np.int64], member: NDArray[np.int64]) -> None:
    """Fill the bins."""
    following = start.copy()
    for k in range(count):
        place, last = int(ready[k, 15]), int(ready[k, 16])
        while True:
            member[following[place]] = k
            following[place] += 1
            if place == last:
                break
            place = (place + 1) % BINS
