import json
import shutil
from pathlib import Path

import pytest
from test_compare import HIT, results, run_of

from carla_rl.cli.app import run
from carla_rl.errors import UsageError
from carla_rl.records.listing import list_runs


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A complete run, an empty one, one below in a folder of its own, and a broken one."""
    run_of(results(4, {"line/1": [(5, HIT, 0)]}), tmp_path, "good")
    run_of([], tmp_path, "empty")
    (tmp_path / "demo").mkdir()
    run_of(results(3), tmp_path / "demo", "inner")
    broken = run_of(results(2), tmp_path, "broken").path
    (broken / "environment.json").write_text("{")
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes" / "config.json").write_text("{}")
    return tmp_path


def test_every_run_has_its_headline(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    # these runs are of kinds of their own; an evaluation's headline is there for evaluations
    rows = {row.run_id.split("-")[0]: row for row in list_runs(folder)}
    assert set(rows) == {"good", "empty", "inner", "broken"}
    assert (rows["good"].episodes, rows["good"].state, rows["good"].simulator) == (4, "complete", "toy")
    assert (rows["broken"].state, rows["broken"].episodes) == ("broken", None)
    assert "environment.json: line 1 is not JSON" in (rows["broken"].problem or "")
    assert run(["runs", str(folder), "--json"]) == 0
    assert {row["run_id"].split("-")[0] for row in json.loads(capsys.readouterr().out)} == set(rows)
    assert run(["runs", str(folder)]) == 0
    told = capsys.readouterr()
    assert "3 runs" in told.out
    assert "broken:" in told.err


def test_an_evaluations_score_has_its_interval(tmp_path: Path) -> None:
    path = run_of(results(4, {"line/1": [(5, HIT, 0)]}), tmp_path, "evaluate").path
    config = path / "config.json"
    config.write_text(config.read_text().replace(f'"command": "{path.name}"', '"command": "evaluate"'))
    row = list_runs(tmp_path)[0]
    assert (row.driving_score, row.success_rate) == (90.0, 0.75)
    assert row.driving_score_interval is not None
    assert row.driving_score_interval[0] < 90.0 < row.driving_score_interval[1]


def test_nothing_there(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["runs", str(tmp_path)]) == 0
    assert "no runs in" in capsys.readouterr().out
    assert run(["runs", str(tmp_path / "nowhere")]) == 2
    with pytest.raises(UsageError, match="no such folder"):
        list_runs(tmp_path / "nowhere")


def test_a_run_that_vanished_files_is_unfinished(folder: Path) -> None:
    good = next(path for path in folder.iterdir() if path.name.startswith("good"))
    (good / "metrics.json").unlink()
    shutil.rmtree(folder / "demo")
    rows = {row.run_id.split("-")[0]: row for row in list_runs(folder)}
    assert rows["good"].state == "unfinished"
