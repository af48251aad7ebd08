"""Two runs set against each other, episode by episode: means, differences, and how sure the differences are.

Pairs are episodes with the same id (scenario and repetition), so both policies met the same routes, traffic and seeds. Intervals are paired
percentile bootstraps over the pairs. Runs made under different conditions are refused, unless forced, with the difference said.
Knows no command line and no table layout.
"""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import bootstrap

from carla_rl.errors import UsageError
from carla_rl.metrics.result import EpisodeResult
from carla_rl.metrics.scores import DEFAULT_SCORE, definition
from carla_rl.metrics.summary import MIN_KM, mean_std, rate_per_km
from carla_rl.records.reading import Run

CONFIDENCE = 0.95
RESAMPLES = 5000
BATCH_VALUES = 4_000_000
"""Resampled values held at a time: bounds the memory of the bootstrap at a few times 32 MB."""

Floats = NDArray[np.float64]


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

    def rows(self) -> list[dict[str, Any]]:
        """One plain dictionary a measure: name, unit, better, pairs, a, b, difference, low, high."""
        return [asdict(measure) for measure in self.measures]


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
        UsageError: no common episode; conditions that differ (simulator, suite, protocol, skipped scenarios) without `force`; an unknown
            score definition.
    """
    definition(score)
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

    def interval(self, data: Sequence[Floats], statistic: Callable[..., Any], pairs: int) -> tuple[Floats, Floats]:
        """Percentile intervals; the arrays of `data` are (measures, pairs), resampled with the same pairs for all of them."""
        found = bootstrap(
            data,
            statistic,
            paired=True,
            vectorized=True,
            n_resamples=self.resamples,
            batch=max(1, BATCH_VALUES // (pairs * len(data) * len(data[0]))),
            confidence_level=self.confidence,
            method="percentile",
            axis=-1,
            rng=np.random.default_rng(self.seed),
        ).confidence_interval
        return np.asarray(found.low), np.asarray(found.high)


def _means(pairs: Sequence[tuple[EpisodeResult, EpisodeResult]], measures: Sequence[_Measure], settings: _Bootstrap) -> list[Difference]:
    """Measures that are means over episodes. A pair counts where both episodes have a value; measures that no pair has are left out."""
    columns: dict[str, tuple[Floats, Floats]] = {}
    for measure in measures:
        values = [(measure.value(a), measure.value(b)) for a, b in pairs]
        known = [(x, y) for x, y in values if x is not None and y is not None]
        if known:
            columns[measure.name] = (np.array([x for x, _ in known]), np.array([y for _, y in known]))
    bounds: dict[str, tuple[float | None, float | None]] = {}
    for size in {len(one) for one, _ in columns.values()}:
        names = [name for name, (one, _) in columns.items() if len(one) == size]
        differences = np.stack([columns[name][1] - columns[name][0] for name in names])
        if size == 1:
            bounds |= dict.fromkeys(names, (None, None))
            continue
        low, high = settings.interval((differences,), lambda d, axis: d.mean(axis=axis), size)
        for i, name in enumerate(names):
            # without spread the interval is the value, free of the rounding of sums
            constant = bool((differences[i] == differences[i, 0]).all())
            bounds[name] = (float(differences[i, 0]),) * 2 if constant else (float(low[i]), float(high[i]))
    result = []
    for measure in measures:
        if measure.name in columns:
            one, other = columns[measure.name]
            mean_a, mean_b, difference = (mean_std(values)[0] for values in (one, other, other - one))
            assert mean_a is not None
            assert mean_b is not None
            assert difference is not None
            low_high = bounds[measure.name]
            result.append(Difference(measure.name, measure.unit, measure.better, len(one), mean_a, mean_b, difference, *low_high))
    return result


def _rates(pairs: Sequence[tuple[EpisodeResult, EpisodeResult]], settings: _Bootstrap) -> list[Difference]:
    """Rates per kilometre: total count over total distance, so they are bootstrapped as ratios of sums."""
    counted: dict[str, Callable[[EpisodeResult], int]] = {
        "collisions_per_km": lambda e: e.collisions,
        "infractions_per_km": lambda e: sum(e.raw.counts.values()),
    }
    n = len(pairs)
    km = [np.array([[pair[side].driven_km for pair in pairs]] * len(counted)) for side in (0, 1)]
    count = [np.array([[float(value(pair[side])) for pair in pairs] for value in counted.values()]) for side in (0, 1)]
    low: Any = [None] * len(counted)
    high: Any = [None] * len(counted)
    if n > 1:
        low, high = settings.interval((count[0], km[0], count[1], km[1]), _rate_difference, n)
    result = []
    for i, name in enumerate(counted):
        a, b = (rate_per_km(int(count[side][i].sum()), float(km[side][i].sum())) for side in (0, 1))
        bounds = (None, None) if n == 1 else (float(low[i]), float(high[i]))
        result.append(Difference(name, "1/km", "lower", n, a, b, b - a, *bounds))
    return result


def _rate_difference(count_a: Floats, km_a: Floats, count_b: Floats, km_b: Floats, axis: int = -1) -> Floats:
    a = count_a.sum(axis=axis) / np.maximum(km_a.sum(axis=axis), MIN_KM)
    b = count_b.sum(axis=axis) / np.maximum(km_b.sum(axis=axis), MIN_KM)
    difference: Floats = b - a
    return difference
