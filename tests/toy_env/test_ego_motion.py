"""The bicycle under the pedals, against numbers worked out by hand."""

import math

import numpy as np
import pytest
from small_roads import episode, pedals, put_ego, route, started, straight

from toy_env.vehicle import VehicleModel, bicycle, follow, steer_limit

MODEL = VehicleModel()


def drive(ticks: int, yaw: float, speed: float, throttle: float, steer: float, brake: float) -> tuple[float, float, float, float]:
    x = y = 0.0
    for _ in range(ticks):
        dx, dy, turn, speed = bicycle(MODEL.parameters, yaw, speed, throttle, steer, brake)
        x, y, yaw = x + dx, y + dy, yaw + turn
    return x, y, yaw, speed


def test_stopping_distance_at_full_brake() -> None:
    # from 10 m/s against 4.952 m/s^2 and a drag of 0.06 / s: x = v/k - B/k^2 ln(1 + k v / B) = 9.712 m
    k, brake = 0.06, 4.952
    by_hand = 10.0 / k - brake / k**2 * math.log(1.0 + k * 10.0 / brake)
    x, y, _, speed = drive(60, 0.0, 10.0, 0.0, 0.0, 1.0)
    assert by_hand == pytest.approx(9.34, abs=0.01)
    assert x == pytest.approx(by_hand, abs=0.03)
    assert (y, speed) == (0.0, 0.0)


def test_metres_after_two_seconds_of_full_throttle() -> None:
    # v = A/k (1 - exp(-k t)), x = A/k (t - (1 - exp(-k t)) / k): 8.48 m/s and 8.65 m after 2 s
    x, _, _, speed = drive(40, 0.0, 0.0, 1.0, 0.0, 0.0)
    gone = 1.0 - math.exp(-0.12)
    assert speed == pytest.approx(4.5 / 0.06 * gone, abs=0.02)
    assert x == pytest.approx(4.5 / 0.06 * (2.0 - gone / 0.06), abs=0.05)


def test_turning_circle_at_full_steer() -> None:
    # at 2 m/s = 7.2 km/h the wheel has 1 - 0.1 * 7.2 / 20 = 96.4 % of its range: 0.355215 rad
    # slip = atan(1.4178 / 1.327 * tan(0.355215)) = 0.3773 rad, radius = 1.4178 / sin(slip) = 3.848 m
    slip = math.atan(1.4178 / (1.4178 - 0.0908) * math.tan(0.964 * 0.36848))
    radius = 1.4178 / math.sin(slip)
    assert radius == pytest.approx(3.848, abs=0.001)
    frictionless = VehicleModel(drag=0.0).parameters
    x = y = yaw = 0.0
    corners = []
    for _ in range(400):
        dx, dy, turn, _ = bicycle(frictionless, yaw, 2.0, 0.0, 1.0, 0.0)
        x, y, yaw = x + dx, y + dy, yaw + turn
        corners.append((x, y))
    points = np.array(corners)
    assert yaw == pytest.approx(40.0 / radius, rel=1e-9)
    # the centre of the circle lies to the left of where it set off, turned by the slip
    centre = np.array([-math.sin(slip), math.cos(slip)]) * radius
    assert np.hypot(*(points - centre).T) == pytest.approx(np.full(400, radius), abs=2e-3)


def test_steer_is_positive_to_the_left_and_never_reverses() -> None:
    assert drive(20, 0.0, 5.0, 0.0, 0.3, 0.0)[1] > 0.1
    assert drive(20, 0.0, 5.0, 0.0, -0.3, 0.0)[1] < -0.1
    assert drive(100, 0.0, 1.0, 0.0, 0.0, 1.0)[3] == 0.0


def test_throttle_matches_the_fit_at_30_kmh() -> None:
    _, _, _, speed = bicycle(MODEL.parameters, 0.0, 30.0 / 3.6, 0.75, 0.0, 0.0)
    assert (speed - 30.0 / 3.6) / 0.05 == pytest.approx(2.875, abs=0.001)


def test_the_wheel_has_less_range_at_speed() -> None:
    # 0, 10, 20, 40, 60, 90, 120 and 200 km/h on the line through (0, 1), (20, 0.9), (60, 0.8), (120, 0.7)
    found = [steer_limit(MODEL.parameters, kmh / 3.6) for kmh in (0, 10, 20, 40, 60, 90, 120, 200)]
    assert found == pytest.approx([1.0, 0.95, 0.9, 0.85, 0.8, 0.75, 0.7, 0.7])


def test_pedals_and_wheel_follow_their_commands() -> None:
    # 6 / s up and 10 / s down: 0.3 and 0.5 a tick
    throttle = [0.0]
    for command in (1.0, 1.0, 1.0, 1.0, 0.2, 0.2, 0.0):
        throttle.append(follow(throttle[-1], command, 6.0, 10.0))
    assert throttle == pytest.approx([0.0, 0.3, 0.6, 0.9, 1.0, 0.5, 0.2, 0.0])
    # from full left to full right: back at 5 / s, then out at 2.5 / s
    steer = [1.0]
    for _ in range(13):
        steer.append(follow(steer[-1], -1.0, 2.5, 5.0))
    assert steer == pytest.approx([1.0, 0.75, 0.5, 0.25, 0.0, -0.125, -0.25, -0.375, -0.5, -0.625, -0.75, -0.875, -1.0, -1.0])


def test_commands_beyond_their_range_count_as_their_end() -> None:
    network = straight()
    steps = []
    for throttle, steer in ((7.0, -9.0), (1.0, -1.0)):
        toy = started(network, episode(route(network, [0])))
        for _ in range(10):
            step = toy.step(pedals(throttle=throttle, steer=steer))
        steps.append(step.ego)
    assert (steps[0].x, steps[0].yaw, steps[0].speed) == (steps[1].x, steps[1].yaw, steps[1].speed)


def test_parameters_out_of_range_are_refused() -> None:
    with pytest.raises(ValueError, match="brake_accel"):
        VehicleModel(brake_accel=0.0)


def test_the_simulator_reports_motion_of_the_tick() -> None:
    network = straight()
    toy = started(network, episode(route(network, [0])))
    put_ego(toy, 50.0, speed=10.0)
    # the brake is at 0.3 after the first tick
    step = toy.step(pedals(brake=1.0))
    slower = 0.3 * 4.952 + 0.6
    assert step.ego.acceleration[0] == pytest.approx(-slower)
    assert step.ego.speed[0] == pytest.approx(10.0 - 0.05 * slower)
    assert step.ego.x[0] == pytest.approx(50.0 + 0.05 * (10.0 - 0.025 * slower))
    assert step.facts.driven[0] == pytest.approx(step.ego.x[0] - 50.0)
    step = toy.step(pedals(steer=0.2))
    assert step.ego.yaw_rate[0] == pytest.approx(step.ego.yaw[0] / 0.05)
