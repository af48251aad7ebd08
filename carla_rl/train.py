"""Online PPO from closed-loop episodes: refines the delta head on a frozen SFT model, and leaves a run that explains itself.

    <out>/<run_id>/config.json, environment.json   as every run
                   episodes.jsonl                  one line a training episode
                   train_metrics.json              every update's vital signs, every validation
                   metrics.json                    the headline over all training episodes; ADE and FDE are the last validation's
                   checkpoints/last.pt, best.pt    after every validation, and at the end; best is by driving score on the validation suite
                   tensorboard/                    the same vital signs by the same names

Knows no command line; receives its parts built.
"""

import itertools
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from pydantic import Field
from torch.utils.tensorboard import SummaryWriter

from carla_rl.checkpoint import save_rl
from carla_rl.config import Config
from carla_rl.errors import RunFailure
from carla_rl.interfaces import Controller, Policy, Simulator
from carla_rl.loop import ClosedLoop, Decision
from carla_rl.metrics.episode import EpisodeMeter
from carla_rl.metrics.result import EpisodeResult
from carla_rl.metrics.summary import summarize, training_metrics
from carla_rl.policies.delta import DeltaConfig
from carla_rl.policies.residual import ResidualPolicy
from carla_rl.ppo import PPOConfig, Trainer, UpdateRecord, sampling
from carla_rl.records.atomic import append_lines, write_json
from carla_rl.reward import AnyReward, RewardConfig, RewardTerms
from carla_rl.scenario.sampler import Curriculum, TrainingSampler
from carla_rl.warm_start import WarmStartConfig

VALIDATION_SIGNS = ("driving_score_mean", "route_completion_mean", "success_rate", "collisions_per_km", "blocked_share", "ade_mean")
"""What TensorBoard shows of each drive of the validation suite."""


class TrainConfig(Config):
    """Everything that a training run is told. A file of it is TOML: a table for each of its parts, and the fields here."""

    ppo: PPOConfig = PPOConfig()
    delta: DeltaConfig = DeltaConfig()
    reward: AnyReward = RewardConfig()
    curriculum: Curriculum = Curriculum()
    warm_start: WarmStartConfig = WarmStartConfig()
    mid_route: float = Field(default=0.7, ge=0, le=1, description="share of the training episodes that start in the middle of their route")
    device: str = Field(
        default="cpu", pattern=r"^(cpu|cuda(:\d+)?)$", description="where the heads learn, cpu or cuda; they drive on the CPU"
    )
    validate_every: int = Field(default=20, ge=1, description="updates between two drives of the validation suite")
    validate_sampled: bool = Field(
        default=True, description="drive it with sampled actions, too: the mean may stand still where they do not"
    )
    seed: int = Field(default=0, ge=0, lt=2**63, description="of the heads, the action noise, the minibatches and the draw of episodes")


@dataclass(frozen=True, slots=True)
class TrainParts:
    """What a training needs, built: the simulator and the controller with `config.ppo.num_envs` envs."""

    simulator: Simulator
    controller: Controller
    policy: ResidualPolicy
    sampler: TrainingSampler
    validate: Callable[[Policy], list[EpisodeResult]] | None
    """Drives the validation suite with the mean of the policy; None where there is no such suite."""
    ticks_per_decision: int


@dataclass(frozen=True, slots=True)
class Progress:
    """One update done; `validation` is the summary of a drive of the validation suite that followed it."""

    record: UpdateRecord
    validation: Mapping[str, Any] | None


class Training:
    """One training run, written into `folder` as it goes."""

    def __init__(self, parts: TrainParts, config: TrainConfig, folder: Path, facts: Mapping[str, Any]) -> None:
        """Nothing is driven yet. `facts` (simulator, suite, policy, protocol) go into metrics.json as they are."""
        self._parts = parts
        self._facts = facts
        self._config = config
        self.folder = folder
        self._pending: list[EpisodeResult] = []
        """Episodes that ended and are not on the disk yet."""
        self._returns: list[float | None] = []
        """Of all episodes that ended."""
        self._meter = EpisodeMeter(config.ppo.num_envs, parts.simulator.info.kind)
        self._updates: list[dict[str, Any]] = []
        self._validations: list[dict[str, Any]] = []
        self._best = -np.inf
        self.sft_before = parts.policy.sft.fingerprint()

    def run(self) -> Iterator[Progress]:
        """Train to the end and yield after every update; leaving early keeps what was reached.

        Raises:
            RunFailure: training diverged, or a bit of the frozen model changed.
            UsageError: the folder cannot be written any more.
        """
        parts, config = self._parts, self._config
        with SummaryWriter(str(self.folder / "tensorboard")) as board:
            source = _endless(parts.sampler)
            loop = ClosedLoop(parts.simulator, parts.controller, source, ticks_per_decision=parts.ticks_per_decision, drop_lost=True)
            device = None if config.device == "cpu" else torch.device(config.device)
            trainer = Trainer(loop, parts.policy, config.reward, config.ppo, config.seed, self._measure, device)
            try:
                yield from self._steps(trainer, board)
            finally:
                self._save(trainer, complete=trainer.update == config.ppo.updates)

    def outcome(self) -> dict[str, Any]:
        """What was done so far: counts and the validation curve."""
        decisions = self._updates[-1]["decisions"] if self._updates else 0
        return {"updates": len(self._updates), "decisions": decisions, "episodes": len(self._returns), "validation": self._validations}

    def _steps(self, trainer: Trainer, board: SummaryWriter) -> Iterator[Progress]:
        if self._parts.validate:
            self._validate(trainer, board)
        for record in trainer.updates():
            self._parts.sampler.progress = record.update / self._config.ppo.updates
            self._append_episodes()
            scalars = record.scalars()
            self._updates.append({"update": record.update, "decisions": record.decisions, **scalars})
            for name, value in scalars.items():
                board.add_scalar(name, value, record.decisions)
            validation = None
            if self._due(record.update) and self._parts.validate:
                validation = self._validate(trainer, board)
                self._save(trainer, complete=False)
            yield Progress(record, validation)

    def _due(self, update: int) -> bool:
        return update % self._config.validate_every == 0 or update == self._config.ppo.updates

    def _measure(self, decision: Decision, earned: RewardTerms) -> None:
        """Measure the training episodes as any others."""
        ended = self._meter.update(decision, reward=earned.total)
        self._pending += ended
        self._returns += [result.episode_return for result in ended]
        for result in ended:
            self._parts.sampler.learn(result.scenario_id, result.success)

    def _append_episodes(self) -> None:
        """The episodes that ended since the last time, a line each."""
        lines = [json.dumps({"run_id": self.folder.name, **result.to_json()}, allow_nan=False) for result in self._pending]
        self._pending.clear()
        if lines:
            append_lines(self.folder / "episodes.jsonl", *lines)

    def _validate(self, trainer: Trainer, board: SummaryWriter) -> Mapping[str, Any]:
        """Drive the validation suite with the policy's mean; the best so far goes to best.pt. Update 0 is the drive before PPO."""
        assert self._parts.validate is not None
        summary = summarize(self._parts.validate(self._parts.policy))
        sampled = self._validate_sampled(trainer) if self._config.validate_sampled else {}
        self._validations.append({"update": trainer.update, "decisions": trainer.decisions, **summary, "sampled": sampled})
        for name in VALIDATION_SIGNS:
            for prefix, found in (("validation", summary), ("validation_sampled", sampled)):
                if found.get(name) is not None:
                    board.add_scalar(f"{prefix}/{name}", found[name], trainer.decisions)
        if trainer.update and summary["driving_score_mean"] > self._best:
            self._best = summary["driving_score_mean"]
            self._write_checkpoint("best.pt", trainer)
        return summary

    def _validate_sampled(self, trainer: Trainer) -> Mapping[str, Any]:
        """The same with sampled actions; the noise depends on the seed and the update alone."""
        assert self._parts.validate is not None
        noise = int(np.random.SeedSequence((self._config.seed, trainer.update)).generate_state(1, np.uint64)[0])
        with sampling(self._parts.policy, torch.Generator().manual_seed(noise)):
            return summarize(self._parts.validate(self._parts.policy))

    def _save(self, trainer: Trainer, *, complete: bool) -> None:
        """Checkpoint and metrics as of now, each written atomically."""
        self._append_episodes()
        after = self._parts.policy.sft.fingerprint()
        if after != self.sft_before:
            raise RunFailure("a bit of the frozen SFT model changed in training; this is a defect of the program, please report it")
        self._write_checkpoint("last.pt", trainer)
        write_json(
            self.folder / "train_metrics.json",
            {
                "run_id": self.folder.name,
                "simulator": self._parts.simulator.info.kind.value,
                "complete": complete,
                "sft_fingerprint": {"before": self.sft_before, "after": after},
                "updates": self._updates,
                "validation": self._validations,
            },
        )
        # the sampled plans of training say little; what counts is how far the mean is from the expert
        ade, fde = (self._validations[-1][name] if self._validations else None for name in ("ade_mean", "fde_mean"))
        headline = training_metrics(self.folder.name, self._returns, ade, fde)
        write_json(self.folder / "metrics.json", {**headline, "domain": "driving", "complete": complete, **self._facts})

    def _write_checkpoint(self, name: str, trainer: Trainer) -> None:
        kind = self._parts.simulator.info.kind.value
        stats = {
            "simulator": kind,
            "update": trainer.update,
            "decisions": trainer.decisions,
            "config": self._config.model_dump(mode="json"),
        }
        save_rl(self.folder / "checkpoints" / name, self._parts.policy.state(stats))


def _endless(sampler: TrainingSampler) -> Iterator[Any]:
    return (sampler.next() for _ in itertools.count())
