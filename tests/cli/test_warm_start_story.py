"""The supervised stage by the commands that a user types: on its own, before PPO, and as a start for PPO."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from cli.test_bad_usage import refused, write_model

from carla_rl.checkpoint import load_rl, load_sft, sft_fingerprint
from carla_rl.cli.app import run
from carla_rl.cli.heads import read_moments

CONFIG = """
[ppo]
decisions = 128
num_envs = 8
rollout = 16
minibatch = 64
epochs = 1
[warm_start]
epochs = 2
batch = 64
lr = 1e-3
"""


@pytest.fixture(scope="module")
def story(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with three episodes, a model that never learned, and the stage on its own."""
    here = tmp_path_factory.mktemp("warm")
    (here / "train.toml").write_text(CONFIG)
    write_model(here / "model.pt", horizon=20)
    recording = ["record", "--suite", "quick-train", "--routes", "0-2", "--decision-ticks", "20", "--out", str(here / "data")]
    assert run(recording) == 0
    assert run([*stage(here), "--out", str(here / "alone")]) == 0
    return here


def stage(here: Path) -> list[str]:
    return [
        "warm-start",
        *("--sft", str(here / "model.pt"), "--episodes", str(here / "data" / "*" / "episode.json"), "--config", str(here / "train.toml")),
    ]


def training(here: Path, name: str) -> list[str]:
    parts = ["--suite", "quick-train", "--routes", "0-2", "--simulator", "toy", "--config", str(here / "train.toml")]
    return ["train", "--sft", str(here / "model.pt"), *parts, "--out", str(here), "--run-id", name]


def load(path: Path) -> Any:
    return json.loads(path.read_text())


def same(a: dict[str, torch.Tensor], b: dict[str, torch.Tensor]) -> bool:
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


def test_on_its_own_it_leaves_a_checkpoint_that_drives(story: Path) -> None:
    found = load(story / "alone" / "warm_start.json")
    assert found["datasets"] == ["carla-rl-toy"]
    assert found["episodes"] == {"train": 2, "held_out": 1}
    assert [epoch["epoch"] for epoch in found["epochs"]] == [0, 1, 2]
    # a model that never learned leaves much to correct
    assert found["corrected"]["ade"] < found["sft"]["ade"]
    checkpoint = story / "alone" / "warm_start.pt"
    state = load_rl(checkpoint)
    assert sft_fingerprint(state.sft) == sft_fingerprint(load_sft(story / "model.pt"))
    assert state.train_stats["warm_start"]["corrected"] == found["corrected"]
    drive = ["--suite", "quick-eval", "--routes", "0", "--simulator", "toy", "--out", str(story), "--run-id", "drive", "--no-steps"]
    assert run(["evaluate", "--checkpoint", str(checkpoint), *drive]) == 0
    assert load(story / "drive" / "metrics.json")["policy"]["name"] == "sft-route_objects+delta"


def test_offline_tells_the_same_story(story: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["--checkpoint", str(story / "alone" / "warm_start.pt"), "--episodes", str(story / "data"), "--json"]
    assert run(["offline", *arguments]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["ade"] < told["sft"]["ade"]


def test_before_ppo_it_is_the_same_stage_and_ppo_goes_on_from_there(story: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run([*training(story, "after"), "--warm-start", str(story / "data"), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    alone, before = load(story / "alone" / "warm_start.json"), load(story / "after" / "warm_start.json")
    assert {**alone, "seconds": 0} == {**before, "seconds": 0}
    assert told["warm_start"]["corrected"] == alone["corrected"]
    start, end = load_rl(story / "alone" / "warm_start.pt"), load_rl(story / "after" / "checkpoints" / "last.pt")
    assert start.normaliser is not None
    assert end.normaliser is not None
    assert same(start.normaliser, end.normaliser)
    assert not same(start.delta_head, end.delta_head)
    # one update of PPO moves weights by no more than its few steps of Adam
    for name, tensor in start.delta_head.items():
        np.testing.assert_allclose(tensor, end.delta_head[name], atol=0.05)
    assert load(story / "after" / "config.json")["config"]["warm_start"] == str(story / "data")
    fingerprints = load(story / "after" / "train_metrics.json")["sft_fingerprint"]
    assert fingerprints["before"] == fingerprints["after"] == before["sft_fingerprint"]["after"]


def test_a_checkpoint_is_a_start_for_ppo(story: Path) -> None:
    checkpoint = story / "alone" / "warm_start.pt"
    assert run([*training(story, "init"), "--init", str(checkpoint)]) == 0
    assert run([*training(story, "warm"), "--warm-start", str(story / "data")]) == 0
    # the same heads, the same seed: the same training
    one, other = (load_rl(story / name / "checkpoints" / "last.pt") for name in ("init", "warm"))
    assert same(one.delta_head, other.delta_head)
    assert same(one.value_head, other.value_head)
    # the next one goes on in the scale in which the value head speaks: it has seen the returns of both
    last = story / "init" / "checkpoints" / "last.pt"
    assert run([*training(story, "further"), "--init", str(last)]) == 0
    before, after = read_moments(last), read_moments(story / "further" / "checkpoints" / "last.pt")
    assert read_moments(checkpoint) is None
    assert before is not None
    assert after is not None
    assert after.count == 2 * before.count > 0


def test_bad_episodes_leave_nothing(story: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "out"
    single = next((story / "data").glob("*/episode.json"))
    train = [*training(story, "never")[:-4], "--out", str(out)]
    alone = ["warm-start", "--sft", str(story / "model.pt"), "--out", str(out), "--episodes"]
    for arguments in ([*train, "--warm-start"], alone):
        refused(capsys, [*arguments, str(tmp_path / "absent")], "no episodes there")
        refused(capsys, [*arguments, str(single)], "at least 2")
        broken = tmp_path / "broken.json"
        data = load(single)
        data["frames"][0]["expert"]["waypoints"][0][0] = float("nan")
        broken.write_text(json.dumps(data))
        refused(capsys, [*arguments, str(broken)], "frame 0", "NaN")
        data = load(single)
        del data["frames"][0]["observations"]["map"]["light"]
        broken.write_text(json.dumps(data))
        refused(capsys, [*arguments, str(broken)], "frame 0", "light")
    ten = write_model(tmp_path / "ten.pt", horizon=10)
    refused(capsys, ["warm-start", "--sft", str(ten), "--episodes", str(story / "data"), "--out", str(out)], "horizon_steps", "20", "10")
    assert not out.exists()


def test_bad_starts(story: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    checkpoint = str(story / "alone" / "warm_start.pt")
    refused(capsys, [*training(story, "x"), "--init", checkpoint, "--warm-start", str(story / "data")], "--init", "give one of them")
    refused(capsys, [*training(story, "x"), "--init", str(story / "model.pt")], "model.pt", "not a checkpoint of our RL training")
    wide = tmp_path / "wide.toml"
    wide.write_text("[delta]\nspace = 'full'\n")
    refused(capsys, [*training(story, "x"), "--init", checkpoint, "--config", str(wide)], "delta.space", "'basis'", "'full'")
    wide.write_text("[warm_start]\nepochs = 0\n")
    refused(capsys, [*stage(story), "--config", str(wide), "--out", str(tmp_path / "o")], "wide.toml", "warm_start.epochs")
    other = write_model(tmp_path / "other.pt", horizon=16)
    arguments = training(story, "x")
    arguments[2] = str(other)
    refused(capsys, [*arguments, "--init", checkpoint], "trained on another SFT model")
    assert not (story / "x").exists()
