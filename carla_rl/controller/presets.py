"""The numbers of each controller preset, with the source that they come from.

Knows numbers only; the laws that use them are in `carla_rl.controller.laws`.
"""

from typing import Literal

from pydantic import Field

from carla_rl.config import Config
from carla_rl.errors import UsageError


class Pid(Config):
    """Gains of u = kp * e + ki * mean(window) + kd * (e - previous e), per tick of 0.05 s; no time step in it, as in the sources."""

    kp: float
    ki: float
    kd: float
    window: int = Field(ge=2, description="errors remembered, the newest included")
    zero_filled: bool = Field(default=True, description="whether the window starts full of zeros (else empty: first derivative 0)")


class TransfuserPreset(Config):
    """Waypoint law of TransFuser 2022: `team_code_transfuser/model.py::control_pid` at 22b3ccd (2 Hz waypoints at 0.5 s and 1.0 s)."""

    name: Literal["transfuser"] = "transfuser"
    speed_pid: Pid = Pid(kp=5.0, ki=0.5, kd=1.0, window=20)
    turn_pid: Pid = Pid(kp=1.25, ki=0.75, kd=0.3, window=20)
    brake_speed: float = Field(default=0.4, description="m/s; a lower desired speed brakes")
    brake_ratio: float = Field(default=1.1, description="speed / desired speed above which it brakes")
    clip_delta: float = Field(default=0.25, description="m/s, largest speed error that the throttle sees")
    max_throttle: float = 0.75


class TcpPreset(Config):
    """Trajectory branch of TCP: `team_code/pid_controller.py` at 73cc1dd (2 Hz waypoints at 0.5 s to 2.0 s), without its target point."""

    name: Literal["tcp"] = "tcp"
    speed_pid: Pid = Pid(kp=5.0, ki=0.5, kd=1.0, window=40)
    turn_pid: Pid = Pid(kp=0.75, ki=0.75, kd=0.3, window=40)
    brake_speed: float = Field(default=0.4, description="m/s; a lower desired speed brakes")
    brake_ratio: float = Field(default=1.1, description="speed / desired speed above which it brakes")
    clip_delta: float = Field(default=0.25, description="m/s, largest speed error that the throttle sees")
    max_throttle: float = 0.75
    aim_distance: float = Field(default=4.0, description="m; the pair of waypoints whose midpoint is nearest to it gives the aim")


class PdmLitePreset(Config):
    """PDM-Lite: `team_code/config.py`, `lateral_controller.py`, `longitudinal_controller.py` of carla_garage, leaderboard_2 at 0f1cd25.

    The source steers on its route and gets a target speed from its planner; here the route is the plan's polyline and the target speed
    is the plan's mean speed from 0.5 s to 1.0 s, as carla_garage reads waypoints.
    """

    name: Literal["pdm_lite"] = "pdm_lite"
    turn_pid: Pid = Pid(kp=3.118357247806046, ki=0.6406067986034124, kd=1.3782508892109167, window=6, zero_filled=False)
    lookahead_scale: float = Field(default=0.09755321901954155, description="m of look-ahead for each km/h")
    lookahead_offset: float = Field(default=0.19152884533402488, description="m")
    lookahead_min: float = Field(default=2.4, description="m")
    lookahead_max: float = Field(default=10.5, description="m")
    stop_speed: float = Field(default=1e-5, description="m/s; a lower target brakes")
    min_target: float = Field(default=0.278, description="m/s; lower targets are raised to it")
    full_throttle_error: float = Field(default=1.89, description="km/h; a larger speed error gives full throttle")
    brake_ratio: float = Field(default=1.031266635497984, description="speed / target above which it brakes")
    throttle_coefficients: tuple[float, float, float, float, float, float] = Field(
        default=(1.1990342347353184, -0.8057602384167799, 1.710818710950062, 0.921890257450335, 1.556497522998393, -0.7013479734904027),
        description="of u, u^2, e, (e/100)^2, u e/100, u^2 e/100 with u = km/h / 100 and e = the positive speed error in km/h",
    )


class DefaultPreset(Config):
    """Our own law for plans of 0.1 s steps: the speed that the plan has shortly, and the arc through a point ahead on it.

    Vehicle numbers: the bicycle that World on Rails fitted to CARLA's ego (carla_garage leaderboard_2 `team_code/config.py`: wheel bases
    -0.0908 / 1.4178 m, steering gain 0.36848 rad, braking 4.952 m/s^2) and a throttle of 4.5 m/s^2 less 0.06 / s of drag.
    """

    name: Literal["default"] = "default"
    preview_start_s: float = Field(default=0.2, description="the desired speed is the plan's mean speed from here")
    preview_end_s: float = Field(default=0.6, description="to here, seconds from now")
    response_s: float = Field(default=0.4, description="time in which the speed error is to vanish")
    throttle_accel: float = Field(default=4.5, description="m/s^2 at full throttle")
    drag: float = Field(default=0.06, description="1/s, deceleration for each m/s when coasting")
    brake_accel: float = Field(default=4.952, description="m/s^2 at full brake")
    coast_band: float = Field(default=0.25, description="m/s^2 of braking that is left to the drag, so that pedals do not chatter")
    hold_speed: float = Field(default=0.02, description="m/s; a plan slower than this stands still: full brake")
    creep_speed: float = Field(default=0.3, description="m/s below which a plan that moves gets at least creep_throttle")
    creep_throttle: float = 0.15
    lookahead_min: float = Field(default=1.8, description="m")
    lookahead_s: float = Field(default=0.3, description="seconds of present speed that the look-ahead grows with")
    lookahead_max: float = Field(default=14.0, description="m")
    rear_base: float = Field(default=1.4178275, description="m from the rear axle to the centre")
    front_base: float = Field(default=-0.090769015, description="m, effective, from the centre to the front axle")
    steer_gain: float = Field(default=0.36848336, description="rad of wheel angle at full steer")


Preset = TransfuserPreset | TcpPreset | PdmLitePreset | DefaultPreset

PRESETS: dict[str, Preset] = {preset.name: preset for preset in (DefaultPreset(), TransfuserPreset(), TcpPreset(), PdmLitePreset())}
"""The presets by name."""


def preset(name: str) -> Preset:
    """The preset of that name.

    Raises:
        UsageError: there is none; the message lists those that there are.
    """
    if name not in PRESETS:
        raise UsageError(f"controller {name!r} is not known; choose one of {', '.join(PRESETS)}")
    return PRESETS[name]
