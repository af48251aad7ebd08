"""The training loop, which reads as the algorithm: collect, estimate advantages, update, report.

Knows no files, no progress bar and no implementation of simulator or policy: the caller logs, saves and validates between updates.
"""

import time
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch

from carla_rl.errors import RunFailure, UsageError
from carla_rl.gaussian import Noise
from carla_rl.loop import ClosedLoop
from carla_rl.ppo.actor_critic import ActorCritic, copy_heads, sampling
from carla_rl.ppo.buffer import Batch, RolloutBuffer
from carla_rl.ppo.collect import Collector, Watch
from carla_rl.ppo.config import PPOConfig
from carla_rl.ppo.record import UpdateRecord
from carla_rl.ppo.scaling import ReturnMoments, ReturnScale
from carla_rl.ppo.tally import UpdateStats
from carla_rl.ppo.update import PPOUpdate
from carla_rl.reward import AnyReward

SMALLEST_DEVIATION = 0.1
"""A feature that hardly varied during calibration is not blown up by more than the inverse of this."""


class Trainer:
    """Trains the delta head and the value head of a policy on episodes of a closed loop, online.

    `loop` has `config.num_envs` envs and a source of episodes that never ends.
    The frozen part of the policy is neither run nor changed by an update. `watch` is shown every decision of the training.
    """

    def __init__(
        self,
        loop: ClosedLoop,
        policy: ActorCritic,
        reward: AnyReward,
        config: PPOConfig,
        seed: int,
        watch: Watch | None = None,
        device: torch.device | None = None,
    ) -> None:
        """The heads learn on `device` and drive where they are; None learns there, too."""
        if len(loop.started) != config.num_envs:
            raise UsageError(
                f"PPO's num_envs is {config.num_envs}, but the loop drives {len(loop.started)} envs; give both the same number"
            )
        self.config = config
        self.policy = policy
        self.update = 0
        """Updates done."""
        self.decisions = 0
        """Decisions driven."""
        # calibration and a validation before the first update drive with them, too
        self._follow_schedules()
        actions, order = np.random.SeedSequence(seed).generate_state(2, np.uint64)
        self._noise = Noise(torch.Generator().manual_seed(int(actions)), config.noise_correlation)
        self._collector = Collector(loop, policy, reward, watch)
        self._heads = policy if device is None else policy.twin(device)
        self._learner = PPOUpdate(self._heads, config, torch.Generator().manual_seed(int(order)))
        self._scale = ReturnScale(config.num_envs, config.gamma)
        self._buffer: RolloutBuffer | None = None

    @property
    def return_moments(self) -> ReturnMoments:
        """Of the scale in which the value head speaks; see `begin_with`."""
        return self._scale.moments

    def begin_with(self, moments: ReturnMoments) -> None:
        """Go on in the scale that the value head learned in another training; left out where returns are not to be scaled."""
        if self.config.scale_returns:
            self._scale.begin_with(moments)

    def updates(self) -> Iterator[UpdateRecord]:
        """The rest of the training, one record an update; between two of them `state_dict` is consistent.

        Raises:
            RunFailure: training diverged, or the simulator gave a state that is not finite.
        """
        if self.update == 0 and self.config.calibration and not self.policy.normalised:
            self._calibrate()
        while self.update < self.config.updates:
            yield self._one_update()

    def _calibrate(self) -> None:
        """Drive the untrained policy and fix the features' normaliser: mean 0 and standard deviation 1 over what was seen."""
        with sampling(self.policy, self._noise):
            features = self._collector.features(self.config.calibration)
        self.policy.normalise(features.mean(axis=0), 1.0 / np.maximum(features.std(axis=0), SMALLEST_DEVIATION))

    def _follow_schedules(self) -> None:
        """Give the policy what the next update drives with."""
        self.policy.residual_ratio = self.config.residual_ratio(self.update)
        if self.policy.scheduled:
            self.policy.log_std.fill_(self.config.log_std(self.update))

    def _one_update(self) -> UpdateRecord:
        config = self.config
        began = time.perf_counter()
        self._follow_schedules()
        with sampling(self.policy, self._noise):
            self._buffer, last_values, rollout = self._collector.collect(config.rollout, self._buffer)
        if not self._buffer.active.any():
            raise RunFailure("the simulator lost every world of a rollout, so there is nothing to learn from; look at its own messages")
        collected = time.perf_counter()
        if config.scale_returns:
            self._scale.update(self._buffer.rewards, self._buffer.active, self._buffer.ended)
        batch = self._buffer.batch(
            reward_scale=self._scale.scale,
            last_values=last_values,
            gamma=config.gamma,
            gae_lambda=config.gae_lambda,
            device=self._heads.log_std.device,
        )
        delta_lr, value_lr = self._learner.rates(self.update)
        stats = self._learn(batch)
        self.update += 1
        self.decisions += rollout.decisions
        return UpdateRecord.of(
            update=self.update,
            decisions=self.decisions,
            rollout=rollout,
            stats=stats,
            delta_lr=delta_lr,
            value_lr=value_lr,
            log_std=float(self.policy.log_std.detach().mean()),
            residual_ratio=self.policy.residual_ratio,
            reward_scale=self._scale.scale,
            collect_s=collected - began,
            update_s=time.perf_counter() - collected,
        )

    def _learn(self, batch: Batch) -> UpdateStats:
        """One update of the heads, on the device where they learn."""
        if self._heads is self.policy:
            return self._learner(batch, self.update)
        copy_heads(self.policy, self._heads)
        stats = self._learner(batch, self.update)
        copy_heads(self._heads, self.policy)
        return stats

    def state_dict(self) -> dict[str, Any]:
        """What training adds to the policy and needs to go on: tensors and plain numbers only, so that it loads without pickle.

        The features' normaliser is the policy's own and is saved and brought back with it.
        """
        return {
            "update": self.update,
            "decisions": self.decisions,
            "delta_head": self.policy.delta_head.state_dict(),
            "value_head": self.policy.value_head.state_dict(),
            "log_std": self.policy.log_std.detach().clone(),
            "residual_ratio": self.policy.residual_ratio,
            "learner": self._learner.state_dict(),
            "collector": self._collector.state_dict(),
            "return_scale": self._scale.state_dict(),
            "noise": self._noise.state_dict(),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from `state_dict`'s result; the loop's worlds are the caller's to bring back, see also `drop_episodes`."""
        self.update = state["update"]
        self.decisions = state["decisions"]
        self.policy.delta_head.load_state_dict(state["delta_head"])
        self.policy.value_head.load_state_dict(state["value_head"])
        with torch.no_grad():
            self.policy.log_std.copy_(state["log_std"])
        self.policy.residual_ratio = state["residual_ratio"]
        self._learner.load_state_dict(state["learner"])
        self._collector.load_state_dict(state["collector"])
        self._scale.load_state_dict(state["return_scale"])
        self._noise.load_state_dict(state["noise"])

    def drop_episodes(self) -> None:
        """Forget the unfinished episodes of `load_state_dict`, where the worlds could not be brought back and new episodes began."""
        self._collector.drop_episodes()
        self._scale.drop_episodes()
