"""Two runs set against each other, episode by episode: means, differences, and how sure the differences are.

Pairs are episodes with the same id (scenario and repetition), so both policies met the same routes, traffic and seeds. Intervals are paired
percentile bootstraps over the pairs. Runs made under different conditions are refused, unless forced, with the difference said.
Knows no command line and no table layout.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import bootstrap

from carla_rl.errors import UsageError
from carla_rl.metrics.result import EpisodeResult
from carla_rl.metrics.scores import DEFAULT_SCORE, definition
from carla_rl.metrics.summary import MIN_KM, rate_per_km
from carla_rl.records.reading import Run
from carla_rl.records.run import TRAINING

CONFIDENCE = 0.95
RESAMPLES = 5000
BATCH_VALUES = 200_000
"""Drawn pairs held at a time: what they are counted in stays within a core's cache."""

Floats = NDArray[np.float64]
Pair = tuple[EpisodeResult, EpisodeResult]


@dataclass(frozen=True, slots=True)
class Difference:
    """One measure of both runs over the same pairs. `low` and `high` bound the difference; None where one pair says nothing of spread."""

    name: str
    unit: str
    better: str
    """`higher` or `lower`."""
    pairs: int
    a: float
    b: float
    difference: float
    """b - a."""
    low: float | None
    high: float | None


@dataclass(frozen=True, slots=True)
class Comparison:
    """Run B against run A."""

    run_a: str
    run_b: str
    policy_a: str
    policy_b: str
    score: str
    """Definition of the driving score."""
    pairs: int
    only_a: tuple[str, ...]
    """Episodes that only run A has; they are left out."""
    only_b: tuple[str, ...]
    measures: tuple[Difference, ...]
    confidence: float
    resamples: int
    seed: int
    """Of the bootstrap."""
    warnings: tuple[str, ...]
    """Incomplete runs, and conditions that differ where the comparison was forced."""

    def to_json(self) -> dict[str, Any]:
        """Plain JSON values."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class _Measure:
    name: str
    unit: str
    better: str
    value: Callable[[EpisodeResult], float | None]


def _per_episode(score: str) -> tuple[_Measure, ...]:
    return (
        _Measure("driving_score", "0..100", "higher", lambda e: e.scored(score).score_composed),
        _Measure("route_completion", "0..1", "higher", lambda e: e.route_completion),
        _Measure("success_rate", "0..1", "higher", lambda e: float(e.success)),
        _Measure("score_penalty", "0..1", "higher", lambda e: e.scored(score).score_penalty),
        _Measure("collisions", "per episode", "lower", lambda e: float(e.collisions)),
        _Measure("red_light", "per episode", "lower", lambda e: float(e.red_light)),
        _Measure("stop_sign", "per episode", "lower", lambda e: float(e.stop_sign)),
        _Measure("offroad", "per episode", "lower", lambda e: float(e.offroad)),
        _Measure("ade", "m", "lower", lambda e: e.ade),
        _Measure("fde", "m", "lower", lambda e: e.fde),
    )


def compare(
    a: Run,
    b: Run,
    *,
    score: str = DEFAULT_SCORE,
    force: bool = False,
    seed: int = 0,
    resamples: int = RESAMPLES,
    confidence: float = CONFIDENCE,
) -> Comparison:
    """Compare run B with run A over the episodes that both have. Differences are B - A.

    Raises:
        UsageError: a training run, or one without episodes; no common episode; conditions that differ (simulator, suite, protocol,
            skipped scenarios) without `force`; an unknown score definition.
    """
    definition(score)
    for run in (a, b):
        if run.command == TRAINING:
            raise UsageError(f"{run.path}: a training run, whose episodes were driven with noise; give runs of carla-rl evaluate")
        if not run.episodes:
            raise UsageError(f"{run.path}: a run of {run.command} without a finished episode; give runs of carla-rl evaluate")
    conditions = differing_conditions(a, b)
    if conditions and not force:
        raise UsageError(
            f"{a.run_id} and {b.run_id} cannot be compared: {'; '.join(conditions)}; give --force to compare them all the same"
        )
    of_a = {episode.episode_id: episode for episode in a.episodes}
    of_b = {episode.episode_id: episode for episode in b.episodes}
    pairs = [(of_a[name], of_b[name]) for name in of_a if name in of_b]
    if not pairs:
        raise UsageError(f"{a.path} ({len(of_a)} episodes) and {b.path} ({len(of_b)}) have no episode in common; compare runs of one suite")
    settings = _Bootstrap(seed, resamples, confidence)
    return Comparison(
        run_a=a.run_id,
        run_b=b.run_id,
        policy_a=a.policy.name,
        policy_b=b.policy.name,
        score=score,
        pairs=len(pairs),
        only_a=tuple(name for name in of_a if name not in of_b),
        only_b=tuple(name for name in of_b if name not in of_a),
        measures=(*_means(pairs, _per_episode(score), settings), *_rates(pairs, settings)),
        confidence=confidence,
        resamples=resamples,
        seed=seed,
        warnings=(*a.notes, *b.notes, *conditions),
    )


def differing_conditions(a: Run, b: Run) -> list[str]:
    """What differs between the conditions of two runs, a phrase each; the policy is meant to differ and is left out."""
    of_a, of_b = _conditions(a), _conditions(b)
    missing = "not recorded"
    found = [
        f"{name} differs ({of_a.get(name, missing)} against {of_b.get(name, missing)})"
        for name in dict.fromkeys((*of_a, *of_b))
        if of_a.get(name, missing) != of_b.get(name, missing)
    ]
    common = {e.episode_id: (e.skipped, e.seed, e.route_length_m, e.town) for e in a.episodes}
    for episode in b.episodes:
        if (mine := common.get(episode.episode_id)) is None:
            continue
        theirs = (episode.skipped, episode.seed, episode.route_length_m, episode.town)
        for name, one, other in zip(("skipped actors", "seed", "route length", "town"), mine, theirs, strict=True):
            if one != other:
                found.append(f"{name} of episode {episode.episode_id} differs ({one} against {other})")
                return found
    return found


def _conditions(run: Run) -> dict[str, Any]:
    simulator = run.simulator
    return {
        "simulator": f"{simulator.name} {simulator.version}, {simulator.kind}",
        **{f"simulator.{name}": value for name, value in simulator.parameters.items()},
        # the digest is of the content: a renamed suite is the same suite
        "suite": run.suite.sha256 or run.suite.name,
        "suite.omitted": run.suite.omitted,
        **{f"protocol.{name}": value for name, value in run.protocol.items()},
    }


@dataclass(frozen=True, slots=True)
class _Bootstrap:
    seed: int
    resamples: int
    confidence: float

    def means(self, columns: Floats) -> Floats:
        """Means of resampled pairs: columns (M, n) give (M, resamples). The same pairs are drawn for all columns."""
        n = columns.shape[-1]

        def weighted(drawn: NDArray[np.int64], axis: int) -> Floats:
            # how often each pair was drawn, then all means at once: far cheaper than gathering M resampled columns
            rows = len(drawn)
            places = (drawn + n * np.arange(rows)[:, None]).ravel()
            counts = np.bincount(places, minlength=n * rows).reshape(rows, n)
            means: Floats = columns @ counts.T.astype(np.float64) / n
            return means

        found = bootstrap(
            (np.arange(n),),
            weighted,
            vectorized=True,
            n_resamples=self.resamples,
            batch=max(1, BATCH_VALUES // n),
            confidence_level=self.confidence,
            method="percentile",
            axis=-1,
            rng=np.random.default_rng(self.seed),
        )
        return np.asarray(found.bootstrap_distribution, np.float64)

    def bounds(self, distribution: Floats) -> tuple[float, float]:
        """The percentile interval of a bootstrap distribution (resamples,)."""
        tail = (1.0 - self.confidence) / 2.0
        low, high = np.quantile(distribution, (tail, 1.0 - tail))
        return float(low), float(high)


def _means(pairs: Sequence[Pair], measures: Sequence[_Measure], settings: _Bootstrap) -> list[Difference]:
    """Measures that are means over episodes. A pair counts where both episodes have a value; measures that no pair has are left out."""
    columns: dict[str, tuple[Floats, Floats]] = {}
    for measure in measures:
        known = [(x, y) for x, y in ((measure.value(a), measure.value(b)) for a, b in pairs) if x is not None and y is not None]
        if known:
            columns[measure.name] = (np.array([x for x, _ in known]), np.array([y for _, y in known]))
    bounds: dict[str, tuple[float | None, float | None]] = {}
    for size in {len(one) for one, _ in columns.values()}:
        names = [name for name, (one, _) in columns.items() if len(one) == size]
        differences = np.stack([columns[name][1] - columns[name][0] for name in names])
        if size == 1:
            bounds |= dict.fromkeys(names, (None, None))
            continue
        distribution = settings.means(differences)
        for i, name in enumerate(names):
            # without spread the interval is the value, free of the rounding of sums
            constant = bool((differences[i] == differences[i, 0]).all())
            bounds[name] = (float(differences[i, 0]),) * 2 if constant else settings.bounds(distribution[i])
    return [_difference(measure, *columns[measure.name], *bounds[measure.name]) for measure in measures if measure.name in columns]


def _difference(measure: _Measure, a: Floats, b: Floats, low: float | None, high: float | None) -> Difference:
    n = len(a)
    mean_a, mean_b, difference = math.fsum(a) / n, math.fsum(b) / n, math.fsum(b - a) / n
    return Difference(measure.name, measure.unit, measure.better, n, mean_a, mean_b, difference, low, high)


def _rates(pairs: Sequence[Pair], settings: _Bootstrap) -> list[Difference]:
    """Rates per kilometre: total count over total distance, so they are bootstrapped as ratios of sums."""
    counted: dict[str, Callable[[EpisodeResult], int]] = {
        "collisions_per_km": lambda e: e.collisions,
        "infractions_per_km": lambda e: sum(e.raw.counts.values()),
    }
    n = len(pairs)
    km = np.array([[a.driven_km for a, _ in pairs], [b.driven_km for _, b in pairs]])
    counts = [np.array([[value(a) for a, _ in pairs], [value(b) for _, b in pairs]], np.float64) for value in counted.values()]
    drawn = settings.means(np.concatenate((km, *counts))) * n if n > 1 else None
    result = []
    for i, name in enumerate(counted):
        a, b = (rate_per_km(int(counts[i][side].sum()), math.fsum(km[side])) for side in (0, 1))
        low_high: tuple[float | None, float | None] = (None, None)
        if drawn is not None:
            rate_a, rate_b = (drawn[2 + 2 * i + side] / np.maximum(drawn[side], MIN_KM) for side in (0, 1))
            low_high = settings.bounds(rate_b - rate_a)
        result.append(Difference(name, "1/km", "lower", n, a, b, b - a, *low_high))
    return result
