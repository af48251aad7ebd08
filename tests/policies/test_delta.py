"""Action spaces: by hand at a few points, and bounded for any action."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from carla_rl.policies.delta import DeltaConfig, action_basis, correction


def test_basis_by_hand():
    basis = action_basis(DeltaConfig(), 20)
    assert basis.shape == (4, 20, 2)
    # one unit at 2 s: 4 m/s faster are 8 m, 1 m to the left; the bending ones leave the end where it is
    np.testing.assert_allclose(basis[:, -1], [[8, 0], [0, 0], [0, 1], [0, 0]], atol=1e-6)
    # at 1 s, t = 1/2: 4 m; 8 x 3/4 x -1/4 = -3/2 m; 1/2 m; -1/5 m
    np.testing.assert_allclose(basis[:, 9], [[4, 0], [-1.5, 0], [0, 0.5], [0, -0.2]], atol=1e-6)


def test_units_follow_the_duration_of_the_plan():
    np.testing.assert_allclose(action_basis(DeltaConfig(), 10)[:, -1], [[4, 0], [0, 0], [0, 0.5], [0, 0]], atol=1e-6)


def test_full_moves_one_coordinate_each():
    basis = action_basis(DeltaConfig(space="full"), 20)
    assert basis.shape == (40, 20, 2)
    assert np.count_nonzero(basis) == 40
    assert basis[2 * 9, 9, 0] == pytest.approx(4.0)
    assert basis[2 * 19 + 1, 19, 1] == pytest.approx(1.0)


def test_correction_by_hand():
    action = np.array([[1.0, 0.0, -2.0, 0.0], [9.0, 0.0, 0.0, -7.0]], np.float32)
    delta, bounded = correction(action, action_basis(DeltaConfig(), 20), 6.0)
    np.testing.assert_allclose(delta[0, -1], [8.0, -2.0], atol=1e-6)
    np.testing.assert_allclose(delta[1, -1], [48.0, 0.0], atol=1e-6)
    np.testing.assert_allclose(delta[1, 9], [24.0, 1.2], atol=1e-6)
    assert bounded.tolist() == [0.0, 0.5]


@pytest.mark.parametrize("space", ["basis", "full"])
def test_a_stop_from_cruising_is_within_reach(space):
    config = DeltaConfig(space=space)
    basis = action_basis(config, 20)
    action = np.where(basis[:, -1, 0] > 0, -2.5, 0.0).astype(np.float32)[None]
    delta, bounded = correction(action, basis, config.limit)
    assert delta[0, -1, 0] <= -20.0
    assert bounded[0] == 0.0


@settings(max_examples=60, deadline=None)
@given(
    actions=st.lists(st.lists(st.floats(-1e6, 1e6, width=32), min_size=4, max_size=4), min_size=1, max_size=5),
    limit=st.floats(0.5, 10.0),
    horizon=st.integers(1, 25),
)
def test_corrections_are_bounded(actions, limit, horizon):
    basis = action_basis(DeltaConfig(limit=limit), horizon)
    delta, bounded = correction(np.array(actions, np.float32), basis, limit)
    largest = limit * np.abs(basis).sum(0)
    assert (np.abs(delta) <= largest * (1 + 1e-5) + 1e-5).all()
    assert ((bounded >= 0) & (bounded <= 1 + 1e-6)).all()


@pytest.mark.parametrize(
    "data",
    [{"limit": 0}, {"space": "cube"}, {"inputs": ()}, {"hidden": ()}, {"hidden": (64, 0)}, {"speed_unit": float("nan")}, {"width": 3}],
)
def test_bad_configurations(data):
    with pytest.raises(ValidationError):
        DeltaConfig(**data)
