"""Behaviour cloning on a teacher that can be learned: it keeps its speed along the route."""

import json
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from policy_parts import observations

from carla_rl.errors import UsageError
from carla_rl.policies.loading import load_policy
from carla_rl.policies.sft import SftPolicy, needs_of
from carla_rl.records.dataset import Samples, split_by_episode
from carla_rl.sft import EpochReport, SftConfig, errors, samples_needs, train_sft


def frames(n: int = 400, horizon: int = 20, images: tuple[Path, ...] = (), per_episode: int = 20) -> Samples:
    seen = observations(n, seed=11)
    t = np.arange(1, horizon + 1) / 10
    s = seen.speed[:, None] * t
    bend = seen.route[:, 10, 1] / 20.0**2
    episodes = n // per_episode
    return Samples(
        observation=seen,
        waypoints=np.stack([s, bend[:, None] * s**2], -1).astype(np.float32),
        episode_index=np.repeat(np.arange(episodes), per_episode),
        t=np.tile(np.arange(per_episode) / 10, episodes),
        episode_ids=tuple(str(i) for i in range(episodes)),
        files=tuple(Path(f"{i}.json") for i in range(episodes)),
        image_paths={"front": images} if images else {},
        skipped_frames=0,
        datasets=("a-test",),
        needs=needs_of("tiny_multicam" if images else "route_objects"),
    )


def test_it_learns_and_writes_what_it_measured(tmp_path):
    reports: list[EpochReport] = []
    samples = frames()
    config = SftConfig(epochs=25, batch=64, hidden=64, out_dim=32, seed=3)
    result = train_sft(samples, config, tmp_path / "out", reports.append)
    metrics = json.loads((tmp_path / "out" / "train_metrics.json").read_text())
    assert metrics == result.metrics
    assert [report.epoch for report in reports] == list(range(1, 26))
    assert reports[-1].ade < 0.5 * reports[0].ade
    assert metrics["ade"] == min(report.ade for report in reports)
    assert metrics["frames"] == {"train": 360, "held_out": 40}
    assert metrics["episodes"] == {"train": 18, "held_out": 2}
    policy = load_policy(result.checkpoint)
    assert isinstance(policy, SftPolicy)
    assert policy.sft.fingerprint() == metrics["fingerprint"]
    _, held_out = split_by_episode(samples.episode_index, config.held_out, config.seed)
    planned = torch.from_numpy(policy.plan(samples.observation.take(held_out)).waypoints)
    ade, fde = errors(planned, torch.from_numpy(samples.waypoints[held_out]))
    assert ade == pytest.approx(metrics["ade"], rel=1e-4)
    assert fde == pytest.approx(metrics["fde"], rel=1e-4)


def test_the_same_seed_gives_the_same_bits(tmp_path):
    config = SftConfig(epochs=2, batch=64, hidden=32, out_dim=16)
    prints = {}
    for name, chosen in (("a", config), ("b", config), ("c", config.model_copy(update={"seed": 1}))):
        torch.manual_seed(len(prints))
        prints[name] = train_sft(frames(100), chosen, tmp_path / name).metrics["fingerprint"]
    assert prints["a"] == prints["b"] != prints["c"]


def test_images(tmp_path):
    rng = np.random.default_rng(0)
    paths = tuple(tmp_path / f"{i}.png" for i in range(24))
    for path in paths:
        cv2.imwrite(str(path), rng.integers(0, 256, (40, 60, 3), dtype=np.uint8))
    samples = frames(24, horizon=5, images=paths, per_episode=8)
    config = SftConfig(architecture="tiny_multicam", epochs=1, batch=8, hidden=16, out_dim=8, held_out=0.3)
    result = train_sft(samples, config, tmp_path / "out")
    policy = load_policy(result.checkpoint)
    assert policy.horizon == 5
    assert policy.needs == samples_needs(config)
    planned = torch.from_numpy(policy.plan(samples.batch(np.arange(24))).waypoints)
    rows = split_by_episode(samples.episode_index, config.held_out, config.seed)[1]
    assert errors(planned[rows], torch.from_numpy(samples.waypoints[rows]))[0] == pytest.approx(result.metrics["ade"], rel=1e-4)


def test_hidden_objects_are_whole_and_the_samples_stay(tmp_path):
    samples = frames(100)
    before = samples.observation.objects.copy()
    with_all, with_some = (
        train_sft(samples, SftConfig(epochs=1, batch=64, hidden=16, out_dim=8, object_dropout=share), tmp_path / str(share)).metrics[
            "fingerprint"
        ]
        for share in (0.0, 0.9)
    )
    assert with_all != with_some
    assert np.array_equal(samples.observation.objects, before)


def test_errors_by_hand():
    targets = torch.zeros(2, 2, 2)
    waypoints = torch.tensor([[[3.0, 4.0], [0.0, 1.0]], [[0.0, 0.0], [0.0, 2.0]]])
    assert errors(waypoints, targets) == (2.0, 1.5)


def test_episodes_are_held_out_whole():
    index = np.repeat(np.arange(10), 7)
    train, held_out = split_by_episode(index, 0.25, seed=0)
    assert len(train) + len(held_out) == 70
    assert not set(index[train]) & set(index[held_out])
    assert len(set(index[held_out])) == 2
    assert len(set(index[split_by_episode(index, 0.01, seed=0)[1]])) == 1
    assert len(set(index[split_by_episode(index, 0.99, seed=0)[0]])) == 1


def test_bad_samples(tmp_path):
    samples = frames(40)
    broken = samples.waypoints.copy()
    broken[3, 0, 0] = np.nan
    config = SftConfig(epochs=1)
    with pytest.raises(UsageError, match="NaN or infinity in the expert"):
        train_sft(replace(samples, waypoints=broken), config, tmp_path)
    speed = samples.observation.speed.copy()
    speed[0] = np.inf
    with pytest.raises(UsageError, match="NaN or infinity in an observation"):
        train_sft(replace(samples, observation=replace(samples.observation, speed=speed)), config, tmp_path)
    with pytest.raises(UsageError, match="at least 2"):
        train_sft(replace(samples, episode_index=np.zeros(40, np.int64)), config, tmp_path)
    assert not (tmp_path / "model.pt").exists()
