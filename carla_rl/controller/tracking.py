"""How far the ego was, some ticks later, from where the plan wanted it: the plan-tracking error. Pure; knows no controller."""

import math

import numba
import numpy as np
from numpy.typing import NDArray

from carla_rl.controller.plan import at_time
from carla_rl.geometry import to_local
from carla_rl.types import WAYPOINT_S


def tracking_error(
    waypoints: NDArray[np.float64] | NDArray[np.float32],
    then: NDArray[np.float64],
    now: NDArray[np.float64],
    elapsed_s: float,
) -> NDArray[np.float64]:
    """Where the ego is at `now` relative to where its plan had it, along and across the plan's direction there.

    Args:
        waypoints: (N, H, 2) m, the plans in the ego frames of `then`.
        then: (N, 3) x, y, yaw of the egos when they planned, map frame.
        now: (N, 3) the same `elapsed_s` later.
        elapsed_s: seconds since the plans were made, at most H * WAYPOINT_S.

    Returns:
        (N, 2) m: lateral (positive: the ego is left of the plan), longitudinal (positive: ahead of it). Before the first waypoint the
        plan is the straight line from the ego to it. Where the plan stands still its direction is the heading that the ego had.

    Raises:
        ValueError: `elapsed_s` lies outside the plan.
    """
    horizon_s = waypoints.shape[1] * WAYPOINT_S
    if not 0.0 <= elapsed_s <= horizon_s + 1e-9:
        raise ValueError(f"elapsed_s must lie within the plan, 0 to {horizon_s:g} s, not {elapsed_s:g}")
    start = np.zeros((len(waypoints), 1, 2))
    path = np.concatenate((start, waypoints), axis=1, dtype=np.float64)
    errors: NDArray[np.float64] = _errors(path, np.asarray(then, np.float64), np.asarray(now, np.float64), elapsed_s)
    return errors


@numba.njit(cache=True)
def _errors(path: NDArray[np.float64], then: NDArray[np.float64], now: NDArray[np.float64], elapsed_s: float) -> NDArray[np.float64]:
    n = path.shape[0]
    out = np.empty((n, 2), np.float64)
    # the path begins with the ego's own place, due at once: as if it were a plan made one waypoint earlier
    age_s = WAYPOINT_S
    for i in range(n):
        wx, wy = at_time(path[i], age_s, elapsed_s)
        ax, ay = at_time(path[i], age_s, elapsed_s - 0.5 * WAYPOINT_S)
        bx, by = at_time(path[i], age_s, elapsed_s + 0.5 * WAYPOINT_S)
        direction = math.atan2(by - ay, bx - ax) if math.hypot(bx - ax, by - ay) > 1e-3 else 0.0
        ex, ey = to_local(now[i, 0], now[i, 1], then[i, 0], then[i, 1], then[i, 2])
        along, across = to_local(ex, ey, wx, wy, direction)
        out[i, 0], out[i, 1] = across, along
    return out
