"""The diagonal Gaussian in closed form: what sampling, PPO's ratio and the pull towards SFT are made of.

Written out instead of `torch.distributions`, whose objects cost more than these few sums on small networks.
Knows nothing of policies or losses. K is the number of action coordinates, D any leading dimensions.
"""

import math

from torch import Tensor

LOG_STD_RANGE = (-5.0, 1.0)
"""Least and largest log standard deviation of an action, in units; a learned one is kept within."""

_HALF_LOG_TWO_PI = 0.5 * math.log(2.0 * math.pi)


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
