"""Online PPO from closed-loop episodes: refines the delta head on a frozen SFT model, and leaves a run that explains itself.

    <out>/<run_id>/config.json, environment.json   as every run
                   episodes.jsonl, updates.jsonl, train_metrics.json, metrics.json   see `carla_rl.records.training`
                   checkpoints/last.pt, best.pt    what drives; best is by driving score on the validation suite
                   checkpoints/resume.pt           what goes on, see `carla_rl.resume`
                   tensorboard/                    the same vital signs by the same names

A checkpoint is written between two updates, every few of them and after every validation. Whatever ends a run, what the last checkpoint
holds is whole. Knows no command line; receives its parts built.
"""

from collections.abc import Callable, Generator, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from pydantic import Field, model_validator

from carla_rl import resume
from carla_rl.checkpoint import save_rl
from carla_rl.config import Config
from carla_rl.errors import RunFailure, UsageError
from carla_rl.gaussian import Noise
from carla_rl.interfaces import Controller, Policy, Simulator
from carla_rl.loop import ClosedLoop, Decision, Loss
from carla_rl.metrics.episode import EpisodeMeter
from carla_rl.metrics.result import EpisodeResult
from carla_rl.metrics.summary import summarize
from carla_rl.policies.delta import DeltaConfig
from carla_rl.policies.residual import ResidualPolicy
from carla_rl.ppo import PPOConfig, ReturnMoments, Trainer, UpdateRecord, sampling
from carla_rl.records.board import Board
from carla_rl.records.environment import describe_environment
from carla_rl.records.lock import sole_writer
from carla_rl.records.training import DROPPED, LOST, UPDATE, VALIDATION, TrainingLog, note_resume
from carla_rl.reward import AnyReward, RewardConfig, RewardTerms
from carla_rl.scenario.sampler import Curriculum, TrainingSampler
from carla_rl.warm_start import WarmStartConfig

CHECKPOINTS = "checkpoints"
RETURN_SCALE = "return_scale"
"""Where a checkpoint's `training` holds `ReturnMoments`."""
VALIDATION_SIGNS = ("driving_score_mean", "route_completion_mean", "success_rate", "collisions_per_km", "blocked_share", "ade_mean")
"""What TensorBoard shows of each drive of the validation suite."""

_SCHEDULED = ("log_std_start", "log_std_end", "log_std_until")


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
    checkpoint_every: int = Field(
        default=20, ge=1, description="updates between two checkpoints: what a kill costs at most; there is one after every validation too"
    )
    seed: int = Field(default=0, ge=0, lt=2**63, description="of the heads, the action noise, the minibatches and the draw of episodes")

    @model_validator(mode="after")
    def _without_effect(self) -> "TrainConfig":
        """Refuse what was set and would do nothing. What stands at its default is no wish: `carla-rl settings` prints it, runs keep it."""
        ppo, sigma = self.ppo, self.delta.sigma
        if ppo.entropy_coef > 0.0 and sigma == "schedule":
            raise ValueError(
                f"ppo.entropy_coef: {ppo.entropy_coef:g} does nothing to a sigma on a schedule; leave it out, or write delta.sigma "
                "'global' or 'state'"
            )
        if sigma != "schedule":
            for name in _SCHEDULED:
                if name in ppo.model_fields_set and (found := getattr(ppo, name)) != PPOConfig.model_fields[name].default:
                    raise ValueError(
                        f"ppo.{name}: {found:g} does nothing to a learned sigma (delta.sigma {sigma!r}); leave it out and write "
                        "delta.log_std, or write delta.sigma 'schedule'"
                    )
        if self.curriculum.trigger_share > 0.0 and self.mid_route == 0.0:
            raise ValueError(
                f"curriculum.trigger_share: {self.curriculum.trigger_share:g} is a share of the mid-route starts, and mid_route is 0; "
                "leave it out, or write a mid_route above 0"
            )
        return self


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
    moments: ReturnMoments | None = None
    """Of the returns under which the value head learned before; None where it is new."""


@dataclass(frozen=True, slots=True)
class Progress:
    """One update done; `validation` is the summary of a drive of the validation suite that followed it."""

    record: UpdateRecord
    validation: Mapping[str, Any] | None


class Training:
    """One training run, written into `folder` as it goes."""

    def __init__(
        self,
        parts: TrainParts,
        config: TrainConfig,
        folder: Path,
        facts: Mapping[str, Any],
        *,
        told: resume.Told | None = None,
        kept: resume.Kept | None = None,
    ) -> None:
        """Nothing is driven yet, nothing on the disk is changed.

        `facts` (simulator, suite, policy, protocol) go into metrics.json as they are. `told` is kept in resume.pt, to compare with when the
        run goes on; the configuration alone where it is None. With `kept` the run goes on from there.

        Raises:
            UsageError: `kept` does not fit the parts or the files in the folder.
        """
        self._parts, self._config, self.folder = parts, config, folder
        self._told = told if told is not None else {"training": config.model_dump(mode="json")}
        self._kept = kept
        self._log = TrainingLog(folder, facts) if kept is None else TrainingLog.reopened(folder, facts, kept.lines)
        self._best = resume.Best(-np.inf, -1) if kept is None else kept.best
        self._meter = EpisodeMeter(config.ppo.num_envs, parts.simulator.info.kind)
        self._saved_at = -1 if kept is None else kept.update
        self._stopping = False
        self.sft_before = parts.policy.sft.fingerprint()
        if kept is not None:
            kept.check_model(parts.policy)
            if 0 <= self._best.update < kept.update and not self._path("best.pt").is_file():
                raise UsageError(f"{self._path('best.pt')}: no such file, but update {self._best.update} was the best so far; put it back")

    def run(self) -> Generator[Progress, None, None]:
        """Train to the end, or until `stop`, and yield after every update. Close it when leaving early: it keeps what was reached.

        Raises:
            RunFailure: training diverged, the simulator gave what is no number, or a bit of the frozen model changed.
            UsageError: the folder cannot be written any more, another process trains in it, or what was kept does not fit the parts.
        """
        with sole_writer(self.folder):
            if self._kept is not None and resume.Kept(self._path(resume.FILE)).update != self._kept.update:
                raise UsageError(f"{self.folder}: went on while this was being prepared; give --resume once more")
            live = self._begin()
            with Board(self.folder / "tensorboard", hide_after=self._kept.decisions if self._kept else None) as board:
                yield from self._guarded(live, board)

    def _guarded(self, live: resume.Live, board: Board) -> Generator[Progress, None, None]:
        """The updates; whatever ends them, what was reached is kept."""
        between = False
        try:
            for progress in self._steps(live, board):
                between = True
                yield progress
                if self._stopping:
                    break
                between = False
        finally:
            # in the middle of an update there is no state to go on from: the last checkpoint stays
            if between and self._saved_at != live.trainer.update:
                self._checkpoint(live)
            self._log.flush()
            self._log.write_documents(self._about(), complete=self._saved_at == self.updates)

    def stop(self) -> None:
        """End after the update under way, with a checkpoint. May be called at any time, by a signal's handler too."""
        self._stopping = True

    @property
    def updates(self) -> int:
        """Of the whole training."""
        return self._config.ppo.updates

    @property
    def saved_at(self) -> int:
        """The update that the last checkpoint holds; -1 before there is one."""
        return self._saved_at

    def outcome(self) -> dict[str, Any]:
        """What was done so far: counts and the validation curve."""
        updates, validations = self._log.updates, self._log.validations
        decisions = updates[-1]["decisions"] if updates else 0
        return {"updates": len(updates), "decisions": decisions, "episodes": len(self._log.returns), "validation": validations}

    def _begin(self) -> resume.Live:
        """The loop and the trainer, where they were if the run goes on; then the files are cut back to there."""
        parts, config, kept = self._parts, self._config, self._kept
        source = resume.Source(parts.sampler)
        halfway = kept.halfway(parts.simulator, parts.controller, self._meter, source) if kept else None
        ticks = parts.ticks_per_decision
        loop = ClosedLoop(parts.simulator, parts.controller, source, ticks_per_decision=ticks, on_lost=self._note_loss, halfway=halfway)
        device = None if config.device == "cpu" else torch.device(config.device)
        trainer = Trainer(loop, parts.policy, config.reward, config.ppo, config.seed, self._measure, device)
        if parts.moments is not None and kept is None:
            trainer.begin_with(parts.moments)
        live = resume.Live(trainer, loop, parts.policy, parts.simulator, parts.controller, self._meter, source)
        if kept is not None:
            kept.bring_back(trainer, parts.policy)
            # nothing is refused any more: from here on the files are those of a run that goes on
            note_resume(self.folder, describe_environment(), kept.update)
            self._log.cut()
            if halfway is None:
                trainer.drop_episodes()
                self._log.add(DROPPED, {"update": kept.update, "episodes": kept.under_way()})
            # a kill may have come between resume.pt and these
            self._write_policies(trainer)
            self._log.write_documents(self._about(), complete=False)
        return live

    def _note_loss(self, loss: Loss) -> None:
        """Write down that an episode is void; the sampler draws another."""
        row = {"update": len(self._log.updates), "episode_id": loss.episode.episode_id, "reason": loss.reason}
        self._log.add(LOST, row)
        if loss.hopeless:
            raise RunFailure(f"scenario {loss.episode.scenario.scenario_id} cannot be trained on: {loss.reason}")

    def _steps(self, live: resume.Live, board: Board) -> Iterator[Progress]:
        trainer = live.trainer
        if self._kept is None:
            self._checkpoint(live)
        if self._parts.validate and not self._log.validations:
            self._validate(trainer, board)
            self._checkpoint(live)
        for record in trainer.updates():
            self._parts.sampler.progress = record.update / self.updates
            scalars = record.scalars()
            self._log.add(UPDATE, {"update": record.update, "decisions": record.decisions, **scalars})
            board.add(record.decisions, scalars)
            validation = self._validate(trainer, board) if self._due(record.update, self._config.validate_every) else None
            if validation or self._due(record.update, self._config.checkpoint_every):
                self._checkpoint(live)
                self._log.write_documents_now_and_then(self._about())
            yield Progress(record, validation)

    def _due(self, update: int, every: int) -> bool:
        return update % every == 0 or update == self.updates

    def _measure(self, decision: Decision, earned: RewardTerms) -> None:
        """Measure the training episodes as any others."""
        ended = self._meter.update(decision, reward=earned.total)
        self._log.add_episodes(ended)
        for result in ended:
            self._parts.sampler.learn(result.scenario_id, result.success)

    def _validate(self, trainer: Trainer, board: Board) -> Mapping[str, Any] | None:
        """Drive the validation suite, if any, with the policy's mean, and remember the best. Update 0 is the drive before PPO."""
        if self._parts.validate is None:
            return None
        summary = summarize(self._parts.validate(self._parts.policy))
        sampled = self._validate_sampled(trainer) if self._config.validate_sampled else {}
        self._log.add(VALIDATION, {"update": trainer.update, "decisions": trainer.decisions, **summary, "sampled": sampled})
        for prefix, found in (("validation", summary), ("validation_sampled", sampled)):
            board.add(trainer.decisions, {f"{prefix}/{name}": found[name] for name in VALIDATION_SIGNS if found.get(name) is not None})
        if summary["driving_score_mean"] > self._best.score:
            self._best = resume.Best(summary["driving_score_mean"], trainer.update)
        return summary

    def _validate_sampled(self, trainer: Trainer) -> Mapping[str, Any]:
        """The same with sampled actions; the noise depends on the seed and the update alone."""
        assert self._parts.validate is not None
        seed = int(np.random.SeedSequence((self._config.seed, trainer.update)).generate_state(1, np.uint64)[0])
        noise = Noise(torch.Generator().manual_seed(seed), trainer.config.noise_correlation)
        with sampling(self._parts.policy, noise):
            return summarize(self._parts.validate(self._parts.policy))

    def _checkpoint(self, live: resume.Live) -> None:
        """Keep everything as of now, between two updates. resume.pt comes first: the others follow from it."""
        if self._parts.policy.sft.fingerprint() != self.sft_before:
            raise RunFailure("a bit of the frozen SFT model changed in training; this is a defect of the program, please report it")
        self._log.flush()
        resume.write(self._path(resume.FILE), live, told=self._told, lines=self._log.lines, best=self._best)
        self._write_policies(live.trainer)
        self._saved_at = live.trainer.update

    def _write_policies(self, trainer: Trainer) -> None:
        """last.pt, and best.pt where this update is the best."""
        stats = {
            "simulator": self._parts.simulator.info.kind.value,
            "update": trainer.update,
            "decisions": trainer.decisions,
            "config": self._config.model_dump(mode="json"),
        }
        state = self._parts.policy.state(stats, {RETURN_SCALE: trainer.return_moments.model_dump(mode="json")})
        save_rl(self._path("last.pt"), state)
        if self._best.update == trainer.update:
            save_rl(self._path("best.pt"), state)

    def _about(self) -> dict[str, Any]:
        """For train_metrics.json."""
        fingerprints = {"before": self.sft_before, "after": self._parts.policy.sft.fingerprint()}
        return {"simulator": self._parts.simulator.info.kind.value, "sft_fingerprint": fingerprints}

    def _path(self, name: str) -> Path:
        return self.folder / CHECKPOINTS / name
