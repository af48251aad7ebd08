"""The vital signs of one update, summed over its minibatches. Knows no network and no optimiser."""

from dataclasses import dataclass

from torch import Tensor

from carla_rl.ppo.loss import PolicyLoss


@dataclass(frozen=True, slots=True)
class UpdateStats:
    """The vital signs of one update: means over its minibatches unless said otherwise; None where the delta head rested all the time."""

    approx_kl: float | None
    """KL(old || new), nats."""
    max_kl: float | None
    """The largest of any minibatch."""
    clip_fraction: float | None
    explained_variance: float
    """Of the returns by the values before the update: 1 is perfect, 0 no better than their mean."""
    entropy: float | None
    kl_to_sft: float | None
    kl_to_sft_weight: float
    """Of the pull towards SFT in this update."""
    policy_loss: float | None
    value_loss: float
    delta_grad_norm: float | None
    """Before clipping, as the next."""
    value_grad_norm: float
    delta_steps: int
    """Gradient steps that the delta head took and kept."""
    stopped_early: bool
    """Whether the delta head rested after the KL went above its target."""
    rolled_back: bool
    """Whether a step was taken back because the KL had jumped."""


class Tally:
    """Sums over the minibatches of one update."""

    def __init__(self) -> None:
        self._value: list[tuple[float, float]] = []
        self._policy: list[tuple[float, ...]] = []
        self._norms: list[float] = []
        self._taken_back = 0

    def add_value(self, loss: float, norm: float) -> None:
        """A step of the value head."""
        self._value.append((loss, norm))

    def add_policy(self, loss: PolicyLoss) -> None:
        """A look at the policy's loss, whether or not a step follows."""
        terms = (loss.approx_kl, loss.clip_fraction, loss.entropy, loss.kl_to_sft, loss.surrogate)
        self._policy.append(tuple(term.item() for term in terms))

    def add_step(self, norm: float) -> None:
        """A step of the delta head."""
        self._norms.append(norm)

    def take_back(self) -> None:
        """The last step was taken back."""
        self._taken_back += 1

    @property
    def took_back(self) -> bool:
        """Whether a step was taken back."""
        return self._taken_back > 0

    @property
    def last_kl(self) -> float:
        """KL(old || new) at the last look, nats."""
        return self._policy[-1][0]

    @property
    def kl_to_sft(self) -> float:
        """Mean KL(policy || SFT) so far, nats."""
        return _mean([row[3] for row in self._policy])

    def stats(self, *, explained: float, weight: float, stopped: bool) -> UpdateStats:
        """All of it."""
        columns: list[tuple[float, ...] | None] = [*zip(*self._policy, strict=True)] if self._policy else [None] * 5
        approx_kl, clip_fraction, entropy, kl_to_sft, surrogate = (None if column is None else _mean(column) for column in columns)
        return UpdateStats(
            approx_kl=approx_kl,
            max_kl=max((row[0] for row in self._policy), default=None),
            clip_fraction=clip_fraction,
            explained_variance=explained,
            entropy=entropy,
            kl_to_sft=kl_to_sft,
            kl_to_sft_weight=weight,
            policy_loss=surrogate,
            value_loss=_mean([loss for loss, _ in self._value]),
            delta_grad_norm=_mean(self._norms) if self._norms else None,
            value_grad_norm=_mean([norm for _, norm in self._value]),
            delta_steps=len(self._norms) - self._taken_back,
            stopped_early=stopped,
            rolled_back=self._taken_back > 0,
        )


def explained_variance(values: Tensor, returns: Tensor) -> float:
    """1 - Var(returns - values) / Var(returns), both (B,); 0 where all returns are equal."""
    variance = returns.var(correction=0)
    if variance == 0:
        return 0.0
    return float(1.0 - (returns - values).var(correction=0) / variance)


def _mean(numbers: "list[float] | tuple[float, ...]") -> float:
    return sum(numbers) / len(numbers) if numbers else 0.0
