"""An agent inside the leaderboard's loop, without CARLA: sensors, dead reckoning, when it plans."""

import math
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import carla_rl.leaderboard
from carla_rl.agent import Agent
from carla_rl.errors import UsageError
from carla_rl.leaderboard import Driver
from carla_rl.types import CameraSpec, Needs, Observation, Plan


class Straight:
    """Plans 5 m/s straight on, and remembers what it saw."""

    name, horizon = "straight", 20

    def __init__(self, needs: Needs) -> None:
        self.needs = needs
        self.seen: list[Observation] = []
        self.resets = 0

    def reset(self, mask: NDArray[np.bool_]) -> None:
        self.resets += 1

    def plan(self, observation: Observation) -> Plan:
        self.seen.append(observation)
        waypoints = np.zeros((1, self.horizon, 2), np.float32)
        waypoints[0, :, 0] = 0.5 * np.arange(1, self.horizon + 1)
        return Plan(waypoints)


def make(monkeypatch: pytest.MonkeyPatch, needs: Needs, **fields: Any) -> tuple[Driver, Straight]:
    policy = Straight(needs)
    monkeypatch.setattr(carla_rl.leaderboard, "make_policy", lambda *names: policy)
    return Driver(Agent(policy="expert", **fields)), policy


def data(speed: float, clockwise: float, pixels: NDArray[np.uint8] | None = None) -> dict[str, tuple[int, Any]]:
    """What the leaderboard hands to an agent."""
    told: dict[str, tuple[int, Any]] = {
        "speed": (1, {"speed": speed}),
        "imu": (1, np.array([0.0, 0.0, 9.8, 0.0, 0.0, clockwise, 0.0])),
    }
    return told if pixels is None else {**told, "front": (1, pixels)}


def test_a_policy_of_cameras_gets_sensors_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    driver, policy = make(
        monkeypatch, Needs(cameras=(CameraSpec(width=4, height=2, y=0.5, yaw=math.radians(10.0), pitch=math.radians(-5.0)),))
    )
    assert not driver.privileged
    camera, speedometer, imu = driver.sensors()
    assert (camera["id"], camera["width"], camera["height"], camera["fov"]) == ("front", 4, 2, 90.0)
    # CARLA's right is our left
    assert (camera["y"], camera["yaw"], camera["pitch"]) == pytest.approx((-0.5, -10.0, -5.0))
    assert (speedometer["type"], imu["type"]) == ("sensor.speedometer", "sensor.other.imu")
    pixels = np.arange(2 * 4 * 4, dtype=np.uint8).reshape(2, 4, 4)
    ego, seen = driver.measured(data(0.0, 0.0, pixels))
    throttle, steer, brake = driver.drive(ego, seen)
    assert throttle > 0.0
    assert (steer, brake) == (0.0, 0.0)
    image = policy.seen[0].images["front"]
    assert image.shape == (1, 2, 4, 3)
    assert image[0, 0, 0].tolist() == [2, 1, 0]
    assert policy.seen[0].objects is None
    with pytest.raises(ValueError, match="a picture of 3x2, expected 4x2"):
        driver.measured(data(0.0, 0.0, pixels[:, :3]))


def test_plans_come_every_so_many_ticks(monkeypatch: pytest.MonkeyPatch) -> None:
    driver, policy = make(monkeypatch, Needs(), decision_ticks=4)
    for _ in range(9):
        driver.drive(*driver.measured(data(5.0, 0.0)))
    assert (len(policy.seen), policy.resets) == (3, 1)
    assert policy.seen[2].speed.tolist() == [5.0]


def test_dead_reckoning(monkeypatch: pytest.MonkeyPatch) -> None:
    driver, _ = make(monkeypatch, Needs())
    driver.measured(data(8.0, 0.0))
    # a quarter of a circle to the left: CARLA's gyroscope is clockwise
    rate = 0.5
    ticks = round(math.pi / 2.0 / rate / 0.05)
    for _ in range(ticks):
        ego, seen = driver.measured(data(8.0, -rate))
    assert ego.yaw[0] == pytest.approx(math.pi / 2.0, abs=0.03)
    radius = 8.0 / rate
    assert (ego.x[0], ego.y[0]) == pytest.approx((radius, radius), abs=0.8)
    assert (seen.yaw_rate[0], ego.speed[0]) == (0.5, 8.0)


def test_what_the_leaderboard_does_not_allow(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UsageError, match="8 cameras within 3 m"):
        make(monkeypatch, Needs(cameras=(CameraSpec(x=3.0, z=1.0),)))
    assert make(monkeypatch, Needs(objects=4))[0].privileged


def test_a_plan_that_is_no_number(monkeypatch: pytest.MonkeyPatch) -> None:
    driver, policy = make(monkeypatch, Needs())
    monkeypatch.setattr(policy, "plan", lambda seen: Plan(np.full((1, 20, 2), np.nan, np.float32)))
    with pytest.raises(UsageError, match="not a finite number"):
        driver.drive(*driver.measured(data(0.0, 0.0)))
