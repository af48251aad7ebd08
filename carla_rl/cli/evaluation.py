"""What `evaluate` is told, and a stopped evaluation: read back from its run directory and compared with what there is now."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from carla_rl.agent import Agent
from carla_rl.cli.setup import Drive
from carla_rl.config import Config
from carla_rl.errors import UsageError
from carla_rl.interfaces import SimulatorInfo
from carla_rl.records.fingerprint import code_version, conditions, differing
from carla_rl.records.reading import Run, read_run
from carla_rl.records.run import EVALUATION, PolicyRecord, SuiteRecord, run_facts
from carla_rl.scenario.model import Episode
from carla_rl.scenario.variation import Variation


class EvaluationRequest(Config):
    """Everything that an evaluation is told and that its numbers may depend on, as config.json keeps it."""

    simulator: str
    suite: str
    routes: str | None = None
    maps: tuple[Path, ...] = ()
    agent: Agent
    variation: Variation = Variation()
    repetitions: int = 1
    skip_unsupported: bool = False
    steps: bool = True
    camera: str | None = None
    """What this camera sees is kept as films."""


def facts_of(ready: Drive, agent: Agent) -> dict[str, Any]:
    """What made the numbers of a run, as its environment.json tells it."""
    simulator = ready.bank.simulator.info
    protocol = protocol_of(ready, agent)
    return {**run_facts(simulator, ready.bank.record, ready.policy, protocol), "code": code_version(simulator.kind.value)}


def protocol_of(ready: Drive, agent: Agent) -> dict[str, Any]:
    """What has to be the same for two runs to be comparable."""
    return {"controller": agent.controller, "decision_ticks": agent.decision_ticks, **ready.bank.simulator.info.criteria}


@dataclass(frozen=True)
class StoppedEvaluation:
    """A run of which something is missing."""

    run: Run
    request: EvaluationRequest

    def check(self, ready: Drive) -> None:
        """Whether what would be driven now is what the run drove.

        Raises:
            UsageError: other code, another suite, simulator, policy or protocol, other seeds; what differs is named.
        """
        self._check(facts_of(ready, self.request.agent), ready.policy, ready.bank.episodes)

    def check_unstarted(self, suite: SuiteRecord, policy: PolicyRecord, episodes: Sequence[Episode], running: SimulatorInfo | None) -> None:
        """The same as far as it can be told without starting a server; `running` is the simulator where there is one already.

        Raises:
            UsageError: as `check`.
        """
        was = self.run.environment
        if running is not None:
            facts = run_facts(running, suite, policy, {**was["protocol"], **running.criteria})
            facts["code"] = code_version(running.kind.value)
        else:
            facts = {**was, "suite": suite.model_dump(mode="json"), "code": code_version(was["simulator"]["kind"])}
        self._check(facts, policy, episodes)

    def _check(self, facts: Mapping[str, Any], now: PolicyRecord, episodes: Sequence[Episode]) -> None:
        differs = differing(conditions(self.run.environment), conditions(facts))
        was = self.run.policy
        if (was.name, was.sha256) != (now.name, now.sha256):
            differs.append(f"policy differs ({was.name} {was.sha256 or ''} against {now.name} {now.sha256 or ''})")
        if self.run.config.get("seeds") != {episode.episode_id: episode.seed for episode in episodes}:
            differs.append("the episodes or their seeds differ")
        if differs:
            raise UsageError(f"{self.run.path}: the run cannot go on: {'; '.join(differs)}; put it back, or start a new run")

    def missing(self, episodes: Sequence[Episode]) -> tuple[Episode, ...]:
        """The episodes that were not finished, whatever their order; those that were given up are among them."""
        finished = {episode.episode_id for episode in self.run.episodes}
        return tuple(episode for episode in episodes if episode.episode_id not in finished)


def read_stopped_evaluation(path: Path) -> StoppedEvaluation:
    """The evaluation in a directory.

    Raises:
        UsageError: no run, a training, a run of which nothing is missing, or one whose config.json cannot be read any more.
    """
    run = read_run(path)
    if run.command != EVALUATION:
        raise UsageError(f"{path}: holds a run of {run.command!r}, no evaluation; a training goes on by carla-rl train --resume")
    told: Mapping[str, Any] = {name: value for name, value in run.config.items() if name in EvaluationRequest.model_fields}
    try:
        request = EvaluationRequest.model_validate(told)
    except ValidationError as error:
        raise UsageError(f"{path}: its config.json cannot be read ({error.errors()[0]['msg']}); start a new run") from error
    seeds = run.config.get("seeds")
    if isinstance(seeds, Mapping) and run.complete and len(run.episodes) == len(seeds):
        raise UsageError(f"{path}: all of its {len(seeds)} episodes were driven; there is nothing to resume")
    return StoppedEvaluation(run, request)
