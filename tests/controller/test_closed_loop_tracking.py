"""The default controller in closed loop with the kinematic bicycle."""

import math
from collections.abc import Callable
from itertools import pairwise

import numpy as np
import pytest

from carla_rl.controller import make_controller
from carla_rl.geometry import carry
from carla_rl.types import TICK_S, Ego

FRONT, REAR, GAIN = -0.0908, 1.4178, 0.36848

Curve = Callable[[float], tuple[float, float]]
"""From arc length to a point of the reference."""


class Bicycle:
    """One kinematic bicycle with CARLA's pedals: throttle 4.5 m/s^2, drag 0.06 / s, brake 4.952 m/s^2."""

    def __init__(self, speed: float, y: float = 0.0):
        self.x, self.y, self.yaw, self.speed = 0.0, y, 0.0, speed

    def drive(self, throttle: float, steer: float, brake: float) -> None:
        slip = math.atan(REAR / (FRONT + REAR) * math.tan(GAIN * steer))
        self.x += self.speed * math.cos(self.yaw + slip) * TICK_S
        self.y += self.speed * math.sin(self.yaw + slip) * TICK_S
        self.yaw += self.speed / REAR * math.sin(slip) * TICK_S
        self.speed = max(0.0, self.speed + (4.5 * throttle - 0.06 * self.speed - 4.952 * brake) * TICK_S)

    @property
    def pose(self) -> np.ndarray:
        return np.array([[self.x, self.y, self.yaw]])

    @property
    def ego(self) -> Ego:
        one = np.ones(1)
        return Ego(x=one * self.x, y=one * self.y, yaw=one * self.yaw, speed=one * self.speed, yaw_rate=0 * one, acceleration=0 * one)


def circle(radius: float) -> Curve:
    return lambda s: (radius * math.sin(s / radius), radius - radius * math.cos(s / radius))


def follow(
    car: Bicycle, reference: Curve, station: Callable[[Bicycle], float], wanted: float, seconds: float, every: int
) -> list[tuple[float, float]]:
    """Drive along `reference` at `wanted` m/s with a new plan each `every` ticks; (signed distance left of it, speed) after each tick."""
    controller = make_controller("default", 1)
    trace = []
    for tick in range(round(seconds / TICK_S)):
        if tick % every == 0:
            then, s, v, plan = car.pose, station(car), car.speed, []
            for _ in range(20):
                before, v = v, min(wanted, v + 0.2) if v < wanted else max(wanted, v - 0.3)
                s += 0.5 * (before + v) * 0.1
                dx, dy = np.subtract(reference(s), (car.x, car.y))
                c, n = math.cos(car.yaw), math.sin(car.yaw)
                plan.append((dx * c + dy * n, dy * c - dx * n))
            waypoints = np.array([plan], np.float32)
        control = controller.control(carry(waypoints, then, car.pose), tick % every * TICK_S, car.ego)
        car.drive(control.throttle[0], control.steer[0], control.brake[0])
        px, py = reference(station(car))
        qx, qy = reference(station(car) + 0.01)
        heading = math.atan2(qy - py, qx - px)
        trace.append(((car.y - py) * math.cos(heading) - (car.x - px) * math.sin(heading), car.speed))
    return trace


@pytest.mark.parametrize("every", [2, 4])
@pytest.mark.parametrize("speed", [10.0, 25.0])
def test_straight_from_one_metre_beside(speed: float, every: int) -> None:
    trace = follow(Bicycle(speed, y=1.0), lambda s: (s, 0.0), lambda car: car.x, speed, 12.0, every)
    assert min(lateral for lateral, _ in trace) > -0.15
    assert all(abs(lateral) < 0.02 for lateral, _ in trace[160:])
    assert all(abs(v - speed) < 0.05 for _, v in trace)


@pytest.mark.parametrize("every", [2, 4])
@pytest.mark.parametrize(("radius", "speed", "bound"), [(6.0, 4.0, 0.12), (50.0, 12.0, 0.08), (250.0, 25.0, 0.08)])
def test_curves(radius: float, speed: float, bound: float, every: int) -> None:
    def station(car: Bicycle) -> float:
        return radius * (math.atan2(car.x, radius - car.y) % math.tau)

    trace = follow(Bicycle(speed), circle(radius), station, speed, 9.0, every)
    assert all(abs(lateral) < 0.3 for lateral, _ in trace)
    assert all(abs(lateral) < bound for lateral, _ in trace[60:])
    assert all(abs(v - speed) < 0.1 for _, v in trace)


@pytest.mark.parametrize("every", [2, 4])
def test_stop_from_twelve_metres_a_second(every: int) -> None:
    car = Bicycle(12.0)
    trace = follow(car, lambda s: (s, 0.0), lambda car: car.x, 0.0, 12.0, every)
    speeds = [v for _, v in trace]
    assert speeds[-1] == 0.0
    assert all(b <= a for a, b in pairwise(speeds))
    # the plans brake by 3 m/s^2: 12^2 / 6 = 24 m, and a little more for the response time
    assert 23.0 < car.x < 29.0


def test_it_creeps_at_two_decimetres_a_second() -> None:
    car = Bicycle(0.0)
    trace = follow(car, lambda s: (s, 0.0), lambda car: car.x, 0.2, 10.0, 2)
    assert car.x == pytest.approx(2.0, abs=0.6)
    assert max(v for _, v in trace) < 0.35
