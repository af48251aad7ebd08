"""The memory of one rollout: contiguous float32 arrays, time first, then env. Written once per decision, read once per update.

It keeps the features that the heads saw, so the frozen model is never run again. Knows no network.
"""

from dataclasses import dataclass, fields

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from carla_rl.ppo.gae import Estimate, estimate
from carla_rl.types import Bools, Plan


@dataclass(frozen=True, slots=True)
class Batch:
    """The decisions of a rollout that were really driven, B of them, in order of time and env."""

    inputs: Tensor
    """(B, D + P): the features, then the critic's facts."""
    actions: Tensor
    """(B, K)"""
    log_probs: Tensor
    """(B,) of the actions when they were sampled"""
    values: Tensor
    """(B,) when the actions were sampled"""
    advantages: Tensor
    """(B,)"""
    returns: Tensor
    """(B,)"""

    def rows(self, rows: Tensor) -> "Batch":
        """The given decisions, in that order."""
        return Batch(*(getattr(self, item.name)[rows] for item in fields(self)))

    def __len__(self) -> int:
        return len(self.values)


class RolloutBuffer:
    """T decisions of N envs with D features, P facts for the critic, and actions of K numbers. Reused for every rollout."""

    def __init__(self, rollout: int, num_envs: int, inputs: int, actions: int) -> None:
        shape = (rollout, num_envs)
        self.inputs = np.zeros((*shape, inputs), np.float32)
        self.actions = np.zeros((*shape, actions), np.float32)
        self.log_probs = np.zeros(shape, np.float32)
        self.values = np.zeros(shape, np.float32)
        """Of the observations that the decisions were made on."""
        self.rewards = np.zeros(shape, np.float32)
        self.active = np.zeros(shape, np.bool_)
        self.ended = np.zeros(shape, np.bool_)
        self.terminal_values = np.zeros(shape, np.float32)
        """0 wherever the episode was not truncated."""

    def put(
        self,
        t: int,
        plan: Plan,
        *,
        inputs: NDArray[np.float32],
        rewards: NDArray[np.float32],
        active: Bools,
        ended: Bools,
        terminal_values: NDArray[np.float32],
    ) -> None:
        """Remember decision `t` of all envs: what was decided (in the plan's extras), what the critic sees of it, `inputs` (N, D + P), and
        what came of it, each (N,). The values follow when the rollout is whole."""
        self.inputs[t] = inputs
        self.actions[t] = plan.extras["action"]
        self.log_probs[t] = plan.extras["log_prob"]
        self.rewards[t] = rewards
        self.active[t] = active
        self.ended[t] = ended
        self.terminal_values[t] = terminal_values

    def drop(self, t: int, envs: NDArray[np.int64]) -> int:
        """Forget what the given envs decided in their episodes up to `t`, that decision included; returns how many decisions that were.

        Their worlds were lost, so nobody knows what would have come of it.
        """
        dropped = 0
        for env in envs:
            before = np.flatnonzero(self.ended[:t, env])
            start = before[-1] + 1 if len(before) else 0
            dropped += int(self.active[start : t + 1, env].sum())
            self.active[start : t + 1, env] = False
            # what comes next is another episode: nothing flows back over the gap
            self.ended[t, env] = True
        return dropped

    def batch(
        self, *, reward_scale: float, last_values: NDArray[np.float32], gamma: float, gae_lambda: float, device: torch.device
    ) -> Batch:
        """Advantages and returns of rewards times `reward_scale`, and the rows that were driven, on `device`."""
        result: Estimate = estimate(
            self.rewards * np.float32(reward_scale),
            self.values,
            active=self.active,
            ended=self.ended,
            terminal_values=self.terminal_values,
            last_values=last_values,
            gamma=gamma,
            gae_lambda=gae_lambda,
        )
        arrays = (self.inputs, self.actions, self.log_probs, self.values, result.advantages, result.returns)
        return Batch(*(torch.from_numpy(self._driven(array)).to(device) for array in arrays))

    def _driven(self, array: NDArray[np.float32]) -> NDArray[np.float32]:
        """(B, ...): the rows of active envs; a view where all were."""
        if self.active.all():
            return array.reshape(-1, *array.shape[2:])
        return array[self.active]
