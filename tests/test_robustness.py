"""Files that are truncated, mixed, edited, doubled or missing: `compare`, `scores` and `runs` say so, exit with 2 and give no number."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from test_compare import HIT, results, run_of

from carla_rl.bench.compare import bench_compare, write_made_up
from carla_rl.cli.app import run
from carla_rl.compare import compare
from carla_rl.records.reading import read_run


def lines(path: Path, change: Callable[[list[str]], list[str]]) -> None:
    """Change the lines of episodes.jsonl."""
    file = path / "episodes.jsonl"
    file.write_text("".join(f"{line}\n" for line in change(file.read_text().splitlines())))


def edit(path: Path, **changes: object) -> None:
    """Change fields of the first episode line."""
    lines(path, lambda rows: [json.dumps({**json.loads(rows[0]), **changes}), *rows[1:]])


def number_edited(path: Path) -> None:
    text = (path / "metrics.json").read_text()
    (path / "metrics.json").write_text(text.replace('"driving_score_mean": ', '"driving_score_mean": 1', 1))


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
