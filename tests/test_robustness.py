"""Files that are truncated, mixed, edited, doubled or missing: `compare`, `scores` and `runs` say so, exit with 2 and give no number."""

import json
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from metrics.drives import StraightPolicy, episode, loop, rollout
from test_compare import HIT, results, run_of

from carla_rl.bench.compare import bench_compare, write_made_up
from carla_rl.cli.app import run
from carla_rl.compare import compare
from carla_rl.errors import UsageError
from carla_rl.metrics.episode import EpisodeMeter
from carla_rl.records.measured import drive_of
from carla_rl.records.reading import read_run
from carla_rl.records.steps import StepLogger, read_plans, read_steps, write_steps
from carla_rl.types import SimulatorKind


def lines(path: Path, change: Callable[[list[str]], list[str]]) -> None:
    """Change the lines of episodes.jsonl."""
    file = path / "episodes.jsonl"
    file.write_text("".join(f"{line}\n" for line in change(file.read_text().splitlines())))


def edit(path: Path, **changes: object) -> None:
    """Change fields of the first episode line."""
    lines(path, lambda rows: [json.dumps({**json.loads(rows[0]), **changes}), *rows[1:]])


def edit_all(path: Path, **changes: object) -> None:
    """Change fields of every episode, in both files alike."""
    lines(path, lambda rows: [json.dumps({**json.loads(row), **changes}) for row in rows])
    edit_file(path / "metrics.json", lambda told: told | {"scenarios": [line | changes for line in told["scenarios"]]})


def edit_file(file: Path, change: Callable[[dict[str, Any]], dict[str, Any]]) -> None:
    file.write_text(json.dumps(change(json.loads(file.read_text()))))


def make_folder(file: Path) -> None:
    file.unlink()
    file.mkdir()


def number_edited(path: Path) -> None:
    text = (path / "metrics.json").read_text()
    (path / "metrics.json").write_text(text.replace('"driving_score_mean": ', '"driving_score_mean": 1', 1))


MOTION = {
    "step_s": 0.2,
    "chunks": 1,
    "comfortable_chunks": 1,
    "comfort_worst": {"jerk": 1.0},
    "comfort_outside": {"jerk": 0.0},
    "min_ttc_s": None,
    "ttc_short_share": 0.0,
    "overspeed_mps": 0.0,
    "off_centre_s": 0.0,
    "traffic_speed_shares": [],
}

DEFECTS: dict[str, tuple[Callable[[Path], object], str]] = {
    "truncated metrics": (lambda p: (p / "metrics.json").write_text((p / "metrics.json").read_text()[:200]), "is not JSON"),
    "a lost line": (lambda p: lines(p, lambda rows: rows[:-1]), "tells of 4 episodes, episodes.jsonl of 3"),
    "no lines at all": (lambda p: (p / "episodes.jsonl").unlink(), "tells of 4 episodes, episodes.jsonl of 0"),
    "a line twice": (lambda p: lines(p, lambda rows: [*rows, rows[0]]), "is in line 1 already; two runs were mixed"),
    "another run's line": (lambda p: edit(p, run_id="other"), "files of two runs were mixed"),
    "a better score": (lambda p: edit(p, driving_score=100.0, score_penalty=1.0), "the record was changed after the run"),
    "a lost collision": (lambda p: edit(p, collisions=0), "collisions is 0 but the other fields give 1"),
    "NaN": (lambda p: edit(p, ade=float("nan")), "finite number"),
    "an impossible share": (lambda p: edit(p, route_completion=1.2), "route_completion"),
    "a better mean": (number_edited, "its episodes give"),
    "no environment": (lambda p: (p / "environment.json").unlink(), "no such file"),
    "another suite": (
        lambda p: (p / "environment.json").write_text((p / "environment.json").read_text().replace("0" * 64, "1" * 64)),
        "fingerprint is not that of",
    ),
    "a line cut in two": (lambda p: lines(p, lambda rows: [rows[0][:100], rows[0][100:], *rows[1:]]), "line 1 is not JSON"),
    "infinite": (lambda p: edit(p, **{"return": float("inf")}), "finite number"),
    "a text for a number": (lambda p: edit_all(p, ade="0.1"), "ade: Input should be a valid number"),
    "a truth value for a number": (lambda p: edit_all(p, ade=True), "ade: Input should be a valid number"),
    "a number too large to add up": (lambda p: edit_all(p, ade=1e308), "ade: Input should be less than or equal to"),
    "a negative number": (lambda p: edit_all(p, steps=-5), "steps: Input should be greater than or equal to 1"),
    "a motion without quantities": (
        lambda p: edit_all(p, motion={**MOTION, "comfort_outside": {}}),
        "comfort_outside and comfort_worst tell of different quantities",
    ),
    "scenarios without names": (
        lambda p: edit_file(p / "metrics.json", lambda told: told | {"scenarios": [s | {"episode_id": [1]} for s in told["scenarios"]]}),
        "without an episode_id of its own",
    ),
    "infinite conditions": (
        lambda p: edit_file(p / "environment.json", lambda told: told | {"protocol": {"ticks_per_decision": float("nan")}}),
        "holds a number that is not finite",
    ),
    "a folder for the lines": (lambda p: make_folder(p / "episodes.jsonl"), "Is a directory"),
    "a folder for the metrics": (lambda p: make_folder(p / "metrics.json"), "Is a directory"),
    "a command that is none": (lambda p: edit_file(p / "config.json", lambda told: told | {"command": 7}), "command is a int"),
    "a longer route than it was": (lambda p: edit(p, route_length_m=99.0), "differs from its line in episodes.jsonl"),
}


@pytest.mark.parametrize("name", DEFECTS)
def test_a_defect_gives_a_sentence_and_no_number(name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    break_it, sentence = DEFECTS[name]
    good = run_of(results(4), tmp_path, "a").path
    bad = run_of(sorted(results(4, {"line/0": [(5, HIT, 0)]}), key=lambda one: one.scenario_id), tmp_path, "b").path
    break_it(bad)
    for command in (["compare", str(good), str(bad)], ["scores", str(bad)]):
        assert run(command) == 2
        told = capsys.readouterr()
        assert sentence in told.err
        assert told.out == ""
    assert run(["runs", str(tmp_path), "--json"]) == 0
    rows = {row["run_id"][:1]: row for row in json.loads(capsys.readouterr().out)}
    assert (rows["a"]["state"], rows["b"]["state"], rows["b"]["driving_score"]) == ("complete", "broken", None)


def test_no_episode_and_one_episode(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    none, one, other = run_of([], tmp_path, "a"), run_of(results(1), tmp_path, "b"), run_of(results(1), tmp_path, "c")
    assert run(["compare", str(none.path), str(one.path)]) == 2
    assert "without a finished episode" in capsys.readouterr().err
    assert run(["scores", str(none.path)]) == 2
    capsys.readouterr()
    # one pair has a difference and no interval, no p value, no verdict
    assert run(["compare", str(one.path), str(other.path), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert {(row["low"], row["a_low"], row["p_value"], row["effect_size"], row["detectable"]) for row in told["measures"]} == {(None,) * 5}
    assert told["resolve"] == []
    assert run(["compare", str(one.path), str(other.path)]) == 0
    assert "undecided" in capsys.readouterr().out


def test_all_equal_scores_are_equal_and_nothing_else(tmp_path: Path) -> None:
    found = compare(run_of(results(5), tmp_path, "a"), run_of(results(5), tmp_path, "b"))
    for row in found.measures:
        if row.name in ("driving_score", "collisions_per_km", "leaderboard_2.1"):
            assert (row.difference, row.low, row.high, row.p_value, row.wins, row.losses, row.ties) == (0.0, 0.0, 0.0, 1.0, 0, 0, 5)
    score = found.measures[0]
    assert (score.effect_size, score.detectable, score.a_low, score.a_high) == (0.0, 0.0, 100.0, 100.0)


def test_a_missing_or_mixed_step_log(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = run_of(results(2), tmp_path, "a").path
    (path / "steps").mkdir()
    log = read_run(path).steps_path("line/0#0")
    log.write_bytes(b"PK\x03\x04 and no more")
    assert run(["scores", str(path)]) == 2
    assert "not a readable step log" in capsys.readouterr().err
    log.unlink()
    assert run(["scores", str(path), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)[0]["scores"]
    assert (told["nuplan_cls"]["mean"], told["nuplan_cls"]["episodes"]) == (None, 0)
    assert told["leaderboard_2.0"]["mean"] == 100.0


def logged(folder: Path, count: int = 2) -> Path:
    """A run with step logs."""
    meter, logger, found, logs = EpisodeMeter(1, SimulatorKind.TOY), StepLogger(1), [], []
    for decision in rollout(loop([episode(f"line/{i}", seed=i) for i in range(count)]), StraightPolicy()):
        logs += logger.update(decision, expert=decision.plan.waypoints)
        found += meter.update(decision)
    run = run_of(found, folder, "evaluate")
    (run.path / "steps").mkdir()
    for log in logs:
        write_steps(run.steps_path(log.episode_id), log)
    return run.path


ARRAYS: dict[str, tuple[str, Callable[[Any], Any], str]] = {
    "a place that is no number": ("ego_x", lambda a: a * np.nan, "ego holds a value that is not a finite number"),
    "a plan that is no number": ("waypoints", lambda a: a * np.nan, "waypoints holds a value that is not a finite number"),
    "texts": ("control", lambda a: a.astype(str), "expected numbers"),
    "too few plans": ("waypoints", lambda a: a[:5], "waypoints has shape (5, 20, 2), expected (25, any, 2)"),
    "too few places": ("ego_x", lambda a: a[:5], "must have the same shape"),
    "no time": ("t", lambda a: a[:0], "t has shape (0,), expected (26)"),
    "times that fall": ("t", lambda a: a[::-1], "its times do not rise"),
    "no route": ("route", lambda a: a[:0], "its route has no point"),
    "actors of nobody": ("actor_start", lambda a: a + 1, "actor_start does not divide the actors"),
    "no decision": ("control", lambda a: a[:0], "expected"),
}


@pytest.mark.parametrize("name", ARRAYS)
def test_a_step_log_that_no_drive_has(name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    field, change, sentence = ARRAYS[name]
    path = logged(tmp_path)
    log = read_run(path).steps_path("line/0#0")
    with np.load(log) as file:
        arrays = {one: file[one] for one in file.files}
    np.savez(log, **arrays | {field: change(arrays[field])})
    commands = [["scores", str(path)], ["compare", str(path), str(run_of(results(2), tmp_path, "b").path)]]
    commands += [["report", str(path), "--out", str(tmp_path / "r.html")]]
    commands += [["render", str(path), "--episode", "line/0#0", "--out", str(tmp_path / "x.png")]]
    for command in commands:
        assert run(command) == 2
        told = capsys.readouterr()
        assert sentence in told.err
        # the sentence of the log alone, not one within another
        assert told.err.count("drive the episode again") == 1
        assert told.out == ""
    assert not (tmp_path / "r.html").exists()


def test_a_step_log_of_another_drive(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = logged(tmp_path)
    run_read = read_run(path)
    first, second = (run_read.steps_path(f"line/{i}#0") for i in range(2))
    with pytest.raises(UsageError, match="is of episode line/0#0, not line/1#0; files were mixed"):
        read_plans(first, "line/1#0")
    second.write_bytes(first.read_bytes())
    for command in (["report", str(path), "--out", str(tmp_path / "r.html")], ["scores", str(path)]):
        assert run(command) == 2
        assert "is of episode line/0#0, not line/1#0; files were mixed" in capsys.readouterr().err
    # the same episode in another run: it took another number of decisions there
    found = next(one for one in run_read.episodes if one.episode_id == "line/0#0")
    with pytest.raises(UsageError, match=r"after 25 decisions, episodes\.jsonl tells of completed after 7; files of two runs were mixed"):
        drive_of(run_read, found.model_copy(update={"steps": 7}))


def test_a_damaged_archive_never_passes_for_a_log(tmp_path: Path) -> None:
    path = read_run(logged(tmp_path, 1)).steps_path("line/0#0")
    whole, draw = path.read_bytes(), np.random.default_rng(0)
    good = read_steps(path)
    for _ in range(60):
        broken = bytearray(whole)
        for place in draw.integers(0, len(broken), 3):
            broken[place] ^= int(draw.integers(1, 256))
        path.write_bytes(bytes(broken)[: int(draw.integers(1, len(whole) + 1))] if draw.random() < 0.3 else bytes(broken))
        with suppress(UsageError):
            log = read_steps(path)
            # what the archive has no checksum for (dates, sizes told twice) changes nothing
            np.testing.assert_array_equal(log.ego, good.ego)
            np.testing.assert_array_equal(log.waypoints, good.waypoints)


def test_a_run_given_twice_and_two_runs_of_one_name(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    a, b = (run_of(results(2), tmp_path / name, "evaluate", run_id="same").path for name in ("one", "two"))
    for command in (["compare", str(a), str(a)], ["scores", str(a), str(a)]):
        assert run(command) == 2
        assert "given twice" in capsys.readouterr().err
    assert run(["compare", str(a), str(b)]) == 0
    assert "two runs are called same: A is" in " ".join(capsys.readouterr().err.split())


def test_scores_of_runs_under_other_conditions_are_not_put_side_by_side(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    a = run_of(results(2), tmp_path, "a").path
    b = run_of(results(2), tmp_path, "b", protocol={"ticks_per_decision": 2}).path
    assert run(["scores", str(a), str(b)]) == 2
    assert "ticks_per_decision differs (4 against 2)" in capsys.readouterr().err
    assert run(["scores", str(a), str(b), "--force"]) == 0
    assert "ticks_per_decision differs" in capsys.readouterr().err


def test_made_up_runs_are_runs_and_the_benchmark_compares_them(tmp_path: Path) -> None:
    found = compare(*(read_run(write_made_up(tmp_path, name, 30, seed)) for seed, name in enumerate(("one", "two"))))
    assert found.pairs == 30
    told: list[str] = []
    measured = bench_compare(20, told.append)
    assert (measured["pairs"], measured["episodes"], len(told)) == (20, 20, 2)
    assert measured["peak_bytes"] > 0
