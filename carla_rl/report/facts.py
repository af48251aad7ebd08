"""The numbers of a report: what was read of the runs, as JSON values that the page and `--json` show alike.

The first evaluation given is the baseline A; every other one is set against it, episode by episode (`carla_rl.compare`). A further table is
one more entry of `_tables`: its columns and rows are shown as they are. Knows nothing of how it looks.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from scipy.stats import bootstrap, spearmanr

from carla_rl.compare import compare
from carla_rl.errors import UsageError
from carla_rl.metrics.comparison import Comparison
from carla_rl.metrics.paired import CONFIDENCE, RESAMPLES
from carla_rl.metrics.result import EpisodeResult
from carla_rl.metrics.scores import DEFAULT_SCORE, DEFINITIONS
from carla_rl.metrics.summary import mean_std, summarize
from carla_rl.records.reading import Run, read_run
from carla_rl.records.run import EVALUATION, TRAINING
from carla_rl.report.reasons import reasons
from carla_rl.report.verdict import verdicts

FEW = 3
"""Fewer values than this have no rank correlation worth a number."""
LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"


@dataclass(frozen=True)
class Sources:
    """The runs of a report, sorted by kind, in the order given."""

    evaluations: tuple[Run, ...]
    trainings: tuple[Run, ...]
    comparisons: tuple[Comparison, ...]
    """Of every evaluation but the first with the first."""


def read_sources(paths: Sequence[Path], *, force: bool = False, seed: int = 0) -> Sources:
    """Read the runs and set the evaluations against the first one.

    Raises:
        UsageError: a broken run, the same run twice, more evaluations than there are letters, an evaluation without a finished episode,
            or runs that cannot be compared (another simulator, suite or protocol) without `force`.
    """
    runs = [read_run(path) for path in paths]
    seen: dict[Path, Path] = {}
    for run, path in zip(runs, paths, strict=True):
        place = run.path.resolve()
        if place in seen:
            raise UsageError(f"{path}: given twice; give each run once")
        seen[place] = path
    for run in runs:
        if run.command not in (EVALUATION, TRAINING):
            raise UsageError(f"{run.path}: a run of {run.command!r}; give runs of carla-rl evaluate and carla-rl train")
        if run.command == EVALUATION and not run.episodes:
            raise UsageError(f"{run.path}: no episode was finished, so there is nothing to show; drive the suite again")
    evaluations = tuple(run for run in runs if run.command == EVALUATION)
    if len(evaluations) > len(LETTERS):
        raise UsageError(f"{len(evaluations)} evaluations are too many for one report; give at most {len(LETTERS)}")
    return Sources(
        evaluations,
        tuple(run for run in runs if run.command == TRAINING),
        tuple(compare(evaluations[0], other, force=force, seed=seed) for other in evaluations[1:]),
    )


def facts(sources: Sources) -> dict[str, Any]:
    """Everything that a report says in numbers and sentences, as JSON values."""
    pairs = [
        {**found.to_json(), "b_index": index, "reasons": reasons(sources.evaluations[0], sources.evaluations[index], found.score)}
        for index, found in enumerate(sources.comparisons, 1)
    ]
    return {
        "score": sources.evaluations[0].episodes[0].score if sources.evaluations else DEFAULT_SCORE,
        "simulators": _simulators(sources),
        "warnings": _warnings(sources),
        "runs": [_about(run, LETTERS[i]) for i, run in enumerate(sources.evaluations)],
        "trainings": [_about(run, "") for run in sources.trainings],
        "verdict": verdicts(sources.evaluations, sources.comparisons, pairs),
        "pairs": pairs,
        "tables": _tables(sources.evaluations),
        "ade": [_ade_against_score(run) for run in sources.evaluations],
        "episodes": [[_episode(result) for result in run.episodes] for run in sources.evaluations],
    }


def _simulators(sources: Sources) -> list[str]:
    """One honest line for each simulator that made numbers here."""
    made_by = [run.simulator for run in (*sources.evaluations, *sources.trainings)]
    lines = [one.description if one.description.startswith(one.name) else f"{one.name}: {one.description}" for one in made_by]
    return list(dict.fromkeys(lines))


def _warnings(sources: Sources) -> list[str]:
    told = [note for run in (*sources.evaluations, *sources.trainings) for note in run.notes]
    told += [warning for found in sources.comparisons for warning in found.warnings]
    for found in sources.comparisons:
        if found.only_a or found.only_b:
            told.append(
                f"{found.run_a} against {found.run_b}: only {found.pairs} episodes are in both; "
                f"{len(found.only_a)} are only in the first, {len(found.only_b)} only in the second"
            )
    return list(dict.fromkeys(told))


def _about(run: Run, letter: str) -> dict[str, Any]:
    versions = run.environment.get("versions", {})
    return {
        "letter": letter,
        "run_id": run.run_id,
        "path": str(run.path),
        "policy": run.policy.model_dump(mode="json"),
        "simulator": run.simulator.model_dump(mode="json", exclude={"parameters"}),
        "suite": run.suite.model_dump(mode="json", exclude={"omitted"}),
        "protocol": dict(run.protocol),
        "version": versions.get("carla_rl") if isinstance(versions, dict) else None,
        "complete": run.complete,
        "summary": summarize(run.episodes) if letter else None,
        "interval": _interval([episode.driving_score for episode in run.episodes]) if letter else None,
    }


def _interval(values: Sequence[float]) -> tuple[float, float] | None:
    """The percentile bootstrap interval of a mean; None for fewer than two values."""
    if len(values) < 2:
        return None
    if min(values) == max(values):
        return values[0], values[0]
    found = bootstrap(
        (np.array(values),),
        np.mean,
        confidence_level=CONFIDENCE,
        n_resamples=RESAMPLES,
        method="percentile",
        rng=np.random.default_rng(0),
    )
    return float(found.confidence_interval.low), float(found.confidence_interval.high)


def _tables(runs: Sequence[Run]) -> list[dict[str, Any]]:
    """Tables shown as they are: a title, a note, columns and rows. A number is written with `digits` of its column."""
    return [_definitions(runs)] if runs else []


def _definitions(runs: Sequence[Run]) -> dict[str, Any]:
    """The mean driving score of every run by every definition, from the same raw counts."""
    names = list(DEFINITIONS)
    rows = [
        [f"{LETTERS[i]} {run.run_id}", *(mean_std(episode.scored(name).score_composed for episode in run.episodes)[0] for name in names)]
        for i, run in enumerate(runs)
    ]
    success = [mean_std(episode.success for episode in run.episodes)[0] for run in runs]
    return {
        "title": "The same drives by every score definition",
        "note": "Means over episodes, from the same raw counts. Success: the route completed without an infraction (Bench2Drive).",
        "columns": [
            {"name": "run"},
            *({"name": name.replace("_", " "), "digits": 1} for name in names),
            {"name": "success", "digits": 1, "unit": "%"},
        ],
        "rows": [[*row, None if share is None else 100.0 * share] for row, share in zip(rows, success, strict=True)],
    }


def _ade_against_score(run: Run) -> dict[str, Any]:
    """Over the episodes of one run: how ADE and driving score go together."""
    known = [(episode.ade, episode.driving_score) for episode in run.episodes if episode.ade is not None]
    ade, score = [one for one, _ in known], [other for _, other in known]
    rank = None
    if len(known) >= FEW and min(ade) < max(ade) and min(score) < max(score):
        rank = float(spearmanr(ade, score).statistic)
    return {"episodes": len(known), "spearman": rank}


def _episode(result: EpisodeResult) -> dict[str, Any]:
    """What the page keeps of an episode's result."""
    return {
        "id": result.episode_id,
        "town": result.town,
        "scripted": list(result.scripted),
        "score": result.driving_score,
        "completion": result.route_completion,
        "success": result.success,
        "ade": result.ade,
        "fde": result.fde,
        "status": result.status,
        "duration_s": result.duration_s,
        "length_m": result.route_length_m,
        "infractions": [
            {"kind": item.kind.name.lower(), "t": item.time_s, "x": item.x, "y": item.y, "value": item.value} for item in result.infractions
        ],
    }
