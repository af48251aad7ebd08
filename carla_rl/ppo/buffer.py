"""The memory of one rollout: contiguous float32 arrays, time first, then env. Written once per decision, read once per update.

It keeps the features that the heads saw, so the frozen model is never run again. Knows no network.
"""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from carla_rl.ppo.gae import Estimate, estimate
from carla_rl.types import Bools, Plan


@dataclass(frozen=True, slots=True)
class Batch:
    """The decisions of a rollout that were really driven, B of them, in order of time and env."""

    features: Tensor
    """(B, D)"""
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

    def __len__(self) -> int:
        return len(self.values)


class RolloutBuffer:
    """T decisions of N envs with features of D and actions of K numbers. Reused for every rollout."""

    def __init__(self, rollout: int, num_envs: int, features: int, actions: int) -> None:
        shape = (rollout, num_envs)
        self.features = np.zeros((*shape, features), np.float32)
        self.actions = np.zeros((*shape, actions), np.float32)
        self.log_probs = np.zeros(shape, np.float32)
        self.values = np.zeros(shape, np.float32)
        self.rewards = np.zeros(shape, np.float32)
        self.active = np.zeros(shape, np.bool_)
        self.ended = np.zeros(shape, np.bool_)
        self.terminal_values = np.zeros(shape, np.float32)
        """0 wherever the episode was not truncated."""

    def put(
        self, t: int, plan: Plan, *, rewards: NDArray[np.float32], active: Bools, ended: Bools, terminal_values: NDArray[np.float32]
    ) -> None:
        """Remember decision `t` of all envs: what was decided (in the plan's extras) and what came of it, each (N,)."""
        self.features[t] = plan.extras["features"]
        self.actions[t] = plan.extras["action"]
        self.log_probs[t] = plan.extras["log_prob"]
        self.values[t] = plan.extras["value"]
        self.rewards[t] = rewards
        self.active[t] = active
        self.ended[t] = ended
        self.terminal_values[t] = terminal_values

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
        arrays = (self.features, self.actions, self.log_probs, self.values, result.advantages, result.returns)
        return Batch(*(torch.from_numpy(self._driven(array)).to(device) for array in arrays))

    def _driven(self, array: NDArray[np.float32]) -> NDArray[np.float32]:
        """(B, ...): the rows of active envs; a view where all were."""
        if self.active.all():
            return array.reshape(-1, *array.shape[2:])
        return array[self.active]
