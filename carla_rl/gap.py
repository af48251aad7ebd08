"""How much of the gap between SFT and the expert a refinement closes, over the seeds that it was trained with.

    recovered = (mean of RL over seeds and routes - SFT) / (expert - SFT), all in driving score, on the same episodes

The interval is a bootstrap over two things at once, the routes and the seeds: another draw of either could have come out otherwise
(as in Agarwal et al. 2021, arXiv 2108.13264). Knows no command line and no table layout.
"""

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from carla_rl.compare import differing_conditions
from carla_rl.errors import UsageError
from carla_rl.metrics.paired import CONFIDENCE, RESAMPLES
from carla_rl.metrics.result import EpisodeResult
from carla_rl.metrics.scores import DEFAULT_SCORE, definition
from carla_rl.metrics.summary import rate_per_km
from carla_rl.records.reading import Run
from carla_rl.records.run import TRAINING
from carla_rl.types import Ending

SMALLEST_GAP = 1.0
"""Driving score: where the expert is less than this above SFT there is nothing to recover."""
PLAIN = "no scripted scenario"

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Side:
    """What one policy, or one with several seeds, did on the common episodes."""

    name: str
    runs: tuple[str, ...]
    driving_score: float
    success_rate: float
    route_completion: float
    collisions_per_km: float
    blocked_share: float
    ade: float | None
    """m, against the expert at the states visited; None where no run has it."""


@dataclass(frozen=True, slots=True)
class ByType:
    """Success rates, 0..1, on the episodes with one type of scripted scenario."""

    type: str
    episodes: int
    expert: float
    sft: float
    rl: float
    """Mean over the seeds."""


@dataclass(frozen=True, slots=True)
class Gap:
    """What was recovered."""

    episodes: int
    score: str
    expert: Side
    sft: Side
    rl: Side
    recovered: float
    """Share of the gap, mean over seeds; 1 is the expert's score, below 0 is worse than SFT."""
    low: float | None
    """None where the bound is open: too many resamples have no gap at all."""
    high: float | None
    by_seed: tuple[float, ...]
    """Of each RL run."""
    by_type: tuple[ByType, ...]
    confidence: float
    resamples: int
    seed: int
    """Of the bootstrap."""
    simulator: str

    def to_json(self) -> dict[str, Any]:
        """Plain JSON values."""
        return asdict(self)


def gap(
    expert: Run,
    sft: Run,
    seeds: Sequence[Run],
    *,
    score: str = DEFAULT_SCORE,
    seed: int = 0,
    resamples: int = RESAMPLES,
    confidence: float = CONFIDENCE,
) -> Gap:
    """Set the runs of a refinement's seeds against SFT and the expert, on the episodes of all.

    Raises:
        UsageError: no RL run; a training run; conditions or episodes that differ; a refinement of another SFT model; an expert that is
            hardly better than SFT; an unknown score definition.
    """
    definition(score)
    if len({run.run_id for run in seeds}) < len(seeds):
        raise UsageError("a refined run is given more than once; give one evaluation for each training seed")
    if not seeds:
        raise UsageError("no refined run is given; give one evaluation for each training seed")
    for run in (expert, sft, *seeds):
        _check(expert, run)
    for run in seeds:
        # runs of before do not know
        if sft.policy.sft and run.policy.sft and run.policy.sft != sft.policy.sft:
            raise UsageError(f"{run.path}: refines another SFT model than the one of {sft.run_id}; give runs of the same model")
    names = [episode.episode_id for episode in expert.episodes]
    table = np.array([_scores(run, names, score) for run in (expert, sft, *seeds)])
    means = table.mean(axis=1)
    if means[0] - means[1] < SMALLEST_GAP:
        raise UsageError(
            f"{expert.run_id} scores {means[0]:.1f}, {sft.run_id} {means[1]:.1f}: there is no gap to recover; refine a weaker model, or on "
            "harder routes"
        )
    low, high = _interval(table, _routes(expert), seed, resamples, confidence)
    return Gap(
        episodes=len(names),
        score=score,
        expert=_side("expert", [expert], means[0]),
        sft=_side("SFT", [sft], means[1]),
        rl=_side("SFT + delta", seeds, float(means[2:].mean())),
        recovered=_share(means[0], means[1], float(means[2:].mean())),
        low=low,
        high=high,
        by_seed=tuple(_share(means[0], means[1], mean) for mean in means[2:]),
        by_type=_by_type(expert, sft, seeds),
        confidence=confidence,
        resamples=resamples,
        seed=seed,
        simulator=expert.simulator.kind,
    )


def _check(expert: Run, run: Run) -> None:
    if run.command == TRAINING:
        raise UsageError(f"{run.path}: a training run, whose episodes were driven with noise; give runs of carla-rl evaluate")
    if not run.complete:
        raise UsageError(f"{run.path}: the run was not finished; finish it or drive it again")
    if conditions := differing_conditions(expert, run):
        raise UsageError(f"{expert.run_id} and {run.run_id} cannot be set against each other: {'; '.join(conditions)}")
    if {e.episode_id for e in run.episodes} != {e.episode_id for e in expert.episodes}:
        raise UsageError(f"{expert.run_id} and {run.run_id} did not drive the same episodes; evaluate both on the same suite and routes")


def _scores(run: Run, names: Sequence[str], score: str) -> list[float]:
    by_name = {episode.episode_id: episode.scored(score).score_composed for episode in run.episodes}
    return [by_name[name] for name in names]


def _share(expert: float, sft: float, rl: float) -> float:
    return float((rl - sft) / (expert - sft))


def _routes(run: Run) -> list[int]:
    """For each episode the number of its route; where all are of one route, each episode counts for itself, as in `compare`."""
    names = [episode.scenario_id for episode in run.episodes]
    numbers = {name: number for number, name in enumerate(dict.fromkeys(names))}
    return [numbers[name] for name in names] if len(numbers) > 1 else list(range(len(names)))


def _interval(table: Floats, route: Sequence[int], seed: int, resamples: int, confidence: float) -> tuple[float | None, float | None]:
    """The percentile interval of the recovered share; `table` (2 + S, n) holds the scores of expert, SFT and S seeds on n episodes.

    A resample draws as many routes as there are, each with all its episodes and the same for all rows, and S seeds. A single episode says
    nothing of chance and has no interval. A resample whose gap is not positive counts as undecided: its share is taken as infinite in the
    direction of its numerator, so that it cannot narrow the interval.
    """
    draw = np.random.default_rng(seed)
    n, runs = max(route) + 1, len(table) - 2
    if n < 2:
        return None, None
    of_route = np.zeros((len(route), n))
    of_route[np.arange(len(route)), route] = 1.0
    routes = draw.multinomial(n, np.full(n, 1.0 / n), size=resamples)
    chosen = draw.multinomial(runs, np.full(runs, 1.0 / runs), size=resamples) / runs
    means = routes @ (table @ of_route).T / (routes @ of_route.sum(axis=0))[:, None]
    gained = (means[:, 2:] * chosen).sum(axis=1) - means[:, 1]
    whole = means[:, 0] - means[:, 1]
    shares = np.where(whole > 0.0, gained / np.where(whole > 0.0, whole, 1.0), np.copysign(np.inf, gained))
    tail = (1.0 - confidence) / 2.0
    # a bound is one of the shares: between two of which one is infinite there is nothing
    bounds = np.quantile(shares, (tail, 1.0 - tail), method="inverted_cdf")
    low, high = (float(bound) if np.isfinite(bound) else None for bound in bounds)
    return low, high


def _side(name: str, runs: Sequence[Run], driving_score: float) -> Side:
    episodes = [episode for run in runs for episode in run.episodes]
    km = math.fsum(episode.driven_km for episode in episodes)
    ades = [episode.ade for episode in episodes if episode.ade is not None]
    return Side(
        name=name,
        runs=tuple(run.run_id for run in runs),
        driving_score=float(driving_score),
        success_rate=_rate(episode.success for episode in episodes),
        route_completion=_rate(episode.route_completion for episode in episodes),
        collisions_per_km=rate_per_km(sum(episode.collisions for episode in episodes), km),
        blocked_share=_rate(episode.ending is Ending.VEHICLE_BLOCKED for episode in episodes),
        ade=math.fsum(ades) / len(ades) if len(ades) == len(episodes) else None,
    )


def _by_type(expert: Run, sft: Run, seeds: Sequence[Run]) -> tuple[ByType, ...]:
    """Type by type; an episode with several types counts for each."""
    sides = [_of_type([run]) for run in (expert, sft)] + [_of_type(seeds)]
    rows = []
    for name in sorted(sides[0]):
        rates = (_rate(episode.success for episode in side[name]) for side in sides)
        rows.append(ByType(name, len(sides[0][name]), *rates))
    return tuple(rows)


def _of_type(runs: Sequence[Run]) -> dict[str, list[EpisodeResult]]:
    found: dict[str, list[EpisodeResult]] = {}
    for run in runs:
        for episode in run.episodes:
            for name in episode.scripted or (PLAIN,):
                found.setdefault(name, []).append(episode)
    return found


def _rate(values: Any) -> float:
    """Mean of numbers or truths."""
    known = [float(value) for value in values]
    return math.fsum(known) / len(known)
