"""Every term of the losses, their gradients through a network, and GAE on rollouts with gaps, against NumPy written from the papers."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose
from torch import nn

from carla_rl.ppo.buffer import RolloutBuffer
from carla_rl.ppo.loss import policy_loss, value_loss
from carla_rl.ppo.scaling import ReturnScale
from carla_rl.ppo.tally import explained_variance
from carla_rl.ppo.update import normalised
from carla_rl.types import Plan

CLIP, ENTROPY_COEF, KL_COEF, VALUE_CLIP = 0.2, 0.02, 0.3, 0.25


def terms(mean, log_std, action, old, advantage, clip=CLIP):
    """Each term by its definition, in NumPy; the densities are products over coordinates, the expectations means over rows."""
    std = np.exp(np.broadcast_to(log_std, mean.shape))
    density = np.prod(np.exp(-((action - mean) ** 2) / (2 * std**2)) / np.sqrt(2 * np.pi * std**2), axis=1)
    ratio = density / np.exp(old)
    objective = np.minimum(ratio * advantage, np.clip(ratio, 1 - clip, 1 + clip) * advantage)
    return {
        "surrogate": -objective.mean(),
        "entropy": (0.5 * np.log(2 * np.pi * np.e * std**2)).sum(1).mean(),
        # from the Gaussian of this mean to the one about zero, both with this std
        "kl_to_sft": (mean**2 / (2 * std**2)).sum(1).mean(),
        "approx_kl": (ratio - 1 - np.log(ratio)).mean(),
        "clip_fraction": (np.abs(ratio - 1) > clip).mean(),
    }


def draw_batch(seed, rows, actions, *, by_state):
    """Mean, log_std, action, old log-probability, advantage: some ratios are beyond the clip on either side."""
    draw = np.random.default_rng(seed)
    log_std = draw.uniform(-2, 0.5, (rows, actions) if by_state else actions)
    mean = draw.normal(size=(rows, actions))
    z = draw.normal(size=(rows, actions))
    old = (-0.5 * z**2 - log_std - 0.5 * math.log(2 * math.pi)).sum(1) + draw.normal(scale=0.3, size=rows)
    return mean, log_std, mean + np.exp(log_std) * z, old, draw.normal(size=rows)


@settings(deadline=None)
@given(seed=st.integers(0, 2**32), rows=st.integers(1, 32), actions=st.integers(1, 5), by_state=st.booleans())
def test_each_term_of_the_policys_loss(seed, rows, actions, by_state):
    batch = draw_batch(seed, rows, actions, by_state=by_state)
    found = policy_loss(*map(torch.from_numpy, batch), clip=CLIP, entropy_coef=ENTROPY_COEF, kl_coef=KL_COEF)
    wanted = terms(*batch)
    for name, value in wanted.items():
        assert getattr(found, name).item() == pytest.approx(value, rel=1e-6, abs=1e-7), name
    total = wanted["surrogate"] - ENTROPY_COEF * wanted["entropy"] + KL_COEF * wanted["kl_to_sft"]
    assert found.total.item() == pytest.approx(total, rel=1e-9, abs=1e-9)


@settings(deadline=None)
@given(seed=st.integers(0, 2**32), rows=st.integers(1, 32), clip=st.none() | st.floats(0.01, 1.0))
def test_the_values_loss(seed, rows, clip):
    values, old, returns = np.random.default_rng(seed).normal(size=(3, rows))
    found = value_loss(*(torch.from_numpy(array) for array in (values, old, returns)), clip=clip)
    assert found.item() == pytest.approx(critic_loss(values, old, returns, clip), rel=1e-9)


def critic_loss(values, old, returns, clip):
    errors = (values - returns) ** 2
    if clip is not None:
        errors = np.maximum(errors, (np.clip(values, old - clip, old + clip) - returns) ** 2)
    return errors.mean() / 2


def network(outputs):
    return nn.Sequential(nn.Linear(3, 5), nn.Tanh(), nn.Linear(5, outputs)).double()


def forward(parameters, inputs):
    """The same network in NumPy."""
    first, first_bias, second, second_bias = parameters
    return np.tanh(inputs @ first.T + first_bias) @ second.T + second_bias


def differences(loss, parameters, eps=1e-6):
    """Central differences of a loss of NumPy arrays, number by number."""
    gradients = []
    for parameter in parameters:
        gradient = np.zeros_like(parameter)
        for index in np.ndindex(parameter.shape):
            kept = parameter[index]
            parameter[index] = kept + eps
            above = loss()
            parameter[index] = kept - eps
            gradient[index] = (above - loss()) / (2 * eps)
            parameter[index] = kept
        gradients.append(gradient)
    return gradients


@pytest.mark.parametrize("by_state", [False, True])
@pytest.mark.parametrize("seed", range(3))
def test_the_whole_gradient_of_the_policys_loss_through_its_network(seed, by_state):
    """Autograd against differences of the NumPy reference, for every weight and the learned log_std.

    The pull holds the standard deviation: the reference computes its KL with the one from before the step.
    """
    actions, rows = 2, 24
    draw = np.random.default_rng(seed)
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        head = network(2 * actions if by_state else actions)
    log_std = torch.tensor(draw.uniform(-1, 0, actions), requires_grad=True)
    inputs = draw.normal(size=(rows, 3))
    parameters = [parameter.detach().numpy().copy() for parameter in head.parameters()]
    free = log_std.detach().numpy().copy()

    def policy():
        raw = forward(parameters, inputs)
        return (raw[:, :actions], free + raw[:, actions:]) if by_state else (raw, free)

    mean, held = policy()
    z = draw.normal(size=(rows, actions))
    action, advantage = mean + np.exp(held) * z, draw.normal(size=rows)
    old = (-0.5 * z**2 - held - 0.5 * math.log(2 * math.pi)).sum(1) + draw.normal(scale=0.3, size=rows)
    held_std = np.exp(held).copy()

    def total():
        mean, log_std = policy()
        found = terms(mean, log_std, action, old, advantage)
        pull = (mean**2 / (2 * held_std**2)).sum(1).mean()
        return found["surrogate"] - ENTROPY_COEF * found["entropy"] + KL_COEF * pull

    raw = head(torch.from_numpy(inputs))
    given_policy = (raw[:, :actions], log_std + raw[:, actions:]) if by_state else (raw, log_std)
    rest = (torch.from_numpy(array) for array in (action, old, advantage))
    loss = policy_loss(*given_policy, *rest, clip=CLIP, entropy_coef=ENTROPY_COEF, kl_coef=KL_COEF)
    assert 0.0 < loss.clip_fraction.item() < 1.0
    assert loss.total.item() == pytest.approx(total())
    loss.total.backward()
    wanted = differences(total, [*parameters, free])
    for parameter, gradient in zip([*head.parameters(), log_std], wanted, strict=True):
        assert np.abs(gradient).max() > 1e-4
        assert_allclose(parameter.grad.numpy(), gradient, rtol=1e-5, atol=1e-8)


@pytest.mark.parametrize("clip", [None, VALUE_CLIP])
def test_the_whole_gradient_of_the_values_loss_through_its_network(clip):
    draw = np.random.default_rng(5)
    with torch.random.fork_rng():
        torch.manual_seed(5)
        head = network(1)
    inputs, returns = draw.normal(size=(24, 3)), draw.normal(size=24)
    parameters = [parameter.detach().numpy().copy() for parameter in head.parameters()]
    old = forward(parameters, inputs)[:, 0] + draw.normal(scale=0.4, size=24)
    loss = value_loss(head(torch.from_numpy(inputs)).squeeze(-1), *map(torch.from_numpy, (old, returns)), clip=clip)
    loss.backward()
    wanted = differences(lambda: critic_loss(forward(parameters, inputs)[:, 0], old, returns, clip), parameters)
    for parameter, gradient in zip(head.parameters(), wanted, strict=True):
        assert_allclose(parameter.grad.numpy(), gradient, rtol=1e-5, atol=1e-8)


@settings(deadline=None)
@given(seed=st.integers(0, 2**32), gamma=st.floats(0, 1), gae_lambda=st.floats(0, 1), rest=st.booleans())
def test_the_advantages_of_a_rollout_with_lost_worlds_and_idle_envs(seed, gamma, gae_lambda, rest):
    """Episode by episode from the definition: what was dropped is in no row, and nothing flows over the gap."""
    decisions, envs = 10, 3
    draw = np.random.default_rng(seed)
    buffer = RolloutBuffer(decisions, envs, 1, 1)
    buffer.values[:] = draw.normal(size=(decisions, envs))
    rewards = draw.normal(size=(decisions, envs)).astype(np.float32)
    active = np.ones((decisions, envs), np.bool_)
    ended = draw.random((decisions, envs)) < 0.3
    # an env may rest from some decision on, after its last episode ended
    if rest:
        active[6:, 0] = False
        ended[5, 0], ended[6:, 0] = True, False
    lost = draw.random((decisions, envs)) < 0.15
    lost &= active & ~ended
    terminal = np.where(ended & (draw.random((decisions, envs)) < 0.5), draw.normal(size=(decisions, envs)), 0.0).astype(np.float32)
    last = draw.normal(size=envs).astype(np.float32)
    for t in range(decisions):
        number = np.arange(envs, dtype=np.float32)[:, None] + 10 * t
        plan = Plan(np.zeros((envs, 1, 2), np.float32), extras={"action": number, "log_prob": number[:, 0]})
        at = {"rewards": rewards[t], "active": active[t] & ~lost[t], "ended": ended[t], "terminal_values": terminal[t]}
        buffer.put(t, plan, inputs=number, **at)
        buffer.drop(t, np.flatnonzero(lost[t]))
    found = buffer.batch(reward_scale=0.5, last_values=last, gamma=gamma, gae_lambda=gae_lambda, device=torch.device("cpu"))
    wanted = {}
    for env in range(envs):
        start = 0
        for t in range(decisions):
            over = ended[t, env] or lost[t, env] or t == decisions - 1
            if over and not lost[t, env] and active[start, env]:
                following = terminal[t, env] if ended[t, env] else last[env]
                stretch = slice(start, t + 1), env
                advantages = episode(0.5 * rewards[stretch], buffer.values[stretch], following, gamma, gae_lambda)
                wanted |= {10.0 * (start + i) + env: value for i, value in enumerate(advantages)}
            if over:
                start = min(t + 1, decisions - 1)
    names = found.actions[:, 0].tolist()
    assert sorted(names) == sorted(wanted)
    assert_allclose(found.advantages, [wanted[name] for name in names], atol=5e-5)
    assert_allclose(found.returns, found.advantages + found.values, atol=1e-6)


def episode(rewards, values, following, gamma, gae_lambda):
    """GAE as the exponentially weighted mean of the n-step advantages (equation 16 of the paper, finite), of one stretch of an episode."""
    steps = len(rewards)
    after = [*values[1:], following]
    out = []
    for t in range(steps):
        n_step = []
        for n in range(1, steps - t + 1):
            discounted = sum(gamma**k * rewards[t + k] for k in range(n))
            n_step.append(discounted + gamma**n * after[t + n - 1] - values[t])
        weights = [(1 - gae_lambda) * gae_lambda ** (n - 1) for n in range(1, len(n_step))] + [gae_lambda ** (len(n_step) - 1)]
        out.append(sum(weight * advantage for weight, advantage in zip(weights, n_step, strict=True)))
    return out


@settings(deadline=None)
@given(seed=st.integers(0, 2**32), rows=st.integers(2, 64))
def test_normalised_advantages_and_explained_variance(seed, rows):
    draw = np.random.default_rng(seed)
    values, returns = draw.normal(size=(2, rows))
    assert_allclose(normalised(torch.from_numpy(values)), (values - values.mean()) / values.std(), rtol=1e-9, atol=1e-9)
    wanted = 1 - ((returns - values) - (returns - values).mean()).var() / returns.var()
    assert explained_variance(*map(torch.from_numpy, (values, returns))) == pytest.approx(wanted)


@settings(deadline=None)
@given(seed=st.integers(0, 2**32), gamma=st.floats(0, 1))
def test_the_scale_of_returns_is_that_of_all_discounted_returns_seen(seed, gamma):
    draw = np.random.default_rng(seed)
    scale, seen = ReturnScale(2, gamma), []
    running = np.zeros(2)
    for _ in range(3):
        rewards, ended = draw.normal(size=(5, 2)).astype(np.float32), draw.random((5, 2)) < 0.2
        scale.update(rewards, np.ones((5, 2), np.bool_), ended)
        for t in range(5):
            running = gamma * running + rewards[t]
            seen.append(running)
            running = np.where(ended[t], 0.0, running)
    assert scale.scale == pytest.approx(1 / np.std(seen), rel=1e-6)
