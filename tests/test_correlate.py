"""Correlations over made checkpoints: of eight routes, checkpoint k hits a car on the first k."""

import io
import json
from pathlib import Path

import jsonschema
import pytest
from PIL import Image
from test_compare import HIT, results

from carla_rl.cli.tables_correlate import correlation_lines, correlation_table, disagreement_lines, panels, points_table
from carla_rl.correlate import Checkpoint, Study, correlate
from carla_rl.errors import UsageError
from carla_rl.ladder import LadderConfig, begin, products, read_ladder, rungs
from carla_rl.scatter import Mark, Panel, draw_scatter, ticks
from carla_rl.schemas import load_schema

ERRORS = (0.1, 0.2, 0.3, 0.5, 0.4)
ABOUT = {"simulator": "toy", "suite": "lines", "held_out": "data"}


def checkpoint(k: int, error: float, *, own: bool = True) -> Checkpoint:
    driven = sorted(results(8, {f"line/{i}": [(5, HIT, 0)] for i in range(k)}), key=lambda one: one.scenario_id)
    errors = {"ade": error, "fde": 2.0 * error, "fixed_speed_ade": error, "tre": error, "miss_rate": None}
    return Checkpoint(f"cp-{k}", "rl" if k < 2 else "sft", f"run-{k}", tuple(driven), errors, errors if own else {})


@pytest.fixture(scope="module")
def study() -> Study:
    return correlate([checkpoint(2 * k, error) for k, error in enumerate(ERRORS)], **ABOUT)


def test_ranks_coefficients_and_disagreements(study: Study) -> None:
    # 2 k of 8 routes at 60: 100, 90, 80, 70, 60, and the last two errors are swapped
    assert [point.closed["driving_score"] for point in study.points] == pytest.approx([100.0, 90.0, 80.0, 70.0, 60.0])
    row = next(r for r in study.correlations if (r.states, r.offline, r.closed) == ("expert", "ade", "driving_score"))
    assert (row.pairs, row.wrong) == (10, 1)
    assert row.found.spearman.value == pytest.approx(-0.9)
    assert row.found.kendall.value == pytest.approx(-0.8)
    assert row.sure >= 6
    # collisions are better when fewer: the same pair is wrong there
    rate = next(r for r in study.correlations if (r.states, r.offline, r.closed) == ("expert", "ade", "collisions_per_km"))
    assert (rate.wrong, rate.found.spearman.value) == (1, pytest.approx(0.9))
    # an error that no checkpoint has is left out
    assert not any(r.offline == "miss_rate" for r in study.correlations)
    jsonschema.validate(json.loads(json.dumps(study.to_json(), allow_nan=False)), load_schema("correlation"))


def test_a_plain_disagreement_is_named() -> None:
    found = correlate([checkpoint(2 * k, error) for k, error in enumerate((0.9, 0.2, 0.3, 0.4, 0.1))], **ABOUT)
    named = [(row.less_error, row.drives_better) for row in found.disagreements if row.states == "expert"]
    assert ("cp-8", "cp-0") in named
    row = next(row for row in found.disagreements if (row.less_error, row.drives_better) == ("cp-8", "cp-0"))
    assert (row.error, row.score) == ((0.1, 0.9), (pytest.approx(60.0), pytest.approx(100.0)))
    assert row.low > 0.0
    assert any("ADE prefers cp-8" in line for line in disagreement_lines(found))


def test_states_that_are_not_known_are_left_out() -> None:
    found = correlate([checkpoint(2 * k, error, own=False) for k, error in enumerate(ERRORS)], **ABOUT)
    assert {row.states for row in found.correlations} == {"expert"}
    assert any("unknown" in line for line in correlation_lines(found))
    assert len(panels(found)) == 4


@pytest.mark.parametrize(
    ("made", "sentence"),
    [
        ([checkpoint(k, 0.1 * k) for k in range(3)], "fewer than 4"),
        ([checkpoint(k % 4, 0.1 * k) for k in range(5)], "given twice"),
        ([checkpoint(0, 0.1 * k) for k in range(1)] * 1 + [checkpoint(k, 0.1) for k in (1, 2)], "fewer than 4"),
    ],
)
def test_what_says_nothing_gets_a_sentence(made: list[Checkpoint], sentence: str) -> None:
    with pytest.raises(UsageError, match=sentence):
        correlate(made, **ABOUT)


def test_all_driving_the_same_and_other_episodes_get_a_sentence() -> None:
    same = [Checkpoint(f"cp-{i}", "sft", f"run-{i}", checkpoint(1, 0.1).episodes, {"ade": 0.1 * i}, {}) for i in range(4)]
    with pytest.raises(UsageError, match="nothing that an error could predict"):
        correlate(same, **ABOUT)
    fewer = Checkpoint("cp-x", "sft", "run-x", same[0].episodes[:-1], {"ade": 0.1}, {})
    with pytest.raises(UsageError, match="same episodes"):
        correlate([*same[:3], fewer], **ABOUT)


def test_tables_and_the_picture(study: Study) -> None:
    assert points_table(study).row_count == 5
    assert correlation_table(study).row_count == 10
    plots = panels(study)
    assert [panel.title[:3] for panel in plots] == ["ADE", "FDE", "fix", "TRE"] * 2
    data = draw_scatter("title", plots, [(point.name, point.kind) for point in study.points])
    picture = Image.open(io.BytesIO(data))
    assert picture.format == "PNG"
    assert picture.size[0] == 4 * 380
    # discs of SFT and triangles of refinements are there
    colours = {colour for _, colour in picture.convert("RGB").getcolors(1_000_000) or []}
    assert {(28, 113, 216), (230, 97, 0)} <= colours
    with pytest.raises(ValueError, match="finite"):
        draw_scatter("title", [Panel("a", "b", "c", (Mark(1, "sft", float("nan"), 1, 0, 2),))], [])
    assert ticks(0.0, 1.7) == [0.0, 0.5, 1.0, 1.5, 2.0]
    assert ticks(0.79, 0.96) == [0.75, 0.8, 0.85, 0.9, 0.95, 1.0]
    assert ticks(0.0, 0.0) == [0.0, 1.0]


def test_a_ladders_plan_and_its_file(tmp_path: Path) -> None:
    config = LadderConfig(simulator="toy", episodes=(8, 4), noise=(0.25,), decisions=(4096,), refined=(4, 0.25))
    assert [rung.name for rung in rungs(config)] == ["sft-004-noise0.25", "sft-008-noise0.25", "rl-0004k"]
    steps = list(products(config, tmp_path))
    # held-out episodes; record, clone, drive twice; refine and drive
    assert [step.arguments[0] for step in steps] == ["record", *(["record", "sft", "evaluate"] * 2), "train", "evaluate"]
    assert not any(step.done for step in steps)
    begin(config, tmp_path)
    begin(config, tmp_path)
    assert read_ladder(tmp_path) == (config, rungs(config))
    with pytest.raises(UsageError, match="another ladder \\(other seed\\)"):
        begin(config.model_copy(update={"seed": 1}), tmp_path)
    with pytest.raises(UsageError, match="none of the ladder's"):
        list(products(config.model_copy(update={"refined": (5, 0.25)}), tmp_path))
    (steps[0].place).mkdir()
    (steps[0].place / "recording.json").write_text("{}")
    (steps[-1].place).mkdir()
    (steps[-1].place / "metrics.json").write_text('{"complete": false}')
    assert [step.done for step in products(config, tmp_path)] == [True] + [False] * 8
    resume = tmp_path / "rl-0004k" / "checkpoints" / "resume.pt"
    resume.parent.mkdir(parents=True)
    resume.touch()
    assert list(products(config, tmp_path))[-2].arguments[:2] == ("train", "--resume")
