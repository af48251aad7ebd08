"""Scalar readings of one carried plan: where it is at a time, how fast it goes, the point on it that lies a distance ahead.

A plan is (H, 2) m in the current ego frame (x forward, y left); waypoint i is due at (i + 1) * WAYPOINT_S - age_s from now.
Numba kernels that allocate nothing; they know no controller.
"""

import math

import numba
import numpy as np
from numpy.typing import NDArray

from carla_rl.types import WAYPOINT_S


@numba.njit(cache=True)
def at_time(plan: NDArray[np.float64], age_s: float, time_s: float) -> tuple[float, float]:
    """The plan's point `time_s` from now, linear between waypoints; before the first and past the last its end segments go straight on."""
    place = (time_s + age_s) / WAYPOINT_S - 1.0
    i = min(max(math.floor(place), 0), plan.shape[0] - 2)
    f = place - i
    return plan[i, 0] + f * (plan[i + 1, 0] - plan[i, 0]), plan[i, 1] + f * (plan[i + 1, 1] - plan[i, 1])


@numba.njit(cache=True)
def forward_speed(plan: NDArray[np.float64], age_s: float, start_s: float, end_s: float) -> float:
    """Mean speed in m/s from `start_s` to `end_s` from now along the chord; 0 where the plan goes backwards there."""
    ax, ay = at_time(plan, age_s, start_s)
    bx, by = at_time(plan, age_s, end_s)
    if bx <= ax:
        return 0.0
    return math.hypot(bx - ax, by - ay) / (end_s - start_s)


@numba.njit(cache=True)
def at_distance(plan: NDArray[np.float64], age_s: float, distance: float) -> tuple[float, float]:
    """The first point of the plan, of what is still due, `distance` m from the ego; past the plan's end straight on along its last half.

    (0, 0) where the plan does not move: it then has no direction to go on in.
    """
    h = plan.shape[0]
    first = min(max(math.floor(age_s / WAYPOINT_S + 1e-9), 0), h - 1)
    px, py, pd = 0.0, 0.0, 0.0
    for i in range(first, h):
        x, y = plan[i, 0], plan[i, 1]
        d = math.hypot(x, y)
        if d >= distance:
            f = (distance - pd) / (d - pd)
            return px + f * (x - px), py + f * (y - py)
        px, py, pd = x, y, d
    ux, uy = px - plan[h // 2, 0], py - plan[h // 2, 1]
    length = math.hypot(ux, uy)
    if length < 1e-3:
        return 0.0, 0.0
    ux, uy = ux / length, uy / length
    along = px * ux + py * uy
    step = -along + math.sqrt(along * along + distance * distance - pd * pd)
    return px + step * ux, py + step * uy
