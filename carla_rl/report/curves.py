"""Learning curves of a training run: a few of its vital signs by decisions, thinned for a page."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from carla_rl.errors import UsageError
from carla_rl.records.reading import Run, read_object

MOST_POINTS = 300
"""A curve of more updates is averaged over neighbours."""
TRAINED = (
    ("return of training episodes", "episodes/reward", ""),
    ("route completion of training episodes", "episodes/route_completion", "share"),
    ("episodes ended by an infraction", "ending/infraction", "share"),
    ("correction, forward", "delta/longitudinal_m", "m"),
    ("correction, sideways", "delta/lateral_m", "m"),
    ("KL of an update", "ppo/approx_kl", "nats"),
    ("KL to SFT", "ppo/kl_to_sft", "nats"),
    ("explained variance of the critic", "ppo/explained_variance", ""),
    ("entropy", "ppo/entropy", "nats"),
)
"""Title, name in train_metrics.json, unit."""
VALIDATED = (("driving score on validation", "driving_score_mean", "0..100"), ("ADE on validation", "ade_mean", "m"))


def learning_curves(run: Run) -> list[dict[str, Any]]:
    """Curves of a training run: `title`, `unit`, `x` in decisions, `y`. Validation is never thinned.

    Raises:
        UsageError: train_metrics.json is missing or broken.
    """
    path = run.path / "train_metrics.json"
    metrics = read_object(path)
    try:
        return [
            *(_curve(title, unit, metrics["validation"], name, None) for title, name, unit in VALIDATED if metrics["validation"]),
            *(
                _curve(title, unit, metrics["updates"], name, MOST_POINTS)
                for title, name, unit in TRAINED
                if any(name in row for row in metrics["updates"])
            ),
        ]
    except (KeyError, TypeError, ValueError) as error:
        raise UsageError(f"{path}: not what a training writes ({error}); the file was changed") from error


def _curve(title: str, unit: str, rows: Sequence[Mapping[str, Any]], name: str, most: int | None) -> dict[str, Any]:
    known = [(float(row["decisions"]), float(row[name])) for row in rows if row.get(name) is not None]
    x, y = np.array(known, np.float64).reshape(-1, 2).T
    if not (np.isfinite(x).all() and np.isfinite(y).all()):
        raise ValueError(f"{name} holds what is no number")
    if most is not None and len(x) > most:
        parts = np.array_split(np.arange(len(x)), most)
        x, y = (np.array([values[part].mean() for part in parts]) for values in (x, y))
    return {"title": title, "unit": unit, "x": x.tolist(), "y": [float(f"{value:.5g}") for value in y]}
