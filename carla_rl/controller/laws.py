"""The control laws, one env at a time: numba scalar code, so that an env's pedals are the same bits whatever the other envs do.

Every law takes a plan in the current ego frame (see `carla_rl.controller.plan`) and writes throttle, steer (positive to the left), brake.
Waypoints "at 0.5 s" are the plan's own, 0.5 s after it was made (index 4): the sources plan anew at each tick, so theirs have no age.
"""

import math
from typing import NamedTuple

import numba
import numpy as np
from numpy.typing import NDArray

from carla_rl.controller.plan import at_distance, forward_speed

SPEED, TURN = 0, 1
"""Rows of an env's error windows."""
HALF_SECONDS = (4, 9, 14, 19)
"""Waypoints at 0.5, 1.0, 1.5 and 2.0 s after the plan was made: the 2 Hz waypoints of TransFuser and TCP."""


class Gains(NamedTuple):
    """A windowed PID; see `carla_rl.controller.presets.Pid`."""

    kp: float
    ki: float
    kd: float
    window: int
    zero_filled: bool


class HalfSecondLaw(NamedTuple):
    """The numbers of the laws that read 2 Hz waypoints: `TransfuserPreset` and `TcpPreset`."""

    speed: Gains
    turn: Gains
    brake_speed: float
    brake_ratio: float
    clip_delta: float
    max_throttle: float
    aim_distance: float


class PdmLiteLaw(NamedTuple):
    """The numbers of `PdmLitePreset`."""

    turn: Gains
    lookahead_scale: float
    lookahead_offset: float
    lookahead_min: float
    lookahead_max: float
    stop_speed: float
    min_target: float
    full_throttle_error: float
    brake_ratio: float
    coefficients: tuple[float, float, float, float, float, float]


class DefaultLaw(NamedTuple):
    """The numbers of `DefaultPreset`."""

    preview_start_s: float
    preview_end_s: float
    response_s: float
    throttle_accel: float
    drag: float
    brake_accel: float
    coast_band: float
    hold_speed: float
    creep_speed: float
    creep_throttle: float
    lookahead_min: float
    lookahead_s: float
    lookahead_max: float
    rear_base: float
    front_base: float
    steer_gain: float


@numba.njit(cache=True)
def clip(value: float, low: float, high: float) -> float:
    """`value`, but not below `low` nor above `high`."""
    return min(max(value, low), high)


@numba.njit(cache=True)
def quarter_turns(x: float, y: float) -> float:
    """The direction of a point in units of 90 degrees, positive to the left; 0 for the ego's own place."""
    return math.atan2(y, x) * 180.0 / math.pi / 90.0


@numba.njit(cache=True)
def pid(errors: NDArray[np.float64], count: NDArray[np.int64], row: int, error: float, gains: Gains) -> float:
    """Push `error` into window `row` and return kp * e + ki * mean(window) + kd * (e - previous e).

    `errors` is (2, W) zeros at the start of an episode, a ring; `count` (2,) says how many were pushed.
    """
    pushed = count[row]
    previous = errors[row, (pushed - 1) % gains.window] if pushed > 0 else 0.0
    if pushed == 0 and not gains.zero_filled:
        previous = error
    errors[row, pushed % gains.window] = error
    count[row] = pushed + 1
    total = 0.0
    for i in range(gains.window):
        total += errors[row, i]
    held = gains.window if gains.zero_filled else min(pushed + 1, gains.window)
    return gains.kp * error + gains.ki * (total / held) + gains.kd * (error - previous)


@numba.njit(cache=True)
def _half_second_pedals(
    desired: float, speed: float, law: HalfSecondLaw, errors: NDArray[np.float64], count: NDArray[np.int64]
) -> tuple[float, float]:
    """Throttle and brake of TransFuser and TCP. The order of the two tests keeps a desired speed of 0 from dividing."""
    braking = desired < law.brake_speed or speed / desired > law.brake_ratio
    throttle = clip(pid(errors, count, SPEED, clip(desired - speed, 0.0, law.clip_delta), law.speed), 0.0, law.max_throttle)
    return (0.0, 1.0) if braking else (throttle, 0.0)


@numba.njit(cache=True)
def transfuser(
    plan: NDArray[np.float64], speed: float, law: HalfSecondLaw, errors: NDArray[np.float64], count: NDArray[np.int64]
) -> tuple[float, float, float]:
    """TransFuser 2022: desired speed 2 |w0 - w1|, aim (w0 + w1) / 2, and no steering error while braking or below 0.01 m/s."""
    x0, y0 = plan[HALF_SECONDS[0], 0], plan[HALF_SECONDS[0], 1]
    x1, y1 = plan[HALF_SECONDS[1], 0], plan[HALF_SECONDS[1], 1]
    throttle, brake = _half_second_pedals(2.0 * math.hypot(x1 - x0, y1 - y0), speed, law, errors, count)
    angle = 0.0 if speed < 0.01 or brake > 0.0 else quarter_turns(0.5 * (x0 + x1), 0.5 * (y0 + y1))
    return throttle, clip(pid(errors, count, TURN, angle, law.turn), -1.0, 1.0), brake


@numba.njit(cache=True)
def tcp(
    plan: NDArray[np.float64], speed: float, law: HalfSecondLaw, errors: NDArray[np.float64], count: NDArray[np.int64]
) -> tuple[float, float, float]:
    """TCP's trajectory branch: mean speed over the pairs; the aim is the first of the pair whose midpoint is nearest 4 m away."""
    desired = 0.0
    aim_x, aim_y, best = 0.0, 0.0, math.inf
    for k in range(3):
        ax, ay = plan[HALF_SECONDS[k], 0], plan[HALF_SECONDS[k], 1]
        bx, by = plan[HALF_SECONDS[k + 1], 0], plan[HALF_SECONDS[k + 1], 1]
        desired += 2.0 * math.hypot(bx - ax, by - ay) / 3.0
        off = abs(math.hypot(0.5 * (ax + bx), 0.5 * (ay + by)) - law.aim_distance)
        if off < best:
            aim_x, aim_y, best = ax, ay, off
    throttle, brake = _half_second_pedals(desired, speed, law, errors, count)
    return throttle, clip(pid(errors, count, TURN, quarter_turns(aim_x, aim_y), law.turn), -1.0, 1.0), brake


@numba.njit(cache=True)
def pdm_lite_pedals(target: float, speed: float, law: PdmLiteLaw) -> tuple[float, float]:
    """PDM-Lite's linear regression from target speed and speed, m/s, to throttle and brake."""
    if target < law.stop_speed:
        return 0.0, 1.0
    target_kph, kph = 3.6 * max(target, law.min_target), 3.6 * speed
    error = target_kph - kph
    if error > law.full_throttle_error:
        return 1.0, 0.0
    if kph / target_kph > law.brake_ratio:
        return 0.0, 1.0
    u, e, c = kph / 100.0, max(error, 0.0) / 100.0, law.coefficients
    return clip(c[0] * u + c[1] * u * u + c[2] * 100.0 * e + c[3] * e * e + c[4] * u * e + c[5] * u * u * e, 0.0, 1.0), 0.0


@numba.njit(cache=True)
def pdm_lite(
    plan: NDArray[np.float64], age_s: float, speed: float, law: PdmLiteLaw, errors: NDArray[np.float64], count: NDArray[np.int64]
) -> tuple[float, float, float]:
    """PDM-Lite: steering PID on the heading error to the look-ahead point, pedals by linear regression."""
    throttle, brake = pdm_lite_pedals(forward_speed(plan, 0.0, 0.5, 1.0), speed, law)
    reach = clip(law.lookahead_scale * 3.6 * speed + law.lookahead_offset, law.lookahead_min, law.lookahead_max)
    x, y = at_distance(plan, age_s, reach)
    return throttle, clip(pid(errors, count, TURN, quarter_turns(x, y), law.turn), -1.0, 1.0), brake


@numba.njit(cache=True)
def default_pedals(desired: float, speed: float, law: DefaultLaw) -> tuple[float, float]:
    """The pedal whose acceleration takes the speed error away in `response_s`; standing still brakes fully, slow plans creep."""
    if desired < law.hold_speed:
        return 0.0, 1.0
    wanted = (desired - speed) / law.response_s + law.drag * speed
    if wanted < -law.coast_band:
        return 0.0, clip(-wanted / law.brake_accel, 0.0, 1.0)
    throttle = clip(wanted / law.throttle_accel, 0.0, 1.0)
    if speed < min(desired, law.creep_speed):
        throttle = max(throttle, law.creep_throttle)
    return throttle, 0.0


@numba.njit(cache=True)
def arc_steer(x: float, y: float, law: DefaultLaw) -> float:
    """Steer that puts the vehicle's centre on the circle through the point (x, y): pure pursuit for the kinematic bicycle.

    The centre moves at the slip angle b, on a curvature of sin(b) / rear_base. The circle through a point at distance d in direction a has
    curvature 2 sin(a - b) / d. Equal for tan(b) = sin(a) / (d / (2 rear_base) + cos(a)); and tan(wheel) = tan(b) (front + rear) / rear.
    """
    d = math.hypot(x, y)
    if d < 1e-3:
        return 0.0
    denominator = d / (2.0 * law.rear_base) + x / d
    if denominator <= 0.05:
        return 1.0 if y > 0.0 else -1.0
    tan_slip = (y / d) / denominator
    wheel = math.atan(tan_slip * (law.front_base + law.rear_base) / law.rear_base)
    return min(max(wheel / law.steer_gain, -1.0), 1.0)


@numba.njit(cache=True)
def default(plan: NDArray[np.float64], age_s: float, speed: float, law: DefaultLaw) -> tuple[float, float, float]:
    """Our own law; has no memory."""
    throttle, brake = default_pedals(forward_speed(plan, age_s, law.preview_start_s, law.preview_end_s), speed, law)
    reach = clip(law.lookahead_min + law.lookahead_s * speed, law.lookahead_min, law.lookahead_max)
    x, y = at_distance(plan, age_s, reach)
    return throttle, arc_steer(x, y, law), brake
