"""The diagonal Gaussian in closed form: what sampling, PPO's ratio and the pull towards SFT are made of.

Written out instead of `torch.distributions`, whose objects cost more than these few sums on small networks.
Knows nothing of policies or losses. K is the number of action coordinates, D any leading dimensions.
"""

import math
from typing import Any, cast

import torch
from torch import Tensor

LOG_STD_RANGE = (-5.0, 1.0)
"""Least and largest log standard deviation of an action, in units; a learned one is kept within."""

_HALF_LOG_TWO_PI = 0.5 * math.log(2.0 * math.pi)


class Noise:
    """Standard normal noise of N envs, decision after decision, each correlated with the one before: e_t = c e_t-1 + sqrt(1 - c^2) x_t.

    Independent noise (c = 0) nearly averages out within the second that a vehicle takes to follow; correlated noise is felt, e.g. as a
    wider berth or an earlier stop. Each e_t is N(0, 1) on its own, and that is what its action's probability is taken from, as in
    Hollenstein et al. 2024 (Colored Noise in PPO, arXiv 2312.11091).
    """

    def __init__(self, generator: torch.Generator, correlation: float = 0.0) -> None:
        self._generator = generator
        self._correlation = correlation
        self._last: Tensor | None = None

    def draw(self, rows: int, columns: int) -> Tensor:
        """(N, K) of the next decision. Another N or K begins anew."""
        fresh = torch.randn((rows, columns), generator=self._generator)
        c, last = self._correlation, self._last
        if c == 0.0:
            return fresh
        self._last = fresh if last is None or last.shape != fresh.shape else c * last + math.sqrt(1.0 - c * c) * fresh
        return self._last

    def state_dict(self) -> dict[str, Any]:
        """Everything needed to go on: the generator's state and the last noise."""
        return {"generator": self._generator.get_state(), "last": self._last}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from `state_dict`'s result."""
        self._generator.set_state(state["generator"])
        self._last = state["last"]


def log_prob(action: Tensor, mean: Tensor, log_std: Tensor) -> Tensor:
    """Log-density (...) of `action` (..., K) under N(mean (..., K), exp(log_std)^2); `log_std` broadcasts: (K,) or (..., K)."""
    z = (action - mean) * (-log_std).exp()
    return (-0.5 * z * z - log_std - _HALF_LOG_TWO_PI).sum(-1)


def entropy(log_std: Tensor) -> Tensor:
    """Differential entropy (...) in nats of a Gaussian with `log_std` (..., K)."""
    return (log_std + (0.5 + _HALF_LOG_TWO_PI)).sum(-1)


def kl(mean_p: Tensor, log_std_p: Tensor, mean_q: Tensor, log_std_q: Tensor) -> Tensor:
    """KL(p || q) (...) in nats between two diagonal Gaussians, all arguments broadcast to (..., K)."""
    z = (mean_p - mean_q) * (-log_std_q).exp()
    log_ratio = log_std_p - log_std_q
    return (0.5 * ((2.0 * log_ratio).exp() + z * z - 1.0) - log_ratio).sum(-1)


def bounded(log_std: Tensor) -> Tensor:
    """`log_std` within LOG_STD_RANGE. Beyond it a gradient passes where it leads back inside, so that nothing is stuck there."""
    return cast(Tensor, _Bounded.apply(log_std))  # type: ignore[no-untyped-call]


class _Bounded(torch.autograd.Function):
    """A clamp whose gradient is held back only where it would lead farther out."""

    @staticmethod
    def forward(ctx: Any, value: Tensor) -> Tensor:
        """The value, clamped."""
        ctx.save_for_backward(value)
        return value.clamp(*LOG_STD_RANGE)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        """Descent goes against the gradient: at the lower bound a negative one leads back, at the upper a positive one."""
        (value,) = ctx.saved_tensors
        (gradient,) = gradients
        low, high = LOG_STD_RANGE
        passes = ((value > low) | (gradient < 0)) & ((value < high) | (gradient > 0))
        return torch.where(passes, gradient, torch.zeros_like(gradient))
