"""What the other road users will do, as the expert supposes: keep their speed, on their heading or along the path that they share with it.

Scalar numba code for one env, ego frame. Knows the path and the object table only.
"""

import math
from typing import NamedTuple

import numba
import numpy as np
from numpy.typing import NDArray

from carla_rl.geometry import wrap
from carla_rl.policies.expert_numbers import Numbers
from carla_rl.policies.expert_path import Path, pose_at, project, row_at
from carla_rl.types import ObjectColumn, ObjectKind

STEP_S = 0.2
"""Time between two forecast poses."""
STEPS = 26
"""Forecast poses: now and up to 5 s."""
ALIGNED = math.radians(35.0)
"""An object whose direction differs less from the path's (either way) is taken to follow the road."""
ASKEW = math.radians(4.0)
SHARED_ROAD_M = 6.0
"""How far beside the path it may be for that."""

X, Y, YAW, SPEED = int(ObjectColumn.X), int(ObjectColumn.Y), int(ObjectColumn.YAW), int(ObjectColumn.SPEED)
LENGTH, WIDTH, KIND = int(ObjectColumn.HALF_LENGTH), int(ObjectColumn.HALF_WIDTH), int(ObjectColumn.KIND)
PEDESTRIAN, BICYCLE = int(ObjectKind.PEDESTRIAN), int(ObjectKind.BICYCLE)


class Others(NamedTuple):
    """Forecasts and leaders of one env."""

    pose: NDArray[np.float64]
    """(M, STEPS, 3) x, y, yaw of the objects whose way may cross the ego's."""
    half: NDArray[np.float64]
    """(M, 2) half length and half width, grown by the margin that the object's kind is given."""
    lead: NDArray[np.float64]
    """(M, 2) s of the rear and speed along the path of what drives or stands in the ego's way."""


@numba.njit(cache=True)
def empty_others(objects: int) -> Others:
    """Room for so many objects."""
    return Others(np.empty((objects, STEPS, 3)), np.empty((objects, 2)), np.empty((objects, 2)))


@numba.njit(cache=True)
def foresee(objects: NDArray[np.float32], path: Path, k: Numbers, others: Others) -> tuple[int, int]:
    """Fill `others`; returns how many crossing objects and how many leaders there are."""
    crossing, leaders = 0, 0
    for m in range(objects.shape[0]):
        row = objects[m]
        if row[KIND] == 0:
            continue
        s, d, road_yaw = project(path, row[X], row[Y])
        turn = wrap(row[YAW] - road_yaw)
        c, n = abs(math.cos(turn)), abs(math.sin(turn))
        along, across = row[LENGTH] * c + row[WIDTH] * n, row[LENGTH] * n + row[WIDTH] * c
        walker = row[KIND] == PEDESTRIAN
        margin = k.walker_gap if walker else k.lead_margin
        in_way = s > 0.0 and abs(d) - across < k.half_width + margin
        forward = row[SPEED] * math.cos(turn)
        if in_way and (walker or abs(turn) < ALIGNED or row[SPEED] < 0.5):
            others.lead[leaders, 0] = s - along
            others.lead[leaders, 1] = max(forward, 0.0)
            leaders += 1
            continue
        # who drives behind the ego in the same direction looks out for it; who is beside it does not
        follower = s + along < -k.half_length and abs(turn) < ALIGNED and abs(d) < k.half_width + across + k.lead_margin
        if follower or (row[SPEED] < 0.05 and not in_way):
            continue
        soft = k.walker_side if walker or row[KIND] == BICYCLE else 0.0
        others.half[crossing, 0], others.half[crossing, 1] = row[LENGTH] + soft, row[WIDTH] + soft
        # one that drives askew beside the path is on a lane that the path comes from or leads to
        askew = ASKEW < abs(turn) < ALIGNED
        shares_road = abs(d) < SHARED_ROAD_M and min(abs(turn), math.pi - abs(turn)) < ALIGNED and not walker and not askew
        if shares_road:
            _along_road(path, s, d, turn, forward, others.pose[crossing])
        else:
            _straight(row[X], row[Y], row[YAW], row[SPEED], others.pose[crossing])
        crossing += 1
    return crossing, leaders


@numba.njit(cache=True)
def _straight(x: float, y: float, yaw: float, speed: float, pose: NDArray[np.float64]) -> None:
    for j in range(STEPS):
        pose[j, 0] = x + speed * math.cos(yaw) * j * STEP_S
        pose[j, 1] = y + speed * math.sin(yaw) * j * STEP_S
        pose[j, 2] = yaw


@numba.njit(cache=True)
def _along_road(path: Path, s: float, d: float, turn: float, forward: float, pose: NDArray[np.float64]) -> None:
    """Constant speed along the path and, lane changes of the path aside, a constant offset from it."""
    row = row_at(path, s, 0)
    lane = d + path.shift[row]
    for j in range(STEPS):
        place = s + forward * j * STEP_S
        row = row_at(path, place, row)
        x, y, yaw = pose_at(path, place, row)
        d = lane - path.shift[row]
        pose[j, 0], pose[j, 1], pose[j, 2] = x - d * math.sin(yaw), y + d * math.cos(yaw), yaw + turn
