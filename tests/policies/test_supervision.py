"""Targets and terms of the supervised stage: by hand, against the kernel that drives, and by finite differences."""

import math

import numpy as np
import pytest
import torch

from carla_rl.policies.delta import DeltaConfig, action_basis, correction
from carla_rl.policies.supervision import Frames, corrected, target_actions, terms

SPACES = [DeltaConfig(space=space, bound=bound) for space in ("basis", "full", "stretch") for bound in ("clip", "tanh")]


def plans(n: int, horizon: int = 20, seed: int = 0) -> torch.Tensor:
    """Plans that go forward at 1 to 9 m/s and bend a little."""
    rng = np.random.default_rng(seed)
    t = np.arange(1, horizon + 1) / 10
    speed, bend = rng.uniform(1, 9, (n, 1)), rng.normal(size=(n, 1)) * 0.3
    return torch.from_numpy(np.stack([speed * t, bend * t**2], -1).astype(np.float32))


@pytest.mark.parametrize("config", SPACES, ids=str)
def test_corrected_plans_are_those_that_drive(config):
    basis, before = action_basis(config, 20), plans(7)
    actions = np.random.default_rng(1).normal(size=(7, len(basis.shift))).astype(np.float32) * 3.0
    delta, beyond = correction(actions, before.numpy(), *basis, config.limit, config.bound == "tanh")
    assert beyond.any()
    np.testing.assert_allclose(corrected(torch.from_numpy(actions), before, basis, config), before.numpy() + delta, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("config", SPACES, ids=str)
def test_a_correction_within_the_space_is_found_again(config):
    basis, before = action_basis(config, 20), plans(30)
    actions = torch.from_numpy(np.random.default_rng(2).uniform(-2, 2, (30, len(basis.shift))).astype(np.float32))
    after = corrected(actions, before, basis, config)
    found, cut = target_actions(before, after, basis, config)
    assert not cut.any()
    # the ridge takes a little from coordinates that move the plan by centimetres only, as the first waypoints of `full`
    np.testing.assert_allclose(corrected(found, before, basis, config), after, atol=0.04)
    if config.space == "basis":
        np.testing.assert_allclose(found, actions, rtol=5e-3, atol=5e-3)


def test_targets_by_hand():
    config = DeltaConfig()
    basis, before = action_basis(config, 20), torch.zeros(2, 20, 2)
    t = torch.arange(1, 21) / 20
    # one unit faster is 8 m at the end, one to the left 1 m; six units faster are more than the four that there are
    experts = torch.stack([torch.stack([8.0 * t, -2.0 * t], -1), torch.stack([48.0 * t, 0.0 * t], -1)])
    found, cut = target_actions(before, experts, basis, config)
    np.testing.assert_allclose(found, [[1.0, 0.0, -2.0, 0.0], [4.0, 0.0, 0.0, 0.0]], atol=5e-3)
    assert cut.tolist() == [0.0, 0.25]
    found, _ = target_actions(before, experts, basis, DeltaConfig(bound="tanh"))
    # 4 tanh(a / 4) = 1; and as near to the limit as a target gets: a = 4 atanh(.95)
    np.testing.assert_allclose(found[:, 0], [4.0 * math.atanh(0.25), 4.0 * math.atanh(0.95)], rtol=1e-3)


def test_a_standing_plan_cannot_be_stretched_and_its_target_is_zero():
    config = DeltaConfig(space="stretch")
    experts = torch.zeros(1, 20, 2)
    experts[..., 0] = torch.arange(1, 21) * 0.5
    found, cut = target_actions(torch.zeros(1, 20, 2), experts, action_basis(config, 20), config)
    np.testing.assert_allclose(found, np.zeros((1, 4)), atol=1e-6)
    assert not cut.any()


def test_the_terms_by_hand():
    # one waypoint of .1 s: a unit moves it by .4 m along x and .05 m along y
    config = DeltaConfig(space="full", log_std=0.0)
    frames = Frames(torch.zeros(1, 1), torch.tensor([[[1.0, 0.0]]]), torch.tensor([[[1.5, 0.0]]]), torch.tensor([[2.0, 2.0]]))
    mean, log_std = torch.tensor([[1.0, -2.0]]), torch.tensor([0.0, math.log(2.0)])
    found = terms(mean, log_std, frames, action_basis(config, 1), config, log_std_least=-5.0)
    # delta_norm is ((2 - 1) / 1, (2 + 2) / 2)
    half_log_two_pi = 0.5 * math.log(2 * math.pi)
    assert float(found.nll) == pytest.approx(0.5 * 1**2 + 0.5 * 2**2 + math.log(2.0) + 2 * half_log_two_pi)
    # the plan goes to (1.4, -.1), the expert is at (1.5, 0)
    assert float(found.mse) == pytest.approx(0.02, rel=1e-5)
    # against N(0, 1): m^2 / 2 = 1/2; (s^2 + m^2 - 1) / 2 - log s = 7/2 - log 2
    assert float(found.kl) == pytest.approx(0.5 + 3.5 - math.log(2.0))


def test_the_terms_are_means_over_frames_and_take_a_sigma_a_frame():
    config, basis = DeltaConfig(), action_basis(DeltaConfig(), 20)
    before = plans(5)
    frames = Frames(torch.zeros(5, 1), before, plans(5, seed=3), target_actions(before, plans(5, seed=3), basis, config)[0])
    mean, log_std = torch.randn(5, 4), torch.full((5, 4), -0.7)
    whole = terms(mean, log_std, frames, basis, config, log_std_least=-2.0)
    each = [terms(mean[i : i + 1], log_std[0], frames.take(np.array([i])), basis, config, log_std_least=-2.0) for i in range(5)]
    np.testing.assert_allclose(np.array(whole), np.mean(np.array(each), axis=0), rtol=1e-5)


def test_below_its_least_a_sigma_is_led_back():
    config = DeltaConfig(log_std=-1.0)
    frames = Frames(torch.zeros(2, 1), torch.zeros(2, 20, 2), torch.zeros(2, 20, 2), torch.zeros(2, 4))
    for value, slope in ((-2.0, 1.0), (-3.0, -1.0)):
        log_std = torch.full((4,), value, requires_grad=True)
        found = terms(torch.zeros(2, 4), log_std, frames, action_basis(config, 20), config, log_std_least=-2.5)
        # the expert's correction is the mean: a nat less for a unit of log sigma, until the least
        assert torch.autograd.grad(found.nll, log_std)[0].tolist() == [slope] * 4
        assert float(found.nll.detach()) == pytest.approx(4 * (-2.0 + 0.5 * math.log(2 * math.pi)), rel=1e-5)


@pytest.mark.parametrize("config", SPACES, ids=str)
def test_the_gradient_is_that_of_finite_differences(config):
    basis, before, after = action_basis(config, 4), plans(3, 4).double(), plans(3, 4, seed=5).double()
    frames = Frames(torch.zeros(3, 1), before, after, target_actions(before, after, basis, config)[0])
    rng = np.random.default_rng(7)
    mean, log_std = (torch.from_numpy(rng.normal(size=(3, len(basis.shift)))).requires_grad_() for _ in range(2))

    def loss(mean: torch.Tensor, log_std: torch.Tensor) -> torch.Tensor:
        found = terms(mean, log_std, frames, basis, config, log_std_least=-0.5)
        return 0.3 * found.nll + 0.5 * found.mse + 0.2 * found.kl

    assert torch.autograd.gradcheck(loss, (mean, log_std))
