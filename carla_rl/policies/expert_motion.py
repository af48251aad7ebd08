"""How fast along the path: candidate motions under speed limits, curves, lines and leaders, and the first that meets nobody.

Scalar numba code for one env. Knows the path, the forecasts and the numbers only.
"""

import math

import numpy as np
from numpy.typing import NDArray

from carla_rl.compiled import rule
from carla_rl.geometry import boxes_overlap
from carla_rl.policies.expert_forecast import STEPS, Others
from carla_rl.policies.expert_numbers import Numbers
from carla_rl.policies.expert_path import ROWS, Path, pose_at, row_at
from carla_rl.types import SIGHT_M, WAYPOINT_S, LightState

TICKS = 2 * (STEPS - 1)
"""Steps of a candidate motion, WAYPOINT_S each; every second one meets a forecast pose."""
NO_LINE = 1e6
QUICK, SLOW, BRAKE, CANDIDATES = 1, 4, 6, 8
"""The first two candidates drive on, two stop before a meeting, two go slowly, two brake."""
SLOW_SHARES = (0.6, 0.3)
YELLOW, RED = int(LightState.YELLOW), int(LightState.RED)


@rule
def stop_line(light: NDArray[np.float32], stop_sign: NDArray[np.float32], speed: float, k: Numbers) -> float:
    """s in m where the ego's centre has to stop for a light or a stop sign; NO_LINE where nothing asks for it or it is too late."""
    stop = NO_LINE
    reach = k.half_length + k.line_gap
    if (light[1] == RED or light[1] == YELLOW) and light[0] < SIGHT_M:
        gap = max(light[0] - reach, 0.0)
        # the bumper may use up the gap to the line when braking late
        needed = speed * speed / (2.0 * max(light[0] - k.half_length, 0.1))
        if needed <= (k.red_brake if light[1] == RED else k.yellow_brake):
            stop = gap
    if stop_sign[1] > 0.0 and stop_sign[0] < SIGHT_M:
        stop = min(stop, max(stop_sign[0] - reach, 0.0))
    return stop


@rule
def speed_profile(path: Path, fast: float, k: Numbers, top: NDArray[np.float64]) -> None:
    """Fill `top` (ROWS,): the largest speed squared at each row, so that every later curve can be met with comfortable braking.

    `fast` is the largest speed, m/s.
    """
    fast = fast * fast
    for row in range(ROWS - 1, -1, -1):
        top[row] = min(fast, k.lateral_accel / max(path.curvature[row], 1e-4))
        if row < ROWS - 1:
            top[row] = min(top[row], top[row + 1] + 2.0 * k.comfort_brake * (path.s[row + 1] - path.s[row]))


@rule
def _follow(gap: float, speed: float, lead: float, k: Numbers) -> float:
    """IDM acceleration towards a leader, m/s^2, without its free-road part; hard braking where the leader may stop too soon for more."""
    if speed > lead and gap + lead * lead / (2.0 * k.lead_brake) < speed * speed / (2.0 * k.hard_brake) + k.react_s * speed + k.react_gap:
        return -k.hard_brake
    closing = speed * (speed - lead) / (2.0 * math.sqrt(k.accel * k.comfort_brake))
    wanted = k.lead_gap + max(0.0, speed * k.lead_headway_s + closing)
    return k.accel * (1.0 - (wanted / max(gap, 0.1)) ** 2)


@rule
def move(
    path: Path,
    top: NDArray[np.float64],
    speed: float,
    stop: float,
    cap: float,
    brake: float,
    accel: float,
    others: Others,
    leaders: int,
    k: Numbers,
    motion: NDArray[np.float64],
) -> None:
    """Fill `motion` (TICKS + 1, 2): s and speed from now on, with a line at `stop`, no faster than `cap`, braking by `brake` at least.

    `accel` m/s^2 is the most that it gathers speed with.
    """
    s, v, row = 0.0, speed, 0
    motion[0, 0], motion[0, 1] = s, v
    for j in range(1, TICKS + 1):
        ahead = s + v * WAYPOINT_S
        row = row_at(path, ahead, row)
        f = min(max((ahead - path.s[row]) / (path.s[row + 1] - path.s[row]), 0.0), 1.0)
        allowed = min(math.sqrt(max(top[row] + f * (top[row + 1] - top[row]), 0.0)), cap)
        if stop < NO_LINE:
            allowed = min(allowed, math.sqrt(2.0 * k.comfort_brake * max(stop - ahead, 0.0)))
        a = min((allowed - v) / WAYPOINT_S, accel)
        if a < -k.comfort_brake:
            a = max(a, -k.comfort_brake - (v - allowed) / 0.5)
        for m in range(leaders):
            lead_s = others.lead[m, 0] + others.lead[m, 1] * (j - 1) * WAYPOINT_S
            a = min(a, _follow(lead_s - k.half_length - s, v, others.lead[m, 1], k))
        if brake > 0.0:
            a = min(a, -brake)
        after = max(v + max(a, -k.hard_brake) * WAYPOINT_S, 0.0)
        if after < 0.1 and after <= v and (stop - s < 0.3 or brake > 0.0):
            after = 0.0
        s += 0.5 * (v + after) * WAYPOINT_S
        v = after
        motion[j, 0], motion[j, 1] = s, v


@rule
def first_meeting(path: Path, motion: NDArray[np.float64], others: Others, crossing: int, k: Numbers) -> tuple[int, int]:
    """The step of `motion` at which the ego, grown by its margins, first overlaps a forecast object, and which one; -1 for never.

    A standing ego is not to blame for who drives into it.
    """
    row = 0
    for j in range(STEPS):
        s, v = motion[2 * j, 0], motion[2 * j, 1]
        if v < 0.1:
            continue
        row = row_at(path, s, row)
        x, y, yaw = pose_at(path, s, row)
        for m in range(crossing):
            other = others.pose[m, j]
            # what is passed has its margin already
            long = k.half_length if others.fixed[m] else k.half_length + k.box_ahead + k.box_ahead_s * v
            wide = k.half_width if others.fixed[m] else k.half_width + k.box_side
            if boxes_overlap(x, y, yaw, long, wide, other[0], other[1], other[2], others.half[m, 0], others.half[m, 1]):
                return 2 * j, m
    return -1, -1


@rule
def stop_before(path: Path, others: Others, m: int, s: float, k: Numbers) -> float:
    """s where the ego stops for object m that it would meet at `s`: before all that the object will drive over, now or later.

    So an ego that waits for many does not creep forward between them. One that is there already stops before `s`.
    """
    row = 0
    while row < ROWS - 1 and path.s[row] < s:
        for j in range(STEPS):
            other = others.pose[m, j]
            if boxes_overlap(
                path.x[row],
                path.y[row],
                path.yaw[row],
                k.half_length + k.box_side,
                k.half_width + k.box_side,
                other[0],
                other[1],
                other[2],
                others.half[m, 0],
                others.half[m, 1],
            ):
                return path.s[row] - k.conflict_gap if path.s[row] > k.conflict_gap else max(s - k.conflict_gap, 0.0)
        row += 1
    return max(s - k.conflict_gap, 0.0)


@rule
def choose(
    path: Path,
    top: NDArray[np.float64],
    speed: float,
    stop: float,
    others: Others,
    crossing: int,
    leaders: int,
    accel: float,
    k: Numbers,
    motion: NDArray[np.float64],
) -> int:
    """Fill `motion` with the first candidate that meets nobody: drive on, drive on quickly, stop before the meeting, slow down, brake,
    brake hard. Returns its number.

    Where all meet someone: brake hard, CANDIDATES.
    """
    line = stop
    for candidate in range(CANDIDATES):
        cap, brake = math.inf, 0.0
        pull = k.pass_accel if candidate == QUICK else accel
        if candidate == SLOW or candidate == SLOW + 1:
            line, cap = stop, SLOW_SHARES[candidate - SLOW] * math.sqrt(top[0])
        elif candidate >= BRAKE:
            brake = k.comfort_brake if candidate == BRAKE else k.hard_brake
        move(path, top, speed, line if candidate != QUICK else stop, cap, brake, pull, others, leaders, k, motion)
        met, whom = first_meeting(path, motion, others, crossing, k)
        if met < 0:
            return candidate
        # another try stops before what the last one meets
        if candidate != QUICK:
            line = min(line, stop_before(path, others, whom, motion[met, 0], k))
    return CANDIDATES
