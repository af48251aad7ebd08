"""The settings of PPO: frozen, checked one by one and against each other.

The defaults were measured on the toy simulator's validation suite; gamma, lambda and clip are the literature's.
"""

import math
from typing import Literal

from pydantic import Field, field_validator, model_validator

from carla_rl.config import Config
from carla_rl.gaussian import LOG_STD_RANGE


class PPOConfig(Config):
    """What a training run of the delta and value heads needs to know besides its parts."""

    decisions: int = Field(default=1_000_000, gt=0, description="decisions of all envs together to train on; rounded up to whole updates")
    num_envs: int = Field(default=256, gt=0, description="envs driven at the same time, N")
    rollout: int = Field(default=32, gt=0, description="decisions per env and update, T")
    calibration: int = Field(
        default=20, ge=0, description="decisions per env that the untrained policy drives first, to normalise the heads' features; 0: none"
    )
    epochs: int = Field(default=6, gt=0, description="passes over each rollout")
    minibatch: int = Field(default=1024, gt=1, description="decisions per gradient step")

    gamma: float = Field(default=0.99, gt=0, le=1, description="discount per decision")
    gae_lambda: float = Field(default=0.95, ge=0, le=1, description="GAE's trade of bias against variance")
    clip: float = Field(default=0.2, gt=0, lt=1, description="the ratio is clipped to 1 +- clip")
    value_clip: float | None = Field(default=None, gt=0, description="largest move of a value an update, in scaled returns; none: any")
    value_coef: float = Field(default=0.5, gt=0, description="weight of the value loss")
    entropy_coef: float = Field(default=0.0, ge=0, description="weight of the entropy bonus; only a learned sigma feels it")
    kl_to_sft: float = Field(default=0.0, ge=0, description="weight of KL(policy || SFT): the same Gaussian about a delta of zero")
    kl_to_sft_target: float | None = Field(
        default=None,
        gt=0,
        description="nats: kl_to_sft is only the start and adapts so that the KL stays near this; none: it is fixed",
    )
    target_kl: float | None = Field(
        default=0.05, ge=0, description="the delta head rests for the update once a minibatch's KL is above; 0: never"
    )
    rollback_kl: float | None = Field(
        default=0.5,
        ge=0,
        description="a step after which a minibatch's KL is above is taken back, and the delta head rests for the update; 0: never",
    )
    critic_warmup: int = Field(default=0, ge=0, description="updates at the start in which only the value head learns")
    normalise_advantages: bool = Field(default=True, description="mean 0, std 1 over the rollout")
    scale_returns: bool = Field(default=True, description="divide rewards by the running std of the discounted return")

    delta_lr: float = Field(default=1.2e-3, gt=0, description="Adam's learning rate of the delta head at the start")
    value_lr: float = Field(default=3e-3, gt=0, description="Adam's learning rate of the value head at the start")
    lr_schedule: Literal["linear", "constant", "adaptive"] = Field(
        default="linear", description="of the learning rates: to lr_end_factor, not at all, or the delta head's by the KL of each update"
    )
    lr_end_factor: float = Field(default=0.05, gt=0, le=1, description="a linear schedule falls to this share of the start")
    lr_kl: float = Field(default=0.01, gt=0, description="nats: the KL of an update at which an adaptive learning rate stays as it is")
    max_grad_norm: float = Field(default=0.5, gt=0, description="largest gradient norm, each net on its own")

    log_std_start: float = Field(
        default=-1.0,
        ge=LOG_STD_RANGE[0],
        le=LOG_STD_RANGE[1],
        description="log standard deviation of the action at the start, unless it is learned",
    )
    log_std_end: float = Field(default=-2.3, ge=LOG_STD_RANGE[0], le=LOG_STD_RANGE[1], description="and at the end of its schedule")
    log_std_until: float = Field(default=0.9, gt=0, le=1, description="share of the training over which it moves, linearly")
    noise_correlation: float = Field(
        default=0.0,
        ge=0,
        lt=1,
        description="of the noise of a decision with that of the one before; what is correlated is felt, and other things are tried",
    )
    residual_start: float = Field(default=1.0, ge=0, le=1, description="share of the correction that is driven at the start")
    residual_until: float = Field(default=0.2, gt=0, le=1, description="share of the training over which it grows to the whole, linearly")

    @field_validator("target_kl", "rollback_kl")
    @classmethod
    def _off(cls, value: float | None) -> float | None:
        """TOML has no none: 0 stands for it."""
        return value or None

    @model_validator(mode="after")
    def _consistent(self) -> "PPOConfig":
        if self.minibatch > self.batch:
            raise ValueError(
                f"minibatch: {self.minibatch} is more than the {self.batch} decisions of a rollout (num_envs {self.num_envs} x rollout "
                f"{self.rollout}); write {self.batch} or less"
            )
        if self.log_std_end > self.log_std_start:
            raise ValueError(f"log_std_end: {self.log_std_end} is above log_std_start {self.log_std_start}; the noise may only fall")
        if self.target_kl and self.rollback_kl and self.rollback_kl < self.target_kl:
            raise ValueError(
                f"rollback_kl: {self.rollback_kl} is below target_kl {self.target_kl}, where the delta head only rests; write more"
            )
        if self.kl_to_sft_target and not self.kl_to_sft:
            raise ValueError("kl_to_sft_target: an adaptive weight grows from kl_to_sft, which is 0; write a start such as 0.01")
        if self.critic_warmup >= self.updates:
            raise ValueError(
                f"critic_warmup: {self.critic_warmup} of the training's {self.updates} updates leave none for the delta head; write less"
            )
        return self

    @property
    def batch(self) -> int:
        """Decisions per update, T x N."""
        return self.num_envs * self.rollout

    @property
    def updates(self) -> int:
        """Updates of the whole training."""
        return math.ceil(self.decisions / self.batch)

    def lr_factor(self, update: int) -> float:
        """Share of the initial learning rates at `update` (0-based): where the schedule is linear, from 1 at the first update to
        `lr_end_factor` at the last; else 1."""
        if self.lr_schedule != "linear":
            return 1.0
        return 1.0 + (self.lr_end_factor - 1.0) * _share(update, self.updates - 1)

    def log_std(self, update: int) -> float:
        """Log standard deviation of the action at `update` (0-based)."""
        return self.log_std_start + (self.log_std_end - self.log_std_start) * _share(update, self.log_std_until * (self.updates - 1))

    def residual_ratio(self, update: int) -> float:
        """Share of the correction that is driven at `update` (0-based)."""
        return self.residual_start + (1.0 - self.residual_start) * _share(update, self.residual_until * (self.updates - 1))


def _share(update: int, whole: float) -> float:
    return min(update / whole, 1.0) if whole > 0 else 0.0
