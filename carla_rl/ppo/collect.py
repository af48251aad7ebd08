"""Collecting a rollout: the closed loop drives the sampling policy for T decisions and the buffer remembers.

What a training is watched by is counted on the way. Knows the loop and the reward, not the learner.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from carla_rl.errors import RunFailure
from carla_rl.loop import ClosedLoop, Decision
from carla_rl.ppo.actor_critic import ActorCritic
from carla_rl.ppo.buffer import RolloutBuffer
from carla_rl.privileged import facts
from carla_rl.reward import AnyReward, RewardTerms, rewards
from carla_rl.types import Ending, Infraction, Step

Watch = Callable[[Decision, RewardTerms], None]


@dataclass(frozen=True, slots=True)
class EpisodeSummary:
    """One training episode that ended. It may have started in the middle of its route."""

    episode_id: str
    reward: float
    """Sum of the rewards, undiscounted."""
    decisions: int
    ending: Ending
    route_completion: float
    """0..1"""
    infractions: tuple[int, ...]
    """Counts by `Infraction`."""


@dataclass(slots=True)
class RolloutStats:
    """What happened in one rollout."""

    decisions: int = 0
    """Of all envs that were driving, less those dropped."""
    counted: int = 0
    """Those that the sums below are of; what was dropped afterwards is among them."""
    terms: dict[str, float] = field(default_factory=dict)
    """Sum of each reward term."""
    delta_longitudinal: float = 0.0
    """Sum over decisions of the mean |x| of the correction over the horizon, m."""
    delta_lateral: float = 0.0
    """The same for y, m."""
    bounded: float | None = None
    """Sum over decisions of the share of action coordinates that the bound cut; None where the policy does not say."""
    dropped: int = 0
    """Decisions forgotten because their worlds were lost; not among `decisions`."""
    lost: int = 0
    """Worlds that were lost."""
    episodes: list[EpisodeSummary] = field(default_factory=list)

    def per_decision(self, total: float) -> float:
        """A sum as a mean over decisions."""
        return total / max(self.counted, 1)


class Collector:
    """The loop, the policy and the reward joined; goes on where the last rollout stopped."""

    def __init__(self, loop: ClosedLoop, policy: ActorCritic, reward: AnyReward, watch: Watch | None = None) -> None:
        """`watch` is shown every decision with what it earned, e.g. to measure the episodes."""
        self._watch = watch
        self._loop = loop
        self._policy = policy
        self._reward = reward
        self._earned = np.zeros(len(loop.started), np.float64)
        self._driven = np.zeros(len(loop.started), np.int64)

    def collect(self, rollout: int, buffer: RolloutBuffer | None) -> tuple[RolloutBuffer, NDArray[np.float32], RolloutStats]:
        """Drive `rollout` decisions into `buffer` (a new one at the first call).

        Returns the buffer, the values (N,) of what the envs see afterwards, and what happened.

        Raises:
            RunFailure: a reward that is not finite.
        """
        stats = RolloutStats()
        for t in range(rollout):
            decision = self._drive()
            plan = decision.plan
            inputs = self._inputs(plan.extras["features"], decision.before)
            if buffer is None:
                buffer = RolloutBuffer(rollout, len(inputs), inputs.shape[1], plan.extras["action"].shape[1])
            earned = rewards(decision.before, decision.after, decision.active, self._reward)
            if not np.isfinite(earned.total).all():
                env = int(np.flatnonzero(~np.isfinite(earned.total))[0])
                raise RunFailure(f"the simulator gave a state whose reward is not a number in env {env}, episode {_name(decision, env)}")
            buffer.put(
                t,
                plan,
                inputs=inputs,
                rewards=earned.total,
                active=decision.active,
                ended=decision.ended,
                terminal_values=self._terminal_values(decision),
            )
            self._count(stats, decision, earned)
            if decision.lost.any():
                stats.lost += int(decision.lost.sum())
                dropped = buffer.drop(t, np.flatnonzero(decision.lost))
                stats.decisions -= dropped
                stats.dropped += dropped + int(decision.lost.sum())
        assert buffer is not None
        # the value head rests while driving, so that all values can be had at once
        buffer.values[:] = self._policy.values(buffer.inputs.reshape(-1, buffer.inputs.shape[-1])).reshape(buffer.values.shape)
        return buffer, self._last_values(), stats

    def features(self, decisions: int) -> NDArray[np.float32]:
        """Drive so many decisions and return the features (B, D) that the heads saw; nothing is learned from them.

        Raises:
            RunFailure: every world was lost all the time.
        """
        seen = []
        for _ in range(decisions):
            decision = self._drive()
            seen.append(decision.plan.extras["features"][decision.active])
            self._count(RolloutStats(), decision, rewards(decision.before, decision.after, decision.active, self._reward))
        found = np.concatenate(seen)
        if not len(found):
            raise RunFailure("the simulator lost every world before training could begin; look at its own messages")
        return found

    def _drive(self) -> Decision:
        """One decision of all envs."""
        if self._loop.observation is None:
            raise RunFailure("the source of training episodes is empty: training needs one that never ends")
        self._policy.reset(self._loop.started)
        return self._loop.advance(self._policy.plan(self._loop.observation.restrict(self._policy.needs)))

    def _inputs(self, features: NDArray[np.float32], step: Step) -> NDArray[np.float32]:
        """(N, D + P): what the critic sees."""
        return np.concatenate((features, facts(step)), axis=1) if self._policy.critic_facts else features

    def _terminal_values(self, decision: Decision) -> NDArray[np.float32]:
        """(N,) values of the terminal observations of truncated envs, 0 elsewhere."""
        values = np.zeros(len(decision.active), np.float32)
        if decision.terminal is not None:
            rows = np.flatnonzero(decision.truncated)
            features = self._policy.features(decision.terminal.restrict(self._policy.needs))
            values[rows] = self._policy.values(self._inputs(features, decision.after.take(rows)))
        return values

    def _last_values(self) -> NDArray[np.float32]:
        """(N,) values of what the envs see now; zeros once every episode has ended."""
        if self._loop.observation is None:
            return np.zeros(len(self._loop.started), np.float32)
        features = self._policy.features(self._loop.observation.restrict(self._policy.needs))
        return self._policy.values(self._inputs(features, self._loop.step))

    def _count(self, stats: RolloutStats, decision: Decision, earned: RewardTerms) -> None:
        """Add one decision to the counts."""
        if self._watch is not None:
            self._watch(decision, earned)
        active, plan = decision.active, decision.plan
        stats.decisions += int(active.sum())
        stats.counted += int(active.sum())
        for name, term in earned.terms.items():
            stats.terms[name] = stats.terms.get(name, 0.0) + float(term.sum())
        if plan.sft_waypoints is not None:
            size = np.abs(plan.waypoints[active] - plan.sft_waypoints[active]).mean(axis=1).sum(axis=0)
            stats.delta_longitudinal += float(size[0])
            stats.delta_lateral += float(size[1])
        if "bounded" in plan.extras:
            stats.bounded = (stats.bounded or 0.0) + float(plan.extras["bounded"][active].sum())
        self._earned += earned.total
        self._driven += active
        stats.episodes.extend(self._summary(decision, int(env)) for env in np.flatnonzero(decision.ended))
        over = decision.ended | decision.lost
        self._earned[over] = 0.0
        self._driven[over] = 0

    def _summary(self, decision: Decision, env: int) -> EpisodeSummary:
        facts = decision.after.facts
        return EpisodeSummary(
            episode_id=_name(decision, env),
            reward=float(self._earned[env]),
            decisions=int(self._driven[env]),
            ending=Ending(int(decision.after.ending[env])),
            route_completion=float(facts.route_completion[env]),
            infractions=tuple(int(count) for count in facts.infractions[env, : len(Infraction)]),
        )

    def drop_episodes(self) -> None:
        """Forget the unfinished episodes: every env begins a new one."""
        self._earned[:] = 0.0
        self._driven[:] = 0

    def state_dict(self) -> dict[str, Any]:
        """What the unfinished episodes have earned so far."""
        return {"earned": torch.from_numpy(self._earned.copy()), "driven": torch.from_numpy(self._driven.copy())}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from `state_dict`'s result."""
        self._earned = state["earned"].numpy().copy()
        self._driven = state["driven"].numpy().copy()


def _name(decision: Decision, env: int) -> str:
    episode = decision.episodes[env]
    return "none" if episode is None else episode.episode_id
