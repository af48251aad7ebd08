"""Summaries of many episodes: the contract's names, more of them, and those of a training run.

Sums are exact (`math.fsum`), so a summary does not depend on the order in which the episodes finished. A mean of nothing is None and the
standard deviation (n - 1) of fewer than two values is None: no number is made up. Knows nothing of files.
"""

import math
from collections.abc import Iterable, Sequence
from typing import Any

from carla_rl.metrics.measures import ABILITIES, MEASURES, SCORES, measure
from carla_rl.metrics.paired import CONFIDENCE, mean_interval
from carla_rl.metrics.result import EpisodeResult
from carla_rl.metrics.subscores import DIRECTION, MISSING, NEEDS_DIRECTION, WHY
from carla_rl.types import Ending, Infraction

MIN_KM = 0.001
"""The leaderboard's floor of the distance that rates are divided by, in km."""


def mean_std(values: Iterable[float | None]) -> tuple[float | None, float | None]:
    """Mean and sample standard deviation (n - 1) of the values that are there."""
    known = [float(value) for value in values if value is not None]
    n = len(known)
    if n == 0:
        return None, None
    mean = math.fsum(known) / n
    if n == 1:
        return mean, None
    return mean, math.sqrt(math.fsum((value - mean) ** 2 for value in known) / (n - 1))


def rate_per_km(count: int, km: float) -> float:
    """The leaderboard 2.x's rate: total count over total kilometres (route length times completion, at least 1 m)."""
    return count / max(km, MIN_KM)


def summarize(results: Sequence[EpisodeResult]) -> dict[str, Any]:
    """The `summary` of an evaluation's metrics.json.

    `success_rate` is 0..1, `driving_score_mean` 0..100, rates are per driven kilometre over all episodes together.
    """
    ade, ade_std = mean_std(result.ade for result in results)
    fde, fde_std = mean_std(result.fde for result in results)
    score, score_std = mean_std(result.driving_score for result in results)
    km = math.fsum(result.driven_km for result in results)
    counts = {kind: sum(result.raw.counts.get(kind, 0) for result in results) for kind in Infraction}
    towns = sorted({result.town for result in results if result.town is not None})
    return {
        "num_episodes": len(results),
        "driving_score_mean": score,
        "driving_score_std": score_std,
        "route_completion_mean": mean_std(result.route_completion for result in results)[0],
        "score_penalty_mean": mean_std(result.score_penalty for result in results)[0],
        "success_rate": mean_std(result.success for result in results)[0],
        "ade_mean": ade,
        "ade_std": ade_std,
        "fde_mean": fde,
        "fde_std": fde_std,
        "return_mean": mean_std(result.episode_return for result in results)[0],
        "steps_mean": mean_std(result.steps for result in results)[0],
        "driven_km": km,
        "duration_s": math.fsum(result.duration_s for result in results),
        "infractions_per_km": {kind.name.lower(): rate_per_km(n, km) for kind, n in counts.items()},
        "infractions": {kind.name.lower(): n for kind, n in counts.items()},
        "collisions_per_km": rate_per_km(sum(result.collisions for result in results), km),
        "blocked_share": mean_std(result.ending is Ending.VEHICLE_BLOCKED for result in results)[0],
        "tracking_lateral_m": mean_std(result.raw.tracking_lateral_m for result in results)[0],
        "tracking_longitudinal_m": mean_std(result.raw.tracking_longitudinal_m for result in results)[0],
        "delta_m": mean_std(result.raw.delta_m for result in results)[0],
        "endings": {
            cause: sum(result.ending.name.lower() == cause for result in results)
            for cause in sorted({result.ending.name.lower() for result in results})
        },
        "scores": scores(results),
        "intervals": intervals(results),
        "abilities": abilities(results),
        "by_type": by_type(results),
        "by_town": {town: _town([result for result in results if result.town == town]) for town in towns},
    }


def scores(results: Sequence[EpisodeResult]) -> dict[str, Any]:
    """Every definition of the score side by side, and what some of them are made of: mean, number of episodes, missing terms and why.

    `mean` is None where no episode has it (terms of the motion need a step log). Scores with a term that only some drives give are those
    of these drives alone; the term stands under `missing` as soon as one drive lacks it.
    """
    names = (*SCORES, "efficiency", "comfort", "ttc_short_share")
    rows = [measure(result) for result in results]
    lanes = all(result.motion is None or result.motion.against_m is not None for result in results)
    found: dict[str, Any] = {}
    for one in (one for one in MEASURES if one.name in names):
        values = [value for row in rows if (value := row[one.name]) is not None]
        missing = [*MISSING.get(one.name, ()), *([] if lanes or one.name not in NEEDS_DIRECTION else [DIRECTION])]
        found[one.name] = {"mean": mean_std(values)[0], "episodes": len(values), "unit": one.unit, "missing": missing}
        if missing:
            found[one.name]["why"] = {term: WHY[term] for term in missing}
    return found


def intervals(results: Sequence[EpisodeResult]) -> dict[str, Any]:
    """95 % bootstrap intervals over the routes, `[low, high]`; None for fewer than two episodes."""
    routes = [result.scenario_id for result in results]
    columns = {
        "driving_score_mean": [result.driving_score for result in results],
        "route_completion_mean": [result.route_completion for result in results],
        "success_rate": [float(result.success) for result in results],
    }
    return {"confidence": CONFIDENCE, **{name: mean_interval(values, routes) for name, values in columns.items()}}


def by_type(results: Sequence[EpisodeResult]) -> dict[str, Any]:
    """Success and driving score by type of scripted scenario; an episode with several counts for each."""
    types = sorted({name for result in results for name in result.scripted})
    return {name: _town([result for result in results if name in result.scripted]) for name in types}


def abilities(results: Sequence[EpisodeResult]) -> dict[str, Any]:
    """Bench2Drive's abilities: success rate of the episodes with a scenario type of each, and the mean of those that were met.

    There the traffic-signs ability also counts each such route a second time by whether its junction was passed, and misspelt names drop
    out; here an episode counts once.
    """
    rows = {}
    for ability, types in ABILITIES.items():
        of_it = [result for result in results if types.intersection(result.scripted)]
        rows[ability] = {"num_episodes": len(of_it), "success_rate": mean_std(result.success for result in of_it)[0]}
    return {**rows, "mean": {"success_rate": mean_std(row["success_rate"] for row in rows.values())[0]}}


def _town(results: Sequence[EpisodeResult]) -> dict[str, Any]:
    return {
        "num_episodes": len(results),
        "driving_score_mean": mean_std(result.driving_score for result in results)[0],
        "route_completion_mean": mean_std(result.route_completion for result in results)[0],
        "success_rate": mean_std(result.success for result in results)[0],
    }


def training_metrics(run_id: str, returns: Sequence[float | None], ade: float | None = None, fde: float | None = None) -> dict[str, Any]:
    """The headline of a training run's metrics.json; the names are those of the seed notes.

    `reward` there means an episode's return: `returns` has one for each episode driven, None where it was not measured. `ade` and `fde` in
    metres are those of the policy trained so far.
    """
    known = [value for value in returns if value is not None]
    avg_reward, std_reward = mean_std(known)
    return {
        "run_id": run_id,
        "total_episodes": len(returns),
        "avg_reward": avg_reward,
        "std_reward": std_reward,
        "avg_ade": ade,
        "avg_fde": fde,
        "best_reward": max(known, default=None),
    }
