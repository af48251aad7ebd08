"""Comfort by nuPlan's bounds: constant and linear signals pass the filter unchanged, so the numbers are those of the signals."""

import numpy as np
import pytest

from carla_rl.metrics.comfort import BOUNDS, comfort, quantities

N = 40


def drive(speed: float = 10.0, acceleration: float = 0.0, yaw_rate: float = 0.0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    return np.full(N, speed), np.full(N, acceleration), np.full(N, yaw_rate)


def test_a_steady_drive_is_comfortable() -> None:
    found = comfort(*drive(), 0.2)
    assert found is not None
    # 40 samples 0.2 s apart are four chunks of 2 s
    assert (found.chunks, found.comfortable) == (4, 4)
    assert set(found.outside.values()) == {0.0}
    assert found.worst == pytest.approx(dict.fromkeys(BOUNDS, 0.0), abs=1e-9)


@pytest.mark.parametrize(
    ("speed", "acceleration", "yaw_rate", "quantity"),
    [
        (10.0, 2.5, 0.0, "lon_accel"),
        (10.0, -4.1, 0.0, "lon_accel"),
        (10.0, 0.0, 0.5, "lat_accel"),  # 5 m/s^2 against 4.89
        (1.0, 0.0, 1.0, "yaw_rate"),
    ],
)
def test_one_quantity_too_large_all_the_time(speed: float, acceleration: float, yaw_rate: float, quantity: str) -> None:
    found = comfort(*drive(speed, acceleration, yaw_rate), 0.2)
    assert found is not None
    assert {name for name, share in found.outside.items() if share} == {quantity}
    assert found.outside[quantity] == 1.0
    assert found.comfortable == 0


def test_derivatives_are_taken_of_yaw_rate_and_acceleration() -> None:
    t = np.arange(N) * 0.2
    # the yaw rate grows by 2 rad/s a second, standing: the yaw acceleration is 2, which Bench2Drive's tool would not see at once
    found = quantities(np.zeros(N), np.zeros(N), 2.0 * t - 7.8, 0.2)
    assert found["yaw_accel"] == pytest.approx(np.full(N, 2.0))
    assert found["yaw_rate"] == pytest.approx(2.0 * t - 7.8)
    # the acceleration grows by 5 m/s^2 a second: jerk along and of the magnitude
    found = quantities(np.zeros(N), 5.0 * t, np.zeros(N), 0.2)
    assert found["lon_jerk"] == pytest.approx(np.full(N, 5.0))
    assert found["jerk"] == pytest.approx(np.full(N, 5.0))


def test_one_jolt_costs_its_chunk_only() -> None:
    speed, acceleration, yaw_rate = drive()
    acceleration[14:17] = -6.0
    found = comfort(speed, acceleration, yaw_rate, 0.2)
    assert found is not None
    assert (found.chunks, found.comfortable) == (4, 3)


def test_short_drives() -> None:
    speed, acceleration, yaw_rate = drive()
    found = comfort(speed[:4], acceleration[:4], yaw_rate[:4], 0.2)
    assert found is not None
    assert (found.chunks, found.comfortable) == (1, 1)
    assert comfort(speed[:2], acceleration[:2], yaw_rate[:2], 0.2) is None


def test_what_is_no_number_is_refused() -> None:
    speed, acceleration, yaw_rate = drive()
    speed[3] = np.nan
    with pytest.raises(ValueError, match="finite"):
        comfort(speed, acceleration, yaw_rate, 0.2)
    with pytest.raises(ValueError, match="shapes"):
        comfort(speed[:-1], acceleration, yaw_rate, 0.2)
