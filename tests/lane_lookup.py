"""Plain look-ups on a road network, to check routes and compiled maps against. Map frame, metres and radians."""

import math

import numba

from carla_rl.geometry import wrap
from carla_rl.roads.network import Roads

LEVEL_M = 3.0
"""Largest height difference at which a lane is still on the same level."""


@numba.njit(cache=True)
def _cell(roads: Roads, x: float, y: float) -> int:
    """The cell of a point, -1 outside the grid."""
    column = math.floor((x - roads.cell_x0) / roads.cell_m)
    row = math.floor((y - roads.cell_y0) / roads.cell_m)
    if column < 0 or row < 0 or column >= roads.cell_nx or row >= roads.cell_ny:
        return -1
    return int(row * roads.cell_nx + column)


@numba.njit(cache=True)
def _onto_segment(roads: Roads, i: int, x: float, y: float) -> tuple[float, float, float]:
    """Of the segment from sample i to i + 1: the share of it at the foot of (x, y), clipped to 0..1, the lateral offset (left > 0), the
    distance^2."""
    ux = roads.x[i + 1] - roads.x[i]
    uy = roads.y[i + 1] - roads.y[i]
    px = x - roads.x[i]
    py = y - roads.y[i]
    length2 = ux * ux + uy * uy
    share = 0.0
    side = 0.0
    if length2 > 0.0:
        share = min(max((px * ux + py * uy) / length2, 0.0), 1.0)
        side = (ux * py - uy * px) / math.sqrt(length2)
    dx = px - share * ux
    dy = py - share * uy
    return share, side, dx * dx + dy * dy


@numba.njit(cache=True)
def nearest_lane(roads: Roads, x: float, y: float, z: float, yaw: float, max_turn: float) -> tuple[int, float, float, float]:
    """The nearest driving or parking lane among those whose direction differs from `yaw` by at most `max_turn` (math.pi: all of them).

    Returns lane, s along it, lateral offset from its centre (m, left > 0) and distance from its centre line (m); (-1, 0, 0, inf) where
    none is near.
    """
    cell = _cell(roads, x, y)
    lane = -1
    s = 0.0
    lateral = 0.0
    best = math.inf
    if cell < 0:
        return lane, s, lateral, best
    for k in range(roads.cell_start[cell], roads.cell_start[cell + 1]):
        i = roads.cell_sample[k]
        own = roads.sample_lane[i]
        if i + 1 >= roads.start[own + 1] or abs(roads.z[i] - z) > LEVEL_M or abs(wrap(roads.yaw[i] - yaw)) > max_turn:
            continue
        share, side, d2 = _onto_segment(roads, i, x, y)
        if d2 < best:
            best = d2
            lane = own
            s = roads.s[i] + share * (roads.s[i + 1] - roads.s[i])
            lateral = side
    return lane, s, lateral, math.sqrt(best)


@numba.njit(cache=True)
def project(roads: Roads, lane: int, x: float, y: float) -> tuple[float, float, float]:
    """The foot of (x, y) on a lane's centre line: s (clipped to the lane), lateral offset (m, left > 0), distance (m)."""
    s = 0.0
    lateral = 0.0
    best = math.inf
    for i in range(roads.start[lane], roads.start[lane + 1] - 1):
        share, side, d2 = _onto_segment(roads, i, x, y)
        if d2 < best:
            best = d2
            s = roads.s[i] + share * (roads.s[i + 1] - roads.s[i])
            lateral = side
    return s, lateral, math.sqrt(best)


@numba.njit(cache=True)
def sample_at(roads: Roads, lane: int, s: float) -> int:
    """The last sample of a lane at or before s (m), never its very last one, so that a segment starts there."""
    low = roads.start[lane]
    high = roads.start[lane + 1] - 1
    while high - low > 1:
        middle = (low + high) // 2
        if roads.s[middle] <= s:
            low = middle
        else:
            high = middle
    return int(low)


@numba.njit(cache=True)
def pose_at(roads: Roads, lane: int, s: float) -> tuple[float, float, float, float]:
    """x, y, z, yaw on a lane's centre line at s (m), interpolated; s beyond the lane is clipped to its ends."""
    i = sample_at(roads, lane, s)
    step = roads.s[i + 1] - roads.s[i]
    share = min(max((s - roads.s[i]) / step, 0.0), 1.0) if step > 0.0 else 0.0
    x = roads.x[i] + share * (roads.x[i + 1] - roads.x[i])
    y = roads.y[i] + share * (roads.y[i + 1] - roads.y[i])
    z = roads.z[i] + share * (roads.z[i + 1] - roads.z[i])
    yaw = wrap(roads.yaw[i] + share * wrap(roads.yaw[i + 1] - roads.yaw[i]))
    return x, y, z, yaw
