"""What PPO needs of a policy, and nothing more: so that it trains any policy of this shape without knowing one."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from carla_rl.gaussian import Noise
from carla_rl.interfaces import Policy
from carla_rl.types import Observation


class Heads(Protocol):
    """The part that learns: a diagonal Gaussian over actions, and a value."""

    @property
    def delta_head(self) -> nn.Module:
        """Features (B, D) -> the action's parameters; its mean is zero before training."""

    @property
    def value_head(self) -> nn.Module:
        """Features followed by the critic's facts (B, D + P) -> value (B,)."""

    @property
    def critic_facts(self) -> int:
        """P, how many numbers of `carla_rl.privileged` the value head sees: 0, or all."""

    log_std: Tensor
    """(K,) log standard deviation of the action: learned with the delta head where it requires a gradient."""

    def distribution(self, features: Tensor) -> tuple[Tensor, Tensor]:
        """Mean (B, K) and log standard deviation, (K,) or (B, K), of the action for features (B, D)."""


class ActorCritic(Policy, Heads, Protocol):
    """A policy that corrects a frozen plan: plan = SFT(observation) + residual_ratio * correction(action).

    While it samples, `Plan.extras` holds `features` (N, D), `action` (N, K) and `log_prob` (N,), all float32; where the correction is
    bounded also `bounded` (N,), the share of the action's coordinates beyond the bound. The frozen part lives outside the two heads.
    """

    @property
    def scheduled(self) -> bool:
        """Whether `log_std` is PPO's to set, not to learn."""

    residual_ratio: float
    """Share of the correction that is driven, 0..1."""

    def twin(self, device: torch.device) -> Heads:
        """A copy of the heads on another device, to learn there; this policy goes on driving with its own."""

    def sample_with(self, noise: Noise | None) -> None:
        """Sample actions with this noise from now on; with None drive the mean."""

    def normalise(self, mean: NDArray[np.float32], scale: NDArray[np.float32]) -> None:
        """From now on the features are (features - mean) * scale, both (D,); identity before."""

    @property
    def normalised(self) -> bool:
        """Whether `normalise` has been called: heads that learned on such features need them to stay."""

    def features(self, observation: Observation) -> NDArray[np.float32]:
        """(M, D) features of any M observations."""

    def values(self, inputs: NDArray[np.float32]) -> NDArray[np.float32]:
        """(M,) values of features followed by the critic's facts, (M, D + P)."""


@torch.no_grad()
def copy_heads(source: Heads, target: Heads) -> None:
    """Give `target` the parameters of `source`, whatever device each is on."""
    target.delta_head.load_state_dict(source.delta_head.state_dict())
    target.value_head.load_state_dict(source.value_head.state_dict())
    target.log_std.copy_(source.log_std)


@contextmanager
def sampling(policy: ActorCritic, noise: Noise) -> Iterator[None]:
    """The policy samples inside the block and drives its mean again after it."""
    policy.sample_with(noise)
    try:
        yield
    finally:
        policy.sample_with(None)
