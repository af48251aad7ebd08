import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from metrics.drives import LineSimulator, StraightPolicy, episode, loop, rollout

from carla_rl.compare import compare
from carla_rl.errors import UsageError
from carla_rl.metrics.comparison import Comparison, Difference
from carla_rl.metrics.episode import EpisodeMeter
from carla_rl.metrics.result import EpisodeResult
from carla_rl.records.reading import Run, read_run
from carla_rl.records.run import PolicyRecord, RunDirectory, SuiteRecord, start_run
from carla_rl.types import Infraction, SimulatorKind

RED, HIT, MIN = Infraction.RED_LIGHT, Infraction.COLLISION_VEHICLE, Infraction.MIN_SPEED
Script = Mapping[str, Sequence[tuple[int, Infraction, float]]]


def results(count: int, script: Script | None = None, *, offset: float = 0.0, reference: bool = True) -> list[EpisodeResult]:
    meter, found = EpisodeMeter(4, SimulatorKind.TOY), []
    for decision in rollout(
        loop([episode(f"line/{i}", seed=i % 3) for i in range(count)], 4, script=script), StraightPolicy((offset, 0.0))
    ):
        found += meter.update(decision, reference=decision.plan.sft_waypoints if reference else None)
    return found


def run_of(episodes: Sequence[EpisodeResult], folder: Path, name: str, **changes: object) -> Run:
    simulator = replace(LineSimulator(1).info, **changes.pop("simulator", {}))
    settings = {
        "suite": SuiteRecord(name="lines", sha256="0" * 64, split="evaluation"),
        "protocol": {"ticks_per_decision": 4},
        "policy": PolicyRecord(name=name),
    } | changes
    run = RunDirectory(start_run(folder, name, config={}, simulator=simulator, **settings))
    with run:
        for result in episodes:
            run.add(result)
    return read_run(run.path)


def by_name(comparison: Comparison) -> dict[str, Difference]:
    return {measure.name: measure for measure in comparison.measures}


def test_four_pairs_by_hand(tmp_path: Path) -> None:
    # A: one red light (70) and one collision (60) in four drives; B: clean but for the red light
    a = run_of(results(4, {"line/0": [(5, RED, 0)], "line/1": [(5, HIT, 0)]}), tmp_path, "sft")
    b = run_of(results(4, {"line/0": [(5, RED, 0)]}, offset=0.5), tmp_path, "rl")
    comparison = compare(a, b)
    assert (comparison.pairs, comparison.policy_a, comparison.policy_b) == (4, "sft", "rl")
    measures = by_name(comparison)
    score = measures["driving_score"]
    assert (score.a, score.b, score.difference) == (82.5, 92.5, 10.0)
    # one of four pairs differs by 40: of the 256 equally likely resamples 81 miss it and 1 has it four times
    assert (score.low, score.high) == (0.0, pytest.approx(30.0))
    assert (measures["success_rate"].a, measures["success_rate"].b) == (0.5, 0.75)
    assert (measures["collisions"].difference, measures["red_light"].difference) == (-0.25, 0.0)
    assert measures["collisions_per_km"].a == pytest.approx(25.0)  # one in 0.04 km
    assert measures["infractions_per_km"].b == pytest.approx(25.0)
    assert measures["ade"].a == 0.0
    assert measures["ade"].difference == pytest.approx(0.5)
    json.dumps(comparison.to_json(), allow_nan=False)
    assert comparison.to_json()["measures"][0]["name"] == "driving_score"


def test_without_spread_the_interval_is_the_value(tmp_path: Path) -> None:
    a, b = run_of(results(5), tmp_path, "a"), run_of(results(5, offset=0.1), tmp_path, "b")
    measures = by_name(compare(a, b))
    for name in ("driving_score", "route_completion", "collisions_per_km"):
        assert (measures[name].difference, measures[name].low, measures[name].high) == (0.0, 0.0, 0.0)
    assert all(m.low is not None and m.high is not None and m.low <= m.high for m in measures.values())


def test_one_pair_has_no_interval(tmp_path: Path) -> None:
    run = run_of(results(1), tmp_path, "a")
    assert {(measure.low, measure.high) for measure in compare(run, run).measures} == {(None, None)}


def test_the_interval_is_repeatable_and_covers_the_mean(tmp_path: Path) -> None:
    script = {f"line/{i}": [(5, RED, 0)] * (i % 4) for i in range(40)}
    a, b = run_of(results(40, script), tmp_path, "a"), run_of(results(40), tmp_path, "b")
    one = by_name(compare(a, b, seed=7))["driving_score"]
    assert one == by_name(compare(a, b, seed=7))["driving_score"]
    assert one.low is not None
    assert one.high is not None
    assert one.low < one.difference < one.high
    # against the normal approximation of the mean of the differences
    differences = np.array([100.0 * (1 - 0.7 ** (i % 4)) for i in range(40)])
    half = 1.96 * differences.std(ddof=1) / np.sqrt(40)
    assert one.low == pytest.approx(one.difference - half, abs=1.0)
    assert one.high == pytest.approx(one.difference + half, abs=1.0)


def test_other_definitions_are_computed_from_the_same_events(tmp_path: Path) -> None:
    a = run_of(results(2, {"line/0": [(5, MIN, 0.5)]}), tmp_path, "a")
    b = run_of(results(2), tmp_path, "b")
    assert by_name(compare(a, b))["driving_score"].difference == pytest.approx(7.5)
    assert by_name(compare(a, b, score="leaderboard_1.0"))["driving_score"].difference == 0.0
    with pytest.raises(UsageError, match="unknown"):
        compare(a, b, score="mine")


def test_only_common_episodes_are_paired_and_the_rest_is_named(tmp_path: Path) -> None:
    a, b = run_of(results(3), tmp_path, "a"), run_of(results(5)[1:], tmp_path, "b")
    comparison = compare(a, b)
    assert comparison.pairs == len({e.episode_id for e in a.episodes} & {e.episode_id for e in b.episodes})
    assert set(comparison.only_a) | set(comparison.only_b) == {e.episode_id for e in (*a.episodes, *b.episodes)} - {
        e.episode_id for e in a.episodes if e in b.episodes
    }


def test_ade_is_paired_where_both_have_it_and_left_out_where_none_has(tmp_path: Path) -> None:
    mixed = [*results(3)[:2], *list(results(3, reference=False))[2:]]
    a, b = run_of(mixed, tmp_path, "a"), run_of(results(3), tmp_path, "b")
    assert by_name(compare(a, b))["ade"].pairs == 2
    none = run_of(results(3, reference=False), tmp_path, "c")
    assert "ade" not in by_name(compare(a, none))


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"simulator": {"version": "2"}}, r"simulator differs \(toy 1, toy against toy 2, toy\)"),
        ({"simulator": {"kind": SimulatorKind.CARLA}}, "simulator differs"),
        ({"simulator": {"parameters": {"tick_s": 0.1}}}, r"simulator\.tick_s differs \(0\.05 against 0\.1\)"),
        ({"suite": SuiteRecord(name="lines", sha256="1" * 64, split="evaluation")}, "suite differs"),
        ({"protocol": {"ticks_per_decision": 2}}, r"protocol\.ticks_per_decision differs \(4 against 2\)"),
        ({"protocol": {}}, r"ticks_per_decision differs \(4 against not recorded\)"),
    ],
)
def test_different_conditions_are_refused_unless_forced(tmp_path: Path, changes: dict[str, object], sentence: str) -> None:
    a, b = run_of(results(2), tmp_path, "a"), run_of(results(2), tmp_path, "b", **changes)
    with pytest.raises(UsageError, match=sentence):
        compare(a, b)
    assert "differs" in compare(a, b, force=True).warnings[0]


def test_skipped_actors_must_be_the_same(tmp_path: Path) -> None:
    easier = [result.model_copy(update={"skipped": ("Accident",)}) for result in results(2)]
    a, b = run_of(results(2), tmp_path, "a"), run_of(easier, tmp_path, "b")
    with pytest.raises(UsageError, match=r"skipped actors of episode line/0#0 differs \(\(\) against \('Accident',\)\)"):
        compare(a, b)


def test_nothing_to_compare_is_an_error(tmp_path: Path) -> None:
    a, empty = run_of(results(2), tmp_path, "a"), run_of([], tmp_path, "b")
    with pytest.raises(UsageError, match="without a finished episode"):
        compare(a, empty)
    other = run_of([result for result in results(4) if result.scenario_id in ("line/2", "line/3")], tmp_path, "c")
    with pytest.raises(UsageError, match="no episode in common"):
        compare(a, other)
