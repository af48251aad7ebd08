"""The ego's motion: a kinematic bicycle under CARLA's pedals and wheel. Knows nothing of roads or other actors."""

import math
from dataclasses import asdict, dataclass
from typing import NamedTuple

from carla_rl.types import TICK_S
from carla_rl.world.compiled import inline_rule


class VehicleParameters(NamedTuple):
    """`VehicleModel` as kernels take it; fields as there."""

    front_base_m: float
    rear_base_m: float
    steer_gain: float
    throttle_accel: float
    drag: float
    brake_accel: float
    pedal_press_rate: float
    pedal_release_rate: float
    steer_rate: float
    steer_return_rate: float
    steer_limit_20: float
    steer_limit_60: float
    steer_limit_120: float
    half_length: float
    half_width: float


@dataclass(frozen=True, slots=True)
class VehicleModel:
    """Parameters of the ego, and the one place where they are written down. CARLA's Lincoln MKZ 2020.

    Wheel bases, steer gain and brake are the fit of World on Rails (Chen et al. 2021) to CARLA's ego. Its constant 0.563 m/s^2 of throttle
    would need 20 s to 40 km/h, so the throttle is 4.5 m/s^2 at full pedal less a linear drag: the regression in carla_garage's longitudinal
    controller gives the MKZ about 2.8 m/s^2 at throttle 0.75 and 30 km/h, and 0.75 * 4.5 - 0.06 * 8.33 = 2.88.
    The rates are the defaults of Unreal Engine 4's wheeled vehicle, the steering limit that of CARLA's default steering curve.
    """

    front_base_m: float = -0.0908
    """m, World on Rails' front wheel base offset."""
    rear_base_m: float = 1.4178
    """m, World on Rails' rear wheel base offset."""
    steer_gain: float = 0.36848
    """rad of wheel angle at full steer."""
    throttle_accel: float = 4.5
    """m/s^2 at full throttle, standing."""
    drag: float = 0.06
    """1/s: m/s^2 lost per m/s of speed."""
    brake_accel: float = 4.952
    """m/s^2 at full brake."""
    pedal_press_rate: float = 6.0
    """1/s: how fast a pedal follows a larger command."""
    pedal_release_rate: float = 10.0
    """1/s: how fast it follows a smaller one."""
    steer_rate: float = 2.5
    """1/s: how fast the wheel turns away from straight ahead."""
    steer_return_rate: float = 5.0
    """1/s: how fast it turns back."""
    steer_limit_20: float = 0.9
    """Share of the wheel's range that is left at 20 km/h,"""
    steer_limit_60: float = 0.8
    """at 60 km/h"""
    steer_limit_120: float = 0.7
    """and from 120 km/h on; linear in between, all of it at rest."""
    half_length: float = 2.45
    """m."""
    half_width: float = 1.03
    """m."""

    def __post_init__(self) -> None:
        wrong = [
            name for name in VehicleParameters._fields if name not in ("front_base_m", "drag") and not 0 < getattr(self, name) < math.inf
        ]
        if wrong or self.drag < 0 or self.front_base_m + self.rear_base_m <= 0:
            raise ValueError(f"vehicle parameters out of range: {', '.join(wrong) or 'drag or wheel bases'} in {self}")

    @property
    def parameters(self) -> VehicleParameters:
        """For kernels."""
        return VehicleParameters(**asdict(self))


@inline_rule
def follow(value: float, command: float, up: float, down: float, tick_s: float = TICK_S) -> float:
    """A pedal or wheel after a tick in which it follows its command: by `up` 1/s away from zero, by `down` 1/s towards it."""
    rate = up if abs(command) > abs(value) and command * value >= 0.0 else down
    return value + min(max(command - value, -rate * tick_s), rate * tick_s)


@inline_rule
def steer_limit(vehicle: VehicleParameters, speed: float) -> float:
    """Share of the wheel's range that can be used at a speed in m/s."""
    kmh = 3.6 * speed
    if kmh < 20.0:
        return 1.0 + (vehicle.steer_limit_20 - 1.0) * kmh / 20.0
    if kmh < 60.0:
        return vehicle.steer_limit_20 + (vehicle.steer_limit_60 - vehicle.steer_limit_20) * (kmh - 20.0) / 40.0
    return vehicle.steer_limit_60 + (vehicle.steer_limit_120 - vehicle.steer_limit_60) * min((kmh - 60.0) / 60.0, 1.0)


@inline_rule
def pull(vehicle: VehicleParameters, speed: float, throttle: float, brake: float, tick_s: float = TICK_S) -> tuple[float, float]:
    """The way in m and the speed in m/s after a tick; the speed never turns round. A negative throttle pulls backwards."""
    force = throttle * vehicle.throttle_accel - vehicle.drag * speed - brake * vehicle.brake_accel
    after = speed + force * tick_s
    if after <= 0.0:
        # it comes to rest within the tick
        return (0.5 * speed * speed / -force if speed > 0.0 else 0.0), 0.0
    return 0.5 * (speed + after) * tick_s, after


@inline_rule
def arc(vehicle: VehicleParameters, yaw: float, speed: float, steer: float, way: float) -> tuple[float, float, float]:
    """(dx, dy in the map frame in m, change of yaw in rad) over a way in m that is negative backwards; `speed` limits the wheel."""
    wheel = vehicle.steer_gain * steer * steer_limit(vehicle, speed)
    tangent = vehicle.rear_base_m / (vehicle.front_base_m + vehicle.rear_base_m) * math.tan(wheel)
    turn = way * tangent / (math.sqrt(1.0 + tangent * tangent) * vehicle.rear_base_m)
    heading = yaw + math.atan(tangent) + 0.5 * turn
    return way * math.cos(heading), way * math.sin(heading), turn


@inline_rule
def bicycle(
    vehicle: VehicleParameters, yaw: float, speed: float, throttle: float, steer: float, brake: float, tick_s: float = TICK_S
) -> tuple[float, float, float, float]:
    """One tick: (dx, dy in the map frame in m, change of yaw in rad, new speed in m/s). Steer is positive to the left; never reverses.

    The pedals are in [0, 1] and the wheel in [-1, 1], where they are, not where they are commanded to; see `follow`.
    The speed changes linearly over the tick and the way is the chord of the arc, so constant controls give the exact
    stopping distance and turning circle.
    """
    way, after = pull(vehicle, speed, throttle, brake, tick_s)
    dx, dy, turn = arc(vehicle, yaw, speed, steer, way)
    return dx, dy, turn, after
