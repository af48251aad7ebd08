"""Offline against closed loop: over many checkpoints, do the errors of plans tell who drives better?

Errors are measured twice: on states that the expert visited (recorded episodes, as every offline benchmark has them) and on the states
that the policy visited itself, where the expert was asked again. Correlations are over checkpoints; beside them stands the plain count of
pairs of checkpoints that an error puts in the wrong order, and which of those drive differently beyond chance. Knows no file and no
policy.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from carla_rl.errors import UsageError
from carla_rl.metrics.correlation import LEAST, Coefficients, coefficients
from carla_rl.metrics.paired import CONFIDENCE, RESAMPLES, Sampling, Units
from carla_rl.metrics.result import EpisodeResult
from carla_rl.metrics.scores import DEFAULT_SCORE, definition
from carla_rl.metrics.summary import rate_per_km

EXPERT_STATES, OWN_STATES = "expert", "own"
DRAWS = 2000
"""Of the checkpoints, for each correlation."""
CLOSED = ("driving_score", "success_rate", "route_completion", "collisions_per_km")

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """One checkpoint: its drive, and the errors of its plans by name."""

    name: str
    kind: str
    """`sft`, `rl`, or what it is otherwise; for pictures."""
    run: str
    episodes: tuple[EpisodeResult, ...]
    expert_states: Mapping[str, float | None]
    own_states: Mapping[str, float | None]


@dataclass(frozen=True, slots=True)
class Point:
    """One checkpoint's numbers."""

    name: str
    kind: str
    run: str
    closed: dict[str, float]
    """By name of CLOSED."""
    score_low: float
    """Interval of the driving score, over routes."""
    score_high: float
    expert: dict[str, float | None]
    """Errors on states that the expert visited."""
    own: dict[str, float | None]
    """Errors on states that the policy visited."""


@dataclass(frozen=True, slots=True)
class Correlation:
    """One error against one measure of driving."""

    states: str
    """EXPERT_STATES or OWN_STATES."""
    offline: str
    closed: str
    found: Coefficients
    pairs: int
    """Pairs of checkpoints of which both have the error."""
    wrong: int
    """Those that the error puts in the wrong order: less error, worse driving."""
    sure: int
    """Pairs whose driving scores differ beyond chance; counted for the driving score, else 0."""
    sure_wrong: int


@dataclass(frozen=True, slots=True)
class Disagreement:
    """Two checkpoints that an error and the drives rank differently, the drives beyond chance."""

    states: str
    offline: str
    less_error: str
    """The checkpoint that the error prefers,"""
    drives_better: str
    """and the one that drives better,"""
    error: tuple[float, float]
    """with their errors, the preferred one's first,"""
    score: tuple[float, float]
    """and driving scores, likewise."""
    low: float
    """Interval of how much better it drives, over routes."""
    high: float


@dataclass(frozen=True, slots=True)
class Study:
    """The whole of it."""

    simulator: str
    suite: str
    held_out: str
    """Where the expert's states are from."""
    score: str
    episodes: int
    """That every checkpoint drove."""
    points: tuple[Point, ...]
    correlations: tuple[Correlation, ...]
    disagreements: tuple[Disagreement, ...]
    """Of the ADE, the plainest first."""
    confidence: float
    resamples: int
    """Of routes."""
    draws: int
    """Of checkpoints."""
    seed: int

    def to_json(self) -> dict[str, Any]:
        """Plain JSON values."""
        return asdict(self)


def correlate(
    checkpoints: Sequence[Checkpoint],
    *,
    simulator: str,
    suite: str,
    held_out: str,
    score: str = DEFAULT_SCORE,
    seed: int = 0,
    resamples: int = RESAMPLES,
    confidence: float = CONFIDENCE,
) -> Study:
    """Set the errors of plans against the drives.

    Raises:
        UsageError: too few checkpoints, one that is given twice, drives of other episodes, all driving the same; an unknown score.
    """
    definition(score)
    _check(checkpoints)
    names = [episode.episode_id for episode in checkpoints[0].episodes]
    by_name = [{episode.episode_id: episode for episode in one.episodes} for one in checkpoints]
    scores = np.array([[episodes[name].scored(score).score_composed for name in names] for episodes in by_name])
    units = Units([episode.scenario_id for episode in checkpoints[0].episodes], Sampling(seed, resamples, confidence))
    totals = units.totals(np.concatenate((scores, np.ones((1, len(names))))))
    drawn = units.drawn(totals)
    means = drawn[:-1] / drawn[-1]
    points = tuple(_point(one, scores[i], units.bounds(means[i])) for i, one in enumerate(checkpoints))
    if np.ptp([point.closed["driving_score"] for point in points]) == 0.0:
        raise UsageError(
            f"all {len(points)} checkpoints have a driving score of {points[0].closed['driving_score']:g}: there is nothing that an error "
            "could predict; give checkpoints that drive differently"
        )
    bounds = _differences(units, means)
    found, clashes = [], []
    for states in (EXPERT_STATES, OWN_STATES):
        errors = [point.expert if states == EXPERT_STATES else point.own for point in points]
        for offline in dict.fromkeys(name for row in errors for name in row):
            known = [i for i, row in enumerate(errors) if row.get(offline) is not None]
            if len(known) < LEAST:
                continue
            x = np.array([errors[i][offline] for i in known], np.float64)
            for closed in CLOSED:
                y = np.array([points[i].closed[closed] for i in known])
                rank = _ranks(x, y, bounds[np.ix_(known, known)], closed)
                coefficient = coefficients(x, y, seed=seed, resamples=DRAWS, confidence=confidence)
                found.append(Correlation(states, offline, closed, coefficient, *rank))
            if offline == "ade":
                clashes += _disagreements(states, offline, [points[i] for i in known], x, bounds[np.ix_(known, known)])
    return Study(
        simulator=simulator,
        suite=suite,
        held_out=held_out,
        score=score,
        episodes=len(names),
        points=points,
        correlations=tuple(found),
        disagreements=tuple(sorted(clashes, key=lambda row: (row.states, -row.low))),
        confidence=confidence,
        resamples=resamples,
        draws=DRAWS,
        seed=seed,
    )


def _check(checkpoints: Sequence[Checkpoint]) -> None:
    if len(checkpoints) < LEAST:
        raise UsageError(f"{len(checkpoints)} checkpoints: a correlation over fewer than {LEAST} says nothing; give more runs")
    seen: set[str] = set()
    for one in checkpoints:
        if one.run in seen:
            raise UsageError(f"{one.run}: is given twice; give each run once")
        seen.add(one.run)
        if len(one.episodes) < 2:
            raise UsageError(f"{one.run}: {len(one.episodes)} episodes say nothing of chance; drive more routes")
        if [e.episode_id for e in one.episodes] != [e.episode_id for e in checkpoints[0].episodes]:
            raise UsageError(f"{checkpoints[0].run} and {one.run} did not drive the same episodes; drive all on the same suite and routes")


def _point(one: Checkpoint, scores: Floats, bounds: tuple[float, float]) -> Point:
    n = len(one.episodes)
    closed = {
        "driving_score": float(scores.mean()),
        "success_rate": sum(episode.success for episode in one.episodes) / n,
        "route_completion": sum(episode.route_completion for episode in one.episodes) / n,
        "collisions_per_km": rate_per_km(sum(e.collisions for e in one.episodes), sum(e.driven_km for e in one.episodes)),
    }
    return Point(one.name, one.kind, one.run, closed, *bounds, dict(one.expert_states), dict(one.own_states))


def _differences(units: Units, means: Floats) -> Floats:
    """(K, K, 2) the interval of how much better checkpoint i scores than j."""
    k = len(means)
    found = np.zeros((k, k, 2))
    for i in range(k):
        for j in range(i):
            low, high = units.bounds(means[i] - means[j])
            found[i, j], found[j, i] = (low, high), (-high, -low)
    return found


def _ranks(x: Floats, y: Floats, bounds: Floats, closed: str) -> tuple[int, int, int, int]:
    """Pairs, those in the wrong order, pairs that differ beyond chance, those of them in the wrong order."""
    good = -y if closed == "collisions_per_km" else y
    # positive where the checkpoint with less error drives worse
    clash = np.triu(np.sign(x[:, None] - x) * np.sign(good[:, None] - good) > 0.0, 1)
    sure = np.triu((bounds[..., 0] > 0.0) | (bounds[..., 1] < 0.0), 1) if closed == "driving_score" else np.zeros_like(clash)
    return len(x) * (len(x) - 1) // 2, int(clash.sum()), int(sure.sum()), int((clash & sure).sum())


def _disagreements(states: str, offline: str, points: Sequence[Point], x: Floats, bounds: Floats) -> list[Disagreement]:
    rows = []
    for i, one in enumerate(points):
        for j, other in enumerate(points):
            # i has less error, j drives better beyond chance
            if x[i] < x[j] and bounds[j, i, 0] > 0.0:
                scores = (one.closed["driving_score"], other.closed["driving_score"])
                low, high = (float(bound) for bound in bounds[j, i])
                rows.append(Disagreement(states, offline, one.name, other.name, (float(x[i]), float(x[j])), scores, low, high))
    return rows
