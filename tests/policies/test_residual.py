from dataclasses import replace

import numpy as np
import pytest
import torch
from policy_parts import frozen, observations

from carla_rl import gaussian, privileged
from carla_rl.checkpoint import load_rl, save_rl
from carla_rl.errors import UsageError
from carla_rl.gaussian import Noise
from carla_rl.policies.delta import DeltaConfig
from carla_rl.policies.residual import ResidualPolicy
from carla_rl.policies.sft import SftPolicy
from carla_rl.types import CameraSpec, Needs


def stirred(policy: ResidualPolicy) -> ResidualPolicy:
    """As if it had learned something."""
    generator = torch.Generator().manual_seed(3)
    with torch.no_grad():
        for head in (policy.delta_head, policy.value_head):
            for parameter in head.parameters():
                parameter.add_(0.05 * torch.randn(parameter.shape, generator=generator))
    return policy


@pytest.mark.parametrize("space", ["basis", "full", "stretch"])
@pytest.mark.parametrize("sigma", ["schedule", "state"])
@pytest.mark.parametrize("architecture", ["route_objects", "tiny_multicam"])
def test_before_training_it_drives_sft_bit_for_bit(architecture, sigma, space):
    sft = frozen(architecture)
    policy = ResidualPolicy(sft, DeltaConfig(space=space, sigma=sigma), seed=4)
    seen = observations(5, camera="front")
    plan = policy.plan(seen.restrict(policy.needs))
    alone = SftPolicy(sft).plan(seen.restrict(sft.needs))
    assert plan.waypoints.tobytes() == alone.waypoints.tobytes()
    assert plan.sft_waypoints is not None
    assert plan.sft_waypoints.tobytes() == alone.waypoints.tobytes()
    assert not plan.extras["delta"].any()


def test_what_the_heads_see():
    sft = frozen()
    policy = ResidualPolicy(sft, DeltaConfig())
    features = policy.plan(observations(3)).extras["features"]
    seen = sft.see(observations(3), context=True)
    assert features.shape == (3, policy.feature_size)
    assert features.dtype == np.float32
    np.testing.assert_array_equal(features[:, :128], seen.z)
    # every fourth waypoint, x in 10 m and y in 2 m
    np.testing.assert_allclose(features[:, 128:130], seen.waypoints[:, 3] / [10.0, 2.0], rtol=1e-6)
    np.testing.assert_allclose(features[:, 136:138], seen.waypoints[:, 19] / [10.0, 2.0], rtol=1e-6)
    np.testing.assert_array_equal(features[:, 138:], seen.context)
    assert ResidualPolicy(sft, DeltaConfig(inputs=("waypoints",))).feature_size == 10


def test_needs_are_declared():
    sft = frozen("tiny_multicam")
    assert ResidualPolicy(sft, DeltaConfig()).needs == Needs(route=True, cameras=(CameraSpec("front"),))
    assert ResidualPolicy(sft, DeltaConfig(inputs=("z",))).needs == sft.needs


def test_a_plan_is_sft_plus_delta_and_the_mean_is_deterministic():
    policy = stirred(ResidualPolicy(frozen(), DeltaConfig()))
    plan = policy.plan(observations(4))
    assert plan.extras["delta"].any()
    np.testing.assert_array_equal(plan.waypoints, plan.sft_waypoints + plan.extras["delta"])
    assert plan.waypoints.tobytes() == policy.plan(observations(4)).waypoints.tobytes()
    assert "log_prob" not in plan.extras


@pytest.mark.parametrize("n", [1, 2, 7, 64, 100])
def test_rows_have_the_same_bits_in_any_batch(n):
    policy = stirred(ResidualPolicy(frozen(hidden=256), DeltaConfig()))
    everyone = observations(1024)
    whole, values = policy.plan(everyone), policy.values(policy.features(everyone))
    rows = np.random.default_rng(n).permutation(1024)[:n]
    part = policy.plan(everyone.take(rows))
    assert np.array_equal(part.waypoints, whole.waypoints[rows])
    assert np.array_equal(policy.values(policy.features(everyone.take(rows))), values[rows])
    for name, array in part.extras.items():
        assert np.array_equal(array, whole.extras[name][rows]), name


def test_sampling():
    policy = stirred(ResidualPolicy(frozen(), DeltaConfig(log_std=-0.5)))
    seen = observations(2000)
    mean = policy.plan(seen).extras["action"]
    policy.sample_with(Noise(torch.Generator().manual_seed(1)))
    plan = policy.plan(seen)
    noise = (plan.extras["action"] - mean) / np.exp(-0.5)
    np.testing.assert_allclose(noise.mean(0), 0.0, atol=0.08)
    np.testing.assert_allclose(noise.std(0), 1.0, atol=0.08)
    expected = gaussian.log_prob(torch.from_numpy(plan.extras["action"]), torch.from_numpy(mean), policy.log_std)
    np.testing.assert_allclose(plan.extras["log_prob"], expected.numpy(), rtol=1e-6)
    policy.sample_with(Noise(torch.Generator().manual_seed(1)))
    assert np.array_equal(policy.plan(seen).extras["action"], plan.extras["action"])
    policy.sample_with(None)
    assert np.array_equal(policy.plan(seen).extras["action"], mean)


def test_heads_see_what_training_sees():
    """PPO recomputes mean and value from the features with gradients: the same numbers but for rounding."""
    policy = stirred(ResidualPolicy(frozen(), DeltaConfig()))
    policy.sample_with(Noise(torch.Generator().manual_seed(1)))
    plan = policy.plan(observations(50))
    features = torch.from_numpy(plan.extras["features"])
    log_prob = gaussian.log_prob(torch.from_numpy(plan.extras["action"]), *policy.distribution(features))
    np.testing.assert_allclose(log_prob.detach().numpy(), plan.extras["log_prob"], atol=1e-4)
    np.testing.assert_allclose(policy.value_head(features).detach().numpy(), policy.values(plan.extras["features"]), atol=1e-5)


def test_a_share_of_the_correction():
    policy = stirred(ResidualPolicy(frozen(), DeltaConfig()))
    whole = policy.plan(observations(4))
    policy.residual_ratio = 0.25
    part = policy.plan(observations(4))
    np.testing.assert_allclose(part.extras["delta"], 0.25 * whole.extras["delta"], rtol=1e-6)
    np.testing.assert_array_equal(part.extras["action"], whole.extras["action"])
    np.testing.assert_array_equal(part.waypoints, part.sft_waypoints + part.extras["delta"])


def test_a_standard_deviation_that_depends_on_the_state():
    policy = ResidualPolicy(frozen(), DeltaConfig(sigma="state", log_std=-1.0))
    features = torch.from_numpy(policy.features(observations(2000)))
    mean, log_std = policy.distribution(features)
    assert mean.shape == log_std.shape == (2000, 4)
    # before training it is that of the configuration everywhere
    assert torch.equal(log_std, torch.full((2000, 4), -1.0))
    with torch.no_grad():
        policy.delta_head.net[-1].bias.copy_(torch.tensor([0.0, 0.0, 0.0, 0.0, 0.5, -0.5, 9.0, -9.0]))
    assert policy.distribution(features)[1][0].tolist() == [-0.5, -1.5, 1.0, -5.0]
    policy.sample_with(Noise(torch.Generator().manual_seed(1)))
    plan = policy.plan(observations(2000))
    np.testing.assert_allclose(plan.extras["action"].std(0), np.exp([-0.5, -1.5, 1.0, -5.0]), rtol=0.08)
    expected = gaussian.log_prob(torch.from_numpy(plan.extras["action"]), *policy.distribution(features))
    np.testing.assert_allclose(plan.extras["log_prob"], expected.detach().numpy(), rtol=1e-4, atol=1e-4)


def test_the_critic_alone_sees_the_facts():
    policy = ResidualPolicy(frozen(), DeltaConfig(critic_facts=True))
    assert policy.critic_facts == privileged.SIZE
    assert policy.value_head.net[0].in_features == policy.feature_size + privileged.SIZE
    assert policy.delta_head.net[0].in_features == policy.feature_size


def test_sft_is_frozen_through_a_training_step():
    policy = ResidualPolicy(frozen(), DeltaConfig(sigma="global"))
    before, head = policy.sft.fingerprint(), policy.delta_head.state_dict()["net.0.weight"].clone()
    parameters = [*policy.delta_head.parameters(), *policy.value_head.parameters(), policy.log_std]
    optimizer = torch.optim.Adam(parameters, lr=0.1)
    policy.sample_with(Noise(torch.Generator().manual_seed(1)))
    for _ in range(2):
        plan = policy.plan(observations(20))
        features = torch.from_numpy(plan.extras["features"])
        loss = policy.delta_head(features).sum() + policy.value_head(features).square().sum() + policy.log_std.sum()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert not torch.equal(policy.delta_head.state_dict()["net.0.weight"], head)
    assert policy.sft.fingerprint() == before
    assert all(parameter.grad is None for parameter in policy.sft.model.parameters())


def test_normalised_features():
    policy = ResidualPolicy(frozen(), DeltaConfig(inputs=("waypoints",)))
    raw = policy.plan(observations(30)).extras["features"]
    policy.normalise(raw.mean(0), 1 / raw.std(0))
    scaled = policy.plan(observations(30)).extras["features"]
    np.testing.assert_allclose(scaled, np.clip((raw - raw.mean(0)) / raw.std(0), -10, 10), atol=1e-5)


def test_a_checkpoint_drives_the_same(tmp_path):
    policy = stirred(ResidualPolicy(frozen(out_dim=64, horizon=10), DeltaConfig(hidden=(32,), limit=3.0), seed=2))
    policy.normalise(np.full(policy.feature_size, 0.1, np.float32), np.full(policy.feature_size, 2.0, np.float32))
    policy.log_std.fill_(-2.0)
    policy.residual_ratio = 0.5
    save_rl(tmp_path / "rl.pt", policy.state({"updates": 3}, {"lr": 0.1, "moments": torch.ones(3)}))
    state = load_rl(tmp_path / "rl.pt")
    again = ResidualPolicy.from_state(state)
    seen = observations(9)
    assert again.plan(seen).waypoints.tobytes() == policy.plan(seen).waypoints.tobytes()
    features = policy.features(seen)
    assert again.values(features).tobytes() == policy.values(features).tobytes()
    assert torch.equal(again.log_std, policy.log_std)
    assert state.train_stats == {"updates": 3}
    assert state.training is not None
    assert torch.equal(state.training["moments"], torch.ones(3))


def test_heads_that_do_not_fit_are_refused(tmp_path):
    policy = ResidualPolicy(frozen(), DeltaConfig())
    state = policy.state()
    wide = dict(state.delta_head) | {"net.0.weight": torch.zeros(128, 9)}
    with pytest.raises(
        UsageError, match=rf"tensor delta_head\.net\.0\.weight has shape \(128, 9\), expected \(128, {policy.feature_size}\)"
    ):
        ResidualPolicy.from_state(replace(state, delta_head=wide))
    with pytest.raises(UsageError, match=r"log_std has shape \(7,\), expected \(4,\)"):
        ResidualPolicy.from_state(replace(state, log_std=torch.zeros(7)))
    with pytest.raises(UsageError, match=rf"normaliser\.mean must have shape \({policy.feature_size},\)"):
        ResidualPolicy.from_state(replace(state, normaliser={"mean": torch.zeros(3), "scale": torch.ones(3)}))
    with pytest.raises(UsageError, match="delta_config: limit"):
        ResidualPolicy.from_state(replace(state, delta_config={"limit": -1}))
    with pytest.raises(UsageError, match="513 units are more than 512"):
        ResidualPolicy(frozen(), DeltaConfig(hidden=(513,)))


@pytest.mark.parametrize("sigma", ["schedule", "global", "state"])
def test_a_twin_learns_on_its_own(sigma):
    policy = stirred(ResidualPolicy(frozen(), DeltaConfig(sigma=sigma)))
    twin = policy.twin(torch.device("cpu"))
    features = torch.from_numpy(policy.features(observations(5)))
    for mine, other in zip(policy.distribution(features), twin.distribution(features), strict=True):
        assert torch.equal(mine, other)
    assert twin.log_std.requires_grad == (sigma == "global")
    before = policy.delta_head.state_dict()["net.0.weight"].clone()
    with torch.no_grad():
        twin.delta_head.net[0].weight.add_(1.0)
    assert torch.equal(policy.delta_head.state_dict()["net.0.weight"], before)


def test_heads_that_were_never_normalised_are_not_after_a_file():
    fresh = ResidualPolicy(frozen(), DeltaConfig())
    assert not ResidualPolicy.from_state(fresh.state()).normalised
    fresh.normalise(np.zeros(fresh.feature_size, np.float32), np.ones(fresh.feature_size, np.float32))
    assert ResidualPolicy.from_state(fresh.state()).normalised
