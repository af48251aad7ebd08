from pathlib import Path

import pytest
from metrics.drives import StraightPolicy, episode, loop, rollout
from test_compare import HIT, RED, Script, results, run_of
from typer.testing import CliRunner

from carla_rl.cli.app import app
from carla_rl.errors import UsageError
from carla_rl.gap import PLAIN, gap
from carla_rl.metrics.episode import EpisodeMeter
from carla_rl.metrics.result import EpisodeResult
from carla_rl.records.reading import Run
from carla_rl.records.run import PolicyRecord
from carla_rl.types import SimulatorKind

HITS = {f"line/{i}": [(5, HIT, 0)] for i in range(4)}
"""One collision in each of four drives: 60 each."""


def test_four_routes_and_two_seeds_by_hand(tmp_path: Path) -> None:
    expert, sft = run_of(results(4), tmp_path, "expert"), run_of(results(4, HITS), tmp_path, "sft")
    one = run_of(results(4, {"line/0": [(5, HIT, 0)]}), tmp_path, "one")
    two = run_of(results(4, {"line/0": [(5, HIT, 0)], "line/1": [(5, RED, 0)]}), tmp_path, "two")
    found = gap(expert, sft, [one, two])
    # 100 against 60; the seeds 90 and (60 + 70 + 100 + 100) / 4 = 82.5
    assert (found.expert.driving_score, found.sft.driving_score, found.rl.driving_score) == (100.0, 60.0, 86.25)
    assert found.by_seed == pytest.approx((0.75, 0.5625))
    assert found.recovered == pytest.approx(0.65625)
    assert found.low < found.recovered < found.high <= 1.0
    assert (found.sft.success_rate, found.rl.success_rate) == (0.0, 0.625)
    assert [(row.type, row.episodes, row.rl) for row in found.by_type] == [(PLAIN, 4, 0.625)]


def test_the_interval_is_of_routes_and_of_seeds(tmp_path: Path) -> None:
    expert, sft = run_of(results(4), tmp_path, "expert"), run_of(results(4, HITS), tmp_path, "sft")
    perfect, useless = run_of(results(4), tmp_path, "perfect"), run_of(results(4, HITS), tmp_path, "useless")
    # every route the same: one seed leaves no doubt, two that differ leave all of it
    assert (gap(expert, sft, [perfect]).low, gap(expert, sft, [perfect]).high) == (1.0, 1.0)
    both = gap(expert, sft, [perfect, useless])
    assert (both.low, both.recovered, both.high) == (0.0, 0.5, 1.0)


def repeated(script: Script) -> list[EpisodeResult]:
    """Two routes, three drives of each."""
    meter, found = EpisodeMeter(1, SimulatorKind.TOY), []
    drives = [episode(f"line/{i}", repetition=r) for i in range(2) for r in range(3)]
    for decision in rollout(loop(drives, script=script), StraightPolicy()):
        found += meter.update(decision)
    return found


def test_drives_of_one_route_are_no_independent_evidence(tmp_path: Path) -> None:
    expert, sft = run_of(repeated({}), tmp_path, "expert"), run_of(repeated(HITS), tmp_path, "sft")
    half = run_of(repeated({"line/0": HITS["line/0"]}), tmp_path, "half")
    found = gap(expert, sft, [half])
    # two routes of which one is drawn twice in every other resample; of six drives all would be of one route in 1 of 64 only
    assert (found.low, found.recovered, found.high) == (0.0, pytest.approx(0.5), pytest.approx(1.0))


def test_one_drive_has_no_interval(tmp_path: Path) -> None:
    expert, sft = run_of(results(1), tmp_path, "expert"), run_of(results(1, HITS), tmp_path, "sft")
    found = gap(expert, sft, [run_of(results(1), tmp_path, "rl")])
    assert (found.recovered, found.low, found.high) == (1.0, None, None)


def test_what_cannot_be_set_against_each_other(tmp_path: Path) -> None:
    expert, sft = run_of(results(4), tmp_path, "expert"), run_of(results(4, HITS), tmp_path, "sft")
    with pytest.raises(UsageError, match="no gap to recover"):
        gap(expert, expert, [sft])
    with pytest.raises(UsageError, match="no refined run"):
        gap(expert, sft, [])
    with pytest.raises(UsageError, match="did not drive the same episodes"):
        gap(expert, sft, [run_of(results(3), tmp_path, "short")])
    with pytest.raises(UsageError, match="ticks_per_decision differs"):
        gap(expert, sft, [run_of(results(4), tmp_path, "other", protocol={"ticks_per_decision": 2})])


def test_a_refinement_is_set_against_its_own_sft_model(tmp_path: Path) -> None:
    def of(name: str, model: str | None) -> Run:
        return run_of(results(4, HITS if "sft" in name else {}), tmp_path, name, policy=PolicyRecord(name=name, sft=model))

    expert, sft = of("expert", None), of("sft", "a" * 64)
    assert gap(expert, sft, [of("own", "a" * 64), of("old", None)]).recovered == 1.0
    with pytest.raises(UsageError, match="refines another SFT model than the one of sft"):
        gap(expert, sft, [of("other", "b" * 64)])


def test_the_command(tmp_path: Path) -> None:
    expert, sft = run_of(results(4), tmp_path, "expert"), run_of(results(4, HITS), tmp_path, "sft")
    arguments = ["gap", "--expert", str(expert.path), "--sft", str(sft.path), str(expert.path)]
    printed = CliRunner().invoke(app, arguments)
    assert printed.exit_code == 0
    assert "100.0 % of the gap recovered" in " ".join(printed.stdout.split())
    assert '"recovered": 1.0' in CliRunner().invoke(app, [*arguments, "--json"]).stdout


def test_a_bound_that_is_not_there_is_open(tmp_path: Path) -> None:
    # one route of four makes all of the gap: a third of the resamples have none
    expert, sft = run_of(results(4), tmp_path, "expert"), run_of(results(4, {"line/0": [(5, HIT, 0)]}), tmp_path, "sft")
    half = run_of(results(4, {"line/0": [(5, HIT, 0)], "line/1": [(5, RED, 0)]}), tmp_path, "half")
    found = gap(expert, sft, [half])
    assert found.recovered == pytest.approx(-0.75)
    assert found.low is None
    arguments = ["gap", "--expert", str(expert.path), "--sft", str(sft.path), str(half.path)]
    assert "[open, " in " ".join(CliRunner().invoke(app, arguments).stdout.split())
    assert '"low": null' in CliRunner().invoke(app, [*arguments, "--json"]).stdout


def test_a_seed_counts_once(tmp_path: Path) -> None:
    expert, sft = run_of(results(4), tmp_path, "expert"), run_of(results(4, HITS), tmp_path, "sft")
    with pytest.raises(UsageError, match="more than once"):
        gap(expert, sft, [expert, expert])
