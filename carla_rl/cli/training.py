"""What `train` is told, built into a training's parts, and the training shown while it runs."""

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import FrameType
from typing import Any

import torch
from pydantic import Field

from carla_rl.agent import Agent
from carla_rl.build import fitting_controller, make_controller, make_expert
from carla_rl.cli.carla import CARLA, CarlaOptions, tell_loss
from carla_rl.cli.console import Display, progress, stderr
from carla_rl.cli.heads import make_heads, read_moments
from carla_rl.cli.setup import NO_SERVERS, Bank, make_bank, policy_record
from carla_rl.config import Config
from carla_rl.errors import RunFailure, UsageError
from carla_rl.evaluate import Parts, drive
from carla_rl.interfaces import Policy
from carla_rl.metrics.result import EpisodeResult
from carla_rl.records.run import PolicyRecord, run_facts
from carla_rl.scenario.sampler import TrainingSampler
from carla_rl.scenario.suite import overlap
from carla_rl.train import Progress, TrainConfig, Training, TrainParts

VALIDATION_ENVS = 64


class TrainRequest(Config):
    """Everything that a training is told, as config.json keeps it."""

    simulator: str
    suite: str
    routes: str | None = None
    maps: tuple[Path, ...] = ()
    skip_unsupported: bool = False
    validation: str | None = None
    warm_start: str | None = None
    init: Path | None = None
    agent: Agent
    training: TrainConfig
    threads: int = Field(default=1, ge=1, description="of torch and the toy; of torch's they are part of the algorithm, down in the bits")


@dataclass(frozen=True)
class Built:
    """A training's parts and what its records say of them."""

    request: TrainRequest
    bank: Bank
    held_out: Bank | None
    policy: PolicyRecord
    parts: TrainParts
    display: Display
    """Shows how far the training is, and the drives of the validation suite."""

    @property
    def protocol(self) -> dict[str, Any]:
        """What has to be the same for two runs to be comparable."""
        return {"controller": self.request.agent.controller, "decision_ticks": self.request.agent.decision_ticks}

    @property
    def told(self) -> dict[str, Any]:
        """Everything that has to be the same for a run to go on, as JSON values."""
        return {
            "config": self.request.model_dump(mode="json"),
            "facts": run_facts(self.bank.simulator.info, self.bank.record, self.policy, self.protocol),
            "validation": self.held_out.record.model_dump(mode="json") if self.held_out else None,
        }


def build(
    request: TrainRequest, threads: int, *, init: Path | None = None, carla: CarlaOptions = NO_SERVERS, logs: Path = Path("servers")
) -> Built:
    """Everything that can be wrong is found here, before anything runs. The heads are new, or those of the checkpoint `init`.

    Raises:
        UsageError: a file, a suite, a simulator or a controller that is not there or does not fit.
    """
    torch.set_num_threads(threads)
    settings, agent = request.training, request.agent
    if request.warm_start is not None and request.init is not None:
        raise UsageError("--warm-start and --init are both given, and both say where the heads start; give one of them")
    _check_device(settings.device)
    assert agent.checkpoint is not None
    policy = make_heads(agent.checkpoint, settings, init)
    driver, reference = fitting_controller(agent.controller, settings.ppo.num_envs, policy, agent.decision_ticks), make_expert()
    bank_of = partial(
        make_bank, request.simulator, maps=request.maps, threads=threads, skip_unsupported=request.skip_unsupported, logs=logs
    )
    mine, its = carla.for_training(request.validation is not None) if request.simulator == CARLA else (carla, carla)
    bank = bank_of(request.suite, policy.needs, routes=request.routes, num_envs=settings.ppo.num_envs, idle_envs=True, carla=mine)
    needs = policy.needs.union(reference.needs)
    held_out = bank_of(request.validation, needs, num_envs=VALIDATION_ENVS, carla=its or carla) if request.validation else None
    _check_disjoint(bank, held_out)
    display = progress()
    parts = TrainParts(
        simulator=bank.simulator,
        controller=driver,
        policy=policy,
        sampler=TrainingSampler(bank.episodes, settings.seed, settings.mid_route, settings.curriculum),
        validate=_validator(held_out, reference, agent, display) if held_out else None,
        ticks_per_decision=agent.decision_ticks,
        moments=read_moments(init),
    )
    return Built(request, bank, held_out, policy_record(policy, agent.checkpoint), parts, display)


def _check_device(device: str) -> None:
    """Raises UsageError where torch has no such device."""
    if device == "cpu":
        return
    known = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if (torch.device(device).index or 0) >= known:
        raise UsageError(
            f"--device {device}: torch {torch.__version__} sees {known or 'no'} CUDA device{'s' * (known > 1)} on this machine; train with "
            "one that is there, or on the CPU from the start"
        )


def _check_disjoint(bank: Bank, held_out: Bank | None) -> None:
    """Raises UsageError where training and validation share a route or a seed."""
    if held_out and (shared := overlap(bank.suite, held_out.suite)):
        raise UsageError(
            f"--suite {bank.suite.name} and --validation {held_out.suite.name} overlap ({shared[0]}); validate on other routes and seeds"
        )


def _validator(bank: Bank, reference: Policy, agent: Agent, display: Display) -> Callable[[Policy], list[EpisodeResult]]:
    """Drives a bank with a policy, again and again on the same simulator, and shows how far it is."""
    simulator = bank.simulator
    controller = make_controller(agent.controller, simulator.num_envs)

    def validate(policy: Policy) -> list[EpisodeResult]:
        parts, results = Parts(simulator, policy, controller, reference, agent.decision_ticks), []
        task = display.add_task(f"validating on {bank.suite.name}", total=len(bank.episodes), note="")
        try:
            for result in drive(parts, bank.episodes, on_void=tell_loss):
                results.append(result)
                display.advance(task)
        finally:
            display.remove_task(task)
        if len(results) < len(bank.episodes):
            # a mean over the routes that survived would pick the wrong checkpoint
            raise RunFailure(
                f"{len(bank.episodes) - len(results)} episodes of the validation suite were lost with their servers every time"
            )
        return results

    return validate


def drive_training(training: Training, display: Display) -> dict[str, Any]:
    """Train and show it; counts and the validation curve at the end.

    Raises:
        RunFailure: interrupted; says what is kept and how to go on.
    """
    score = "–"
    try:
        with display as bar, _ended_by_signals(training.stop), closing(training.run()) as steps:
            task = bar.add_task("training", total=training.updates, note="")
            for step in steps:
                if step.validation:
                    score = f"{step.validation['driving_score_mean']:.1f}"
                _say(step, training.updates)
                kl = step.record.stats.approx_kl
                note = f"reward {step.record.reward:+.4f}  KL {'–' if kl is None else f'{kl:.4f}'}  validation {score}"
                bar.update(task, completed=step.record.update, note=f"{note}  {step.record.decisions_per_s:,.0f} decisions/s")
    except KeyboardInterrupt:
        raise _interrupted(training) from None
    if training.saved_at < training.updates:
        raise _interrupted(training)
    return training.outcome()


def _say(step: Progress, updates: int) -> None:
    """What of a step is more than a number in the progress bar."""
    at = f"update {step.record.update} of {updates}"
    if step.record.lost:
        stderr.print(f"[yellow]{at}: {step.record.lost} lost world(s); updates.jsonl says why[/]", highlight=False)
    if step.validation:
        score = f"{step.validation['driving_score_mean']:.1f}"
        stderr.print(f"[dim]{at}: driving score {score} on the validation suite[/]", highlight=False)


def _interrupted(training: Training) -> RunFailure:
    if training.saved_at < 0:
        return RunFailure(f"interrupted before the first checkpoint; {training.folder} holds nothing to go on from")
    return RunFailure(
        f"interrupted after {training.outcome()['updates']} of {training.updates} updates; the checkpoint of update {training.saved_at} "
        f"and metrics are in {training.folder}; go on with: carla-rl train --resume {training.folder}"
    )


@contextmanager
def _ended_by_signals(stop: Callable[[], None]) -> Iterator[None]:
    """SIGTERM and Ctrl-C ask for the end after the update under way; a second Ctrl-C ends at once."""
    if threading.current_thread() is not threading.main_thread():
        # signals are the main thread's: who started this one decides what they do
        yield
        return

    def asked(number: int, frame: FrameType | None) -> None:
        stop()
        signal.signal(signal.SIGINT, signal.default_int_handler)
        stderr.print("[dim]ending after this update; Ctrl-C again ends at once and keeps the last checkpoint[/]", highlight=False)

    before = {number: signal.signal(number, asked) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
