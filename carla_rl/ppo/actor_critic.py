"""What PPO needs of a policy, and nothing more: so that it trains any policy of this shape without knowing one."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from carla_rl.interfaces import Policy
from carla_rl.types import Observation


class ActorCritic(Policy, Protocol):
    """A policy that corrects a frozen plan: plan = SFT(observation) + correction(action), action ~ N(delta_head(features), exp(log_std)^2).

    While it samples, `Plan.extras` holds `features` (N, D), `action` (N, K), `log_prob` (N,) and `value` (N,), all float32; where the
    correction is bounded also `bounded` (N,), the share of the action's coordinates that the bound cut.
    The frozen part lives outside the two heads.
    """

    @property
    def delta_head(self) -> nn.Module:
        """Features (B, D) -> mean of the action (B, K), zero before training."""

    @property
    def value_head(self) -> nn.Module:
        """Features (B, D) -> value (B,)."""

    log_std: Tensor
    """(K,) log standard deviation of the action: learned with the delta head where it requires a gradient, else set by PPO's schedule."""

    def sample_with(self, generator: torch.Generator | None) -> None:
        """Sample actions with this generator from now on; with None drive the mean."""

    def normalise(self, mean: NDArray[np.float32], scale: NDArray[np.float32]) -> None:
        """From now on the features are (features - mean) * scale, both (D,); identity before."""

    def values(self, observation: Observation) -> NDArray[np.float32]:
        """(M,) values of any M observations, read to bootstrap."""


@contextmanager
def sampling(policy: ActorCritic, generator: torch.Generator) -> Iterator[None]:
    """The policy samples inside the block and drives its mean again after it."""
    policy.sample_with(generator)
    try:
        yield
    finally:
        policy.sample_with(None)
