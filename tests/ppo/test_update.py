import copy
import dataclasses
import math

import pytest
import torch
from ppo.fakes import TinyPolicy
from torch.testing import assert_close

from carla_rl import gaussian
from carla_rl.errors import RunFailure
from carla_rl.ppo import PPOConfig
from carla_rl.ppo.buffer import Batch
from carla_rl.ppo.tally import explained_variance
from carla_rl.ppo.update import PPOUpdate, normalised


def make_batch(policy: TinyPolicy, size: int = 64, seed: int = 0) -> Batch:
    """Actions sampled from the policy; those to the right are better, returns rise with the first feature."""
    draw = torch.Generator().manual_seed(seed)
    features = torch.rand(size, 2, generator=draw)
    with torch.no_grad():
        mean = policy.delta_head(features)
        actions = mean + policy.log_std.exp() * torch.randn(size, 2, generator=draw)
        log_probs = gaussian.log_prob(actions, mean, policy.log_std)
        values = policy.value_head(features)
    return Batch(features, actions, log_probs, values, advantages=actions[:, 1].clone(), returns=3.0 * features[:, 0])


def config(**changed) -> PPOConfig:
    return PPOConfig(**({"num_envs": 8, "rollout": 8, "minibatch": 16, "epochs": 4} | changed))


def run(policy: TinyPolicy, batch: Batch, **changed):
    return PPOUpdate(policy, config(**changed), torch.Generator().manual_seed(0))(batch, 0)


def parameters(module: torch.nn.Module) -> list[torch.Tensor]:
    return [parameter.detach().clone() for parameter in module.parameters()]


def test_better_actions_become_likelier_and_values_move_to_the_returns():
    policy = TinyPolicy()
    batch = make_batch(policy)
    stats = run(policy, batch, target_kl=None, value_lr=1e-2)
    with torch.no_grad():
        assert policy.delta_head(batch.inputs)[:, 1].mean() > 0.02
        assert (policy.value_head(batch.inputs) - batch.returns).square().mean() < (batch.values - batch.returns).square().mean()
    assert stats.delta_steps == 16
    assert not stats.stopped_early
    assert stats.approx_kl > 0.0
    assert stats.max_kl >= stats.approx_kl


def test_the_delta_head_rests_above_the_target_kl_while_the_value_head_goes_on():
    policy = TinyPolicy()
    batch = make_batch(policy)
    stats = run(policy, batch, target_kl=1e-6)
    # The first minibatch is at KL 0; the second sees the first step and stops before taking its own.
    assert stats.delta_steps == 1
    assert stats.stopped_early
    other = TinyPolicy()
    assert_close(other.value_head.state_dict(), TinyPolicy().value_head.state_dict())
    run(other, batch, target_kl=None)
    assert_close(policy.value_head.state_dict(), other.value_head.state_dict(), rtol=0.0, atol=0.0)


def test_only_the_two_heads_change():
    policy = TinyPolicy()
    frozen, log_std, delta = parameters(policy.sft), policy.log_std.clone(), parameters(policy.delta_head)
    run(policy, make_batch(policy))
    assert all(torch.equal(old, new) for old, new in zip(frozen, policy.sft.parameters(), strict=True))
    assert torch.equal(policy.log_std, log_std)
    assert all(parameter.grad is None for parameter in policy.sft.parameters())
    assert not any(torch.equal(old, new) for old, new in zip(delta, policy.delta_head.parameters(), strict=True) if new.ndim == 1)


def test_each_net_has_its_own_learning_rate_and_gradient_clip():
    policy = TinyPolicy()
    batch = make_batch(policy)
    before = parameters(policy.delta_head)
    huge = Batch(batch.inputs, batch.actions, batch.log_probs, batch.values, batch.advantages, batch.returns * 1e6)
    stats = run(policy, huge, delta_lr=1e-12)
    # A value loss out of all proportion leaves the delta head alone.
    assert_close(before, parameters(policy.delta_head), rtol=0.0, atol=1e-8)
    assert stats.value_grad_norm > 1e3 > stats.delta_grad_norm


def test_pull_towards_sft_shrinks_the_mean():
    free, pulled = TinyPolicy(), TinyPolicy()
    batch = make_batch(free)
    loose = run(free, batch, target_kl=None, epochs=20)
    tight = run(pulled, batch, target_kl=None, epochs=20, kl_to_sft=5.0)
    with torch.no_grad():
        assert pulled.delta_head(batch.inputs).abs().mean() < 0.5 * free.delta_head(batch.inputs).abs().mean()
    assert tight.kl_to_sft < loose.kl_to_sft


def test_what_is_not_finite_stops_the_run():
    policy = TinyPolicy()
    batch = make_batch(policy)
    batch.returns[3] = float("nan")
    before = copy.deepcopy(policy.value_head.state_dict())
    with pytest.raises(RunFailure, match="not finite"):
        run(policy, batch, minibatch=64)
    assert_close(before, policy.value_head.state_dict(), rtol=0.0, atol=0.0)


def test_explained_variance_by_hand():
    returns = torch.tensor([0.0, 2.0, 4.0])
    assert explained_variance(returns, returns) == 1.0
    assert explained_variance(torch.full((3,), 9.0), returns) == 0.0
    # Errors 0, 1, 2 have variance 2/3, the returns 8/3.
    assert explained_variance(torch.tensor([0.0, 1.0, 2.0]), returns) == pytest.approx(0.75)
    assert explained_variance(returns, torch.ones(3)) == 0.0


def test_normalised_advantages_by_hand():
    assert_close(normalised(torch.tensor([1.0, 3.0])), torch.tensor([-1.0, 1.0]))
    assert_close(normalised(torch.tensor([5.0, 5.0])), torch.zeros(2))


def test_a_learned_log_std_feels_the_entropy_bonus_and_another_stays():
    fixed, learned = TinyPolicy(), TinyPolicy()
    learned.log_std = torch.nn.Parameter(learned.log_std)
    batch = make_batch(fixed)
    for policy in (fixed, learned):
        run(policy, batch, entropy_coef=1.0, target_kl=None)
    assert torch.equal(fixed.log_std, torch.zeros(2))
    assert (learned.log_std > 0.01).all()


def test_a_learned_log_std_stays_within_what_may_be_configured():
    policy = TinyPolicy()
    policy.log_std = torch.nn.Parameter(torch.full((2,), 0.99))
    run(policy, make_batch(policy), entropy_coef=10.0, delta_lr=0.5, target_kl=None)
    assert torch.equal(policy.log_std.detach(), torch.ones(2))


def test_a_step_that_went_much_too_far_is_taken_back():
    policy = TinyPolicy()
    batch = make_batch(policy)
    learner = PPOUpdate(policy, config(delta_lr=3.0, target_kl=None, rollback_kl=0.5), torch.Generator().manual_seed(0))
    before = copy.deepcopy(policy.delta_head.state_dict())
    stats = learner(batch, 0)
    # the first step already jumps, so the delta head is where it was, to the bit, and rests
    assert stats.rolled_back
    assert stats.delta_steps == 0
    assert stats.max_kl > 0.5
    assert_close(policy.delta_head.state_dict(), before, rtol=0.0, atol=0.0)
    assert not learner.state_dict()["delta"]["state"]


def test_a_step_back_brings_the_optimiser_back_too():
    policy, calm = TinyPolicy(), TinyPolicy()
    batch = make_batch(policy)
    first = PPOUpdate(calm, config(epochs=1, minibatch=64, target_kl=None), torch.Generator().manual_seed(0))
    first(batch, 0)
    # the same first step, then a huge one, which is taken back
    second = PPOUpdate(policy, config(epochs=2, minibatch=64, target_kl=None), torch.Generator().manual_seed(0))
    step = second._delta.step

    def leap(loss):
        second._delta.set_lr(1.2e-3 if not second._delta.optimiser.state else 50.0)
        return step(loss)

    second._delta.step = leap
    stats = second(batch, 0)
    assert stats.rolled_back
    assert stats.delta_steps == 1
    assert_close(policy.delta_head.state_dict(), calm.delta_head.state_dict(), rtol=0.0, atol=0.0)
    moments, others = (learner.state_dict()["delta"]["state"] for learner in (second, first))
    assert_close(moments, others, rtol=0.0, atol=0.0)


def test_only_the_critic_learns_while_it_warms_up():
    policy = TinyPolicy()
    batch = make_batch(policy)
    learner = PPOUpdate(policy, config(critic_warmup=2), torch.Generator().manual_seed(0))
    delta, value = copy.deepcopy((policy.delta_head.state_dict(), policy.value_head.state_dict()))
    for update in range(2):
        stats = learner(batch, update)
        # what the delta head would have shown was not looked at
        assert (stats.delta_steps, stats.approx_kl, stats.kl_to_sft, stats.delta_grad_norm) == (0, None, None, None)
    assert_close(policy.delta_head.state_dict(), delta, rtol=0.0, atol=0.0)
    assert not torch.equal(policy.value_head.state_dict()["0.weight"], value["0.weight"])
    assert learner(batch, 2).delta_steps > 0


def test_an_adaptive_rate_follows_the_kl():
    policy = TinyPolicy()
    learner = PPOUpdate(policy, config(lr_schedule="adaptive", delta_lr=1e-6, value_lr=1e-2), torch.Generator().manual_seed(0))
    assert learner.rates(0) == (1e-6, 1e-2)
    learner(make_batch(policy), 0)
    # hardly a move: the delta head may take larger steps; the value head keeps its own
    assert learner.rates(1) == (pytest.approx(1.5e-6), 1e-2)


def test_an_adaptive_pull_is_in_the_loss_and_in_the_record():
    policy = TinyPolicy()
    with torch.no_grad():
        policy.delta_head[2].bias.fill_(2.0)
    learner = PPOUpdate(policy, config(kl_to_sft=1.0, kl_to_sft_target=0.1, target_kl=None), torch.Generator().manual_seed(0))
    weights = [learner(make_batch(policy), update).kl_to_sft_weight for update in range(3)]
    # a mean of 2 at a standard deviation of 1 is 2 nats a coordinate away from SFT: 1.5 times the weight after each update
    assert weights == pytest.approx([1.0, 1.5, 2.25])


def test_the_delta_head_never_sees_the_critics_facts():
    policy = TinyPolicy()
    policy.critic_facts = 3
    policy.value_head[0] = torch.nn.Linear(5, 16)
    batch = make_batch(TinyPolicy())
    facts = torch.randn(len(batch), 3, generator=torch.Generator().manual_seed(1))
    wide = dataclasses.replace(batch, inputs=torch.cat((batch.inputs, facts), dim=1))
    plain = TinyPolicy()
    run(policy, wide, target_kl=None)
    run(plain, batch, target_kl=None)
    assert_close(policy.delta_head.state_dict(), plain.delta_head.state_dict())


def test_a_learned_function_for_the_standard_deviation_gets_gradients():
    policy = StateStd()
    batch = make_batch(TinyPolicy())
    stats = run(policy, batch, entropy_coef=1.0, target_kl=None)
    with torch.no_grad():
        assert (policy.distribution(batch.inputs)[1] > 0.0).all()
    assert stats.entropy > 2 * 0.5 * math.log(2.0 * math.pi * math.e)


class StateStd(TinyPolicy):
    """The delta head gives the log standard deviation, too."""

    def __init__(self):
        super().__init__()
        self.scheduled = False
        self.delta_head[2] = torch.nn.Linear(16, 4)
        for parameter in self.delta_head[2].parameters():
            torch.nn.init.zeros_(parameter)

    def distribution(self, features):
        mean, log_std = self.delta_head(features).chunk(2, dim=-1)
        return mean, log_std


def test_a_single_step_is_looked_at_afterwards():
    """One minibatch: before its step the KL is 0, and only a look afterwards tells the rate how far it led."""
    policy = TinyPolicy()
    settings = {"epochs": 1, "minibatch": 64, "lr_schedule": "adaptive", "delta_lr": 0.05, "target_kl": 0.001, "rollback_kl": None}
    learner = PPOUpdate(policy, config(**settings), torch.Generator().manual_seed(0))
    stats = learner(make_batch(policy), 0)
    assert stats.max_kl > 0.02
    assert learner.rates(1)[0] == pytest.approx(0.05 / 1.5)
    # the step stays and no other was to come: nothing was stopped
    assert (stats.delta_steps, stats.stopped_early) == (1, False)
