"""Action spaces: by hand at a few points, and bounded for any action."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from carla_rl.policies.delta import DeltaConfig, action_basis, correction


def correct(action: np.ndarray, config: DeltaConfig, plan: np.ndarray | None = None, horizon: int = 20) -> tuple[np.ndarray, np.ndarray]:
    """Corrections of plans, standing ones where none are given."""
    plans = np.zeros((len(action), horizon, 2), np.float32) if plan is None else plan
    return correction(action, plans, *action_basis(config, horizon), config.limit, config.bound == "tanh")


def test_basis_by_hand():
    basis, gain = action_basis(DeltaConfig(), 20)
    assert basis.shape == (4, 20, 2)
    assert not gain.any()
    # one unit at 2 s: 4 m/s faster are 8 m, 1 m to the left; the bending ones leave the end where it is
    np.testing.assert_allclose(basis[:, -1], [[8, 0], [0, 0], [0, 1], [0, 0]], atol=1e-6)
    # at 1 s, t = 1/2: 4 m; 8 x 3/4 x -1/4 = -3/2 m; 1/2 m; -1/5 m
    np.testing.assert_allclose(basis[:, 9], [[4, 0], [-1.5, 0], [0, 0.5], [0, -0.2]], atol=1e-6)


def test_units_follow_the_duration_of_the_plan():
    np.testing.assert_allclose(action_basis(DeltaConfig(), 10).shift[:, -1], [[4, 0], [0, 0], [0, 0.5], [0, 0]], atol=1e-6)


def test_full_moves_one_coordinate_each():
    basis = action_basis(DeltaConfig(space="full"), 20).shift
    assert basis.shape == (40, 20, 2)
    assert np.count_nonzero(basis) == 40
    assert basis[2 * 9, 9, 0] == pytest.approx(4.0)
    assert basis[2 * 19 + 1, 19, 1] == pytest.approx(1.0)


def test_correction_by_hand():
    action = np.array([[1.0, 0.0, -2.0, 0.0], [9.0, 0.0, 0.0, -7.0]], np.float32)
    delta, bounded = correct(action, DeltaConfig(limit=6.0))
    np.testing.assert_allclose(delta[0, -1], [8.0, -2.0], atol=1e-6)
    np.testing.assert_allclose(delta[1, -1], [48.0, 0.0], atol=1e-6)
    np.testing.assert_allclose(delta[1, 9], [24.0, 1.2], atol=1e-6)
    assert bounded.tolist() == [0.0, 0.5]


def test_tanh_bounds_smoothly():
    delta, beyond = correct(np.array([[1.0, 0.0, 0.0, 0.0], [0.0, 0.0, 400.0, 0.0]], np.float32), DeltaConfig(bound="tanh"))
    # one unit of 8 m at the end counts as 4 tanh(1 / 4), a great many as the limit of 4
    assert delta[0, -1, 0] == pytest.approx(8.0 * 4.0 * math.tanh(0.25), rel=1e-6)
    assert delta[1, -1, 1] == pytest.approx(4.0)
    assert beyond.tolist() == [0.0, 0.25]


def test_stretch_by_hand():
    plan = np.zeros((1, 20, 2), np.float32)
    plan[0, :, 0] = np.arange(1, 21)
    plan[0, :, 1] = 0.5
    delta, _ = correct(np.array([[1.0, 0.0, 0.0, 0.0]], np.float32), DeltaConfig(space="stretch"), plan)
    np.testing.assert_allclose(delta, 0.25 * plan, rtol=1e-6)
    # later: at t = 1/2 half a unit less, at the end as it was; the lateral columns are those of `basis`
    delta, _ = correct(np.array([[0.0, 1.0, 1.0, 0.0]], np.float32), DeltaConfig(space="stretch"), plan)
    np.testing.assert_allclose(delta[0, 9], [-1.25, 0.5 - 0.0625], rtol=1e-6)
    np.testing.assert_allclose(delta[0, 19], [0.0, 1.0], atol=1e-6)
    # the limit of -4 units stands still
    delta, _ = correct(np.array([[-9.0, 0.0, 0.0, 0.0]], np.float32), DeltaConfig(space="stretch"), plan)
    np.testing.assert_allclose(plan + delta, 0.0, atol=1e-5)


@pytest.mark.parametrize("space", ["basis", "full"])
def test_a_stop_from_cruising_is_within_reach(space):
    config = DeltaConfig(space=space)
    action = np.where(action_basis(config, 20).shift[:, -1, 0] > 0, -2.5, 0.0).astype(np.float32)[None]
    delta, bounded = correct(action, config)
    assert delta[0, -1, 0] <= -20.0
    assert bounded[0] == 0.0


@settings(max_examples=60, deadline=None)
@given(
    actions=st.lists(st.lists(st.floats(-1e6, 1e6, width=32), min_size=4, max_size=4), min_size=1, max_size=5),
    limit=st.floats(0.5, 10.0),
    bound=st.sampled_from(["clip", "tanh"]),
    horizon=st.integers(1, 25),
)
def test_corrections_are_bounded(actions, limit, bound, horizon):
    config = DeltaConfig(limit=limit, bound=bound)
    delta, bounded = correct(np.array(actions, np.float32), config, horizon=horizon)
    largest = limit * np.abs(action_basis(config, horizon).shift).sum(0)
    assert (np.abs(delta) <= largest * (1 + 1e-5) + 1e-5).all()
    assert ((bounded >= 0) & (bounded <= 1 + 1e-6)).all()


@pytest.mark.parametrize(
    "data",
    [{"limit": 0}, {"space": "cube"}, {"inputs": ()}, {"hidden": ()}, {"hidden": (64, 0)}, {"speed_unit": float("nan")}, {"width": 3}],
)
def test_bad_configurations(data):
    with pytest.raises(ValidationError):
        DeltaConfig(**data)
