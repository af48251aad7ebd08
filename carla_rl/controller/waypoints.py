"""The controller: runs a preset's law over N envs and keeps each env's error windows.

Knows neither the simulator nor the policy; the laws are in `carla_rl.controller.laws`, their numbers in `carla_rl.controller.presets`.
"""

from collections.abc import Callable

import numba
import numpy as np
from numpy.typing import NDArray

from carla_rl.controller import laws
from carla_rl.controller.presets import DefaultPreset, PdmLitePreset, Pid, Preset, TcpPreset, TransfuserPreset, preset
from carla_rl.errors import UsageError
from carla_rl.interfaces import Arrays
from carla_rl.types import TICK_S, WAYPOINT_S, Bools, Control, Ego

Floats = NDArray[np.float64]
Counts = NDArray[np.int64]
Law = Callable[[Floats, float, Floats, Floats], None]
"""Plans (N, H, 2), their age in s and the speeds (N,) in; throttle, steer and brake (3, N) written."""


class WaypointController:
    """`carla_rl.interfaces.Controller` for one preset. An env's pedals depend on that env's plans and speeds alone, bit for bit."""

    def __init__(self, numbers: Preset, num_envs: int):
        """
        Args:
            numbers: a preset, as it stands in `PRESETS` or with changed fields.
            num_envs: N.
        """
        self.name = numbers.name
        self.preset = numbers
        self.num_envs = num_envs
        self._needed_s = _horizon(numbers)
        self._errors = np.zeros((num_envs, 2, _window(numbers)), np.float64)
        self._count = np.zeros((num_envs, 2), np.int64)
        self._law = _bind(numbers, self._errors, self._count)

    def shortest_plan_s(self, decision_s: float) -> float:
        """How long, in seconds, a plan has to be that is followed for `decision_s` until the next one is made."""
        return max(self._needed_s + self._aging(decision_s - TICK_S), decision_s, 2 * WAYPOINT_S)

    def reset(self, envs: Bools) -> None:
        """Forget the errors of the envs where `envs` (N,) is true."""
        self._errors[envs] = 0.0
        self._count[envs] = 0

    def control(self, waypoints: Floats, age_s: float, ego: Ego) -> Control:
        """Pedals for N envs; see `carla_rl.interfaces.Controller.control`.

        Raises:
            ValueError: the shape is not (N, H, 2), the plan ends before what the law reads, or a waypoint is not a number.
        """
        self._check(waypoints, age_s)
        plans = np.ascontiguousarray(waypoints, np.float64)
        out = np.empty((3, self.num_envs), np.float64)
        self._law(plans, age_s, ego.speed, out)
        return Control(throttle=out[0], steer=out[1], brake=out[2])

    def snapshot(self) -> Arrays:
        """The error windows: `errors` (N, 2, W) and `count` (N, 2)."""
        return {"errors": self._errors.copy(), "count": self._count.copy()}

    def restore(self, snapshot: Arrays) -> None:
        """Go on from `snapshot`'s result.

        Raises:
            UsageError: the windows are those of another preset or number of envs.
        """
        for name, mine in (("errors", self._errors), ("count", self._count)):
            kept = snapshot.get(name)
            if kept is None or kept.shape != mine.shape:
                raise UsageError(
                    f"controller {self.name!r} of {self.num_envs} envs cannot go on from {name} of shape "
                    f"{None if kept is None else kept.shape}, it needs {mine.shape}; keep the controller and num_envs"
                )
        # in place: the law is bound to these arrays
        self._errors[:], self._count[:] = snapshot["errors"], snapshot["count"]

    def _check(self, waypoints: Floats, age_s: float) -> None:
        if waypoints.ndim != 3 or waypoints.shape[0] != self.num_envs or waypoints.shape[1] < 2 or waypoints.shape[2] != 2:
            raise ValueError(f"waypoints must be ({self.num_envs}, H >= 2, 2), not {waypoints.shape}")
        end_s = waypoints.shape[1] * WAYPOINT_S - self._aging(age_s)
        if end_s < self._needed_s - 1e-9:
            raise ValueError(f"controller {self.name!r} reads the plan {self._needed_s:g} s ahead, but it ends after {end_s:g} s")
        finite = np.isfinite(waypoints).all(axis=(1, 2))
        if not finite.all():
            raise ValueError(f"the plan of env {int(np.flatnonzero(~finite)[0])} holds a waypoint that is not a number")

    def _aging(self, age_s: float) -> float:
        """Seconds of a plan that its age uses up: the other laws read the plan's own waypoints, so their need does not grow with age."""
        return age_s if isinstance(self.preset, DefaultPreset) else 0.0


def make_controller(name: str, num_envs: int) -> WaypointController:
    """The controller of the preset `name` for N envs.

    Raises:
        UsageError: there is no such preset; the message lists those that there are.
    """
    return WaypointController(preset(name), num_envs)


def _horizon(numbers: Preset) -> float:
    """How far ahead, in seconds, a plan has to reach."""
    match numbers:
        case TcpPreset():
            return 2.0
        case DefaultPreset():
            return numbers.preview_end_s
        case TransfuserPreset() | PdmLitePreset():
            return 1.0


def _window(numbers: Preset) -> int:
    """The longest window of the preset's PIDs."""
    match numbers:
        case TransfuserPreset() | TcpPreset():
            return max(numbers.speed_pid.window, numbers.turn_pid.window)
        case PdmLitePreset():
            return numbers.turn_pid.window
        case DefaultPreset():
            return 0


def _bind(numbers: Preset, errors: Floats, count: Counts) -> Law:
    """The preset's law over all envs, on these error windows."""
    match numbers:
        case TransfuserPreset():
            half_second = _half_second_law(numbers, 0.0)
            return lambda plans, age_s, speed, out: _run_transfuser(plans, speed, half_second, errors, count, out)
        case TcpPreset():
            half_second = _half_second_law(numbers, numbers.aim_distance)
            return lambda plans, age_s, speed, out: _run_tcp(plans, speed, half_second, errors, count, out)
        case PdmLitePreset():
            values = numbers.model_dump(exclude={"name", "turn_pid", "throttle_coefficients"})
            pdm_lite = laws.PdmLiteLaw(turn=_gains(numbers.turn_pid), coefficients=numbers.throttle_coefficients, **values)
            return lambda plans, age_s, speed, out: _run_pdm_lite(plans, age_s, speed, pdm_lite, errors, count, out)
        case DefaultPreset():
            default = laws.DefaultLaw(**numbers.model_dump(exclude={"name"}))
            return lambda plans, age_s, speed, out: _run_default(plans, age_s, speed, default, out)


def _gains(numbers: Pid) -> laws.Gains:
    return laws.Gains(numbers.kp, numbers.ki, numbers.kd, numbers.window, numbers.zero_filled)


def _half_second_law(numbers: TransfuserPreset | TcpPreset, aim_distance: float) -> laws.HalfSecondLaw:
    return laws.HalfSecondLaw(
        speed=_gains(numbers.speed_pid),
        turn=_gains(numbers.turn_pid),
        brake_speed=numbers.brake_speed,
        brake_ratio=numbers.brake_ratio,
        clip_delta=numbers.clip_delta,
        max_throttle=numbers.max_throttle,
        aim_distance=aim_distance,
    )


# one loop a law: numba keeps a loop on disk only where the law that it calls is a global


@numba.njit(cache=True)
def _run_transfuser(plans: Floats, speed: Floats, law: laws.HalfSecondLaw, errors: Floats, count: Counts, out: Floats) -> None:
    for i in range(plans.shape[0]):
        out[0, i], out[1, i], out[2, i] = laws.transfuser(plans[i], speed[i], law, errors[i], count[i])


@numba.njit(cache=True)
def _run_tcp(plans: Floats, speed: Floats, law: laws.HalfSecondLaw, errors: Floats, count: Counts, out: Floats) -> None:
    for i in range(plans.shape[0]):
        out[0, i], out[1, i], out[2, i] = laws.tcp(plans[i], speed[i], law, errors[i], count[i])


@numba.njit(cache=True)
def _run_pdm_lite(plans: Floats, age_s: float, speed: Floats, law: laws.PdmLiteLaw, errors: Floats, count: Counts, out: Floats) -> None:
    for i in range(plans.shape[0]):
        out[0, i], out[1, i], out[2, i] = laws.pdm_lite(plans[i], age_s, speed[i], law, errors[i], count[i])


@numba.njit(cache=True)
def _run_default(plans: Floats, age_s: float, speed: Floats, law: laws.DefaultLaw, out: Floats) -> None:
    for i in range(plans.shape[0]):
        out[0, i], out[1, i], out[2, i] = laws.default(plans[i], age_s, speed[i], law)
