"""What the other road users will do, as the expert supposes: keep their speed, on their heading or along the road that they share with it.

Scalar numba code for one env, ego frame. Knows the route, the path beside it and the object table only.
"""

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from carla_rl.compiled import rule
from carla_rl.geometry import wrap
from carla_rl.policies.expert_numbers import Numbers
from carla_rl.policies.expert_path import FINE, ROW_M, ROWS, Path, pose_at, project, row_at
from carla_rl.types import ROUTE_SPACING_M, ObjectColumn, ObjectKind

STEP_S = 0.2
"""Time between two forecast poses."""
STEPS = 26
"""Forecast poses: now and up to 5 s."""
ALIGNED = math.radians(35.0)
"""An object whose direction differs less from the path's (either way) is taken to follow the road."""
ASKEW = math.radians(4.0)
SHARED_ROAD_M = 6.0
"""How far beside the path it may be for that."""
CUT_IN_TURN, CUT_IN_MPS, CUT_IN_M, CUT_IN_S = math.radians(1.5), 0.3, 10.0, 2.0
"""Who moves and steers into the ego's way leads it from then on, where that is so near."""
STRAIGHT_ROWS = 20
"""Rows of the path before one that drives beside the ego, on which the route may turn off from it."""
SHARP = 0.05
"""1/m."""
TURNING_MPS = 1.5
"""A faster vehicle that comes from the side may turn onto the route,"""
TURNING_RAD = math.radians(130.0)
"""by so much at most,"""
TURNING_M = 40.0
"""so far ahead,"""
TURNING_RADIUS_M = 4.0
"""on a circle of at least this radius,"""
TURNING_ACCEL = 6.0
"""m/s^2, where it bears no more than this to the side."""
FOLLOW_BRAKE = 6.0
"""m/s^2: who comes from behind at an angle looks out for the ego if this is enough."""

X, Y, YAW, SPEED = int(ObjectColumn.X), int(ObjectColumn.Y), int(ObjectColumn.YAW), int(ObjectColumn.SPEED)
LENGTH, WIDTH, KIND = int(ObjectColumn.HALF_LENGTH), int(ObjectColumn.HALF_WIDTH), int(ObjectColumn.KIND)
VEHICLE, PEDESTRIAN, BICYCLE = int(ObjectKind.VEHICLE), int(ObjectKind.PEDESTRIAN), int(ObjectKind.BICYCLE)


class Seen(NamedTuple):
    """Where the objects are on the route's line, each (M,)."""

    s: NDArray[np.float64]
    """m along it; negative behind the ego."""
    d: NDArray[np.float64]
    """m to its left."""
    turn: NDArray[np.float64]
    """rad, heading less that of the line."""
    along: NDArray[np.float64]
    """m, half of what it takes up along the line,"""
    across: NDArray[np.float64]
    """and across."""
    row: NDArray[np.int64]
    """Row of the line's table nearest to it."""
    passed: NDArray[np.bool_]
    """Part of an obstacle that is to be passed, see `expert_passing`."""


class Others(NamedTuple):
    """Forecasts and leaders of one env on one path."""

    pose: NDArray[np.float64]
    """(M, STEPS, 3) x, y, yaw of the objects whose way may cross the ego's."""
    half: NDArray[np.float64]
    """(M, 2) half length and half width, grown by the margin that the object's kind is given."""
    fixed: NDArray[np.bool_]
    """(M,) it is being passed: the ego has no further margin then."""
    lead: NDArray[np.float64]
    """(M, 2) s of the rear and speed along the path of what drives or stands in the ego's way."""


def empty_seen(objects: int) -> Seen:
    """Room for so many objects."""
    s, d, turn, along, across = (np.zeros(objects) for _ in range(5))
    return Seen(s, d, turn, along, across, np.zeros(objects, np.int64), np.zeros(objects, np.bool_))


def empty_others(objects: int) -> Others:
    """Room for so many objects, two forecasts each."""
    rows = 2 * objects
    return Others(np.zeros((rows, STEPS, 3)), np.zeros((rows, 2)), np.zeros(rows, np.bool_), np.zeros((rows, 2)))


@rule
def survey(objects: NDArray[np.float32], line: Path, seen: Seen) -> None:
    """Fill `seen`."""
    for m in range(objects.shape[0]):
        row = objects[m]
        seen.passed[m] = False
        if row[KIND] == 0:
            continue
        seen.s[m], seen.d[m], near = project(line, row[X], row[Y])
        seen.row[m] = near
        turn = wrap(row[YAW] - line.yaw[near])
        seen.turn[m] = turn
        c, n = abs(math.cos(turn)), abs(math.sin(turn))
        seen.along[m], seen.across[m] = row[LENGTH] * c + row[WIDTH] * n, row[LENGTH] * n + row[WIDTH] * c


@rule
def foresee(
    objects: NDArray[np.float32],
    seen: Seen,
    line: Path,
    path: Path,
    speed: float,
    passing: bool,
    fixed_gap: float,
    k: Numbers,
    others: Others,
) -> tuple[int, int]:
    """Fill `others` for the path of an ego at `speed` m/s; returns how many crossing objects and how many leaders there are.

    With `passing` what is to be passed is no leader: its box must be missed, by `fixed_gap` m.
    """
    crossing, leaders = 0, 0
    for m in range(objects.shape[0]):
        row = objects[m]
        if row[KIND] == 0:
            continue
        near = seen.row[m]
        s, d = path.s[near] + seen.s[m] - line.s[near], seen.d[m] - path.offset[near]
        turn, along, across = seen.turn[m], seen.along[m], seen.across[m]
        walker = row[KIND] == PEDESTRIAN
        margin = k.walker_gap if walker else k.lead_margin
        in_way = s > 0.0 and abs(d) - across < k.half_width + margin
        fixed = passing and seen.passed[m]
        cuts = not walker and not fixed and s > 0.0 and cuts_in(d, turn, across, row[SPEED], k)
        if cuts or (in_way and not fixed and (walker or abs(turn) < ALIGNED or row[SPEED] < 0.5)):
            others.lead[leaders, 0] = s - along
            others.lead[leaders, 1] = max(row[SPEED] * math.cos(turn), 0.0)
            leaders += 1
            continue
        if follows(-s - along - k.half_length, abs(d) - across, turn, row[SPEED], speed, k):
            continue
        if row[SPEED] < 0.05 and not in_way and not fixed and not _touches(path, near, seen.d[m], along, across + margin, k):
            continue
        soft = fixed_gap if fixed else (k.walker_side if walker or row[KIND] == BICYCLE else 0.0)
        crossing = _forecast(row, seen, m, line, fixed, soft, crossing, k, others)
    return crossing, leaders


@rule
def _forecast(
    row: NDArray[np.float32], seen: Seen, m: int, line: Path, fixed: bool, soft: float, crossing: int, k: Numbers, others: Others
) -> int:
    """Add the ways that object m, a `row` of the table, may take, with a margin of `soft` m; returns how many there are then."""
    turn, near, walker = seen.turn[m], seen.row[m], row[KIND] == PEDESTRIAN
    forward = row[SPEED] * math.cos(turn)
    for number in range(crossing, crossing + 2):
        others.half[number, 0], others.half[number, 1] = row[LENGTH] + soft, row[WIDTH] + soft
        others.fixed[number] = fixed and number == crossing
    # one that drives askew beside the path is on a lane that the path comes from or leads to
    askew = ASKEW < abs(turn) < ALIGNED and not fixed
    beside = abs(seen.d[m]) < SHARED_ROAD_M and min(abs(turn), math.pi - abs(turn)) < ALIGNED
    doubt = not walker and not fixed and row[SPEED] > TURNING_MPS
    if beside and not walker and not askew:
        _along_road(line, seen.s[m], seen.d[m], turn, forward, others.pose[crossing])
        # it may go straight on where the ego's route turns off
        if not doubt or not _turns(line, near if forward < 0.0 else min(near + STRAIGHT_ROWS, ROWS - 1)):
            return crossing + 1
        _straight(row[X], row[Y], row[YAW], row[SPEED], row[KIND] == VEHICLE, k, others.pose[crossing + 1])
        return crossing + 2
    _straight(row[X], row[Y], row[YAW], row[SPEED], doubt and row[KIND] == VEHICLE, k, others.pose[crossing])
    # or turn onto the ego's route
    from_side = doubt and ALIGNED < abs(turn) < TURNING_RAD and seen.s[m] < TURNING_M
    if from_side and _merging(line, row[X], row[Y], row[YAW], row[SPEED], others.pose[crossing + 1]):
        return crossing + 2
    return crossing + 1


@rule
def follows(gap: float, aside: float, turn: float, speed: float, ego_speed: float, k: Numbers) -> bool:
    """Whether a vehicle `gap` m behind the ego and `aside` m beside its path drives in its direction and looks out for it.

    Who is beside the ego does not, nor who comes at an angle and could not brake any more.
    """
    if gap < 0.0 or abs(turn) > ALIGNED or aside > k.half_width + k.lead_margin:
        return False
    closing = max(speed - ego_speed, 0.0)
    return bool(abs(turn) < ASKEW or closing * closing < 2.0 * FOLLOW_BRAKE * gap)


@rule
def cuts_in(d: float, turn: float, across: float, speed: float, k: Numbers) -> bool:
    """Whether a vehicle `d` m to the left of the path, with a direction `turn` rad from the path's, steers into the ego's way: going on
    straight it is in it within CUT_IN_M or CUT_IN_S."""
    if speed < CUT_IN_MPS or abs(d) > SHARED_ROAD_M or turn * d > 0.0 or not CUT_IN_TURN < abs(turn) < ALIGNED:
        return False
    aside = abs(d) - across - k.half_width - k.lead_margin
    return bool(aside < math.tan(abs(turn)) * max(CUT_IN_M, CUT_IN_S * speed))


@rule
def _touches(path: Path, near: int, d: float, along: float, across: float, k: Numbers) -> bool:
    """Whether something beside the path comes into the ego's way before or behind its middle, where the path swings out or back."""
    reach = int((along + k.half_length) / ROW_M) + 1
    before, behind = path.offset[max(near - reach, 0)], path.offset[min(near + reach, ROWS - 1)]
    return bool(min(abs(d - before), abs(d - behind)) - across < k.half_width)


@rule
def _straight(x: float, y: float, yaw: float, speed: float, heeds: bool, k: Numbers, pose: NDArray[np.float64]) -> None:
    """Straight on at constant speed. Who `heeds` the ego, is far enough off and not too fast slows down for it after a while."""
    heeds = heeds and speed < k.heed_fastest and math.hypot(x, y) > k.heed_gap + k.heed_s * speed
    for j in range(STEPS):
        t = j * STEP_S
        way = speed * t
        if heeds and t > k.heed_s:
            braking = min(t - k.heed_s, speed / k.heed_brake)
            way = speed * k.heed_s + braking * (speed - 0.5 * k.heed_brake * braking)
        pose[j, 0], pose[j, 1], pose[j, 2] = x + way * math.cos(yaw), y + way * math.sin(yaw), yaw


@rule
def _along_road(line: Path, s: float, d: float, turn: float, forward: float, pose: NDArray[np.float64]) -> None:
    """Constant speed along the route and, lane changes of the route aside, a constant offset from it."""
    row = row_at(line, s, 0)
    lane = d + line.shift[row]
    for j in range(STEPS):
        place = s + forward * j * STEP_S
        row = row_at(line, place, row)
        x, y, yaw = pose_at(line, place, row)
        d = lane - line.shift[row]
        pose[j, 0], pose[j, 1], pose[j, 2] = x - d * math.sin(yaw), y + d * math.cos(yaw), yaw + turn


@rule
def _turns(line: Path, row: int) -> bool:
    """Whether the route turns as sharply as in a junction before that row."""
    sharpest = 0.0
    for k in range(0, row, FINE):
        sharpest = max(sharpest, line.curvature[k])
    return sharpest > SHARP


@rule
def _merging(line: Path, x: float, y: float, yaw: float, speed: float, pose: NDArray[np.float64]) -> bool:
    """Constant speed round a circle that is tangent to its heading and to the route, then along the route. False where there is none."""
    c, n = math.cos(yaw), math.sin(yaw)
    for row in range(FINE, ROWS, FINE):
        turn = wrap(line.yaw[row] - yaw)
        if abs(turn) < 0.1:
            continue
        dx, dy = line.x[row] - x, line.y[row] - y
        ahead = (dx * math.sin(line.yaw[row]) - dy * math.cos(line.yaw[row])) / math.sin(turn)
        behind = (c * dy - n * dx) / math.sin(turn)
        if ahead <= 0.0 or behind <= 0.0 or behind < ahead:
            continue
        if behind > ahead + 2.0 * ROUTE_SPACING_M:
            return False
        radius = ahead / math.tan(0.5 * abs(turn))
        if radius < TURNING_RADIUS_M or speed * speed > TURNING_ACCEL * radius:
            return False
        place = row
        for j in range(STEPS):
            way = speed * j * STEP_S
            phi = min(way / radius, abs(turn))
            side = math.copysign(1.0, turn)
            if phi < abs(turn):
                along, across = radius * math.sin(phi), side * radius * (1.0 - math.cos(phi))
                pose[j, 0], pose[j, 1], pose[j, 2] = x + along * c - across * n, y + along * n + across * c, yaw + side * phi
            else:
                s = line.s[row] + way - radius * abs(turn)
                place = row_at(line, s, place)
                pose[j, 0], pose[j, 1], pose[j, 2] = pose_at(line, s, place)
        return True
    return False
