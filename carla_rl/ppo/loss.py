"""The terms of PPO's loss (Schulman et al. 2017, arXiv 1707.06347) as functions of tensors; B decisions, K action coordinates.

The pull towards SFT is KL(policy || reference) in closed form: SFT drives a delta of zero, so as a policy it is the Gaussian about zero
with the same standard deviation; the pull moves the mean alone. Knows no network and no optimiser.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from carla_rl import gaussian


@dataclass(frozen=True, slots=True)
class PolicyLoss:
    """The delta head's loss and what it is made of; every field is a scalar."""

    total: Tensor
    """surrogate - entropy_coef * entropy + kl_coef * kl_to_sft"""
    surrogate: Tensor
    """The negative of the clipped objective."""
    entropy: Tensor
    """nats"""
    kl_to_sft: Tensor
    """nats"""
    approx_kl: Tensor
    """nats: KL(old || new) estimated as mean(ratio - 1 - log ratio), never negative (Schulman's k3)."""
    clip_fraction: Tensor
    """Share of ratios outside 1 +- clip."""


def policy_loss(
    mean: Tensor,
    log_std: Tensor,
    actions: Tensor,
    old_log_probs: Tensor,
    advantages: Tensor,
    *,
    clip: float,
    entropy_coef: float,
    kl_coef: float,
) -> PolicyLoss:
    """Clipped surrogate, entropy bonus and pull towards SFT.

    Args:
        mean: (B, K) of the policy being trained.
        log_std: (K,), or (B, K) where it depends on the state.
        actions: (B, K) as sampled.
        old_log_probs: (B,) under the policy that sampled them.
        advantages: (B,).
        clip: epsilon of the clipped ratio.
        entropy_coef: weight of the entropy bonus.
        kl_coef: weight of KL(policy || SFT).
    """
    log_ratio = gaussian.log_prob(actions, mean, log_std) - old_log_probs
    ratio = log_ratio.exp()
    surrogate = -torch.minimum(ratio * advantages, ratio.clamp(1.0 - clip, 1.0 + clip) * advantages).mean()
    entropy = gaussian.entropy(log_std).mean()
    # the reference is held: else a learned standard deviation would grow to make the pull cheap
    held = log_std.detach()
    kl_to_sft = gaussian.kl(mean, held, torch.zeros_like(mean), held).mean()
    with torch.no_grad():
        approx_kl = (ratio - 1.0 - log_ratio).mean()
        clip_fraction = ((ratio - 1.0).abs() > clip).float().mean()
    return PolicyLoss(
        total=surrogate - entropy_coef * entropy + kl_coef * kl_to_sft,
        surrogate=surrogate,
        entropy=entropy,
        kl_to_sft=kl_to_sft,
        approx_kl=approx_kl,
        clip_fraction=clip_fraction,
    )


def value_loss(values: Tensor, old_values: Tensor, returns: Tensor, *, clip: float | None) -> Tensor:
    """Half the mean squared error of `values` (B,) against `returns` (B,).

    With `clip`, the larger of that error and the error of the value moved by at most `clip` from `old_values` (B,), decision by decision.
    """
    errors = (values - returns).square()
    if clip is not None:
        moved = old_values + (values - old_values).clamp(-clip, clip)
        errors = torch.maximum(errors, (moved - returns).square())
    return 0.5 * errors.mean()
