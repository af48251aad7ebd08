"""Plane geometry for kernels and for batches. Angles in radians, counter-clockwise; right-handed frames.

The scalar functions are rules of kernels, and plain Python elsewhere; they allocate nothing.
"""

import math

import numba
import numpy as np
from numpy.typing import NDArray

from carla_rl.compiled import rule

TWO_PI = 2.0 * math.pi


@rule
def wrap(angle: float) -> float:
    """The same angle in (-pi, pi]."""
    if -math.pi < angle <= math.pi:
        return angle
    rest = math.pi - angle
    # one turn too far is the usual case, and what `%` would give without its search for how many
    if -TWO_PI < rest < 0.0:
        return math.pi - (rest + TWO_PI)
    if TWO_PI <= rest < 2.0 * TWO_PI:
        return math.pi - (rest - TWO_PI)
    return math.pi - rest % TWO_PI


@rule
def to_local(x: float, y: float, ox: float, oy: float, oyaw: float) -> tuple[float, float]:
    """A map point in the frame whose origin (ox, oy) and heading oyaw are given in the map frame."""
    dx = x - ox
    dy = y - oy
    c = math.cos(oyaw)
    s = math.sin(oyaw)
    return dx * c + dy * s, dy * c - dx * s


@rule
def to_map(x: float, y: float, ox: float, oy: float, oyaw: float) -> tuple[float, float]:
    """The inverse of `to_local`."""
    c = math.cos(oyaw)
    s = math.sin(oyaw)
    return ox + x * c - y * s, oy + x * s + y * c


def from_carla(x: float, y: float, yaw_deg: float = 0.0) -> tuple[float, float, float]:
    """A pose in CARLA's world frame (left-handed, y south, degrees clockwise) in the map frame: x, y in m, yaw in rad in (-pi, pi].

    With its inverse `to_carla` the one definition of how the frames are turned into one another; code on arrays does the same by element.
    """
    return x, 0.0 - y, wrap(0.0 - math.radians(yaw_deg))


def to_carla(x: float, y: float, yaw: float = 0.0) -> tuple[float, float, float]:
    """The inverse of `from_carla`: yaw is returned in degrees in [-180, 180)."""
    return x, 0.0 - y, 0.0 - math.degrees(wrap(yaw))


@rule
def boxes_overlap(
    ax: float, ay: float, ayaw: float, ahl: float, ahw: float, bx: float, by: float, byaw: float, bhl: float, bhw: float
) -> bool:
    """Whether two oriented boxes (centre, heading, half length, half width) overlap: separating axes, touching counts as apart."""
    dx = bx - ax
    dy = by - ay
    reach = math.hypot(ahl, ahw) + math.hypot(bhl, bhw)
    if dx * dx + dy * dy >= reach * reach:
        return False
    ca, sa = math.cos(ayaw), math.sin(ayaw)
    cb, sb = math.cos(byaw), math.sin(byaw)
    cd = abs(ca * cb + sa * sb)
    sd = abs(sa * cb - ca * sb)
    if abs(dx * ca + dy * sa) >= ahl + bhl * cd + bhw * sd:
        return False
    if abs(dy * ca - dx * sa) >= ahw + bhl * sd + bhw * cd:
        return False
    if abs(dx * cb + dy * sb) >= bhl + ahl * cd + ahw * sd:
        return False
    return not abs(dy * cb - dx * sb) >= bhw + ahl * sd + ahw * cd


@numba.njit(cache=True)
def carry(
    waypoints: NDArray[np.float32],
    then: NDArray[np.float64],
    now: NDArray[np.float64],
) -> NDArray[np.float64]:
    """Waypoints (N, H, 2) of the ego frames `then` in the ego frames `now`; both are (N, 3): x, y, yaw in the map frame."""
    n, h, _ = waypoints.shape
    out = np.empty((n, h, 2), np.float64)
    for i in range(n):
        # `to_map`, then `to_local`, with the angles' sines and cosines taken once a plan
        c_then, s_then = math.cos(then[i, 2]), math.sin(then[i, 2])
        c_now, s_now = math.cos(now[i, 2]), math.sin(now[i, 2])
        for j in range(h):
            x, y = float(waypoints[i, j, 0]), float(waypoints[i, j, 1])
            dx = then[i, 0] + x * c_then - y * s_then - now[i, 0]
            dy = then[i, 1] + x * s_then + y * c_then - now[i, 1]
            out[i, j, 0], out[i, j, 1] = dx * c_now + dy * s_now, dy * c_now - dx * s_now
    return out
