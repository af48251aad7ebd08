"""Times to collision by hand: the ego's box is 4.9 m x 2.06 m, steps are 0.1 s."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from carla_rl.metrics.collision_time import collision_times


def one(ego: tuple[float, ...], other: tuple[float, ...]) -> float:
    return float(collision_times(np.array([ego], float), np.array([0, 1]), np.array([other], float))[0])


def test_a_standing_car_ahead() -> None:
    # bumpers 20 - 2.45 - 2.25 = 15.3 m apart at 10 m/s: 1.53 s, seen at the step after
    assert one((0, 0, 0, 10.0), (20.0, 0, 0, 0, 2.25, 1.0)) == pytest.approx(1.6)
    # the same map turned by 37 degrees
    a = math.radians(37.0)
    assert one((5, 7, a, 10.0), (5 + 20 * math.cos(a), 7 + 20 * math.sin(a), a, 0, 2.25, 1.0)) == pytest.approx(1.6)


def test_who_drives_as_fast_is_never_met() -> None:
    assert one((0, 0, 0, 10.0), (8.0, 0, 0, 10.0, 2.25, 1.0)) == math.inf


def test_beside_is_not_ahead() -> None:
    # 1.03 + 1.0 m are needed, 2.1 m are there
    assert one((0, 0, 0, 10.0), (20.0, 2.1, 0, 0, 2.25, 1.0)) == math.inf
    assert one((0, 0, 0, 10.0), (20.0, 2.0, 0, 0, 2.25, 1.0)) == pytest.approx(1.6)


def test_a_pedestrian_from_the_side() -> None:
    # walks towards the lane at 2 m/s from 3.33 m beside: within 1.03 + 0.3 m after 1 s; the ego is there from 1 s to 2 s
    assert one((0, 0, 0, 10.0), (14.0, -3.33, math.pi / 2, 2.0, 0.3, 0.3)) == pytest.approx(1.2)


def test_behind_standing_and_beyond_the_horizon_count_nothing() -> None:
    assert one((0, 0, 0, 5.0), (-8.0, 0, 0, 20.0, 2.25, 1.0)) == math.inf
    assert one((0, 0, 0, 0.0), (10.0, 0, math.pi, 10.0, 2.25, 1.0)) == math.inf
    assert one((0, 0, 0, 10.0), (40.0, 0, 0, 0, 2.25, 1.0)) == math.inf


def test_touching_now_is_zero() -> None:
    assert one((0, 0, 0, 1.0), (4.0, 0, 0, 0, 2.25, 1.0)) == 0.0


def test_each_instant_has_its_own_others() -> None:
    ego = np.array([(0, 0, 0, 10.0), (100, 0, 0, 10.0), (200, 0, 0, 10.0)], float)
    others = np.array([(20, 0, 0, 0, 2.25, 1), (220, 0, 0, 0, 2.25, 1), (215, 0, 0, 0, 2.25, 1)], float)
    times = collision_times(ego, np.array([0, 1, 1, 3]), others)
    assert times == pytest.approx([1.6, 1.6, 1.1])


@given(
    x=st.floats(-60, 60), y=st.floats(-60, 60), yaw=st.floats(-3.2, 3.2), speed=st.floats(0, 20), mine=st.floats(0.1, 20),
)  # fmt: skip
def test_the_quick_look_loses_none(x: float, y: float, yaw: float, speed: float, mine: float) -> None:
    """Sampled corners of both boxes: if one lies in the other box at a step, the time is not later."""
    found = one((0, 0, 0, mine), (x, y, yaw, speed, 2.25, 1.0))
    if abs(math.atan2(y, x)) > math.radians(149.0):
        return
    for step in np.arange(0, 3.05, 0.1):
        cx, cy = x + (speed * math.cos(yaw) - mine) * step, y + speed * math.sin(yaw) * step
        for i in (-1, 0, 1):
            for j in (-1, 0, 1):
                px = cx + 2.25 * i * math.cos(yaw) - 1.0 * j * math.sin(yaw)
                py = cy + 2.25 * i * math.sin(yaw) + 1.0 * j * math.cos(yaw)
                if abs(px) < 2.44 and abs(py) < 1.02:
                    assert found <= step + 1e-9
                    return
