import numpy as np
import pytest
import torch
from policy_parts import frozen, legacy_heads, observations, sft_state, upstream_latest, upstream_model

from carla_rl.checkpoint import load_sft, save_rl, save_sft
from carla_rl.errors import UsageError
from carla_rl.policies.delta import DeltaConfig
from carla_rl.policies.legacy import BOUNDS_M, LegacyDelta
from carla_rl.policies.loading import load_heads, load_policy
from carla_rl.policies.residual import ResidualPolicy
from carla_rl.policies.sft import SftPolicy


def test_each_kind_is_recognised(tmp_path):
    save_sft(tmp_path / "objects.pt", sft_state())
    save_rl(tmp_path / "rl.pt", ResidualPolicy(frozen(), DeltaConfig()).state())
    model = upstream_model(tmp_path / "model.pt")
    assert isinstance(load_policy(model), SftPolicy)
    assert isinstance(load_policy(upstream_latest(tmp_path / "latest.pt")), SftPolicy)
    assert load_policy(tmp_path / "objects.pt").name == "sft-route_objects"
    assert isinstance(load_policy(tmp_path / "rl.pt"), ResidualPolicy)
    assert isinstance(load_policy(legacy_heads(tmp_path / "delta.pt"), sft=model), LegacyDelta)


def test_legacy_heads_correct_sft(tmp_path):
    model, heads = upstream_model(tmp_path / "model.pt"), legacy_heads(tmp_path / "delta.pt")
    policy = load_policy(heads, sft=model)
    seen = observations(2, camera="front")
    plan = policy.plan(seen.restrict(policy.needs))
    base = load_policy(model)
    assert isinstance(base, SftPolicy)
    z = torch.from_numpy(base.sft.see(seen).z)
    weights = torch.load(heads, weights_only=True)["delta_head"]
    for i in (0, 2):
        z = torch.tanh(z @ weights[f"net.{i}.weight"].T + weights[f"net.{i}.bias"])
    delta = (z @ weights["net.4.weight"].T + weights["net.4.bias"]).reshape(2, 20, 2).numpy()
    np.testing.assert_allclose(plan.extras["delta"], delta, atol=1e-5)
    np.testing.assert_array_equal(plan.sft_waypoints, base.plan(seen).waypoints)
    np.testing.assert_array_equal(plan.waypoints, plan.sft_waypoints + plan.extras["delta"])


def test_legacy_deltas_are_bounded(tmp_path):
    heads = torch.load(legacy_heads(tmp_path / "delta.pt"), weights_only=True)
    heads["delta_head"]["net.4.weight"] *= 1e4
    torch.save(heads, tmp_path / "wild.pt")
    save_sft(tmp_path / "objects.pt", sft_state())
    delta = load_policy(tmp_path / "wild.pt", sft=tmp_path / "objects.pt").plan(observations(3)).extras["delta"]
    assert (np.abs(delta) <= BOUNDS_M).all()
    assert (np.abs(delta) == BOUNDS_M).any()


def test_legacy_heads_need_their_sft(tmp_path):
    heads = legacy_heads(tmp_path / "delta.pt")
    with pytest.raises(UsageError, match="pass the SFT model under them with --sft"):
        load_policy(heads)
    with pytest.raises(UsageError, match="corrects 20 waypoints, the SFT model plans 10"):
        load_policy(heads, sft=upstream_model(tmp_path / "short.pt", horizon=10))
    with pytest.raises(UsageError, match="takes z of size 128, the SFT model gives 64"):
        load_policy(heads, sft=upstream_model(tmp_path / "narrow.pt", out_dim=64))
    with pytest.raises(UsageError, match="holds a delta head"):
        load_policy(heads, sft=heads)


def test_sft_is_for_legacy_heads_only(tmp_path):
    model = upstream_model(tmp_path / "model.pt")
    with pytest.raises(UsageError, match="leave --sft out"):
        load_policy(model, sft=model)


def test_fingerprint_follows_the_model(tmp_path):
    path = upstream_model(tmp_path / "model.pt")
    policy = load_policy(path)
    assert isinstance(policy, SftPolicy)
    before = policy.sft.fingerprint()
    policy.plan(observations(1, camera="front"))
    assert policy.sft.fingerprint() == before
    assert len(load_sft(path).encoder) == 8


def test_heads_that_learned_without_a_normaliser_keep_the_features_they_know(tmp_path):
    path, config = tmp_path / "rl.pt", DeltaConfig(hidden=(32,))
    trained = ResidualPolicy(frozen(), config, seed=3)
    save_rl(path, trained.state())
    # nothing was learned: what calibration finds is as good
    assert not load_heads(path, frozen(), config).normalised
    with torch.no_grad():
        trained.delta_head.net[-1].weight.fill_(0.05)
    save_rl(path, trained.state())
    policy = load_heads(path, frozen(), config)
    assert policy.normalised
    plan = trained.plan(observations(4))
    assert plan.extras["delta"].any()
    assert policy.plan(observations(4)).waypoints.tobytes() == plan.waypoints.tobytes()


def test_heads_go_on_only_on_their_own_sft_model_and_in_their_own_form(tmp_path):
    path, config = tmp_path / "rl.pt", DeltaConfig(hidden=(32,))
    trained = ResidualPolicy(frozen(), config, seed=3)
    trained.normalise(np.full(trained.feature_size, 0.5, np.float32), np.full(trained.feature_size, 2.0, np.float32))
    save_rl(path, trained.state())
    policy = load_heads(path, frozen(), config)
    assert policy.normalised
    assert policy.features(observations(2)).tobytes() == trained.features(observations(2)).tobytes()
    with pytest.raises(UsageError, match=r"rl.pt: its heads were trained on another SFT model than memory"):
        load_heads(path, frozen(hidden=65), config)
    with pytest.raises(UsageError, match=r"rl.pt: its heads have hidden \(32,\), the settings \(128, 128\); write delta.hidden"):
        load_heads(path, frozen(), DeltaConfig())
    save_sft(tmp_path / "model.pt", sft_state())
    with pytest.raises(UsageError, match=r"model\.pt: not a checkpoint of our RL training"):
        load_heads(tmp_path / "model.pt", frozen(), config)
