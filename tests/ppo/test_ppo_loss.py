import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from carla_rl.ppo.loss import policy_loss, value_loss


def of_ratio(ratio: float, advantage: float, *, clip: float = 0.2):
    """The loss of one decision whose action has become `ratio` times as likely; unit std, action and mean 0."""
    mean = torch.zeros(1, 1, requires_grad=True)
    old = torch.tensor([-0.5 * math.log(2 * math.pi) - math.log(ratio)])
    loss = policy_loss(mean, torch.zeros(1), torch.zeros(1, 1), old, torch.tensor([advantage]), clip=clip, entropy_coef=0.0, kl_coef=0.0)
    return loss


@pytest.mark.parametrize(
    ("ratio", "advantage", "objective"),
    [
        (1.0, 2.0, 2.0),
        (1.1, 2.0, 2.2),  # inside the clip
        (1.5, 2.0, 2.4),  # clipped at 1.2: no more to win
        (0.5, 2.0, 1.0),  # the worse side is never clipped
        (1.1, -2.0, -2.2),
        (1.5, -2.0, -3.0),  # the worse side is never clipped
        (0.5, -2.0, -1.6),  # clipped at 0.8
    ],
)
def test_clipped_objective_by_hand(ratio, advantage, objective):
    loss = of_ratio(ratio, advantage)
    assert loss.surrogate.item() == pytest.approx(-objective, abs=1e-6)
    assert loss.clip_fraction.item() == float(abs(ratio - 1) > 0.2)
    assert loss.approx_kl.item() == pytest.approx(ratio - 1 - math.log(ratio), abs=1e-6)


@pytest.mark.parametrize(("ratio", "advantage", "flat"), [(1.5, 2.0, True), (0.5, -2.0, True), (0.5, 2.0, False), (1.5, -2.0, False)])
def test_the_clipped_side_has_no_gradient(ratio, advantage, flat):
    mean = torch.zeros(1, 1, requires_grad=True)
    action = torch.ones(1, 1)
    old = torch.tensor([-0.5 - 0.5 * math.log(2 * math.pi) - math.log(ratio)])
    policy_loss(mean, torch.zeros(1), action, old, torch.tensor([advantage]), clip=0.2, entropy_coef=0.0, kl_coef=0.0).total.backward()
    # d ratio / d mean = ratio * (action - mean) = ratio
    assert mean.grad.item() == pytest.approx(0.0 if flat else -advantage * ratio, abs=1e-5)


def test_entropy_and_kl_to_sft_enter_the_total_with_their_signs():
    mean = torch.tensor([[0.5, -1.0], [0.0, 0.0]])
    log_std = torch.tensor([math.log(0.5), 0.0])
    zeros = torch.zeros(2)
    loss = policy_loss(mean, log_std, mean, zeros, zeros, clip=0.2, entropy_coef=0.01, kl_coef=0.1)
    # KL of the first row: .25 / (2 * .25) + 1 / 2 = 1, of the second 0.
    assert loss.kl_to_sft.item() == pytest.approx(0.5)
    # 2 * 1.4189385 - ln 2
    assert loss.entropy.item() == pytest.approx(2.1447299)
    assert loss.surrogate.item() == 0.0
    assert loss.total.item() == pytest.approx(0.1 * 0.5 - 0.01 * 2.1447299)


def test_value_loss_by_hand():
    values, old, returns = torch.tensor([1.0, 3.0]), torch.tensor([1.0, 1.0]), torch.tensor([2.0, 2.5])
    # (1 + .25) / 2 / 2
    assert value_loss(values, old, returns, clip=None).item() == pytest.approx(0.3125)
    # The second value moved by 2; moved by at most .5 it would be 1.5, an error of 1: the larger one counts. (1 + 1) / 2 / 2
    assert value_loss(values, old, returns, clip=0.5).item() == pytest.approx(0.5)


def reference(mean, log_std, action, old, advantage, clip, entropy_coef, kl_coef):
    """The same total, decision by decision in plain Python."""
    total = 0.0
    for row in range(len(mean)):
        log_prob = kl = entropy = 0.0
        for k in range(len(log_std)):
            std = math.exp(log_std[k])
            log_prob += -((action[row, k] - mean[row, k]) ** 2) / (2 * std**2) - math.log(std * math.sqrt(2 * math.pi))
            kl += mean[row, k] ** 2 / (2 * std**2)
            entropy += 0.5 * math.log(2 * math.pi * math.e * std**2)
        ratio = math.exp(log_prob - old[row])
        clipped = max(min(ratio, 1 + clip), 1 - clip)
        total += -min(ratio * advantage[row], clipped * advantage[row]) + kl_coef * kl - entropy_coef * entropy
    return total / len(mean)


def random_batch(seed, rows, actions):
    draw = np.random.default_rng(seed)
    log_std = draw.uniform(-2, 0.5, actions)
    mean = draw.normal(size=(rows, actions))
    action = mean + np.exp(log_std) * draw.normal(size=(rows, actions))
    z = (action - mean) / np.exp(log_std)
    old = (-0.5 * z**2 - log_std - 0.5 * math.log(2 * math.pi)).sum(1) + draw.normal(scale=0.3, size=rows)
    return mean, log_std, action, old, draw.normal(size=rows)


@settings(deadline=None)
@given(seed=st.integers(0, 2**32), rows=st.integers(1, 8), actions=st.integers(1, 5))
def test_policy_loss_equals_a_plain_reference(seed, rows, actions):
    batch = random_batch(seed, rows, actions)
    found = policy_loss(*(torch.from_numpy(array) for array in batch), clip=0.2, entropy_coef=0.02, kl_coef=0.3)
    assert found.total.item() == pytest.approx(reference(*batch, 0.2, 0.02, 0.3), rel=1e-9, abs=1e-9)
    assert found.approx_kl.item() >= 0.0


@settings(deadline=None)
@given(seed=st.integers(0, 2**32), clip=st.none() | st.floats(0.01, 1.0))
def test_value_loss_equals_a_plain_reference(seed, clip):
    values, old, returns = np.random.default_rng(seed).normal(size=(3, 6))
    errors = [(v - r) ** 2 for v, r in zip(values, returns, strict=True)]
    if clip is not None:
        moved = old + np.clip(values - old, -clip, clip)
        errors = [max(error, (m - r) ** 2) for error, m, r in zip(errors, moved, returns, strict=True)]
    found = value_loss(*(torch.from_numpy(array) for array in (values, old, returns)), clip=clip)
    assert found.item() == pytest.approx(0.5 * sum(errors) / 6)


def test_the_pull_towards_sft_moves_the_mean_and_never_the_noise():
    """KL = mean^2 / (2 std^2): a larger std would lower it too, which is no return to SFT."""
    mean, log_std = torch.tensor([[1.0]], requires_grad=True), torch.zeros(1, requires_grad=True)
    zero = torch.zeros(1)
    loss = policy_loss(mean, log_std, torch.ones(1, 1), zero, zero, clip=0.2, entropy_coef=0.0, kl_coef=0.5)
    loss.total.backward()
    assert loss.kl_to_sft.item() == pytest.approx(0.5)
    assert mean.grad.item() == pytest.approx(0.5)
    assert log_std.grad.item() == 0.0


def test_gradients_equal_finite_differences():
    mean, log_std, action, old, advantage = (torch.from_numpy(array) for array in random_batch(3, 16, 4))
    mean.requires_grad_(True)
    log_std.requires_grad_(True)

    def total(mean, log_std, kl_coef=0.0):
        return policy_loss(mean, log_std, action, old, advantage, clip=0.2, entropy_coef=0.02, kl_coef=kl_coef).total

    assert torch.autograd.gradcheck(total, (mean, log_std), eps=1e-7, atol=1e-5)
    assert torch.autograd.gradcheck(lambda mean: total(mean, log_std.detach(), 0.3), (mean,), eps=1e-7, atol=1e-5)
    values, old_values, returns = torch.randn(3, 16, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    values.requires_grad_(True)
    assert torch.autograd.gradcheck(lambda values: value_loss(values, old_values, returns, clip=0.2), (values,), eps=1e-7, atol=1e-5)
