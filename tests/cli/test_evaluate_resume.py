"""An evaluation that was stopped goes on: by episode, never twice, and only with what it was begun with."""

import json
from pathlib import Path
from typing import Any

import pytest

from carla_rl.cli.app import run
from carla_rl.records import fingerprint

DRIVE = ["--suite", "quick-eval", "--routes", "ring-eval-002,ring-eval-003,highway-eval-000", "--simulator", "toy", "--policy", "expert"]


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("whole")
    assert run(["evaluate", *DRIVE, "--out", str(out), "--run-id", "run"]) == 0
    return out / "run"


@pytest.fixture
def killed(whole: Path, tmp_path: Path) -> Path:
    """The same run, killed while its second of three episodes was written down. The last one had finished first."""
    folder = tmp_path / "run"
    folder.mkdir()
    for name in ("config.json", "environment.json"):
        (folder / name).write_bytes((whole / name).read_bytes())
    lines = (whole / "episodes.jsonl").read_text().splitlines(keepends=True)
    (folder / "episodes.jsonl").write_text(lines[2] + lines[0][:100])
    metrics = json.loads((whole / "metrics.json").read_text())
    (folder / "metrics.json").write_text(json.dumps({**metrics, "complete": False}))
    return folder


def lines(folder: Path) -> dict[str, Any]:
    rows = [json.loads(line) for line in (folder / "episodes.jsonl").read_text().splitlines()]
    assert len({row["episode_id"] for row in rows}) == len(rows), "an episode was driven twice"
    return {row["episode_id"]: row for row in rows}


def test_what_is_missing_is_driven_and_the_result_is_that_of_one_go(whole: Path, killed: Path) -> None:
    before = (killed / "episodes.jsonl").read_text().splitlines()[0]
    assert run(["evaluate", "--resume", str(killed)]) == 0
    assert lines(killed) == lines(whole)
    assert (killed / "episodes.jsonl").read_text().splitlines()[0] == before
    one, other = (json.loads((folder / "metrics.json").read_text()) for folder in (killed, whole))
    assert one["complete"] is True
    assert one["summary"] == other["summary"]
    assert one["fingerprint"] == other["fingerprint"]


def test_a_finished_run_is_not_driven_again(whole: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["evaluate", "--resume", str(whole)]) == 2
    assert "all of its 3 episodes were driven; there is nothing to resume" in " ".join(capsys.readouterr().err.split())


def test_other_code_is_refused_and_named(killed: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr("carla_rl.cli.evaluation.code_version", lambda kind: "0.1.0 other")
    was = (killed / "episodes.jsonl").read_bytes()
    assert run(["evaluate", "--resume", str(killed)]) == 2
    told = " ".join(capsys.readouterr().err.split())
    assert "the run cannot go on: code differs" in told
    assert "0.1.0 other" in told
    assert (killed / "episodes.jsonl").read_bytes() == was, "nothing was touched"
    assert fingerprint.NOT_RECORDED not in told


def test_another_suite_and_other_seeds_are_refused(killed: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = json.loads((killed / "config.json").read_text())
    config["config"]["seeds"]["ring-eval-002#0"] += 1
    (killed / "config.json").write_text(json.dumps(config))
    assert run(["evaluate", "--resume", str(killed)]) == 2
    assert "the episodes or their seeds differ" in " ".join(capsys.readouterr().err.split())


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (["--suite", "quick-eval"], "--suite is not taken beside --resume"),
        (["--policy", "expert"], "--policy is not taken beside --resume"),
    ],
)
def test_what_the_run_was_told_is_not_told_again(
    killed: Path, options: list[str], sentence: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["evaluate", "--resume", str(killed), *options]) == 2
    assert sentence in " ".join(capsys.readouterr().err.split())


def test_a_training_is_no_evaluation(killed: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = json.loads((killed / "config.json").read_text())
    (killed / "config.json").write_text(json.dumps({**config, "command": "ppo-delta"}))
    assert run(["evaluate", "--resume", str(killed)]) == 2
    assert "no evaluation; a training goes on by carla-rl train --resume" in " ".join(capsys.readouterr().err.split())


def test_a_dry_run_tells_what_is_missing_and_drives_nothing(killed: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["evaluate", "--resume", str(killed), "--dry-run", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["episodes"] == 2
    assert told["policy"] == "expert"
    assert len((killed / "episodes.jsonl").read_text().splitlines()) == 2


def test_a_dry_run_refuses_what_the_run_itself_would_refuse(
    killed: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    config = json.loads((killed / "config.json").read_text())
    config["config"]["variation"] = {"vehicles": 0}
    (killed / "config.json").write_text(json.dumps(config))
    monkeypatch.setattr("carla_rl.cli.evaluation.code_version", lambda kind: "0.1.0 other")
    assert run(["evaluate", "--resume", str(killed), "--dry-run"]) == 2
    told = " ".join(capsys.readouterr().err.split())
    assert "suite differs" in told
    assert "code differs" in told
