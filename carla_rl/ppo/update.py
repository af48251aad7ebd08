"""PPO's update: epochs of minibatches over one rollout, each net with its own optimiser, learning rate and gradient clip.

Works on the remembered features alone; nothing outside the two heads is run or changed. Knows no simulator and no loop.
"""

import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from carla_rl.errors import RunFailure
from carla_rl.ppo.actor_critic import ActorCritic
from carla_rl.ppo.buffer import Batch
from carla_rl.ppo.config import LOG_STD_RANGE, PPOConfig
from carla_rl.ppo.loss import PolicyLoss, policy_loss, value_loss


@dataclass(frozen=True, slots=True)
class UpdateStats:
    """The vital signs of one update: means over its minibatches unless said otherwise."""

    approx_kl: float
    """KL(old || new), nats."""
    max_kl: float
    """The largest of any minibatch."""
    clip_fraction: float
    explained_variance: float
    """Of the returns by the values before the update: 1 is perfect, 0 no better than their mean."""
    entropy: float
    kl_to_sft: float
    policy_loss: float
    value_loss: float
    delta_grad_norm: float
    """Before clipping, as the next."""
    value_grad_norm: float
    delta_steps: int
    """Gradient steps that the delta head took."""
    stopped_early: bool
    """Whether the delta head rested after the KL went above its target."""


class PPOUpdate:
    """The two optimisers and the order of minibatches."""

    def __init__(self, policy: ActorCritic, config: PPOConfig, generator: torch.Generator) -> None:
        self._policy = policy
        self._config = config
        self._generator = generator
        self._delta_parameters = [*policy.delta_head.parameters(), *([policy.log_std] if policy.log_std.requires_grad else [])]
        self._value_parameters: list[Tensor] = list(policy.value_head.parameters())
        self._delta = _adam(self._delta_parameters, config.delta_lr)
        self._value = _adam(self._value_parameters, config.value_lr)

    def __call__(self, batch: Batch, lr_factor: float) -> UpdateStats:
        """Improve both heads on one rollout, at `lr_factor` times the initial learning rates.

        Raises:
            RunFailure: a loss or gradient that is not finite; the heads keep the values from before that step.
        """
        config = self._config
        _set_lr(self._delta, config.delta_lr * lr_factor)
        _set_lr(self._value, config.value_lr * lr_factor)
        explained = explained_variance(batch.values, batch.returns)
        advantages = normalised(batch.advantages) if config.normalise_advantages else batch.advantages
        tally = _Tally()
        stopped = False
        for _ in range(config.epochs):
            order = torch.randperm(len(batch), generator=self._generator).to(batch.features.device)
            for start in range(0, len(batch), config.minibatch):
                rows = order[start : start + config.minibatch]
                features = batch.features[rows]
                tally.add_value(*self._value_step(features, batch.values[rows], batch.returns[rows]))
                if stopped:
                    continue
                loss = self._policy_loss(features, batch, advantages, rows)
                stopped = config.target_kl is not None and loss.approx_kl.item() > config.target_kl
                norm = 0.0 if stopped else self._step(self._delta_parameters, self._delta, loss.total)
                self._bound_log_std()
                tally.add_policy(loss, norm, stopped)
        return tally.stats(explained, stopped)

    def _policy_loss(self, features: Tensor, batch: Batch, advantages: Tensor, rows: Tensor) -> PolicyLoss:
        return policy_loss(
            self._policy.delta_head(features),
            self._policy.log_std,
            batch.actions[rows],
            batch.log_probs[rows],
            advantages[rows],
            clip=self._config.clip,
            entropy_coef=self._config.entropy_coef,
            kl_coef=self._config.kl_to_sft,
        )

    def _value_step(self, features: Tensor, old_values: Tensor, returns: Tensor) -> tuple[float, float]:
        """One step of the value head: its loss and gradient norm."""
        loss = value_loss(self._policy.value_head(features), old_values, returns, clip=self._config.value_clip)
        return loss.item(), self._step(self._value_parameters, self._value, self._config.value_coef * loss)

    def _step(self, parameters: list[Tensor], optimiser: torch.optim.Optimizer, loss: Tensor) -> float:
        """One gradient step of one net's parameters; returns the gradient's norm before clipping."""
        optimiser.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        norm = nn.utils.clip_grad_norm_(parameters, self._config.max_grad_norm).item()
        if not math.isfinite(norm):
            raise RunFailure("training diverged: a gradient is not finite; lower delta_lr and value_lr or start from the last checkpoint")
        optimiser.step()
        return norm

    def _bound_log_std(self) -> None:
        """Keep a learned log standard deviation within what may be configured; a scheduled one is."""
        if self._policy.log_std.requires_grad:
            with torch.no_grad():
                self._policy.log_std.clamp_(*LOG_STD_RANGE)

    def state_dict(self) -> dict[str, Any]:
        """Both optimisers and the generator of the minibatches' order."""
        return {"delta": self._delta.state_dict(), "value": self._value.state_dict(), "generator": self._generator.get_state()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from `state_dict`'s result."""
        self._delta.load_state_dict(state["delta"])
        self._value.load_state_dict(state["value"])
        self._generator.set_state(state["generator"])


class _Tally:
    """Sums over the minibatches of one update."""

    def __init__(self) -> None:
        self._value: list[tuple[float, float]] = []
        self._policy: list[tuple[float, ...]] = []
        self._norms: list[float] = []

    def add_value(self, loss: float, norm: float) -> None:
        self._value.append((loss, norm))

    def add_policy(self, loss: PolicyLoss, norm: float, stopped: bool) -> None:
        terms = (loss.approx_kl, loss.clip_fraction, loss.entropy, loss.kl_to_sft, loss.surrogate)
        self._policy.append(tuple(term.item() for term in terms))
        if not stopped:
            self._norms.append(norm)

    def stats(self, explained: float, stopped: bool) -> UpdateStats:
        approx_kl, clip_fraction, entropy, kl_to_sft, surrogate = (_mean(column) for column in zip(*self._policy, strict=True))
        return UpdateStats(
            approx_kl=approx_kl,
            max_kl=max(row[0] for row in self._policy),
            clip_fraction=clip_fraction,
            explained_variance=explained,
            entropy=entropy,
            kl_to_sft=kl_to_sft,
            policy_loss=surrogate,
            value_loss=_mean([loss for loss, _ in self._value]),
            delta_grad_norm=_mean(self._norms),
            value_grad_norm=_mean([norm for _, norm in self._value]),
            delta_steps=len(self._norms),
            stopped_early=stopped,
        )


def explained_variance(values: Tensor, returns: Tensor) -> float:
    """1 - Var(returns - values) / Var(returns), both (B,); 0 where all returns are equal."""
    variance = returns.var(correction=0)
    if variance == 0:
        return 0.0
    return float(1.0 - (returns - values).var(correction=0) / variance)


def normalised(advantages: Tensor) -> Tensor:
    """(B,) with mean 0 and standard deviation 1; only the mean is taken off where all are equal."""
    centred = advantages - advantages.mean()
    deviation = centred.square().mean().sqrt()
    return centred / deviation if deviation > 1e-8 else centred


def _adam(parameters: list[Tensor], lr: float) -> torch.optim.Adam:
    """Adam with one fused kernel for all tensors where the device has one."""
    fused = all(parameter.device.type in ("cpu", "cuda") for parameter in parameters)
    return torch.optim.Adam(parameters, lr=lr, eps=1e-5, fused=fused)


def _set_lr(optimiser: torch.optim.Optimizer, lr: float) -> None:
    for group in optimiser.param_groups:
        group["lr"] = lr


def _mean(numbers: "list[float] | tuple[float, ...]") -> float:
    return sum(numbers) / len(numbers) if numbers else 0.0
