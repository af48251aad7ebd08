"""The runs below a folder, each with its headline; one that is broken is listed with the sentence that says why. Writes nothing."""

import os
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from carla_rl.errors import UsageError
from carla_rl.metrics.summary import intervals, mean_std
from carla_rl.records.reading import Run, read_object, read_run
from carla_rl.records.run import EVALUATION

DEPTH = 3
"""Folders below the given one that are looked into: a demo keeps its runs in a folder of its own."""


@dataclass(frozen=True, slots=True)
class Listed:
    """One run. What a run of its kind does not have, or a broken one does not tell, is None."""

    path: str
    run_id: str
    state: str
    """`complete`, `unfinished` or `broken`."""
    kind: str | None = None
    """`evaluate` or `ppo-delta`."""
    started: str | None = None
    policy: str | None = None
    suite: str | None = None
    simulator: str | None = None
    episodes: int | None = None
    driving_score: float | None = None
    driving_score_interval: tuple[float, float] | None = None
    success_rate: float | None = None
    updates: int | None = None
    """Of a training."""
    validation_score: float | None = None
    """Of a training: the last validation's driving score."""
    problem: str | None = None
    """Of a broken one."""

    def to_json(self) -> dict[str, Any]:
        """Plain JSON values."""
        return asdict(self)


def list_runs(folder: Path) -> list[Listed]:
    """All runs below `folder`, oldest first.

    Raises:
        UsageError: no such folder.
    """
    if not folder.is_dir():
        raise UsageError(f"{folder}: no such folder; give the --out folder of evaluate and train")
    rows = [_listed(found) for found in _find(folder)]
    return sorted(rows, key=lambda row: (row.started or "", row.path))


def _find(folder: Path) -> list[Path]:
    """Folders with a config.json or episodes.jsonl beside another of a run's files; what is inside a run is not looked into.

    One whose config.json is lost is listed, too: as broken.
    """
    found = []
    base = len(folder.parts)
    for name, below, files in os.walk(folder):
        here = Path(name)
        there = {"config.json", "environment.json", "episodes.jsonl", "metrics.json"} & set(files)
        if len(there) > 1 and there & {"config.json", "episodes.jsonl"}:
            found.append(here)
            below.clear()
        elif len(here.parts) - base >= DEPTH:
            below.clear()
        else:
            below[:] = sorted(item for item in below if not item.startswith("."))
    return found


def _listed(path: Path) -> Listed:
    try:
        config = read_object(path / "config.json")
        run = read_run(path)
    except UsageError as error:
        return Listed(str(path), path.name, "broken", problem=str(error))
    driven = run.episodes if run.command == EVALUATION else ()
    updates, validation = _training(run) if run.command != EVALUATION else (None, None)
    bounds = intervals(driven)["driving_score_mean"] if driven else None
    return Listed(
        path=str(path),
        run_id=run.run_id,
        kind=run.command or None,
        started=str(config["started"]) if "started" in config else None,
        policy=run.policy.name,
        suite=run.suite.name,
        simulator=run.simulator.kind,
        episodes=len(run.episodes),
        driving_score=mean_std(episode.driving_score for episode in driven)[0],
        driving_score_interval=bounds,
        success_rate=mean_std(episode.success for episode in driven)[0],
        updates=updates,
        validation_score=validation,
        state="complete" if run.complete else "unfinished",
        problem=None,
    )


def _training(run: Run) -> tuple[int | None, float | None]:
    """Updates and the last validation's driving score, as far as train_metrics.json has them."""
    path = run.path / "train_metrics.json"
    if not path.exists():
        return None, None
    told = read_object(path)
    updates, validation = told.get("updates"), told.get("validation")
    last = validation[-1] if isinstance(validation, list) and validation else {}
    score = last.get("driving_score_mean") if isinstance(last, dict) else None
    return len(updates) if isinstance(updates, list) else None, score if isinstance(score, float) else None
