"""PPO's update: epochs of minibatches over one rollout, each net with its own optimiser, learning rate and gradient clip.

Works on the remembered features alone; nothing outside the two heads is run or changed. Knows no simulator and no loop.
"""

import math
from typing import Any

import torch
from torch import Tensor, nn

from carla_rl.errors import RunFailure
from carla_rl.gaussian import LOG_STD_RANGE
from carla_rl.ppo.actor_critic import Heads
from carla_rl.ppo.adaptive import AdaptiveRate, Pull
from carla_rl.ppo.buffer import Batch
from carla_rl.ppo.config import PPOConfig
from carla_rl.ppo.loss import PolicyLoss, policy_loss, value_loss
from carla_rl.ppo.tally import Tally, UpdateStats, explained_variance


class PPOUpdate:
    """The two nets with their optimisers, the order of minibatches, and what adapts from update to update."""

    def __init__(self, policy: Heads, config: PPOConfig, generator: torch.Generator) -> None:
        self._policy = policy
        self._config = config
        self._generator = generator
        learned = [policy.log_std] if policy.log_std.requires_grad else []
        self._delta = _Net([*policy.delta_head.parameters(), *learned], config.delta_lr, config.max_grad_norm)
        self._value = _Net(list(policy.value_head.parameters()), config.value_lr, config.max_grad_norm)
        self._rate = AdaptiveRate(config.lr_kl)
        self._pull = Pull(config.kl_to_sft, config.kl_to_sft_target)

    def __call__(self, batch: Batch, update: int) -> UpdateStats:
        """Improve both heads on one rollout, the `update`-th of the training (0-based).

        Raises:
            RunFailure: a loss or gradient that is not finite; the heads keep the values from before that step.
        """
        config, tally = self._config, Tally()
        delta_lr, value_lr = self.rates(update)
        self._delta.set_lr(delta_lr)
        self._value.set_lr(value_lr)
        self._delta.forget()
        explained = explained_variance(batch.values, batch.returns)
        advantages = normalised(batch.advantages) if config.normalise_advantages else batch.advantages
        learns = update >= config.critic_warmup
        stopped = False
        for _ in range(config.epochs):
            order = torch.randperm(len(batch), generator=self._generator).to(batch.inputs.device)
            for start in range(0, len(batch), config.minibatch):
                rows = order[start : start + config.minibatch]
                part = batch.rows(rows)
                tally.add_value(*self._value_step(part))
                if learns and not stopped:
                    stopped = self._policy_step(part, advantages[rows], tally)
        if learns and not stopped and (config.rollback_kl is not None or config.lr_schedule == "adaptive"):
            # nobody has looked at where the last step led
            with torch.no_grad():
                self._judge(self._policy_loss(part, advantages[rows]), tally)
            stopped = tally.took_back
        weight = self._pull.weight
        if learns:
            self._rate.update(tally.last_kl)
            self._pull.update(tally.kl_to_sft)
        return tally.stats(explained=explained, weight=weight, stopped=stopped)

    def rates(self, update: int) -> tuple[float, float]:
        """The learning rates of the delta head and the value head at `update` (0-based)."""
        factor = self._config.lr_factor(update)
        adapted = self._rate.factor if self._config.lr_schedule == "adaptive" else 1.0
        return self._config.delta_lr * factor * adapted, self._config.value_lr * factor

    def _policy_step(self, part: Batch, advantages: Tensor, tally: Tally) -> bool:
        """One step of the delta head, unless the KL says otherwise; whether it rests from now on."""
        loss = self._policy_loss(part, advantages)
        if self._judge(loss, tally):
            return True
        if self._config.rollback_kl is not None:
            self._delta.remember()
        tally.add_step(self._delta.step(loss.total))
        self._bound_log_std()
        return False

    def _judge(self, loss: PolicyLoss, tally: Tally) -> bool:
        """Whether the steps so far went far enough; one that went much too far is taken back."""
        tally.add_policy(loss)
        kl = loss.approx_kl.item()
        if self._config.rollback_kl is not None and kl > self._config.rollback_kl and self._delta.can_take_back:
            self._delta.take_back()
            tally.take_back()
            return True
        return self._config.target_kl is not None and kl > self._config.target_kl

    def _policy_loss(self, part: Batch, advantages: Tensor) -> PolicyLoss:
        facts = self._policy.critic_facts
        return policy_loss(
            *self._policy.distribution(part.inputs[:, : part.inputs.shape[1] - facts]),
            part.actions,
            part.log_probs,
            advantages,
            clip=self._config.clip,
            entropy_coef=self._config.entropy_coef,
            kl_coef=self._pull.weight,
        )

    def _value_step(self, part: Batch) -> tuple[float, float]:
        """One step of the value head: its loss and gradient norm."""
        loss = value_loss(self._policy.value_head(part.inputs), part.values, part.returns, clip=self._config.value_clip)
        return loss.item(), self._value.step(self._config.value_coef * loss)

    def _bound_log_std(self) -> None:
        """Keep a learned log standard deviation within what may be configured; a scheduled one is."""
        if self._policy.log_std.requires_grad:
            with torch.no_grad():
                self._policy.log_std.clamp_(*LOG_STD_RANGE)

    def state_dict(self) -> dict[str, Any]:
        """Both optimisers, the generator of the minibatches' order, and what adapts."""
        return {
            "delta": self._delta.optimiser.state_dict(),
            "value": self._value.optimiser.state_dict(),
            "generator": self._generator.get_state(),
            "rate": self._rate.state_dict(),
            "pull": self._pull.state_dict(),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from `state_dict`'s result."""
        self._delta.optimiser.load_state_dict(state["delta"])
        self._value.optimiser.load_state_dict(state["value"])
        self._generator.set_state(state["generator"])
        self._rate.load_state_dict(state["rate"])
        self._pull.load_state_dict(state["pull"])


class _Net:
    """The parameters of one net and their Adam: one fused kernel for all of them."""

    def __init__(self, parameters: list[Tensor], lr: float, max_grad_norm: float) -> None:
        fused = all(parameter.device.type in ("cpu", "cuda") for parameter in parameters)
        self.optimiser = torch.optim.Adam(parameters, lr=lr, eps=1e-5, fused=fused)
        self._parameters = parameters
        self._max_grad_norm = max_grad_norm
        self._before: list[list[Tensor]] = []

    def set_lr(self, lr: float) -> None:
        """From now on."""
        for group in self.optimiser.param_groups:
            group["lr"] = lr

    def step(self, loss: Tensor) -> float:
        """One gradient step; returns the gradient's norm before clipping.

        Raises:
            RunFailure: the gradient is not finite; nothing was changed.
        """
        self.optimiser.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        norm = nn.utils.clip_grad_norm_(self._parameters, self._max_grad_norm).item()
        if not math.isfinite(norm):
            raise RunFailure("training diverged: a gradient is not finite; lower delta_lr and value_lr or start from the last checkpoint")
        self.optimiser.step()
        return norm

    @torch.no_grad()
    def remember(self) -> None:
        """Keep parameters and moments as they are now."""
        self._before = [[tensor.clone() for tensor in self._tensors(parameter)] for parameter in self._parameters]

    def forget(self) -> None:
        """There is nothing to take back."""
        self._before = []

    @property
    def can_take_back(self) -> bool:
        """Whether anything is remembered."""
        return bool(self._before)

    @torch.no_grad()
    def take_back(self) -> None:
        """Go back to what was remembered, as though the step since had not been taken."""
        for parameter, (value, *moments) in zip(self._parameters, self._before, strict=True):
            parameter.copy_(value)
            if moments:
                for tensor, before in zip(self._tensors(parameter)[1:], moments, strict=True):
                    tensor.copy_(before)
            else:
                # it was the first step of all
                self.optimiser.state.pop(parameter, None)

    def _tensors(self, parameter: Tensor) -> list[Tensor]:
        """The parameter and its moments, none before the first step."""
        state = self.optimiser.state.get(parameter, {})
        return [parameter, *(state[name] for name in sorted(state))]


def normalised(advantages: Tensor) -> Tensor:
    """(B,) with mean 0 and standard deviation 1; only the mean is taken off where all are equal."""
    centred = advantages - advantages.mean()
    deviation = centred.square().mean().sqrt()
    return centred / deviation if deviation > 1e-8 else centred
