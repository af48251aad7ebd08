"""Runs set against each other, episode by episode: means, differences, and how sure the differences are.

Pairs are episodes with the same id (scenario and repetition) and seed, so both policies met the same routes and traffic. Intervals are
paired percentile bootstraps over the routes; p values are those of a sign-flip permutation test. Runs made under different conditions are
refused, unless forced, with the difference said. Knows no command line and no table layout.
"""

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from carla_rl.errors import UsageError
from carla_rl.metrics.comparison import Comparison, Resolution, RouteDifference
from carla_rl.metrics.differences import Pair, differences
from carla_rl.metrics.measures import measure
from carla_rl.metrics.paired import CONFIDENCE, POWER, RESAMPLES, Sampling, holm, pairs_needed
from carla_rl.metrics.scores import definition
from carla_rl.records.fingerprint import conditions, differing
from carla_rl.records.reading import Run
from carla_rl.records.run import TRAINING

RESOLVE = (1.0, 2.0, 5.0)
"""Differences in driving score that are asked for unless others are given."""
FEW_ROUTES = 10


def compare_all(
    baseline: Run,
    others: Sequence[Run],
    *,
    score: str | None = None,
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
    return tuple(replace(comparison, measures=tuple(row.values()), family=len(found)) for comparison, row in zip(found, rows, strict=True))


def compare(
    a: Run,
    b: Run,
    *,
    score: str | None = None,
    force: bool = False,
    seed: int = 0,
    resamples: int = RESAMPLES,
    confidence: float = CONFIDENCE,
    resolve: Sequence[float] = RESOLVE,
) -> Comparison:
    """Compare run B with run A over the episodes that both have. Differences are B - A; without `score`, A's own definition.

    Raises:
        UsageError: a training run, or one without episodes; no common episode; conditions that differ (see `fingerprint`) without
            `force`; an unknown score definition; a difference to resolve that is not above 0.
    """
    if any(not (d > 0.0 and math.isfinite(d)) for d in resolve):
        raise UsageError(f"--resolve {min(resolve):g}: a difference to look for is above 0")
    for run in (a, b):
        check_evaluation(run)
    score = definition(score or a.episodes[0].score).name
    differ = differing_conditions(a, b)
    if differ and not force:
        raise UsageError(f"{a.run_id} and {b.run_id} cannot be compared: {'; '.join(differ)}; give --force to compare them all the same")
    of_a = {episode.episode_id: episode for episode in a.episodes}
    of_b = {episode.episode_id: episode for episode in b.episodes}
    pairs = [(of_a[name], of_b[name]) for name in of_a if name in of_b]
    if not pairs:
        raise UsageError(f"{a.path} ({len(of_a)} episodes) and {b.path} ({len(of_b)}) have no episode in common; compare runs of one suite")
    sampling = Sampling(seed, resamples, confidence)
    rows = [(measure(one, score), measure(other, score)) for one, other in pairs]
    scores = [(one["driving_score"] or 0.0, other["driving_score"] or 0.0) for one, other in rows]
    routes = _routes(pairs, scores)
    resolutions, basis = _resolve(pairs, scores, resolve, confidence)
    alike = f"two runs are called {a.run_id}: A is {a.path}, B is {b.path}" if a.run_id == b.run_id else ""
    few = f"only {len(routes)} route{'s' * (len(routes) > 1)}: intervals and p values of so few are rough"
    return Comparison(
        run_a=a.run_id,
        run_b=b.run_id,
        policy_a=a.policy.name,
        policy_b=b.policy.name,
        score=score,
        pairs=len(pairs),
        routes=routes,
        unit="route" if len(routes) > 1 else "drive",
        only_a=tuple(name for name in of_a if name not in of_b),
        only_b=tuple(name for name in of_b if name not in of_a),
        complete=a.complete and b.complete,
        measures=tuple(differences(pairs, rows, sampling)),
        resolve=resolutions,
        resolve_basis=basis,
        power=POWER,
        family=1,
        confidence=confidence,
        resamples=resamples,
        seed=seed,
        conditions=conditions(a.environment),
        warnings=(*a.notes, *b.notes, *([alike] if alike else []), *differ, *([few] if len(routes) < FEW_ROUTES else [])),
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


def _routes(pairs: Sequence[Pair], scores: Sequence[tuple[float, float]]) -> tuple[RouteDifference, ...]:
    """Every route, the largest loss of B first; `scores` are the driving scores of the pairs."""
    found: dict[str, list[tuple[float, float]]] = {}
    for (episode, _), both in zip(pairs, scores, strict=True):
        found.setdefault(episode.scenario_id, []).append(both)
    rows = []
    for route, drives in found.items():
        one, other = (math.fsum(values) / len(drives) for values in zip(*drives, strict=True))
        rows.append(RouteDifference(route, len(drives), one, other, other - one))
    return tuple(sorted(rows, key=lambda row: (row.difference, row.route)))


def _resolve(
    pairs: Sequence[Pair], scores: Sequence[tuple[float, float]], wanted: Sequence[float], confidence: float
) -> tuple[tuple[Resolution, ...], str]:
    """How many pairs, and drives of each route, each difference in driving score needs."""
    by_route: dict[str, list[float]] = {}
    for (episode, _), (a, b) in zip(pairs, scores, strict=True):
        by_route.setdefault(episode.scenario_id, []).append(b - a)
    count = len(by_route)
    within = all(len(values) > 1 for values in by_route.values())
    basis = "drives of the same route" if within else "all pairs"
    if len(pairs) < 2:
        return (), basis
    if within:
        spread = math.sqrt(math.fsum(float(np.var(values, ddof=1)) for values in by_route.values()) / count)
    else:
        spread = float(np.std([value for values in by_route.values() for value in values], ddof=1))
    rows = []
    for difference in wanted:
        needed = pairs_needed(spread, difference, confidence=confidence)
        rows.append(Resolution(difference, needed, None if needed is None else max(1, math.ceil(needed / count))))
    return tuple(rows), basis
