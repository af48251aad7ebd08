"""Recording: a policy drives, and what it saw and planned becomes episodes in the file contract.

With noise, what is driven is disturbed in bursts while the recorded plan stays the undisturbed one made in the state so reached.
Knows no command line; receives its parts built.
"""

from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

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


def record(
    simulator: Simulator,
    policy: Policy,
    controller: Controller,
    episodes: Sequence[Episode],
    recorder: EpisodeRecorder,
    *,
    ticks_per_decision: int,
    noise: PerturbationConfig | None,
) -> Iterator[Recorded]:
    """Drive all episodes with `policy` and yield each file when it is complete on the disk. A file does not depend on the env.

    Raises:
        UsageError: the folder cannot be written any more.
    """
    with closing(recorder):
        loop = ClosedLoop(simulator, controller, iter(episodes), ticks_per_decision=ticks_per_decision)
        disturbance = Perturbation(simulator.num_envs, ticks_per_decision * TICK_S, noise) if noise else None
        while loop.observation is not None:
            policy.reset(loop.started)
            plan = policy.plan(loop.observation.restrict(policy.needs))
            wanted = plan.waypoints
            if disturbance:
                disturbance.start(loop.started, _seeds(loop))
                plan = disturbance.apply(plan)
            decision = loop.advance(plan)
            yield from _finished(decision, recorder.update(decision, expert=wanted), ticks_per_decision)


def _seeds(loop: ClosedLoop) -> NDArray[np.uint64]:
    """(N,) seed of each env's episode, 0 where it rests."""
    return np.array([episode.seed if episode else 0 for episode in loop.episodes], np.uint64)


def _finished(decision: Decision, paths: Sequence[Path], ticks_per_decision: int) -> Iterator[Recorded]:
    for env, path in zip(np.flatnonzero(decision.ended), paths, strict=True):
        episode = decision.episodes[env]
        assert episode is not None
        frames = -(-int(decision.after.facts.tick[env]) // ticks_per_decision)
        yield Recorded(path, episode.episode_id, Ending(int(decision.after.ending[env])), frames)
