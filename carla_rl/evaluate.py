"""Closed-loop evaluation: one agent drives a bank of episodes, and each finished one is written down at once.

Knows no command line; receives its parts built. The order in which episodes finish depends on the number of envs, their results do not.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from carla_rl.attempts import ATTEMPTS, Attempts
from carla_rl.interfaces import Controller, Policy, Simulator
from carla_rl.loop import ClosedLoop, Decision, Loss, rollout
from carla_rl.metrics.episode import EpisodeMeter
from carla_rl.metrics.result import EpisodeResult, Motion
from carla_rl.records.run import RunDirectory
from carla_rl.records.steps import StepLogger, motion_of
from carla_rl.reward import RewardConfig, rewards
from carla_rl.scenario.model import Episode


@dataclass(frozen=True, slots=True)
class Parts:
    """What a drive needs, built and with the same number of envs."""

    simulator: Simulator
    policy: Policy
    controller: Controller
    reference: Policy
    """The expert, asked for its plan at every state that the policy visits: closed-loop ADE and FDE are measured against it.
    The simulator shows what both declare; each sees only its own."""
    ticks_per_decision: int


def drive(
    parts: Parts,
    episodes: Sequence[Episode],
    run: RunDirectory | None = None,
    *,
    keep_steps: bool = False,
    attempts: int = ATTEMPTS,
    on_void: Callable[[Loss], None] | None = None,
    on_decision: Callable[[Decision], None] | None = None,
) -> Iterator[EpisodeResult]:
    """Drive all episodes and yield each result as soon as it is measured and, where there is a run, on the disk.

    An episode whose world is lost, as by the crash of a server, is driven again and its result says so; one that is lost in every attempt
    is quarantined: written down with the reasons and left out. The simulator stays open: it is the caller's.

    Args:
        parts: who drives where.
        episodes: in the order in which free envs take them.
        run: where results go; None keeps nothing.
        keep_steps: write a step log of every episode into the run.
        attempts: so often an episode is begun at most.
        on_void: told of every attempt that is void.
        on_decision: shown every decision, before the episodes that end with it are written down.

    Raises:
        RunFailure: the policy planned what is not a number.
        UsageError: the run directory cannot be written any more.
    """
    simulator, reference = parts.simulator, parts.reference
    source = Attempts(episodes, attempts)

    def lose(loss: Loss) -> None:
        source.lose(loss)
        if on_void:
            on_void(loss)
        if run and (reasons := source.quarantined.get(loss.episode.episode_id)):
            run.quarantine(loss.episode.episode_id, reasons)

    loop = ClosedLoop(
        simulator, parts.controller, source, ticks_per_decision=parts.ticks_per_decision, keep_scenes=keep_steps, on_lost=lose
    )
    meter = EpisodeMeter(simulator.num_envs, simulator.info.kind)
    logger = StepLogger(simulator.num_envs) if keep_steps and run else None
    for decision in rollout(loop, parts.policy):
        if on_decision:
            on_decision(decision)
        earned = rewards(decision.before, decision.after, decision.active, RewardConfig()).total
        reference.reset(decision.started)
        wanted = reference.plan(decision.observation.restrict(reference.needs)).waypoints
        # plans of another horizon cannot be set against the expert's: ADE and FDE are null then
        comparable = wanted if wanted.shape == decision.plan.waypoints.shape else None
        motions: dict[str, Motion] = {}
        if logger and run:
            for log in logger.update(decision, reward=earned, expert=wanted):
                run.add_steps(log)
                motions[log.episode_id] = motion_of(log)
        for measured in meter.update(decision, reward=earned, reference=comparable):
            void = source.void(measured.episode_id)
            result = measured.model_copy(update={"motion": motions.get(measured.episode_id), "void_attempts": void})
            if run:
                run.add(result)
            yield result
