"""A training that is killed, stopped or fails, and goes on: through the command line, down to the last bit."""

import errno
import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from policy_parts import sft_state
from rich.progress import Progress

from carla_rl.build import make_simulator
from carla_rl.checkpoint import load_rl, save_sft
from carla_rl.cli import console, setup
from carla_rl.cli.app import run
from carla_rl.loop import Decision
from carla_rl.ppo.update import PPOUpdate
from carla_rl.records.lock import sole_writer
from carla_rl.records.reading import read_run
from carla_rl.reward import RewardTerms
from carla_rl.train import Training
from carla_rl.types import Control, Observation, Step
from toy_env.simulator import ToySimulator

SUITE = """
[suite]
name = "{split}"
split = "{split}"
[suite.rules]
time_limit_s = 3
[[draw]]
town = "ring"
count = 2
seed = {seed}
length_m = [80, 150]
traffic = {{ vehicles = [2, 4] }}
"""
CONFIG = """
validate_every = 2
checkpoint_every = 3
[ppo]
decisions = 384
num_envs = 8
rollout = 8
minibatch = 32
epochs = 2
calibration = 2
residual_start = 0.25
residual_until = 1.0
lr_schedule = "adaptive"
kl_to_sft = 0.01
kl_to_sft_target = 0.02
critic_warmup = 1
[delta]
hidden = [16]
sigma = "global"
critic_facts = true
[curriculum]
hard_share = 0.5
traffic_start = 0.3
"""
KILLED = """
import os, signal, sys
from carla_rl.cli.app import run
from carla_rl.train import Training
measure, seen = Training._measure, []
def killed(self, decision, earned):
    measure(self, decision, earned)
    seen.append(decision)
    if len(seen) == int(sys.argv[1]):
        os.kill(os.getpid(), signal.SIGKILL)
Training._measure = killed
run(sys.argv[2:])
"""
"""The command line, killed as no handler can see in the middle of the so many-th decision."""
KILLED_AT = 2 + 4 * 8 + 5
"""Calibration, four updates, and half of the fifth: after the checkpoint of update 4, which followed a validation."""


def arguments(here: Path, run_id: str) -> list[str]:
    suites = ["--suite", str(here / "training.toml"), "--validation", str(here / "validation.toml"), "--simulator", "toy"]
    return ["train", "--sft", str(here / "model.pt"), *suites, "--config", str(here / "c.toml"), "--out", str(here), "--run-id", run_id]


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`whole` was trained in one go, `cut` was killed in the middle of update 5."""
    here = tmp_path_factory.mktemp("runs")
    for split, seed in (("training", 3), ("validation", 4)):
        (here / f"{split}.toml").write_text(SUITE.format(split=split, seed=seed))
    (here / "c.toml").write_text(CONFIG)
    save_sft(here / "model.pt", sft_state(out_dim=16, hidden=16))
    assert run(arguments(here, "whole")) == 0
    killed = subprocess.run([sys.executable, "-c", KILLED, str(KILLED_AT), *arguments(here, "cut")], stderr=subprocess.DEVNULL, check=False)
    assert killed.returncode == -signal.SIGKILL
    return here


@pytest.fixture
def cut(runs: Path, tmp_path: Path) -> Path:
    """A copy of the killed run, to go on with or to break."""
    return Path(shutil.copytree(runs / "cut", tmp_path / "cut"))


def load(path: Path) -> Any:
    return json.loads(path.read_text())


def rows(path: Path, name: str) -> list[dict[str, Any]]:
    """A list of train_metrics.json without what a clock says."""
    return [{key: value for key, value in row.items() if not key.startswith("speed/")} for row in load(path / "train_metrics.json")[name]]


def episodes(path: Path) -> list[dict[str, Any]]:
    lines = [json.loads(line) for line in (path / "episodes.jsonl").read_text().splitlines()]
    return [{key: value for key, value in line.items() if key != "run_id"} for line in lines]


def alike(one: Any, other: Any, name: str) -> None:
    """Assert that two trees hold the same values and bits."""
    if isinstance(one, torch.Tensor):
        assert one.dtype == other.dtype, name
        np.testing.assert_array_equal(one.numpy(), other.numpy(), err_msg=name)
    elif isinstance(one, dict):
        assert one.keys() == other.keys(), name
        for key in one:
            alike(one[key], other[key], f"{name}.{key}")
    elif isinstance(one, list | tuple):
        assert len(one) == len(other), name
        for number, (a, b) in enumerate(zip(one, other, strict=True)):
            alike(a, b, f"{name}[{number}]")
    else:
        assert one == other, name


def same_run(one: Path, other: Path) -> None:
    for name in ("last.pt", "best.pt"):
        alike(*(torch.load(path / "checkpoints" / name, weights_only=True) for path in (one, other)), name)
    # the worlds say where their routes lie in a pool: that is no part of what they do
    states = [torch.load(path / "checkpoints" / "resume.pt", weights_only=True) for path in (one, other)]
    for name in ("update", "decisions", "lines", "best", "trainer", "normaliser", "sampler", "draws", "started", "controller", "meter"):
        alike(states[0][name], states[1][name], name)
    for name in ("updates", "validation"):
        assert rows(one, name) == rows(other, name)
    assert episodes(one) == episodes(other)
    headlines = [load(path / "metrics.json") for path in (one, other)]
    assert {**headlines[0], "run_id": ""} == {**headlines[1], "run_id": ""}


def refused(capsys: pytest.CaptureFixture[str], path: Path, *parts: str, extra: tuple[str, ...] = ()) -> None:
    """Going on exits with 2, says one sentence that holds all parts, and changes nothing on the disk."""
    before = {item: item.read_bytes() for item in path.rglob("*") if item.is_file()}
    assert run(["train", "--resume", str(path), *extra]) == 2
    told = capsys.readouterr().err
    assert "Traceback" not in told
    for part in parts:
        assert part in told, f"{part!r} is not in: {told}"
    assert {item: item.read_bytes() for item in path.rglob("*") if item.is_file()} == before


def test_a_killed_training_goes_on_bit_for_bit(runs: Path, cut: Path) -> None:
    assert len(episodes(runs / "whole")) > 8
    assert load(runs / "whole" / "train_metrics.json")["dropped_at_resume"] == []
    kept = torch.load(cut / "checkpoints" / "resume.pt", weights_only=True)
    assert kept["update"] == 4
    assert run(["train", "--resume", str(cut)]) == 0
    same_run(runs / "whole", cut)
    assert load(cut / "train_metrics.json")["complete"] is True
    assert load_rl(cut / "checkpoints" / "last.pt").train_stats["update"] == 6
    resumed = load(cut / "environment.json")["resumed"]
    assert [record["update"] for record in resumed] == [4]
    assert resumed[0]["versions"]["torch"]
    assert len(read_run(cut).episodes) == len(episodes(cut))


def test_it_may_be_killed_again_and_go_on_from_another_folder(runs: Path, cut: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(cut)
    command = [sys.executable, "-c", KILLED, "5", "train", "--resume", "."]
    where = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    assert subprocess.run(command, stderr=subprocess.DEVNULL, check=False, env=where).returncode == -signal.SIGKILL
    assert len(rows(cut, "updates")) <= 4
    assert run(["train", "--resume", "."]) == 0
    same_run(runs / "whole", cut)


def test_drives_of_the_validation_suite_show_how_far_they_are(
    cut: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(console, "LINE_S", 0.0)
    assert run(["train", "--resume", str(cut)]) == 0
    told = capsys.readouterr().err
    # the last one is for the score to tell
    assert "validating on validation:  1 of 2" in told
    assert "validating on validation:  2 of 2" not in told


def test_a_kill_between_two_files_of_a_checkpoint_is_mended(runs: Path, cut: Path) -> None:
    """resume.pt is of update 4, whose policy was the best; the others were not written any more, lines were begun after it."""
    path = cut / "checkpoints" / "resume.pt"
    kept = torch.load(path, weights_only=True)
    torch.save({**kept, "best": {"score": 200.0, "update": 4}}, path)
    for name in ("last.pt", "best.pt"):
        (cut / "checkpoints" / name).unlink()
    with (cut / "episodes.jsonl").open("a") as file:
        file.write('{"run_id": "cut", "scen')
    with (cut / "updates.jsonl").open("a") as file:
        file.write('{"run_id": "cut", "update": {}}\n')
    assert run(["train", "--resume", str(cut)]) == 0
    assert load_rl(cut / "checkpoints" / "best.pt").train_stats["update"] == 4
    alike(*(torch.load(path / "checkpoints" / "last.pt", weights_only=True) for path in (runs / "whole", cut)), "last.pt")
    assert episodes(cut) == episodes(runs / "whole")
    assert rows(cut, "updates") == rows(runs / "whole", "updates")


@pytest.mark.parametrize(("number", "times", "done"), [(signal.SIGTERM, 1, 1), (signal.SIGINT, 1, 1), (signal.SIGINT, 2, 0)])
def test_a_signal_ends_the_update_a_second_ends_it_at_once_and_the_run_goes_on(
    number: signal.Signals,
    times: int,
    done: int,
    runs: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    measure, seen = Training._measure, []

    def interrupted(self: Training, decision: Decision, earned: RewardTerms) -> None:
        measure(self, decision, earned)
        seen.append(decision)
        if len(seen) == 2 + 5:
            for _ in range(times):
                os.kill(os.getpid(), number)

    monkeypatch.setattr(Training, "_measure", interrupted)
    handler = signal.getsignal(number)
    assert run([*arguments(runs, "signal"), "--out", str(tmp_path)]) == 1
    told = capsys.readouterr().err
    assert f"interrupted after {done} of 6 updates; the checkpoint of update {done}" in told
    assert "--resume" in told
    assert signal.getsignal(number) == handler
    monkeypatch.undo()
    assert load(tmp_path / "signal" / "train_metrics.json")["complete"] is False
    assert run(["train", "--resume", str(tmp_path / "signal"), "--json"]) == 0
    same_run(runs / "whole", tmp_path / "signal")


def test_an_interrupt_between_two_updates_keeps_the_last_one(
    runs: Path, cut: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(self: Progress, *settings: Any, **options: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(Progress, "update", interrupted)
    assert run(["train", "--resume", str(cut)]) == 1
    assert "interrupted after 5 of 6 updates; the checkpoint of update 5" in capsys.readouterr().err
    monkeypatch.undo()
    assert run(["train", "--resume", str(cut)]) == 0
    same_run(runs / "whole", cut)


def test_a_failure_in_an_update_leaves_the_last_checkpoint(
    runs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Half of an update is never written: last.pt is that of update 4, whatever the heads hold when it fails."""
    learn, updates = PPOUpdate.__call__, []

    def interrupted(self: PPOUpdate, *settings: Any) -> Any:
        updates.append(learn(self, *settings))
        if len(updates) == 5:
            raise KeyboardInterrupt
        return updates[-1]

    monkeypatch.setattr(PPOUpdate, "__call__", interrupted)
    assert run([*arguments(runs, "half"), "--out", str(tmp_path)]) == 1
    assert "interrupted after 4 of 6 updates; the checkpoint of update 4" in capsys.readouterr().err
    monkeypatch.undo()
    assert load_rl(tmp_path / "half" / "checkpoints" / "last.pt").train_stats["update"] == 4
    assert run(["train", "--resume", str(tmp_path / "half")]) == 0
    same_run(runs / "whole", tmp_path / "half")


@pytest.mark.parametrize("name", ["resume.pt", "last.pt", "episodes.jsonl", "updates.jsonl", "train_metrics.json"])
def test_a_full_disk_is_one_sentence_and_what_is_there_stays_good(
    name: str, runs: Path, cut: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    sync, opened = os.fsync, []

    def full(handle: int) -> None:
        path = os.readlink(f"/proc/self/fd/{handle}")
        if f"{name}." in Path(path).name or path.endswith(f"/{name}"):
            opened.append(path)
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        sync(handle)

    if not Path("/proc/self/fd").is_dir():
        pytest.skip("needs /proc to see which file is written")
    monkeypatch.setattr(os, "fsync", full)
    assert run(["train", "--resume", str(cut)]) == 2
    told = capsys.readouterr().err
    monkeypatch.undo()
    assert opened
    assert "Traceback" not in told
    assert f"{name}: cannot be written (No space left on device)" in told
    assert run(["train", "--resume", str(cut)]) == 0
    same_run(runs / "whole", cut)


def test_a_finished_run_has_nothing_to_go_on_with(runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    refused(capsys, runs / "whole", "all 6 updates are done", "nothing to do")


def test_what_is_no_run(tmp_path: Path, cut: Path, capsys: pytest.CaptureFixture[str]) -> None:
    refused(capsys, tmp_path / "absent", "absent", "no such run directory")
    refused(capsys, tmp_path, "config.json", "no such file")
    config = load(cut / "config.json")
    (cut / "config.json").write_text(json.dumps({**config, "command": "evaluate"}))
    refused(capsys, cut, "not a training")
    (cut / "config.json").write_text(json.dumps(config))
    shutil.move(cut, tmp_path / "renamed")
    refused(capsys, tmp_path / "renamed", "renamed", "'cut'", "old name")


def test_a_run_that_is_still_being_trained(cut: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with sole_writer(cut):
        refused(capsys, cut, "another process drives or trains into it")


def test_other_options_beside_resume(cut: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for extra in (
        ("--seed", "3"),
        ("--sft", "model.pt"),
        ("--suite", "train"),
        ("--decisions", "9"),
        ("--out", "x"),
        ("--skip-unsupported",),
    ):
        refused(capsys, cut, extra[0], "is not taken beside --resume", extra=extra)


def test_without_resume_the_options_are_required(runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    everything = arguments(runs, "x")
    for name in ("--sft", "--suite", "--simulator"):
        at = everything.index(name)
        assert run(everything[:at] + everything[at + 2 :]) == 2
        told = capsys.readouterr().err
        assert f"Missing option '{name}'" in told
        assert "Usage:" in told


def test_a_changed_configuration_is_shown(cut: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = load(cut / "config.json")
    config["config"]["training"]["ppo"]["delta_lr"] = 0.5
    config["config"]["routes"] = "0"
    (cut / "config.json").write_text(json.dumps(config))
    refused(capsys, cut, "config.json", "routes: was None, is '0'", "training.ppo.delta_lr: was 0.0012, is 0.5")


def test_another_model_or_suite_under_the_same_name_is_shown(runs: Path, cut: Path, capsys: pytest.CaptureFixture[str]) -> None:
    original = (runs / "model.pt").read_bytes()
    save_sft(runs / "model.pt", sft_state(out_dim=16, hidden=32))
    refused(capsys, cut, "facts.policy.sha256: was '", ", is '")
    (runs / "model.pt").unlink()
    refused(capsys, cut, "model.pt", "no such file", "where it was started")
    (runs / "model.pt").write_bytes(original)
    for split, name in (("training", "facts.suite.sha256: was"), ("validation", "validation.sha256: was")):
        text = (runs / f"{split}.toml").read_text()
        (runs / f"{split}.toml").write_text(text.replace("time_limit_s = 3", "time_limit_s = 4"))
        refused(capsys, cut, name)
        (runs / f"{split}.toml").write_text(text)


def broken(name: str) -> Any:
    """A tick of the toy after which one number is none."""
    step, observe, ticks = ToySimulator.step, ToySimulator.observe, []

    def stepped(self: ToySimulator, control: Control) -> Step:
        told = step(self, control)
        ticks.append(told)
        if len(ticks) == 30 and name == "speed":
            told.ego.speed[3] = np.nan
        if len(ticks) == 32 and name == "reward":
            told.facts.driven[3] = told.facts.outside_share[3] = np.nan
            told.facts.route_completion[3] += 0.1
        return told

    def observed(self: ToySimulator) -> Observation:
        seen = observe(self)
        if len(ticks) == 32 and name == "route" and seen.route is not None:
            seen.route[3, 7, 1] = np.inf
        return seen

    return stepped, observed


@pytest.mark.parametrize(
    ("name", "told"), [("speed", "a speed that is"), ("route", "a route that is"), ("reward", "state whose reward is")]
)
def test_what_is_no_number_from_the_simulator_is_one_sentence(
    name: str, told: str, runs: Path, cut: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    stepped, observed = broken(name)
    monkeypatch.setattr(ToySimulator, "step", stepped)
    monkeypatch.setattr(ToySimulator, "observe", observed)
    assert run(["train", "--resume", str(cut)]) == 1
    said = capsys.readouterr().err
    assert "Traceback" not in said
    assert told in said
    assert "not a " in said
    assert "episode " in said
    monkeypatch.undo()
    assert run(["train", "--resume", str(cut)]) == 0
    same_run(runs / "whole", cut)


class Forgetful:
    """The toy without the ability to bring its worlds back."""

    def __init__(self, *settings: Any) -> None:
        self._toy = make_simulator(*settings)

    def __getattr__(self, name: str) -> Any:
        if name in ("snapshot", "restore"):
            raise AttributeError(name)
        return getattr(self._toy, name)


def test_where_worlds_cannot_be_brought_back_new_episodes_begin_and_are_counted(
    runs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(setup, "make_simulator", Forgetful)
    measure, seen = Training._measure, []

    def interrupted(self: Training, decision: Decision, earned: RewardTerms) -> None:
        measure(self, decision, earned)
        seen.append(decision)
        if len(seen) == 2 + 2 * 8 + 5:
            os.kill(os.getpid(), signal.SIGTERM)

    monkeypatch.setattr(Training, "_measure", interrupted)
    path = tmp_path / "new"
    assert run([*arguments(runs, "new"), "--out", str(tmp_path)]) == 1
    under_way = [episode for episode, started in zip(seen[-1].episodes, seen[-1].started, strict=True) if not started]
    drawn = {line["episode_id"] for line in episodes(path)}
    assert run(["train", "--resume", str(path)]) == 0
    trained = load(path / "train_metrics.json")
    assert trained["complete"] is True
    assert [row["update"] for row in trained["updates"]] == [1, 2, 3, 4, 5, 6]
    (dropped,) = trained["dropped_at_resume"]
    assert dropped["update"] == 3
    assert 0 < dropped["episodes"] <= len(under_way)
    # the draws go on: none of what was dropped or had ended comes again
    then = [line["episode_id"] for line in episodes(path)][len(drawn) :]
    assert then
    assert not {*then} & (drawn | {episode.episode_id for episode in under_way})
    assert load(path / "metrics.json")["total_episodes"] == len(drawn) + len(then)


def test_a_missing_or_damaged_checkpoint(runs: Path, cut: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = cut / "checkpoints" / "resume.pt"
    whole = path.read_bytes()
    path.unlink()
    refused(capsys, cut, "resume.pt", "nothing to go on from")
    path.write_bytes(whole[: len(whole) // 2])
    refused(capsys, cut, "resume.pt", "damaged")
    path.write_bytes(b"")
    refused(capsys, cut, "resume.pt", "damaged")
    shutil.copy(runs / "whole" / "checkpoints" / "last.pt", path)
    refused(capsys, cut, "resume.pt", "its format is 'carla-rl/1'")
    shutil.copy(runs / "whole" / "checkpoints" / "resume.pt", path)
    refused(capsys, cut, "resume.pt", "of the run 'whole'")


def test_a_checkpoint_of_another_model_or_shape(cut: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = cut / "checkpoints" / "resume.pt"
    content = torch.load(path, weights_only=True)
    torch.save({**content, "model": {"architecture": "tiny_multicam", "horizon": 10}}, path)
    refused(capsys, cut, "a tiny_multicam model of 10 waypoints", "a route_objects model of 20")
    head = {name: tensor[:1] for name, tensor in content["trainer"]["delta_head"].items()}
    torch.save({**content, "trainer": {**content["trainer"], "delta_head": head}}, path)
    refused(capsys, cut, "resume.pt", "does not fit this run", "size mismatch")
    torch.save({**content, "worlds": {**content["worlds"], "layout": torch.zeros(32, dtype=torch.uint8)}}, path)
    refused(capsys, cut, "another version")
    torch.save({name: value for name, value in content.items() if name != "meter"}, path)
    refused(capsys, cut, "resume.pt", "meter")


def test_files_that_are_shorter_than_the_checkpoint_says(cut: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("episodes.jsonl", "updates.jsonl"):
        whole = (cut / name).read_bytes()
        (cut / name).write_bytes(whole[:30])
        refused(capsys, cut, name, "ends before line")
        (cut / name).write_bytes(b"[]\n" + whole.split(b"\n", 1)[1])
        refused(capsys, cut, name, "line 1 is no record")
        (cut / name).write_bytes(whole)


def test_another_program_is_a_warning(runs: Path, cut: Path, capsys: pytest.CaptureFixture[str]) -> None:
    environment = load(cut / "environment.json")
    environment["versions"]["torch"] = "1.0"
    (cut / "environment.json").write_text(json.dumps(environment))
    assert run(["train", "--resume", str(cut)]) == 0
    told = capsys.readouterr().err
    assert "warning" in told
    assert "versions.torch: was '1.0', is '" in told
    same_run(runs / "whole", cut)
