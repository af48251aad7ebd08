"""Rays from one place against the ground and the boxes of `boxes`: how far each goes and what it hits.

A box in which the rays begin is not seen, as a camera within it sees out. Boxes are sorted into bins by their direction and there by their
distance, so that a ray only looks at those that it may meet, and not behind what it has met.
"""

import math

import numba
import numpy as np
from numpy.typing import NDArray

from carla_rl.world.compiled import inline_rule
from toy_env.render.relief import meet

GROUND_HIT, NOTHING_HIT = -1, -2
"""Instead of a face; faces are numbered as in `surfaces`."""
BINS = 512
_COLUMNS = 18
"""Of a prepared box: its place in units of its half axes (3), its axes for the same (9), least and greatest slope (2) and distance (1), the
ends of its bins (2), its row (1)."""


@numba.njit(cache=True, error_model="numpy", nogil=True)
def cast(
    origin: NDArray[np.float64],
    turn: NDArray[np.float64],
    rays: NDArray[np.float64],
    limit: float,
    ground_z: float,
    boxes: NDArray[np.float64],
    heights: NDArray[np.float64],
    grid: NDArray[np.float64],
    distance: NDArray[np.float64],
    face: NDArray[np.int32],
) -> None:
    """Cast rays (n, 3; unit vectors) from `origin`; fill distance (n,) in m and face (n,).

    `turn` (3, 3) takes their frame to that of the map. The ground is the relief of `heights` and `grid`, or, where that is level, a plane
    of the height `ground_z`. What is farther than `limit` m is not hit: then the distance is `limit`.
    """
    ready = np.empty((len(boxes), _COLUMNS))
    start = np.zeros(BINS + 1, np.int64)
    count = _prepare(origin, boxes, limit, ready, start)
    member = np.empty(start[BINS], np.int64)
    _sort(ready, count, start, member)
    above = origin[2] - ground_z
    for k in range(len(rays)):
        x, y, z = turned(turn, rays, k)
        best, hit = limit, NOTHING_HIT
        if len(heights) == 0 and z < 0.0 and above > 0.0 and above < -z * limit:
            best, hit = -above / z, GROUND_HIT
        flat = math.sqrt(x * x + y * y)
        slope = z / max(flat, 1e-12)
        place = _bin(x, y)
        for m in range(start[place], start[place + 1]):
            row = member[m]
            if best < ready[row, 14]:
                break
            if slope < ready[row, 12] or slope > ready[row, 13]:
                continue
            enter, leave, axis, side = -math.inf, math.inf, -1, 0
            for a in range(3):
                along = x * ready[row, 3 + 3 * a] + y * ready[row, 4 + 3 * a] + z * ready[row, 5 + 3 * a]
                if along == 0.0:
                    along = 1e-300
                near, far = (ready[row, a] - 1.0) / along, (ready[row, a] + 1.0) / along
                if near > far:
                    near, far = far, near
                if near > enter:
                    enter, axis, side = near, a, 1 if along < 0.0 else 0
                leave = min(leave, far)
            if 0.0 < enter <= leave and enter < best:
                best, hit = enter, int(6 * ready[row, 17]) + 2 * axis + side
        if len(heights) > 0:
            ground = meet(heights, grid, origin, x, y, z, best)
            if ground < best:
                best, hit = ground, GROUND_HIT
        distance[k], face[k] = best, hit


@inline_rule
def turned(turn: NDArray[np.float64], rays: NDArray[np.float64], k: int) -> tuple[float, float, float]:
    """The k-th ray in the map frame."""
    a, b, c = rays[k, 0], rays[k, 1], rays[k, 2]
    return (
        turn[0, 0] * a + turn[0, 1] * b + turn[0, 2] * c,
        turn[1, 0] * a + turn[1, 1] * b + turn[1, 2] * c,
        turn[2, 0] * a + turn[2, 1] * b + turn[2, 2] * c,
    )


@inline_rule
def _pseudo(x: float, y: float) -> float:
    """A number from 0 to 4 that grows with the angle of a direction."""
    size = abs(x) + abs(y)
    if size == 0.0:
        return 0.0
    part = y / size
    if x < 0.0:
        return 2.0 - part
    return part if y >= 0.0 else 4.0 + part


@inline_rule
def _bin(x: float, y: float) -> int:
    return min(max(int(_pseudo(x, y) * (BINS / 4)), 0), BINS - 1)


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
        if not math.sqrt(away * away + z * z) - radius <= limit:
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
        wide_x, wide_y = abs(box[3]) + abs(box[6]) + abs(box[9]), abs(box[4]) + abs(box[7]) + abs(box[10])
        radius = min(radius, math.sqrt(wide_x * wide_x + wide_y * wide_y))
        nearest = away - radius
        one[12], one[13], one[14], one[17] = -math.inf, math.inf, 0.0, k
        first, last = 0, BINS - 1
        if z + rise < 0.0:
            one[13] = (z + rise) / (away + radius)
        elif z - rise > 0.0:
            one[12] = (z - rise) / (away + radius)
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
    """Fill the bins, the nearest first."""
    following = start.copy()
    for k in np.argsort(ready[:count, 14], kind="mergesort"):
        place, last = int(ready[k, 15]), int(ready[k, 16])
        while True:
            member[following[place]] = k
            following[place] += 1
            if place == last:
                break
            place = (place + 1) % BINS


@numba.njit(cache=True, error_model="numpy", nogil=True)
def collect(
    points: NDArray[np.float32],
    counts: NDArray[np.uint32],
    rays: NDArray[np.float64],
    distance: NDArray[np.float64],
    face: NDArray[np.int32],
    chances: NDArray[np.float32],
    rules: NDArray[np.float64],
) -> int:
    """Write the points (x, y, z, intensity) of a lidar's rays that hit something and are not dropped; how many there are.

    `counts` (channels,) are filled with those of each channel; `chances` (2, n) are random numbers from 0 to 1. `rules` are the extinction
    (1/m), the share of points that is dropped anyway, that of points of no intensity, and the intensity from which none are.
    """
    steps, found = len(rays) // len(counts), 0
    for channel in range(len(counts)):
        before = found
        for k in range(channel * steps, (channel + 1) * steps):
            if face[k] == NOTHING_HIT or chances[0, k] < rules[1]:
                continue
            intensity = math.exp(-rules[0] * distance[k])
            if intensity <= rules[3] and chances[1, k] < rules[2] - rules[2] / rules[3] * intensity:
                continue
            for q in range(3):
                points[found, q] = rays[k, q] * distance[k]
            points[found, 3] = intensity
            found += 1
        counts[channel] = found - before
    return found
