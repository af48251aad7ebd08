"""The supervised stage on experts whose difference from SFT is known exactly."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from policy_parts import frozen, observations
from pydantic import ValidationError

from carla_rl.errors import UsageError
from carla_rl.policies.delta import DeltaConfig, correction
from carla_rl.policies.residual import ResidualPolicy
from carla_rl.records.dataset import Samples, split_by_episode
from carla_rl.warm_start import EpochReport, WarmStart, WarmStartConfig, errors

SMALL = DeltaConfig(hidden=(32,))
QUICK = WarmStartConfig(epochs=10, patience=30, batch=16, lr=2e-2)


def make_policy(config: DeltaConfig = SMALL, **sizes: int) -> ResidualPolicy:
    return ResidualPolicy(frozen(out_dim=16, hidden=16, **sizes), config)


def frames(policy: ResidualPolicy, actions: Callable[[np.ndarray], np.ndarray], n: int = 200, per_episode: int = 10) -> Samples:
    """Experts that drive SFT's plan with the corrections `actions` of the speed (n,), an episode all `per_episode` frames."""
    seen = observations(n, seed=11)
    plans = policy.frozen(seen)[1]
    delta, _ = correction(actions(seen.speed).astype(np.float32), plans, *policy.basis, policy.config.limit, policy.config.bound == "tanh")
    return Samples(
        observation=seen,
        waypoints=plans + delta,
        episode_index=np.repeat(np.arange(n // per_episode), per_episode),
        t=np.tile(np.arange(per_episode) / 10, n // per_episode),
        episode_ids=tuple(str(i) for i in range(n // per_episode)),
        files=tuple(Path(f"{i}.json") for i in range(n // per_episode)),
        image_paths={},
        skipped_frames=3,
        datasets=("a-test",),
        needs=policy.needs,
    )


def one_direction(speed: np.ndarray) -> np.ndarray:
    return np.tile([0.3, 0.0, -0.5, 0.0], (len(speed), 1))


def by_speed(speed: np.ndarray) -> np.ndarray:
    """Slower where it is fast, faster where it is slow."""
    return np.outer(1.0 - speed / 6.0, [0.5, 0.0, 0.0, 0.0])


def test_a_residual_along_one_direction_is_recovered():
    policy = make_policy()
    samples = frames(policy, one_direction)
    reports: list[EpochReport] = []
    found = WarmStart(policy, samples, QUICK.model_copy(update={"epochs": 30})).run(reports.append)
    assert found["corrected"]["ade"] < 0.1 * found["sft"]["ade"]
    assert found["targets"]["ade"] < 0.01
    plan = policy.plan(samples.observation)
    np.testing.assert_allclose(plan.extras["action"].mean(axis=0), [0.3, 0.0, -0.5, 0.0], atol=0.03)
    assert [report.epoch for report in reports] == list(range(1, 31))
    assert [epoch["epoch"] for epoch in found["epochs"]] == list(range(31))
    assert found["epochs"][0]["ade"] == found["sft"]["ade"]
    assert found["corrected"]["ade"] == min(epoch["ade"] for epoch in found["epochs"])
    assert found["frames"] == {"train": 180, "held_out": 20, "skipped": 3}
    assert found["episodes"] == {"train": 18, "held_out": 2}


@pytest.mark.parametrize("space", ["basis", "full", "stretch"])
def test_a_residual_that_depends_on_the_state_is_learned(space):
    policy = make_policy(SMALL.model_copy(update={"space": space}))
    width = len(policy.basis.shift)
    samples = frames(policy, lambda speed: np.pad(by_speed(speed), ((0, 0), (0, width - 4))))
    found = WarmStart(policy, samples, QUICK).run()
    assert found["corrected"]["ade"] < 0.5 * found["sft"]["ade"]


def test_what_it_tells_is_what_drives():
    policy = make_policy()
    samples = frames(policy, by_speed)
    found = WarmStart(policy, samples, QUICK, seed=5).run()
    held_out = split_by_episode(samples.episode_index, QUICK.held_out, 5)[1]
    plan = policy.plan(samples.observation.take(held_out))
    expert = torch.from_numpy(samples.waypoints[held_out])
    assert errors(torch.from_numpy(plan.waypoints), expert) == pytest.approx(tuple(found["corrected"].values()), rel=1e-4)
    assert plan.sft_waypoints is not None
    assert errors(torch.from_numpy(plan.sft_waypoints), expert) == pytest.approx(tuple(found["sft"].values()), rel=1e-4)


def test_no_frozen_tensor_changes_by_a_bit():
    policy = make_policy()
    tensors = {name: tensor.clone() for name, tensor in policy.sft.model.state_dict().items()}
    value_head = [parameter.clone() for parameter in policy.value_head.parameters()]
    found = WarmStart(policy, frames(policy, by_speed), QUICK).run()
    assert found["sft_fingerprint"]["before"] == found["sft_fingerprint"]["after"] == policy.sft.fingerprint()
    assert all(torch.equal(tensor, policy.sft.model.state_dict()[name]) for name, tensor in tensors.items())
    assert all(parameter.grad is None for parameter in policy.sft.model.parameters())
    assert all(torch.equal(*pair) for pair in zip(value_head, policy.value_head.parameters(), strict=True))


def test_the_same_seed_gives_the_same_bits():
    weights = []
    for seed in (0, 0, 1):
        torch.manual_seed(len(weights))
        policy = make_policy()
        WarmStart(policy, frames(policy, by_speed, 100), WarmStartConfig(epochs=3, batch=16), seed=seed).run()
        weights.append(torch.cat([parameter.detach().flatten() for parameter in policy.delta_head.parameters()]))
    assert torch.equal(weights[0], weights[1])
    assert not torch.equal(weights[0], weights[2])


def test_where_sft_is_the_expert_it_stays_sft_and_the_stage_stops_early():
    policy = make_policy()
    samples = frames(policy, lambda speed: np.zeros((len(speed), 4)))
    found = WarmStart(policy, samples, QUICK.model_copy(update={"patience": 2})).run()
    assert found["best_epoch"] == 0
    assert len(found["epochs"]) == 3
    assert found["corrected"] == found["sft"] == {"ade": 0.0, "fde": 0.0}
    plan = policy.plan(samples.observation)
    assert plan.sft_waypoints is not None
    assert plan.waypoints.tobytes() == plan.sft_waypoints.tobytes()


def test_features_are_normalised_once():
    policy = make_policy()
    samples = frames(policy, by_speed)
    train, _ = split_by_episode(samples.episode_index, QUICK.held_out, 0)
    WarmStart(policy, samples, QUICK)
    seen = policy.features(samples.observation.take(train))
    np.testing.assert_allclose(seen.mean(axis=0), 0.0, atol=1e-2)
    assert (seen.std(axis=0) < 1.01).all()
    mean = policy.state().normaliser["mean"].clone()
    WarmStart(policy, frames(policy, by_speed, 100), QUICK)
    assert torch.equal(policy.state().normaliser["mean"], mean)


@pytest.mark.parametrize("sigma", ["schedule", "global", "state"])
def test_a_learned_sigma_is_the_policys_and_the_schedules_is_not_touched(sigma):
    policy = make_policy(SMALL.model_copy(update={"sigma": sigma}))
    samples = frames(policy, one_direction)
    found = WarmStart(policy, samples, QUICK.model_copy(update={"epochs": 20, "log_std_least": -2.0, "nll": 1.0})).run()
    # the residual is always the same, so nothing is left to be unsure of
    assert np.array(found["log_std"]["mean"]) == pytest.approx(-2.0, abs=0.3)
    assert found["log_std"]["drives_ppo"] is (sigma != "schedule")
    _, log_std = policy.distribution(torch.from_numpy(policy.features(samples.observation)))
    expected = -1.0 if sigma == "schedule" else -2.0
    np.testing.assert_allclose(log_std.detach().mean(), expected, atol=0.3)


def test_images(tmp_path):
    policy = ResidualPolicy(frozen("tiny_multicam", out_dim=8, hidden=8), SMALL)
    paths = tuple(tmp_path / f"{i}.png" for i in range(12))
    for i, path in enumerate(paths):
        cv2.imwrite(str(path), np.full((8, 8, 3), 20 * i, np.uint8))
    seen = observations(12)
    samples = Samples(
        seen,
        np.zeros((12, 20, 2), np.float32),
        np.repeat([0, 1, 2], 4),
        np.zeros(12),
        (),
        (),
        {"front": paths},
        0,
        ("a-test",),
        policy.needs,
    )
    found = WarmStart(policy, samples, WarmStartConfig(epochs=2, batch=4)).run()
    assert found["frames"]["train"] == 8
    assert found["sft"]["ade"] > 0


def test_divergence_is_said_and_leaves_the_best_epoch():
    policy = make_policy()

    def poison(report: EpochReport) -> None:
        if report.epoch == 2:
            with torch.no_grad():
                next(policy.delta_head.parameters()).fill_(float("nan"))

    with pytest.raises(UsageError, match=r"warm_start.lr: 0.02 .* diverge in epoch 3; write less"):
        WarmStart(policy, frames(policy, one_direction), QUICK).run(poison)
    assert all(bool(torch.isfinite(parameter).all()) for parameter in policy.delta_head.parameters())


def test_bad_samples():
    policy = make_policy()
    samples = frames(policy, one_direction, 40)
    broken = samples.waypoints.copy()
    broken[3, 0, 0] = np.nan
    speed = samples.observation.speed.copy()
    speed[0] = np.inf
    for bad, told in (
        (replace(samples, waypoints=broken), "NaN or infinity in the expert"),
        (replace(samples, observation=replace(samples.observation, speed=speed)), "NaN or infinity in an observation"),
        (replace(samples, episode_index=np.zeros(40, np.int64)), "at least 2"),
        (replace(samples, waypoints=samples.waypoints[:, :10]), "plans 20 waypoints, the episodes hold 10"),
        (replace(samples, needs=replace(samples.needs, lights=False)), "load them for the policy"),
    ):
        with pytest.raises(UsageError, match=told):
            WarmStart(policy, bad, QUICK)
    assert not policy.normalised


@pytest.mark.parametrize("data", [{"epochs": 0}, {"lr": float("nan")}, {"nll": 0, "mse": 0}, {"kl": -1}, {"held_out": 1}, {"speed": 1}])
def test_bad_configurations(data):
    with pytest.raises(ValidationError):
        WarmStartConfig(**data)
