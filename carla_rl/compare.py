"""Runs set against each other, episode by episode: means, differences, and how sure the differences are.

Pairs are episodes with the same id (scenario and repetition) and seed, so both policies met the same routes and traffic. Intervals are paired
percentile bootstraps over the routes; p values are those of a sign-flip permutation test. Runs made under different conditions are refused,
unless forced, with the difference said. Knows no command line and no table layout.
"""

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from carla_rl.errors import UsageError
from carla_rl.metrics.measures import HIGHER, LOWER, RATES, measures
from carla_rl.metrics.paired import (
    CONFIDENCE,
    POWER,
    RESAMPLES,
    Sampling,
    Units,
    detectable,
    effect_size,
    holm,
    pairs_needed,
)
from carla_rl.metrics.result import EpisodeResult
from carla_rl.metrics.scores import DEFAULT_SCORE, definition
from carla_rl.metrics.summary import MIN_KM, rate_per_km
from carla_rl.records.fingerprint import conditions, differing
from carla_rl.records.reading import Run
from carla_rl.records.run import TRAINING

HEADLINE = "driving_score"
"""The measure that routes are won and lost by, and that further seeds are counted for."""
RESOLVE = (1.0, 2.0, 5.0)
"""Differences in driving score that are asked for unless others are given."""
FEW_ROUTES = 10

Floats = NDArray[np.float64]
Pair = tuple[EpisodeResult, EpisodeResult]


@dataclass(frozen=True, slots=True)
class Difference:
    """One measure of both runs over the same pairs. All bounds are None where one pair says nothing of spread."""

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
    a_low: float | None
    a_high: float | None
    b_low: float | None
    b_high: float | None
    p_value: float | None
    """Of the permutation test that A and B are the same."""
    p_holm: float | None
    """Corrected for all the runs that were set against A."""
    effect_size: float | None
    """Cohen's d of the paired differences of routes; None for rates, and where they have no spread."""
    wins: int
    """Routes on which B is better."""
    ties: int
    losses: int
    detectable: float | None
    """The difference that so many pairs would find eight times of ten."""


@dataclass(frozen=True, slots=True)
class RouteDifference:
    """Driving score of both runs on one route, means over its pairs."""

    route: str
    pairs: int
    a: float
    b: float
    difference: float


@dataclass(frozen=True, slots=True)
class Resolution:
    """How much more driving would tell a difference from chance eight times of ten."""

    difference: float
    pairs: int | None
    """None where it is out of reach (more than ten million)."""
    seeds: int | None
    """Drives of each of these routes."""


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
    routes: tuple[RouteDifference, ...]
    """Every route, largest loss of B first."""
    unit: str
    """`route` or `drive`: what the intervals and the test draw as a whole."""
    only_a: tuple[str, ...]
    """Episodes that only run A has; they are left out."""
    only_b: tuple[str, ...]
    complete: bool
    """Whether both runs were finished."""
    measures: tuple[Difference, ...]
    resolve: tuple[Resolution, ...]
    """For the driving score."""
    resolve_basis: str
    """Whose spread `resolve` rests on: of drives of the same route where there are several of each, else of all pairs (too many, if anything)."""
    power: float
    family: int
    """Runs that were set against A together."""
    confidence: float
    resamples: int
    seed: int
    """Of the bootstrap and the test."""
    conditions: dict[str, Any]
    """Of run A: the fingerprint's."""
    warnings: tuple[str, ...]
    """Incomplete runs, few routes, and conditions that differ where the comparison was forced."""

    def to_json(self) -> dict[str, Any]:
        """Plain JSON values."""
        return asdict(self)


def compare_all(
    baseline: Run,
    others: Sequence[Run],
    *,
    score: str = DEFAULT_SCORE,
    force: bool = False,
    seed: int = 0,
    resamples: int = RESAMPLES,
    confidence: float = CONFIDENCE,
    resolve: Sequence[float] = RESOLVE,
) -> tuple[Comparison, ...]:
    """Compare each of several runs with one; the p values of each measure get Holm's correction for so many comparisons.

    Raises:
        UsageError: see `compare`; a run that is given twice.
    """
    runs = [baseline, *others]
    for i, run in enumerate(runs):
        if any(run.run_id == other.run_id and run.path.resolve() == other.path.resolve() for other in runs[:i]):
            raise UsageError(f"{run.path}: is given twice; give each run once")
    found = [
        compare(baseline, run, score=score, force=force, seed=seed, resamples=resamples, confidence=confidence, resolve=resolve)
        for run in others
    ]
    return corrected(found)


def corrected(found: Sequence[Comparison]) -> tuple[Comparison, ...]:
    """The same comparisons with `p_holm` for all of them together, measure by measure."""
    rows = [{row.name: row for row in comparison.measures} for comparison in found]
    for name in dict.fromkeys(name for row in rows for name in row):
        family = [row for row in rows if name in row and row[name].p_value is not None]
        for row, p in zip(family, holm([row[name].p_value or 0.0 for row in family]), strict=True):
            row[name] = replace(row[name], p_holm=p)
    return tuple(
        replace(comparison, measures=tuple(row.values()), family=len(found)) for comparison, row in zip(found, rows, strict=True)
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
    resolve: Sequence[float] = RESOLVE,
) -> Comparison:
    """Compare run B with run A over the episodes that both have. Differences are B - A.

    Raises:
        UsageError: a training run, or one without episodes; no common episode; conditions that differ (see `fingerprint`) without
            `force`; an unknown score definition; a difference to resolve that is not above 0.
    """
    definition(score)
    if any(not (d > 0.0 and math.isfinite(d)) for d in resolve):
        raise UsageError(f"--resolve {min(resolve):g}: a difference to look for is above 0")
    for run in (a, b):
        check_evaluation(run)
    differ = differing_conditions(a, b)
    if differ and not force:
        raise UsageError(f"{a.run_id} and {b.run_id} cannot be compared: {'; '.join(differ)}; give --force to compare them all the same")
    of_a = {episode.episode_id: episode for episode in a.episodes}
    of_b = {episode.episode_id: episode for episode in b.episodes}
    pairs = [(of_a[name], of_b[name]) for name in of_a if name in of_b]
    if not pairs:
        raise UsageError(f"{a.path} ({len(of_a)} episodes) and {b.path} ({len(of_b)}) have no episode in common; compare runs of one suite")
    sampling = Sampling(seed, resamples, confidence)
    units = Units([one.scenario_id for one, _ in pairs], sampling)
    routes = _routes(pairs, score)
    resolutions, basis = _resolve(pairs, score, resolve, confidence)
    few = f"only {len(routes)} route{'s' * (len(routes) > 1)}: intervals and p values of so few are rough"
    return Comparison(
        run_a=a.run_id,
        run_b=b.run_id,
        policy_a=a.policy.name,
        policy_b=b.policy.name,
        score=score,
        pairs=len(pairs),
        routes=routes,
        unit="route" if units.by_route else "drive",
        only_a=tuple(name for name in of_a if name not in of_b),
        only_b=tuple(name for name in of_b if name not in of_a),
        complete=a.complete and b.complete,
        measures=(*_means(pairs, score, sampling), *_rates(pairs, units)),
        resolve=resolutions,
        resolve_basis=basis,
        power=POWER,
        family=1,
        confidence=confidence,
        resamples=resamples,
        seed=seed,
        conditions=conditions(a.environment),
        warnings=(*a.notes, *b.notes, *differ, *((few,) if len(routes) < FEW_ROUTES else ())),
    )


def check_evaluation(run: Run) -> None:
    """Raises UsageError for a training run, or one without episodes."""
    if run.command == TRAINING:
        raise UsageError(f"{run.path}: a training run, whose episodes were driven with noise; give runs of carla-rl evaluate")
    if not run.episodes:
        raise UsageError(f"{run.path}: a run of {run.command} without a finished episode; give runs of carla-rl evaluate")


def differing_conditions(a: Run, b: Run) -> list[str]:
    """What differs between the fingerprints of two runs, a phrase each; of the episodes only those that both have."""
    found = differing(conditions(a.environment), conditions(b.environment))
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


def _means(pairs: Sequence[Pair], score: str, sampling: Sampling) -> list[Difference]:
    """Measures that are means over episodes. A pair counts where both episodes have a value; measures that no pair has are left out."""
    known = measures(score)
    table = np.array([[[_number(m.value(e)) for m in known] for e in pair] for pair in pairs])
    there = ~np.isnan(table).any(axis=1)
    found: dict[str, Difference] = {}
    # measures of the same pairs are resampled together
    for pattern in {column.tobytes(): column for column in there.T if column.any()}.values():
        rows = np.flatnonzero((there == pattern[:, None]).all(axis=0))
        units = Units([pair[0].scenario_id for pair, kept in zip(pairs, pattern, strict=True) if kept], sampling)
        a, b = (table[pattern, side][:, rows].T for side in (0, 1))
        sizes = np.bincount(units.index, minlength=units.count).astype(np.float64)
        for i, row in enumerate(_judged(units, a, b, sizes, len(units.index))):
            measure = known[rows[i]]
            one, other = math.fsum(a[i]) / len(a[i]), math.fsum(b[i]) / len(b[i])
            facts = (measure.name, measure.unit, measure.better, len(a[i]), one, other, math.fsum(b[i] - a[i]) / len(a[i]))
            found[measure.name] = _difference(facts, row, units, (units.totals((b - a)[i][None])[0]) / sizes)
    return [found[measure.name] for measure in known if measure.name in found]


@dataclass(frozen=True, slots=True)
class _Chance:
    """What chance could have done: intervals of a, b and the difference, and the p value; None where there is one unit."""

    a: tuple[float | None, float | None]
    b: tuple[float | None, float | None]
    difference: tuple[float | None, float | None]
    p: float | None


NOTHING = _Chance((None, None), (None, None), (None, None), None)


def _judged(units: Units, a: Floats, b: Floats, sizes: Floats, n: int) -> list[_Chance]:
    """For means: columns a and b (M, n), `sizes` (U,) drives of each unit."""
    if units.count < 2:
        return [NOTHING] * len(a)
    totals = [units.totals(columns) for columns in (a, b, b - a)]
    drawn = units.drawn(np.concatenate((*totals, sizes[None])))
    weight, m = drawn[-1], len(a)
    swapped = units.swapped(totals[2])
    rows = []
    for i in range(m):
        ends = []
        for part, column in enumerate((a[i], b[i], b[i] - a[i])):
            # without spread the interval is the value, free of the rounding of sums
            constant = bool((column == column[0]).all())
            ends.append((float(column[0]),) * 2 if constant else units.bounds(drawn[part * m + i] / weight))
        rows.append(_Chance(ends[0], ends[1], ends[2], units.p_value(float(totals[2][i].sum()), swapped[i])))
    return rows


def _rates(pairs: Sequence[Pair], units: Units) -> list[Difference]:
    """Rates per kilometre: total count over total distance, so they are bootstrapped as ratios of sums."""
    km = [np.array([pair[side].driven_km for pair in pairs]) for side in (0, 1)]
    counts = [np.array([rate.count(pair[side]) for pair in pairs], np.float64) for rate in RATES for side in (0, 1)]
    totals = units.totals(np.stack((*km, *counts)))
    drawn = units.drawn(totals) if units.count > 1 else None
    result = []
    for i, rate in enumerate(RATES):
        rows = (2 + 2 * i, 3 + 2 * i)
        a, b = (rate_per_km(int(totals[row].sum()), math.fsum(km[side])) for side, row in enumerate(rows))
        chance = NOTHING
        if drawn is not None:
            rates = [drawn[row] / np.maximum(drawn[side], MIN_KM) for side, row in enumerate(rows)]
            ends = [units.bounds(values) for values in (rates[0], rates[1], rates[1] - rates[0])]
            chance = _Chance(ends[0], ends[1], ends[2], _rate_p(units, totals[[0, 1, *rows]], b - a))
        by_route = [totals[row] / np.maximum(totals[side], MIN_KM) for side, row in enumerate(rows)]
        result.append(
            _difference((rate.name, "1/km", LOWER, len(pairs), a, b, b - a), chance, units, by_route[1] - by_route[0], is_mean=False)
        )
    return result


def _rate_p(units: Units, totals: Floats, observed: float) -> float:
    """The p value of a difference of rates; `totals` (4, U): km of A and B, counts of A and B. Swapping a route swaps both of its numbers."""
    signs = units.swapped(np.stack((totals[1] - totals[0], totals[3] - totals[2])))
    km, count = totals[0].sum() + totals[1].sum(), totals[2].sum() + totals[3].sum()
    rates = [(count + side * signs[1]) / 2.0 / np.maximum((km + side * signs[0]) / 2.0, MIN_KM) for side in (-1.0, 1.0)]
    return units.p_value(observed, rates[1] - rates[0])


def _difference(
    facts: tuple[str, str, str, int, float, float, float], chance: _Chance, units: Units, by_unit: Floats, *, is_mean: bool = True
) -> Difference:
    """`by_unit` (U,) is B - A of each unit: its mean, or its own rate."""
    gained = by_unit if facts[2] == HIGHER else -by_unit
    tie = np.abs(gained) <= 1e-9
    several = is_mean and units.count > 1
    return Difference(
        *facts,
        *chance.difference,
        *chance.a,
        *chance.b,
        p_value=chance.p,
        p_holm=chance.p,
        effect_size=effect_size(by_unit) if several else None,
        wins=int(np.count_nonzero((gained > 0.0) & ~tie)),
        ties=int(np.count_nonzero(tie)),
        losses=int(np.count_nonzero((gained < 0.0) & ~tie)),
        detectable=detectable(float(by_unit.std(ddof=1)), units.count) if several else None,
    )


def _routes(pairs: Sequence[Pair], score: str) -> tuple[RouteDifference, ...]:
    found: dict[str, list[tuple[float, float]]] = {}
    for a, b in pairs:
        found.setdefault(a.scenario_id, []).append((a.scored(score).score_composed, b.scored(score).score_composed))
    rows = []
    for route, scores in found.items():
        one, other = (math.fsum(values) / len(scores) for values in zip(*scores, strict=True))
        rows.append(RouteDifference(route, len(scores), one, other, other - one))
    return tuple(sorted(rows, key=lambda row: (row.difference, row.route)))


def _resolve(
    pairs: Sequence[Pair], score: str, wanted: Sequence[float], confidence: float
) -> tuple[tuple[Resolution, ...], str]:
    """How many pairs, and drives of each route, each difference in driving score needs."""
    by_route: dict[str, list[float]] = {}
    for a, b in pairs:
        by_route.setdefault(a.scenario_id, []).append(b.scored(score).score_composed - a.scored(score).score_composed)
    count = len(by_route)
    within = all(len(values) > 1 for values in by_route.values())
    basis = "drives of the same route" if within else "all pairs"
    if within:
        variance = math.fsum(float(np.var(values, ddof=1)) for values in by_route.values()) / count
        spread = math.sqrt(variance)
    elif len(pairs) > 1:
        spread = float(np.std([value for values in by_route.values() for value in values], ddof=1))
    else:
        return (), basis
    rows = []
    for difference in wanted:
        needed = pairs_needed(spread, difference, confidence=confidence)
        rows.append(Resolution(difference, needed, None if needed is None else max(1, math.ceil(needed / count))))
    return tuple(rows), basis


def _number(value: float | None) -> float:
    return math.nan if value is None else float(value)
