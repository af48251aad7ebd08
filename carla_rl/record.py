"""Recording: a policy drives, and what it saw and planned becomes episodes in the file contract.

With noise, what is driven is disturbed in bursts while the recorded plan stays the undisturbed one made in the state so reached. With a
teacher, the recorded plan is the teacher's at every state that the policy visits, as DAgger learns from it (Ross, Gordon and Bagnell,
AISTATS 2011).
Knows no command line; receives its parts built.
"""

from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from carla_rl.attempts import ATTEMPTS, Attempts
from carla_rl.errors import RunFailure
from carla_rl.interfaces import Controller, Policy, Simulator
from carla_rl.loop import ClosedLoop, Decision
from carla_rl.policies.perturbation import Perturbation, PerturbationConfig
from carla_rl.records.episode_files import EpisodeRecorder
from carla_rl.scenario.model import Episode
from carla_rl.types import TICK_S, Ending


@dataclass(frozen=True, slots=True)
class Recorded:
    """One episode on the disk."""

    path: Path
    episode_id: str
    ending: Ending
    frames: int


@dataclass(frozen=True, slots=True)
class RecordParts:
    """What a recording needs, built and with the same number of envs."""

    simulator: Simulator
    policy: Policy
    controller: Controller
    recorder: EpisodeRecorder
    ticks_per_decision: int
    noise: PerturbationConfig | None
    """How what is driven is disturbed; None drives what is planned."""
    teacher: Policy | None = None
    """Whose plan is recorded; None records that of the policy which drives."""


def record(parts: RecordParts, episodes: Sequence[Episode]) -> Iterator[Recorded]:
    """Drive all episodes and yield each file when it is complete on the disk. A file does not depend on the env.

    The simulator stays open: it is the caller's.

    Raises:
        RunFailure: the policy planned what is not a number; at the end, where the world of an episode was lost in every attempt.
        UsageError: the folder cannot be written any more.
    """
    simulator, policy, ticks = parts.simulator, parts.policy, parts.ticks_per_decision
    with closing(parts.recorder) as recorder:
        source = Attempts(episodes, ATTEMPTS)
        loop = ClosedLoop(simulator, parts.controller, source, ticks_per_decision=ticks, on_lost=source.lose)
        disturbance = Perturbation(simulator.num_envs, ticks * TICK_S, parts.noise) if parts.noise else None
        while loop.observation is not None:
            policy.reset(loop.started)
            plan = policy.plan(loop.observation.restrict(policy.needs))
            wanted = plan.waypoints
            if parts.teacher:
                parts.teacher.reset(loop.started)
                wanted = parts.teacher.plan(loop.observation.restrict(parts.teacher.needs)).waypoints
            if disturbance:
                disturbance.start(loop.started, _seeds(loop))
                plan = disturbance.apply(plan)
            decision = loop.advance(plan)
            yield from _finished(decision, recorder.update(decision, expert=wanted), ticks)
    if source.quarantined:
        name, reasons = next(iter(source.quarantined.items()))
        raise RunFailure(
            f"{len(source.quarantined)} of {len(episodes)} episodes could not be recorded, {name} the first ({'; '.join(reasons)}); "
            "the others are kept"
        )


def _seeds(loop: ClosedLoop) -> NDArray[np.uint64]:
    """(N,) seed of each env's episode, 0 where it rests."""
    return np.array([episode.seed if episode else 0 for episode in loop.episodes], np.uint64)


def _finished(decision: Decision, paths: Sequence[Path], ticks_per_decision: int) -> Iterator[Recorded]:
    for env, path in zip(np.flatnonzero(decision.ended), paths, strict=True):
        episode = decision.episodes[env]
        assert episode is not None
        frames = -(-int(decision.after.facts.tick[env]) // ticks_per_decision)
        yield Recorded(path, episode.episode_id, Ending(int(decision.after.ending[env])), frames)
