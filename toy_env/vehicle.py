"""The ego's motion: a kinematic bicycle under CARLA's pedals and wheel. Knows nothing of roads or other actors."""

import math
from dataclasses import asdict, dataclass
from typing import NamedTuple

from carla_rl.types import TICK_S
from toy_env.compiled import compiled


class VehicleParameters(NamedTuple):
    """`VehicleModel` as kernels take it; fields as there."""

    front_base_m: float
    rear_base_m: float
    steer_gain: float
    throttle_accel: float
    drag: float
    brake_accel: float
    half_length: float
    half_width: float


@dataclass(frozen=True, slots=True)
class VehicleModel:
    """Parameters of the ego, and the one place where they are written down. CARLA's Lincoln MKZ 2020.

    Wheel bases, steer gain and brake are the fit of World on Rails (Chen et al. 2021) to CARLA's ego. Its constant 0.563 m/s^2 of throttle
    would need 20 s to 40 km/h, so the throttle is 4.5 m/s^2 at full pedal less a linear drag: the regression in carla_garage's longitudinal
    controller gives the MKZ about 2.8 m/s^2 at throttle 0.75 and 30 km/h, and 0.75 * 4.5 - 0.06 * 8.33 = 2.88.
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
    half_length: float = 2.45
    """m."""
    half_width: float = 1.03
    """m."""

    def __post_init__(self) -> None:
        wrong = [
            name
            for name in ("rear_base_m", "steer_gain", "throttle_accel", "brake_accel", "half_length", "half_width")
            if not getattr(self, name) > 0
        ]
        if wrong or self.drag < 0 or self.front_base_m + self.rear_base_m <= 0:
            raise ValueError(f"vehicle parameters out of range: {', '.join(wrong) or 'drag or wheel bases'} in {self}")

    @property
    def parameters(self) -> VehicleParameters:
        """For kernels."""
        return VehicleParameters(**asdict(self))


@compiled
def bicycle(
    vehicle: VehicleParameters, yaw: float, speed: float, throttle: float, steer: float, brake: float
) -> tuple[float, float, float, float]:
    """One tick: (dx, dy in the map frame in m, change of yaw in rad, new speed in m/s). Steer is positive to the left; never reverses.

    The speed changes linearly over the tick and the way is the chord of the arc, so constant controls give the exact
    stopping distance and turning circle. A pedal beyond its range counts as its end.
    """
    throttle = min(max(throttle, 0.0), 1.0)
    brake = min(max(brake, 0.0), 1.0)
    wheel = vehicle.steer_gain * min(max(steer, -1.0), 1.0)
    pull = throttle * vehicle.throttle_accel - vehicle.drag * speed - brake * vehicle.brake_accel
    after = speed + pull * TICK_S
    if after <= 0.0:
        after = 0.0
        # it comes to rest within the tick
        way = 0.5 * speed * speed / -pull if speed > 0.0 else 0.0
    else:
        way = 0.5 * (speed + after) * TICK_S
    slip = math.atan(vehicle.rear_base_m / (vehicle.front_base_m + vehicle.rear_base_m) * math.tan(wheel))
    turn = way * math.sin(slip) / vehicle.rear_base_m
    heading = yaw + slip + 0.5 * turn
    return way * math.cos(heading), way * math.sin(heading), turn, after
