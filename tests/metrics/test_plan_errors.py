"""Errors of plans by hand: the expert drives 10 m/s straight on, 1 m a waypoint, or round a circle."""

import numpy as np
import pytest

from carla_rl.metrics.offline import offline_metrics
from carla_rl.metrics.plan_errors import measures_of, plan_errors

H = 20


def straight(speed: float = 10.0, y: float = 0.0) -> np.ndarray:
    x = speed * 0.1 * (np.arange(H) + 1.0)
    return np.stack((x, np.full(H, y)), axis=-1)[None]


def arc(radius: float, step: float = 1.0) -> np.ndarray:
    angle = step * (np.arange(H) + 1.0) / radius
    return np.stack((radius * np.sin(angle), radius * (1.0 - np.cos(angle))), axis=-1)[None]


def test_along_and_across() -> None:
    found = plan_errors(straight(11.0, 0.3), straight())
    # 0.1 m more a waypoint: 0.1 ... 2.0, mean 1.05
    assert (found.longitudinal, found.lateral) == (pytest.approx(1.05), pytest.approx(0.3))
    # the split follows the expert's direction: the same plans turned by 90 degrees
    turned = plan_errors(straight(11.0, 0.3)[..., ::-1] * (-1, 1), straight()[..., ::-1] * (-1, 1))
    assert (turned.longitudinal, turned.lateral) == (pytest.approx(1.05), pytest.approx(0.3))


def test_at_fixed_speed_only_the_path_counts() -> None:
    # the same path, slower or faster, and one that stops half-way: no error
    for speed in (3.0, 10.0, 14.0):
        found = plan_errors(straight(speed), straight())
        assert (found.fixed_speed_ade, found.fixed_speed_fde) == (pytest.approx(0.0, abs=1e-9), pytest.approx(0.0, abs=1e-9))
    # the same circle at half the speed goes straight on after its end: some error, and less than at equal times
    half = plan_errors(arc(30.0, 0.5), arc(30.0))
    assert half.fixed_speed_ade is not None
    assert 0.0 < half.fixed_speed_ade < np.hypot(*(arc(30.0, 0.5) - arc(30.0))[0].T).mean()
    # a plan of 20 m straight on where the expert goes round: the last points are chord and arc apart
    assert plan_errors(straight(), arc(30.0)).fixed_speed_fde == pytest.approx(np.hypot(*(straight() - arc(30.0))[0, -1]), rel=1e-3)


def test_a_standing_plan_goes_straight_on() -> None:
    found = plan_errors(np.zeros((1, H, 2)), straight())
    assert (found.fixed_speed_ade, found.longitudinal) == (pytest.approx(0.0), pytest.approx(10.5))
    standing = plan_errors(straight(), np.zeros((1, H, 2)))
    assert (standing.moving, standing.fixed_speed_ade, standing.tre, standing.steering) == (0, None, None, 0)


def test_the_relative_error_of_steering() -> None:
    # curvature 1/30 against 1/31 is 3 % off, against 1/40 it is 25 %
    assert plan_errors(arc(31.0), arc(30.0)).tre == 0.0
    assert plan_errors(arc(40.0), arc(30.0)).tre == 1.0
    both = plan_errors(np.concatenate((arc(31.0), arc(40.0))), np.concatenate((arc(30.0), arc(30.0))))
    assert (both.tre, both.steering) == (0.5, 2)
    # an expert who steers exactly straight: any steering is more than a tenth of nothing
    assert plan_errors(straight(10.0, 0.01), straight()).tre == 1.0
    assert plan_errors(straight(), straight()).tre == 0.0


def test_what_is_no_plan_is_refused() -> None:
    broken = straight()
    broken[0, 3, 0] = np.inf
    for plan in (broken, np.zeros((0, H, 2))):
        with pytest.raises(ValueError):
            plan_errors(plan, np.zeros_like(plan))


def test_all_errors_by_name() -> None:
    plan, expert = straight(11.0), straight()
    found = measures_of(offline_metrics(plan, expert), plan_errors(plan, expert))
    assert found["ade"] == pytest.approx(1.05)
    assert (found["error_0.5s"], found["error_1s"], found["error_2s"]) == (pytest.approx(0.5), pytest.approx(1.0), pytest.approx(2.0))
    assert list(found)[:3] == ["ade", "fde", "miss_rate"]
