"""Requirements on a comparison of four routes, worked out by hand in test_compare: the difference is +10, its interval [0, 30]."""

import json
from pathlib import Path

import pytest
from test_compare import HIT, RED, results, run_of

from carla_rl.cli.app import run
from carla_rl.compare import compare, compare_all
from carla_rl.errors import UsageError
from carla_rl.gate import judge, read_requirement
from carla_rl.metrics.comparison import Comparison


@pytest.fixture
def found(tmp_path: Path) -> Comparison:
    a = run_of(results(4, {"line/0": [(5, RED, 0)], "line/1": [(5, HIT, 0)]}), tmp_path, "sft")
    b = run_of(results(4, {"line/0": [(5, RED, 0)]}), tmp_path, "rl")
    return compare(a, b)


@pytest.mark.parametrize(
    ("text", "holds"),
    [
        ("driving_score >= 0", True),
        ("driving_score > 0", False),  # superior: the lower end is 0 itself
        ("driving_score >= -2", True),  # non-inferior
        ("driving_score>=0.5", False),
        ("collisions <= 0", True),
        ("collisions < 0", False),
        ("collisions_per_km <= 0", True),
        ("leaderboard_2.1 >= -1e-3", True),
        ("red_light <= 0", True),  # the same in both: the interval is 0
    ],
)
def test_the_unfavourable_end_counts(found: Comparison, text: str, holds: bool) -> None:
    assert [row.holds for row in judge([read_requirement(text)], found)] == [holds]


@pytest.mark.parametrize("text", ["driving_score", "driving_score == 0", ">= 0", "driving_score >= x", "driving_score >= 1 or 2", ""])
def test_other_forms_get_a_sentence(text: str) -> None:
    with pytest.raises(UsageError, match="not of the form"):
        read_requirement(text)


def test_what_cannot_be_judged_is_no_pass(found: Comparison, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no such measure"):
        judge([read_requirement("charm >= 0")], found)
    with pytest.raises(UsageError, match="better when lower; write it with <="):
        judge([read_requirement("collisions >= 0")], found)
    with pytest.raises(UsageError, match="no such measure"):
        judge([read_requirement("ade <= 0")], compare(*(run_of(results(4, reference=False), tmp_path, name) for name in "xy")))
    one = compare(*(run_of(results(1), tmp_path, name) for name in "pq"))
    with pytest.raises(UsageError, match="says nothing of chance"):
        judge([read_requirement("driving_score >= 0")], one)
    fewer = compare(run_of(results(4), tmp_path, "f"), run_of(results(3), tmp_path, "g"))
    with pytest.raises(UsageError, match="same episodes"):
        judge([read_requirement("driving_score >= 0")], fewer)


def test_exit_codes_and_json_of_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    a = run_of(results(4, {"line/1": [(5, HIT, 0)]}), tmp_path, "a").path
    b = run_of(results(4), tmp_path, "b").path
    c = run_of(results(4, {"line/2": [(5, HIT, 0)], "line/3": [(5, HIT, 0)]}), tmp_path, "c").path
    assert run(["compare", str(a), str(b), "--require", "driving_score >= 0", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["gate"]["holds"] is True
    assert run(["compare", str(a), str(b), str(c), "--require", "driving_score >= 0", "--json"]) == 1
    told = json.loads(capsys.readouterr().out)
    assert [item["run_b"][:1] for item in told["comparisons"]] == ["b", "c"]
    assert [row["holds"] for row in told["gate"]["requirements"]] == [True, False]
    assert run(["compare", str(a), str(b), "--require", "driving_score = 0"]) == 2
    assert run(["compare", str(a)]) == 2
    assert run(["compare", str(a), str(a)]) == 2
    capsys.readouterr()
    assert run(["compare", str(a), str(c)]) == 0
    shown = capsys.readouterr().out
    for words in ("driving score", "lost", "seeds", "4 paired episodes"):
        assert words in shown


def test_holm_is_over_the_runs_set_against_the_first(tmp_path: Path) -> None:
    a = run_of(results(6, {f"line/{i}": [(5, HIT, 0)] for i in range(6)}), tmp_path, "a")
    b, c = (run_of(results(6), tmp_path, name) for name in "bc")
    alone = {row.name: row for row in compare(a, b).measures}["driving_score"]
    # all six won: of 64 signings two are as far
    assert (alone.p_value, alone.p_holm) == (2 / 64, 2 / 64)
    together = compare_all(a, [b, c])
    assert [item.family for item in together] == [2, 2]
    assert {row.name: row for row in together[0].measures}["driving_score"].p_holm == 4 / 64


def test_wins_losses_routes_and_seeds(tmp_path: Path) -> None:
    a = run_of(results(4, {"line/0": [(5, RED, 0)], "line/1": [(5, HIT, 0)]}), tmp_path, "a")
    b = run_of(results(4, {"line/2": [(5, RED, 0)]}), tmp_path, "b")
    found = compare(a, b, resolve=(10.0,))
    row = found.measures[0]
    assert (row.wins, row.ties, row.losses) == (2, 1, 1)
    assert [(route.route, route.difference) for route in found.routes] == [
        ("line/2", pytest.approx(-30.0)),
        ("line/3", 0.0),
        ("line/0", pytest.approx(30.0)),
        ("line/1", pytest.approx(40.0)),
    ]
    # the four differences spread by 31.6: for 10 points 81 pairs, 21 drives of each of the four routes
    assert (found.resolve[0].pairs, found.resolve[0].seeds, found.resolve_basis) == (81, 21, "all pairs")
    assert "only 4 routes" in found.warnings[-1]
    with pytest.raises(UsageError, match="above 0"):
        compare(a, b, resolve=(0.0,))
