"""The running scale of rewards: one over the standard deviation of the discounted return, so that one learning rate serves any reward.

The mean is left in place, since moving it would change which behaviour is best. Knows nothing but rewards and endings.
"""

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field

from carla_rl.config import Config
from carla_rl.types import Bools


class ReturnMoments(Config):
    """What a return scale has seen, in the reward's own units: a value head that learned under it means nothing without."""

    count: int = Field(ge=0, description="decisions")
    mean: float = Field(description="of the discounted return")
    squares: float = Field(ge=0, description="sum of the squared distances from the mean")


class ReturnScale:
    """Running moments of each env's discounted return so far, merged rollout by rollout (Chan et al. 1979)."""

    def __init__(self, num_envs: int, gamma: float) -> None:
        self._gamma = gamma
        self._running = np.zeros(num_envs, np.float64)
        self._count = 0
        self._mean = 0.0
        self._squares = 0.0

    @property
    def scale(self) -> float:
        """What rewards are multiplied by; 1 until returns have been seen to differ."""
        deviation = float(np.sqrt(self._squares / self._count)) if self._count else 0.0
        return 1.0 / deviation if deviation > 1e-8 else 1.0

    def update(self, rewards: NDArray[np.float32], active: Bools, ended: Bools) -> None:
        """Take in the rewards of a rollout; all (T, N)."""
        seen = np.empty(rewards.shape, np.float64)
        for t in range(len(rewards)):
            self._running = self._running * self._gamma + rewards[t]
            seen[t] = self._running
            self._running = np.where(ended[t], 0.0, self._running)
        returns = seen[active]
        if not len(returns):
            return
        count, mean = len(returns), float(returns.mean())
        total = self._count + count
        shift = mean - self._mean
        self._squares += float(((returns - mean) ** 2).sum()) + shift * shift * self._count * count / total
        self._mean += shift * count / total
        self._count = total

    @property
    def moments(self) -> ReturnMoments:
        """What was seen so far, for another training to begin with."""
        return ReturnMoments(count=self._count, mean=self._mean, squares=self._squares)

    def begin_with(self, moments: ReturnMoments) -> None:
        """Go on from what another training has seen; the envs' own discounted returns begin at 0."""
        self._count, self._mean, self._squares = moments.count, moments.mean, moments.squares

    def drop_episodes(self) -> None:
        """Every env begins a new episode: its discounted return begins at 0."""
        self._running = np.zeros_like(self._running)

    def state_dict(self) -> dict[str, Any]:
        """Everything needed to go on."""
        return {"running": torch.from_numpy(self._running.copy()), "count": self._count, "mean": self._mean, "squares": self._squares}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from `state_dict`'s result."""
        self._running = state["running"].numpy().copy()
        self._count, self._mean, self._squares = state["count"], state["mean"], state["squares"]
