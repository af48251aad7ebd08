import json
import shutil
import subprocess
import sys
from datetime import datetime
from pathlib import Path

import jsonschema
import numpy as np
import pytest
from metrics.drives import LineSimulator, StraightPolicy, episode, loop, rollout

from carla_rl.errors import UsageError
from carla_rl.metrics.episode import EpisodeMeter
from carla_rl.metrics.summary import training_metrics
from carla_rl.records.atomic import write_json
from carla_rl.records.environment import describe_environment, git_state
from carla_rl.records.reading import read_run
from carla_rl.records.run import PolicyRecord, RunDirectory, SuiteRecord, start_run
from carla_rl.records.steps import StepLogger, read_steps
from carla_rl.schemas import load_schema
from carla_rl.types import Infraction, SimulatorKind

SUITE = SuiteRecord(name="lines", sha256="0" * 64, split="evaluation")


def create(out: Path, **changes: object) -> RunDirectory:
    started = start_run(
        out,
        "evaluate",
        config={"seed": 3},
        simulator=LineSimulator(1).info,
        suite=SUITE,
        policy=PolicyRecord(name="straight"),
        protocol={"ticks_per_decision": 4},
        **changes,
    )
    return RunDirectory(started)


def drive(run: RunDirectory, count: int = 3, num_envs: int = 2, *, stop_after: int | None = None) -> None:
    """Drive and record as an evaluation does; `stop_after` episodes the user presses Ctrl-C."""
    script = {"line/1": [(10, Infraction.RED_LIGHT, 0.0)]}
    meter, logger = EpisodeMeter(num_envs, SimulatorKind.TOY), StepLogger(num_envs)
    done = 0
    with run:
        for decision in rollout(loop([episode(f"line/{i}", seed=i) for i in range(count)], num_envs, script=script), StraightPolicy()):
            reward = np.full(num_envs, 0.25)
            for log in logger.update(decision, reward=reward):
                run.add_steps(log)
            for result in meter.update(decision, reward=reward, reference=decision.plan.sft_waypoints):
                run.add(result)
                done += 1
                if done == stop_after:
                    raise KeyboardInterrupt


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    run = create(tmp_path_factory.mktemp("out"))
    drive(run)
    return run.path


@pytest.fixture
def copy(finished: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(finished, tmp_path / finished.name))


def test_a_run_explains_itself(finished: Path) -> None:
    assert sorted(path.name for path in finished.iterdir()) == [
        "config.json",
        "environment.json",
        "episodes.jsonl",
        "metrics.json",
        "steps",
    ]
    assert len(list((finished / "steps").iterdir())) == 3
    environment = json.loads((finished / "environment.json").read_text())
    assert environment["simulator"]["kind"] == "toy"
    assert environment["versions"]["numpy"] == np.__version__
    assert environment["machine"]["cores"] >= 1
    assert json.loads((finished / "config.json").read_text())["config"] == {"seed": 3}


def test_metrics_keep_the_contract(finished: Path) -> None:
    metrics = json.loads((finished / "metrics.json").read_text())
    jsonschema.validate(metrics, load_schema("metrics"))
    assert metrics["complete"] is True
    assert [line["episode_id"] for line in metrics["scenarios"]] == ["line/0#0", "line/1#0", "line/2#0"]
    summary = metrics["summary"]
    assert summary["driving_score_mean"] == pytest.approx((100 + 70 + 100) / 3)
    assert summary["success_rate"] == pytest.approx(2 / 3)
    assert summary["infractions_per_km"]["red_light"] == pytest.approx(1 / 0.03)
    assert summary["num_episodes"] == 3
    assert summary["ade_mean"] == 0.0
    assert summary["by_town"]["Line"]["num_episodes"] == 3


def test_a_run_reads_back_as_it_was(finished: Path) -> None:
    for path in (finished, finished / "metrics.json"):
        run = read_run(path)
        assert (run.run_id, run.command, run.complete, run.notes) == (finished.name, "evaluate", True, ())
        assert [result.status for result in run.episodes] == ["Perfect", "Completed", "Perfect"]
        assert (run.simulator.kind, run.suite, run.policy.name) == ("toy", SUITE, "straight")
        assert run.protocol == {"tick_s": 0.05, "score": "leaderboard_2.0", "ticks_per_decision": 4}
        assert read_steps(run.steps_path("line/1#0")).episode_id == "line/1#0"


def test_the_number_of_envs_changes_no_byte_of_the_episodes(tmp_path: Path) -> None:
    scenarios = []
    for num_envs in (1, 3):
        run = create(tmp_path)
        drive(run, 5, num_envs)
        metrics = json.loads((run.path / "metrics.json").read_text())
        scenarios.append(json.dumps([metrics["scenarios"], metrics["summary"]]))
    assert scenarios[0] == scenarios[1]


def test_ctrl_c_keeps_what_was_finished(tmp_path: Path) -> None:
    run = create(tmp_path)
    with pytest.raises(KeyboardInterrupt):
        drive(run, 5, 1, stop_after=2)
    metrics = json.loads((run.path / "metrics.json").read_text())
    assert (metrics["complete"], metrics["summary"]["num_episodes"]) == (False, 2)
    back = read_run(run.path)
    assert len(back.episodes) == 2
    assert "not finished; 2 episodes" in back.notes[0]


def test_a_last_line_cut_short_by_a_kill_is_dropped_and_said(copy: Path) -> None:
    (copy / "metrics.json").unlink()
    lines = copy / "episodes.jsonl"
    lines.write_bytes(lines.read_bytes()[:-40])
    run = read_run(copy)
    assert len(run.episodes) == 2
    assert run.complete is False
    assert "line 3 was cut short" in run.notes[1]


def test_an_empty_run_reads_as_empty(tmp_path: Path) -> None:
    run = create(tmp_path)
    with run:
        pass
    assert read_run(run.path).episodes == ()
    jsonschema.validate(json.loads((run.path / "metrics.json").read_text()), load_schema("metrics"))


def _edit(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))


DEFECTS = {
    "a line that is no JSON": (lambda p: _edit(p / "episodes.jsonl", '{"run_id"', '{"run_id'), r"episodes\.jsonl: line 1 is not JSON"),
    "a score raised by hand": (
        lambda p: _edit(p / "episodes.jsonl", '"driving_score": 70.0', '"driving_score": 95.0'),
        r"episodes\.jsonl: line \d.*driving_score is 95\.0 but the raw counts give 70",
    ),
    "a NaN": (lambda p: _edit(p / "episodes.jsonl", '"duration_s": ', '"duration_s": NaN, "x": '), r"line 1: duration_s"),
    "a wrong word": (
        lambda p: _edit(p / "episodes.jsonl", '"ending": "completed"', '"ending": "won"'),
        r"line \d: ending: unknown; write one of",
    ),
    "a missing field": (lambda p: _edit(p / "episodes.jsonl", '"town": "Line", ', ""), r"line 1: town is missing"),
    "a line of another run": (
        lambda p: _edit(p / "episodes.jsonl", '"run_id": "evaluate-', '"run_id": "other-'),
        r"line 1: run_id is 'other-.*mixed",
    ),
    "a line twice": (
        lambda p: (p / "episodes.jsonl").write_text((p / "episodes.jsonl").read_text() + (p / "episodes.jsonl").read_text()),
        r"line 4: episode \S+ is in line 1 already",
    ),
    "a line removed": (
        lambda p: (p / "episodes.jsonl").write_text("".join((p / "episodes.jsonl").read_text().splitlines(keepends=True)[1:])),
        r"metrics\.json: tells of 3 episodes, episodes\.jsonl of 2",
    ),
    "no lines": (lambda p: (p / "episodes.jsonl").unlink(), r"tells of 3 episodes, episodes\.jsonl of 0"),
    "a summary raised by hand": (
        lambda p: _edit(p / "metrics.json", '"driving_score_mean": 90', '"driving_score_mean": 99'),
        r"summary\.driving_score_mean is 99",
    ),
    "metrics cut short": (lambda p: (p / "metrics.json").write_text('{"run_id": '), r"metrics\.json: line 1 is not JSON.*truncated"),
    "metrics of another run": (lambda p: _edit(p / "metrics.json", '"run_id": "evaluate', '"run_id": "e'), r"metrics\.json: run_id"),
    "a metrics line changed": (lambda p: _edit(p / "metrics.json", '"steps": ', '"steps": 9'), r"differs from its line"),
    "no config": (lambda p: (p / "config.json").unlink(), r"config\.json: no such file"),
    "a list": (lambda p: (p / "config.json").write_text("[]"), r"config\.json: holds a list"),
    "another format": (lambda p: _edit(p / "config.json", '"format": 1', '"format": 9'), r"format 9; this program reads format 1"),
    "no simulator": (lambda p: _edit(p / "environment.json", '"simulator"', '"sim"'), r"environment\.json: simulator: name is missing"),
}


@pytest.mark.parametrize("name", DEFECTS)
def test_broken_runs_get_a_sentence(copy: Path, name: str) -> None:
    break_it, sentence = DEFECTS[name]
    break_it(copy)
    with pytest.raises(UsageError, match=sentence):
        read_run(copy)


def test_a_path_that_is_no_run(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no such run directory"):
        read_run(tmp_path / "absent")
    with pytest.raises(UsageError, match=r"config\.json: no such file"):
        read_run(tmp_path)


def test_an_episode_is_driven_once_a_run(tmp_path: Path) -> None:
    run = create(tmp_path)
    drive(run)
    with pytest.raises(ValueError, match="driven twice"):
        run.add(read_run(run.path).episodes[0])


def test_an_out_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match=r"file.*cannot be written"):
        create(tmp_path / "file")


def test_a_run_id_may_be_given_once(tmp_path: Path) -> None:
    assert create(tmp_path, run_id="sft.v1").path == tmp_path / "sft.v1"
    with pytest.raises(UsageError, match="holds a run already"):
        create(tmp_path, run_id="sft.v1")
    for name in ("../x", "a b", "", ".hidden"):
        with pytest.raises(UsageError, match="not a plain name"):
            create(tmp_path, run_id=name)


def test_a_training_run_has_the_names_of_the_notes(finished: Path, tmp_path: Path) -> None:
    run = create(tmp_path, now=datetime(2026, 2, 18, 19, 30))
    assert run.run_id.startswith("evaluate-20260218-193000-")
    metrics = training_metrics(run.run_id, [result.episode_return for result in read_run(finished).episodes], 0.5, 1.0)
    jsonschema.validate(metrics, load_schema("training_metrics"))
    # 25, 17 and 13 decisions at 0.25 each
    assert (metrics["total_episodes"], metrics["best_reward"]) == (3, 6.25)
    assert metrics["avg_reward"] == pytest.approx(55 / 3 / 4)
    assert metrics["std_reward"] == pytest.approx(np.std([6.25, 4.25, 3.25], ddof=1))
    assert (metrics["avg_ade"], metrics["avg_fde"]) == (0.5, 1.0)
    write_json(run.path / "metrics.json", metrics | {"complete": True})
    assert (read_run(run.path).complete, read_run(run.path).episodes) == (True, ())


def _git(folder: Path, *arguments: str) -> None:
    identity = ("-c", "user.name=a", "-c", "user.email=a@b", "-c", "init.defaultBranch=trunk")
    subprocess.run(["git", *identity, "-C", str(folder), *arguments], check=True, capture_output=True)


@pytest.mark.skipif(shutil.which("git") is None, reason="git is not installed")
def test_git_state(tmp_path: Path) -> None:
    source = tmp_path / "here.py"
    source.write_text("a")
    nothing = dict.fromkeys(("repo", "commit", "branch", "dirty"))
    assert git_state(source) == nothing
    _git(tmp_path, "init")
    assert git_state(source) == nothing  # a repository that does not track the file
    _git(tmp_path, "add", "here.py")
    _git(tmp_path, "commit", "-m", "one")
    _git(tmp_path, "remote", "add", "origin", "https://me:secret@example.org/a/b.git")
    state = git_state(source)
    assert (state["repo"], state["branch"], state["dirty"]) == ("https://example.org/a/b.git", "trunk", False)
    assert len(state["commit"]) == 40
    source.write_text("b")
    assert git_state(source)["dirty"] is True


def test_the_environment_is_json() -> None:
    environment = json.loads(json.dumps(describe_environment(), allow_nan=False))
    assert environment["versions"]["python"] == ".".join(map(str, sys.version_info[:3]))
