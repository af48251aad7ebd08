"""The bicycle under the pedals, against numbers worked out by hand."""

import math

import numpy as np
import pytest
from small_roads import episode, pedals, put_ego, route, started, straight

from toy_env.vehicle import VehicleModel, bicycle

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
    # slip = atan(1.4178 / 1.327 * tan(0.36848)) = 0.3914 rad, radius = 1.4178 / sin(slip) = 3.717 m
    slip = math.atan(1.4178 / (1.4178 - 0.0908) * math.tan(0.36848))
    radius = 1.4178 / math.sin(slip)
    assert radius == pytest.approx(3.717, abs=0.001)
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


def test_pedals_beyond_their_range_count_as_their_end() -> None:
    assert bicycle(MODEL.parameters, 0.0, 5.0, 7.0, -9.0, 0.0) == bicycle(MODEL.parameters, 0.0, 5.0, 1.0, -1.0, 0.0)


def test_parameters_out_of_range_are_refused() -> None:
    with pytest.raises(ValueError, match="brake_accel"):
        VehicleModel(brake_accel=0.0)


def test_the_simulator_reports_motion_of_the_tick() -> None:
    network = straight()
    toy = started(network, episode(route(network, [0])))
    put_ego(toy, 50.0, speed=10.0)
    step = toy.step(pedals(brake=1.0))
    assert step.ego.acceleration[0] == pytest.approx(-4.952 - 0.6)
    assert step.ego.speed[0] == pytest.approx(10.0 - 0.05 * 5.552)
    assert step.ego.x[0] == pytest.approx(50.0 + 0.05 * (10.0 - 0.025 * 5.552))
    assert step.facts.driven[0] == pytest.approx(step.ego.x[0] - 50.0)
    step = toy.step(pedals(steer=0.2))
    assert step.ego.yaw_rate[0] == pytest.approx(step.ego.yaw[0] / 0.05)
