"""The supervised stage before PPO: the delta head learns, from recorded episodes, what the frozen SFT plan lacks of the expert's.

The loss is `carla_rl.policies.supervision`'s; this module has the epochs, the episodes held out and what is told of them. Before training
the policy is SFT, and that counts as epoch 0: the epoch with the lowest held-out ADE is kept, so that the stage never hands on heads that
plan worse than SFT on episodes that they did not see. Whether they *drive* better is for the closed loop to say: ADE does not.

Give episodes that the SFT model did not learn from, where there are any: on its own it errs less than elsewhere.
Knows no simulator, no files and no PPO.
"""

import time
from collections.abc import Callable
from dataclasses import asdict, astuple, dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field, model_validator
from torch import Tensor, nn

from carla_rl.config import Config
from carla_rl.errors import UsageError
from carla_rl.gaussian import LOG_STD_RANGE
from carla_rl.metrics.offline import displacement
from carla_rl.policies.residual import ResidualPolicy
from carla_rl.policies.supervision import Frames, corrected, target_actions, terms
from carla_rl.ppo.trainer import SMALLEST_DEVIATION
from carla_rl.records.dataset import Samples, split_by_episode

_ROWS = 512
"""Frames that the frozen model sees, that are fitted and that are judged at a time; only memory depends on it."""


class WarmStartConfig(Config):
    """How the delta head learns from recorded episodes."""

    epochs: int = Field(default=20, ge=1, description="passes over the training episodes, at most")
    patience: int = Field(default=8, ge=1, description="epochs without a lower held-out ADE after which it stops")
    batch: int = Field(default=512, ge=1, description="frames a step")
    lr: float = Field(default=3e-3, gt=0, le=1, description="AdamW's highest learning rate; it warms up, then falls along a cosine")
    weight_decay: float = Field(default=1e-4, ge=0, description="AdamW's weight decay")
    max_grad_norm: float = Field(default=1.0, gt=0, description="largest gradient norm")
    nll: float = Field(default=0.1, ge=0, description="weight of the negative log-likelihood of the expert's correction, nats")
    mse: float = Field(default=1.0, ge=0, description="weight of the squared error of the corrected plan, m^2")
    kl: float = Field(default=0.01, ge=0, description="weight of the KL to a correction of zero, nats")
    log_std_least: float = Field(
        default=-2.3,
        ge=LOG_STD_RANGE[0],
        le=LOG_STD_RANGE[1],
        description="a log standard deviation is not drawn below this: PPO goes on with a learned one and still has to explore",
    )
    held_out: float = Field(default=0.1, gt=0, lt=1, description="share of the episodes that the head never learns from")

    @model_validator(mode="after")
    def _consistent(self) -> "WarmStartConfig":
        if not self.nll and not self.mse:
            raise ValueError("nll and mse are both 0, which leaves nothing to learn; give one of them a weight")
        return self


@dataclass(frozen=True, slots=True)
class LossReport:
    """Means over the training frames while they were learned from."""

    loss: float
    nll: float
    """The three terms are without their weights; nats, m^2, nats."""
    mse: float
    kl: float


@dataclass(frozen=True, slots=True)
class EpochReport:
    """How an epoch went, for progress and warm_start.json."""

    epoch: int
    """1-based; 0 is before training."""
    ade: float
    """Of the corrected plans on the held-out frames, m."""
    fde: float
    train: LossReport | None = None
    """None before training, and so is the learning rate."""
    lr: float | None = None


class WarmStart:
    """The supervised stage of one policy."""

    def __init__(self, policy: ResidualPolicy, samples: Samples, config: WarmStartConfig, *, seed: int = 0) -> None:
        """See all frames once with the frozen model; nothing is learned yet. `samples` are those of `load_samples` with the policy's needs.

        A policy whose features are not normalised yet gets mean 0 and standard deviation 1 over the training frames. `seed` is of the
        episodes held out and the order of the frames.

        Raises:
            UsageError: fewer than two episodes, another horizon, a needed field not loaded, or a number that is not finite.
        """
        _check(policy, samples)
        train, held_out = split_by_episode(samples.episode_index, config.held_out, seed)
        joined, plans = _see(policy, samples)
        if not policy.normalised:
            policy.normalise(joined[train].mean(axis=0), 1.0 / np.maximum(joined[train].std(axis=0), SMALLEST_DEVIATION))
        frames, self._cut = _frames(policy, policy.scaled(joined), plans, samples.waypoints)
        self._train, self._held_out = frames.take(train), frames.take(held_out)
        self._about = {
            "policy": policy.name,
            "datasets": list(samples.datasets),
            "frames": {"train": len(train), "held_out": len(held_out), "skipped": samples.skipped_frames},
            "episodes": {name: len(np.unique(samples.episode_index[rows])) for name, rows in (("train", train), ("held_out", held_out))},
        }
        self._policy, self._config, self._seed = policy, config, seed
        # the schedule is PPO's: under it the stage has standard deviations of its own, which are told and then forgotten
        self._log_std = nn.Parameter(policy.log_std.clone()) if policy.scheduled else policy.log_std
        self._learned = [*policy.delta_head.parameters(), *([self._log_std] if self._log_std.requires_grad else [])]

    def run(self, progress: Callable[[EpochReport], None] = lambda report: None) -> dict[str, Any]:
        """Learn, leave the best epoch in the policy, and give what warm_start.json tells.

        The same samples, policy, configuration, seed and number of torch's threads give the same weights.

        Raises:
            UsageError: training diverged; the policy is what its best epoch made it.
        """
        began, before = time.monotonic(), self._policy.sft.fingerprint()
        sft = errors(self._held_out.plans, self._held_out.experts)
        reach = errors(self._corrected(self._held_out.targets), self._held_out.experts)
        reports, chosen = self._learn(progress)
        with torch.no_grad():
            log_std = self._distribution(self._held_out.features)[1]
        return {
            **self._about,
            "sft": {"ade": sft[0], "fde": sft[1]},
            "corrected": {"ade": chosen.ade, "fde": chosen.fde},
            "targets": {"ade": reach[0], "fde": reach[1], "cut_share": self._cut},
            "best_epoch": chosen.epoch,
            "log_std": {"mean": log_std.reshape(-1, log_std.shape[-1]).mean(0).tolist(), "drives_ppo": not self._policy.scheduled},
            "sft_fingerprint": {"before": before, "after": self._policy.sft.fingerprint()},
            "seconds": round(time.monotonic() - began, 2),
            "seed": self._seed,
            "config": self._config.model_dump(mode="json"),
            "delta": self._policy.config.model_dump(mode="json"),
            "epochs": [asdict(report) for report in reports],
        }

    def _learn(self, progress: Callable[[EpochReport], None]) -> tuple[list[EpochReport], EpochReport]:
        """A report an epoch, that of epoch 0 first, and the one which the policy now holds."""
        config = self._config
        steps = -(-len(self._train.targets) // config.batch)
        optimizer = torch.optim.AdamW(self._learned, lr=config.lr, weight_decay=config.weight_decay, fused=True)
        schedule = torch.optim.lr_scheduler.OneCycleLR(
            optimizer, config.lr, total_steps=steps * config.epochs + 1, pct_start=0.1, cycle_momentum=False, final_div_factor=100.0
        )
        order = np.random.default_rng((self._seed, 1))
        reports = [EpochReport(0, *errors(self._corrected(self._mean()), self._held_out.experts))]
        chosen, best = reports[0], self._weights()
        try:
            while len(reports) <= config.epochs and len(reports) - chosen.epoch <= config.patience:
                lr = float(schedule.get_last_lr()[0])
                means = self._epoch(np.array_split(order.permutation(len(self._train.targets)), steps), optimizer, schedule)
                reports.append(self._judged(len(reports), means, lr))
                if reports[-1].ade < chosen.ade:
                    chosen, best = reports[-1], self._weights()
                progress(reports[-1])
        finally:
            for tensor, kept in zip(self._learned, best, strict=True):
                tensor.data.copy_(kept)
                tensor.grad = None
        return reports, chosen

    def _epoch(
        self, batches: list[NDArray[np.int64]], optimizer: torch.optim.Optimizer, schedule: torch.optim.lr_scheduler.LRScheduler
    ) -> LossReport:
        """One pass over the training frames: the means of loss and terms while they were learned from."""
        config, sums = self._config, np.zeros(4)
        for rows in batches:
            frames = self._train.take(rows)
            mean, log_std = self._distribution(frames.features)
            found = terms(mean, log_std, frames, self._policy.basis, self._policy.config, log_std_least=config.log_std_least)
            loss = config.nll * found.nll + config.mse * found.mse + config.kl * found.kl
            optimizer.zero_grad(set_to_none=True)
            loss.backward()  # type: ignore[no-untyped-call]
            nn.utils.clip_grad_norm_(self._learned, config.max_grad_norm)
            optimizer.step()
            schedule.step()
            sums += len(rows) * torch.stack((loss, *found)).detach().double().numpy()
        return LossReport(*(sums / len(self._train.targets)).tolist())

    def _judged(self, epoch: int, loss: LossReport, lr: float) -> EpochReport:
        """The epoch on the held-out frames.

        Raises:
            UsageError: a number that is not finite.
        """
        mean = self._mean()
        if not np.isfinite(astuple(loss)).all() or not bool(torch.isfinite(mean).all()):
            raise UsageError(f"warm_start.lr: {self._config.lr} made the supervised stage diverge in epoch {epoch}; write less")
        return EpochReport(epoch, *errors(self._corrected(mean), self._held_out.experts), loss, lr)

    def _distribution(self, features: Tensor) -> tuple[Tensor, Tensor]:
        """Mean (B, K) and log standard deviation, (K,) or (B, K), as they are learned."""
        mean, log_std = self._policy.distribution(features)
        log_std = self._log_std if self._policy.scheduled else log_std
        return mean, log_std.clamp(max=LOG_STD_RANGE[1])

    def _mean(self) -> Tensor:
        """(B, K) for the held-out frames."""
        with torch.no_grad():
            return self._policy.distribution(self._held_out.features)[0]

    def _corrected(self, actions: Tensor) -> Tensor:
        """(B, H, 2) m: the plans of the held-out frames with the corrections of `actions` (B, K)."""
        return corrected(actions, self._held_out.plans, self._policy.basis, self._policy.config)

    def _weights(self) -> list[Tensor]:
        return [tensor.detach().clone() for tensor in self._learned]


def errors(plans: Tensor, experts: Tensor) -> tuple[float, float]:
    """ADE and FDE in m of plans (B, H, 2)."""
    distance = displacement(plans.numpy(), experts.numpy())
    return float(distance.mean()), float(distance[:, -1].mean())


def _check(policy: ResidualPolicy, samples: Samples) -> None:
    if policy.horizon != samples.waypoints.shape[1]:
        raise UsageError(
            f"the SFT model plans {policy.horizon} waypoints, the episodes hold {samples.waypoints.shape[1]}; give episodes recorded for it"
        )
    if policy.needs.union(samples.needs) != samples.needs:
        raise UsageError(
            f"policy {policy.name} needs {policy.needs}, the samples were loaded with {samples.needs}; load them for the policy"
        )
    if not np.isfinite(samples.waypoints).all():
        raise UsageError("the episodes hold NaN or infinity in the expert's waypoints; remove the frames or record again")


def _see(policy: ResidualPolicy, samples: Samples) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Features before they are normalised (B, D) and SFT's plans (B, H, 2) of all frames, seen once."""
    rows = np.arange(len(samples))
    parts = [policy.frozen(samples.batch(rows[i : i + _ROWS]).restrict(policy.needs)) for i in range(0, len(rows), _ROWS)]
    joined, plans = (np.concatenate(column) for column in zip(*parts, strict=True))
    if not np.isfinite(joined).all() or not np.isfinite(plans).all():
        raise UsageError("the episodes hold NaN or infinity in an observation; remove the frames or record again")
    return joined, plans


def _frames(
    policy: ResidualPolicy, features: NDArray[np.float32], plans: NDArray[np.float32], experts: NDArray[np.float32]
) -> tuple[Frames, float]:
    """All frames with their targets, and the share of the targets' coordinates that the bounds cut."""
    sft, expert = torch.from_numpy(plans), torch.from_numpy(np.ascontiguousarray(experts, np.float32))
    parts = [target_actions(sft[i : i + _ROWS], expert[i : i + _ROWS], policy.basis, policy.config) for i in range(0, len(sft), _ROWS)]
    targets, cut = (torch.cat(column) for column in zip(*parts, strict=True))
    return Frames(torch.from_numpy(features), sft, expert, targets), float(cut.mean())
