import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from carla_rl.metrics.offline import displacement, offline_metrics
from carla_rl.metrics.summary import mean_std, rate_per_km, summarize, training_metrics


def test_two_plans_by_hand() -> None:
    expert = np.zeros((2, 3, 2))
    plan = np.array([[[0.0, 0.0], [0.0, 1.0], [3.0, 4.0]], [[0.0, 1.0], [1.0, 0.0], [1.0, 0.0]]])
    metrics = offline_metrics(plan, expert)
    # displacements: 0 1 5 and 1 1 1
    assert (metrics.samples, metrics.ade, metrics.fde) == (2, 1.5, 3.0)
    assert (metrics.ade_std, metrics.fde_std) == (pytest.approx(0.5**0.5), pytest.approx(8**0.5))
    assert (metrics.miss_rate, metrics.miss_m) == (0.5, 2.0)
    assert [(e.t, e.error, e.count) for e in metrics.by_horizon] == [(0.1, 0.5, 2), (0.2, 1.0, 2), (0.3, 3.0, 2)]
    assert (metrics.heading_error, metrics.heading_count) == (None, 0)  # the expert stands


def test_a_miss_is_more_than_two_metres() -> None:
    expert = np.zeros((3, 1, 2))
    plan = np.array([[[2.0, 0.0]], [[2.0001, 0.0]], [[0.0, -3.0]]])
    assert offline_metrics(plan, expert).miss_rate == pytest.approx(2 / 3)
    assert offline_metrics(plan, expert, miss_m=1.0).miss_rate == 1.0


def test_unknown_waypoints_count_nowhere_whatever_they_hold() -> None:
    expert = np.zeros((3, 2, 2))
    plan = np.array([[[1.0, 0.0], [3.0, 0.0]], [[2.0, 0.0], [9.0, 9.0]], [[9.0, 9.0], [9.0, 9.0]]])
    expert[1, 1] = expert[2] = np.nan
    valid = np.array([[True, True], [True, False], [False, False]])
    metrics = offline_metrics(plan, expert, valid)
    # samples: (1 + 3) / 2 and 2; only the first has a last waypoint
    assert (metrics.ade, metrics.ade_count) == (2.0, 2)
    assert (metrics.fde, metrics.fde_count, metrics.fde_std, metrics.miss_rate) == (3.0, 1, None, 1.0)
    assert [(e.error, e.count) for e in metrics.by_horizon] == [(1.5, 2), (3.0, 1)]


def test_heading_by_hand() -> None:
    # last steps: straight on against a right angle to the left, and against the same
    expert = np.array([[[0.0, 0.0], [1.0, 0.0]]] * 2)
    plan = np.array([[[0.0, 0.0], [0.0, 1.0]], [[5.0, 0.0], [6.0, 0.0]]])
    metrics = offline_metrics(plan, expert)
    assert (metrics.heading_error, metrics.heading_count) == (pytest.approx(np.pi / 4), 2)


def test_nothing_to_measure_is_null_and_not_zero() -> None:
    metrics = offline_metrics(np.zeros((0, 20, 2)), np.zeros((0, 20, 2)))
    assert (metrics.ade, metrics.fde, metrics.miss_rate, metrics.samples) == (None, None, None, 0)
    assert metrics.to_json()["by_horizon"][19] == {"t": 2.0, "error": None, "count": 0}


def test_wrong_input_is_refused() -> None:
    with pytest.raises(ValueError, match="must be"):
        displacement(np.zeros((2, 3, 2)), np.zeros((2, 4, 2)))
    with pytest.raises(ValueError, match="mask of shape"):
        offline_metrics(np.zeros((2, 3, 2)), np.zeros((2, 3, 2)), np.ones((2, 2), np.bool_))
    with pytest.raises(ValueError, match="not a finite number"):
        offline_metrics(np.full((1, 3, 2), np.nan), np.zeros((1, 3, 2)))


@given(arrays(np.float64, (4, 5, 2), elements=st.floats(-50, 50)), st.floats(-50, 50), st.floats(-50, 50))
def test_a_shift_of_all_waypoints_is_the_error(plan: np.ndarray, dx: float, dy: float) -> None:
    metrics = offline_metrics(plan + np.array([dx, dy]), plan)
    shift = np.hypot(dx, dy)
    assert metrics.ade == pytest.approx(shift, abs=1e-9)
    assert metrics.fde == pytest.approx(shift, abs=1e-9)


def test_summaries_by_hand() -> None:
    assert mean_std([1.0, None, 3.0]) == (2.0, 2**0.5)
    assert mean_std([5.0]) == (5.0, None)
    assert mean_std([]) == (None, None)
    assert rate_per_km(3, 1.5) == 2.0
    assert rate_per_km(3, 0.0) == 3000.0  # the leaderboard's floor of one metre
    assert training_metrics("r", [])["best_reward"] is None
    assert summarize([])["driving_score_mean"] is None
