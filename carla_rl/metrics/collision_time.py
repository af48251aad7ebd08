"""Time to collision as nuPlan projects it: every vehicle goes straight on at its speed; when do the boxes meet?

Thresholds are those of nuPlan's `time_to_collision_within_bound`: looked ahead 3.0 s in steps of 0.1 s, short below 0.95 s, nothing while
the ego stands, nobody who is behind. nuPlan also leaves out who is beside the ego unless it changes lanes or turns; here they count,
since a step log has no lanes. Pure functions of arrays, map frame.
"""

import math

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

HORIZON_S = 3.0
STEP_S = 0.1
SHORT_S = 0.95
STANDING_MPS = 5e-3
BEHIND_RAD = math.radians(150.0)
"""Who is seen under a larger angle from the ego's heading is behind it."""
EGO_HALF_LENGTH_M = 2.45
EGO_HALF_WIDTH_M = 1.03
"""Box of the leaderboard's ego, `vehicle.lincoln.mkz_2020`, which both simulators drive."""


def collision_times(ego: Floats, start: NDArray[np.integer], others: Floats) -> Floats:
    """When the ego would meet each other, s; infinite where it would not within HORIZON_S.

    `ego` (T, 4) is x, y, yaw, speed at T instants; those whom it meets at instant i are rows start[i] to start[i + 1] of `others` (A, 6):
    x, y, yaw, speed, half length, half width. m, rad, m/s. The result is (A,), in steps of STEP_S.
    """
    owner = np.repeat(np.arange(len(ego)), np.diff(start))
    me = ego[owner]
    times = np.full(len(others), np.inf)
    near = np.flatnonzero(_may_meet(me, others))
    if not len(near):
        return times
    steps = np.arange(0.0, HORIZON_S + STEP_S / 2, STEP_S)
    hit = _overlap(me[near], others[near], steps)
    times[near] = np.where(hit.any(axis=1), steps[hit.argmax(axis=1)], np.inf)
    return times


def _may_meet(me: Floats, others: Floats) -> NDArray[np.bool_]:
    """(A,) whether the circles round the boxes meet within the horizon, the ego moves and the other is not behind it."""
    away = others[:, :2] - me[:, :2]
    closing = _velocity(others) - _velocity(me)
    square = (closing**2).sum(axis=1)
    # time of the closest approach of the centres, within the horizon
    nearest = np.clip(-(away * closing).sum(axis=1) / np.where(square > 0.0, square, 1.0), 0.0, HORIZON_S)
    reach = np.hypot(others[:, 4], others[:, 5]) + math.hypot(EGO_HALF_LENGTH_M, EGO_HALF_WIDTH_M)
    bearing = np.arctan2(away[:, 1], away[:, 0]) - me[:, 2]
    behind = np.abs((bearing + np.pi) % (2.0 * np.pi) - np.pi) > BEHIND_RAD
    close = np.hypot(*(away + closing * nearest[:, None]).T) <= reach
    found: NDArray[np.bool_] = close & ~behind & (me[:, 3] > STANDING_MPS)
    return found


def _velocity(bodies: Floats) -> Floats:
    return np.stack((np.cos(bodies[:, 2]), np.sin(bodies[:, 2])), axis=1) * bodies[:, 3:4]


def _overlap(me: Floats, others: Floats, steps: Floats) -> NDArray[np.bool_]:
    """(A, S) whether the boxes overlap at each step: no axis of either box separates them."""
    away = (others[:, :2] - me[:, :2])[:, None] + (_velocity(others) - _velocity(me))[:, None] * steps[:, None]
    half_me = np.broadcast_to((EGO_HALF_LENGTH_M, EGO_HALF_WIDTH_M), (len(me), 2))
    apart = np.zeros(away.shape[:2], np.bool_)
    turn = others[:, 2] - me[:, 2]
    cos, sin = np.abs(np.cos(turn)), np.abs(np.sin(turn))
    for yaw, own, far in ((me[:, 2], half_me, others[:, 4:6]), (others[:, 2], others[:, 4:6], half_me)):
        for axis, (x, y) in enumerate(((np.cos(yaw), np.sin(yaw)), (-np.sin(yaw), np.cos(yaw)))):
            # how far the other box reaches along this axis
            reach = own[:, axis] + (cos * far[:, axis] + sin * far[:, 1 - axis])
            apart |= np.abs(away[..., 0] * x[:, None] + away[..., 1] * y[:, None]) > reach[:, None]
    return ~apart
