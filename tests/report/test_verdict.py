from pathlib import Path

import pytest
from report_parts import HIT, RED, make_run, make_training

from carla_rl.errors import UsageError
from carla_rl.report.facts import facts, read_sources


def test_a_better_run_is_told_with_its_reasons(tmp_path: Path) -> None:
    # A: every drive of six collides (60) and one runs a red light too (42); B: the red light alone, and plans half a metre off
    hits = {f"line/{i}": [(5, HIT, 1.0)] for i in range(6)}
    a = make_run(tmp_path, "a", count=6, script={**hits, "line/0": [(5, HIT, 1.0), (9, RED, 0)]}, steps=False)
    b = make_run(tmp_path, "b", count=6, script={"line/0": [(9, RED, 0)]}, offset=0.5, steps=False)
    found = facts(read_sources([a, b]))
    (verdict,) = found["verdict"]
    assert verdict["title"] == "b drives better than a"
    assert verdict["tone"] == "good"
    sure, by_route, why, ade = verdict["sentences"]
    # (5 * 60 + 42) / 6 = 57, (5 * 100 + 70) / 6 = 95
    assert sure.startswith("Driving score 95.0 against 57.0: +38.0, 95% interval +")
    assert by_route == "By episode: better in 6, worse in 0, the same in 0."
    assert why == "Why: +38.0 points from collision vehicle (6 to 0)."
    assert ade.startswith("ADE would have told the opposite: its plans are 0.30 m farther")
    assert ade.endswith("In 6 of the 6 episodes whose score changed, ADE pointed the wrong way.")


def test_a_reason_is_the_mean_of_both_exchanges(tmp_path: Path) -> None:
    # A has both (42), B neither (100). Collision: 42 to 70 from A's side, 60 to 100 from B's: 34. Red light: 18 and 30: 24
    a = make_run(tmp_path, "a", count=1, script={"line/0": [(5, HIT, 1.0), (9, RED, 0)]}, steps=False)
    b = make_run(tmp_path, "b", count=1, steps=False)
    (pair,) = facts(read_sources([a, b]))["pairs"]
    assert [(item["name"], pytest.approx(item["moved"]), item["a"], item["b"]) for item in pair["reasons"]] == [
        ("collision_vehicle", 34.0, 1, 0),
        ("red_light", 24.0, 1, 0),
    ]


def test_chance_is_called_chance_and_one_pair_too_few(tmp_path: Path) -> None:
    a = make_run(tmp_path, "a", count=3, script={"line/0": [(5, HIT, 1.0)]}, steps=False)
    b = make_run(tmp_path, "b", count=3, script={"line/1": [(5, RED, 0)]}, offset=0.1, steps=False)
    (verdict,) = facts(read_sources([a, b]))["verdict"]
    assert verdict["title"] == "b cannot be told from a"
    assert "chance alone" in verdict["sentences"][0]
    one = [make_run(tmp_path, name, count=1, steps=False) for name in ("c", "d")]
    (verdict,) = facts(read_sources(one))["verdict"]
    assert "too few to say" in verdict["sentences"][0]


def test_one_run_stands_alone(tmp_path: Path) -> None:
    run = make_run(tmp_path, "a", count=2, script={"line/0": [(5, HIT, 1.0)]}, steps=False)
    found = facts(read_sources([run, make_training(tmp_path)]))
    assert found["verdict"][0]["title"] == "a drives 80.0 of 100 over 2 episodes"
    assert found["tables"][0]["rows"][0][:3] == ["A a", 80.0, 80.0]
    assert [run["run_id"] for run in found["trainings"]] == ["ppo"]
    assert facts(read_sources([tmp_path / "ppo"]))["verdict"] == []


def test_what_makes_no_report_gets_a_sentence(tmp_path: Path) -> None:
    a, other = make_run(tmp_path, "a", steps=False), make_run(tmp_path, "other", suite="others", steps=False)
    with pytest.raises(UsageError, match="no such run directory"):
        read_sources([tmp_path / "none"])
    with pytest.raises(UsageError, match="cannot be compared: suite differs"):
        read_sources([a, other])
    assert len(read_sources([a, other], force=True).comparisons) == 1
    with pytest.raises(UsageError, match="given twice"):
        read_sources([a, a / "metrics.json"])
    with pytest.raises(UsageError, match="no episode was finished"):
        read_sources([make_run(tmp_path, "empty", count=0)])
    (a / "episodes.jsonl").write_text((a / "episodes.jsonl").read_text()[: len((a / "episodes.jsonl").read_text()) // 2])
    with pytest.raises(UsageError, match="episodes"):
        read_sources([a])
