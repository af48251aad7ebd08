"""A run directory: everything that one evaluation or training leaves behind, explained by itself, never half-written.

    <out>/<run_id>/config.json        the command and its full configuration, seeds included
                   environment.json   versions, machine, git; simulator, suite, policy and protocol of the run
                   episodes.jsonl     one line an episode, on the disk as soon as the episode ends: the truth of the run
                   metrics.json       the contract's results with summary; "complete": false until the run was finished
                   quarantine.jsonl  episodes that were given up since their worlds were lost every time, with the reasons
                   steps/<episode>.npz   step logs

A kill loses nothing that was finished: `carla_rl.records.reading` reads a run from its episode lines. Knows no simulator and no policy.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from pydantic import Field

from carla_rl.errors import UsageError
from carla_rl.interfaces import SimulatorInfo
from carla_rl.metrics.result import EpisodeResult, Record
from carla_rl.metrics.scores import DEFAULT_SCORE
from carla_rl.metrics.summary import summarize
from carla_rl.records.atomic import append_lines, make_folder, write_bytes, write_json
from carla_rl.records.environment import describe_environment
from carla_rl.records.fingerprint import code_version, fingerprint
from carla_rl.records.names import check_run_id, file_stem, new_run_id
from carla_rl.records.steps import StepLog, write_steps
from carla_rl.types import TICK_S

FORMAT = 1
"""Version of the run directory's layout."""
DOMAIN = "driving"
EVALUATION, TRAINING = "evaluate", "ppo-delta"
"""The kinds of run: the prefix of the run id, and what config.json calls the command."""


class SimulatorRecord(Record):
    """What made the numbers."""

    name: str
    kind: str
    description: str
    version: str
    parameters: dict[str, Any] = Field(default_factory=dict)


class SuiteRecord(Record):
    """Which scenarios were driven."""

    name: str
    sha256: str | None = Field(description="of the suite's content")
    split: str
    omitted: tuple[str, ...] = Field(default=(), description="what the suite asks for and no scenario carries, a sentence each")


class PolicyRecord(Record):
    """Which policy drove."""

    name: str
    checkpoint: str | None = None
    sha256: str | None = Field(default=None, description="of the checkpoint file")
    sft: str | None = Field(default=None, description="SHA-256 of the tensors of the SFT model that it is or refines")


@dataclass(frozen=True)
class StartedRun:
    """A run directory in which everything stands that is known before the first episode."""

    path: Path
    facts: dict[str, Any]
    """`simulator`, `suite`, `policy`, `protocol` and `code`, as JSON values: for metrics.json."""
    git: dict[str, Any]


class RunDirectory:
    """Writes one run. A context manager: leaving it normally completes the run, leaving it by an exception (Ctrl-C included) keeps what
    was finished and marks the run incomplete."""

    def __init__(self, started: StartedRun, finished: Iterable[EpisodeResult] = ()) -> None:
        """Take over what `start_run` began, or what `reopen_run` brought back with the episodes that are `finished`.

        Raises:
            UsageError: the folder cannot be written any more.
        """
        self.path = started.path
        self.run_id = started.path.name
        self._facts = started.facts
        self._git = started.git
        self._results = list(finished)
        self._seen = {result.episode_id for result in self._results}
        self._quarantined: dict[str, tuple[str, ...]] = {}
        self._next_summary = 1
        self._write_metrics(complete=False)

    def add(self, result: EpisodeResult) -> None:
        """Put one finished episode on the disk. When this returns, no kill can lose it.

        Raises:
            UsageError: the disk is full or the folder gone.
            ValueError: the episode is in the run already.
        """
        if result.episode_id in self._seen:
            raise ValueError(f"episode {result.episode_id} was driven twice in one run")
        line = {"run_id": self.run_id, **result.to_json()}
        append_lines(self.path / "episodes.jsonl", json.dumps(line, allow_nan=False, ensure_ascii=False))
        self._results.append(result)
        self._seen.add(result.episode_id)
        # the summary follows at ever larger sizes, so that its cost stays linear in the episodes
        if len(self._results) >= self._next_summary:
            self._next_summary = len(self._results) * 5 // 4 + 1
            self._write_metrics(complete=False)

    def quarantine(self, episode_id: str, reasons: Sequence[str]) -> None:
        """Put on the disk that an episode was given up, and why each attempt was void.

        Raises:
            UsageError: the disk is full or the folder gone.
        """
        line = {"run_id": self.run_id, "episode_id": episode_id, "reasons": list(reasons)}
        append_lines(self.path / "quarantine.jsonl", json.dumps(line, allow_nan=False, ensure_ascii=False))
        self._quarantined[episode_id] = tuple(reasons)

    @property
    def finished(self) -> int:
        """Episodes that are on the disk."""
        return len(self._results)

    @property
    def quarantined(self) -> Mapping[str, tuple[str, ...]]:
        """By episode that was given up: why each attempt was void."""
        return self._quarantined

    def add_steps(self, log: StepLog) -> Path:
        """Write the step log of an episode and return where.

        Raises:
            UsageError: the place cannot be written.
        """
        folder = self.path / "steps"
        make_folder(folder)
        path = folder / f"{file_stem(log.episode_id)}.npz"
        write_steps(path, log)
        return path

    def finish(self, *, complete: bool = True) -> dict[str, Any]:
        """Write the metrics.json and return what it holds; a run that lacks episodes for good is not `complete`."""
        return self._write_metrics(complete=complete and not self._quarantined)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, traceback: TracebackType | None) -> None:
        self._write_metrics(complete=kind is None and not self._quarantined)

    def _write_metrics(self, *, complete: bool) -> dict[str, Any]:
        data = evaluation_metrics(self.run_id, self._git, self._facts, self._results, complete=complete, quarantined=self._quarantined)
        write_json(self.path / "metrics.json", data)
        return data


def start_run(
    out: Path,
    kind: str,
    *,
    config: Mapping[str, Any],
    simulator: SimulatorInfo,
    suite: SuiteRecord,
    policy: PolicyRecord,
    protocol: Mapping[str, Any],
    run_id: str | None = None,
    now: datetime | None = None,
    code: str | None = None,
) -> StartedRun:
    """Make `<out>/<run_id>` with config.json and environment.json: what is known before the first episode.

    `kind` (EVALUATION or TRAINING) is the prefix of the run id, which is made from the time unless `run_id` gives it.
    `config` is everything that the command was told. `protocol` is what has to be the same for two runs to be comparable
    (controller, ticks a decision, time limits ...), beyond simulator and suite. `code` says what drove and measured where it was not this
    program.

    Raises:
        UsageError: `out` cannot be written, the run id is no plain name, or there is a run of that id already.
    """
    make_folder(out)
    path = out / (new_run_id(kind, now) if run_id is None else check_run_id(run_id))
    if (path / "config.json").exists():
        raise UsageError(f"{path}: holds a run already; give another --run-id, or none")
    make_folder(path)
    environment = describe_environment()
    facts = {**run_facts(simulator, suite, policy, protocol), "code": code or code_version(simulator.kind.value)}
    started = (now or datetime.now()).astimezone().isoformat(timespec="seconds")
    write_json(path / "config.json", {"format": FORMAT, "run_id": path.name, "command": kind, "started": started, "config": dict(config)})
    write_json(path / "environment.json", {"run_id": path.name, **facts, **environment})
    return StartedRun(path, facts, environment["git"])


def reopen_run(path: Path, facts: Mapping[str, Any], git: Mapping[str, Any]) -> StartedRun:
    """Take up a run that was stopped, after a kill also in the middle of a line; what was given up is to be tried anew.

    `facts` and `git` are those of its environment.json.

    Raises:
        UsageError: the folder cannot be written.
    """
    make_folder(path)
    lines = path / "episodes.jsonl"
    written = lines.read_bytes() if lines.exists() else b""
    whole = written[: written.rfind(b"\n") + 1]
    if whole != written:
        write_bytes(lines, whole)
    (path / "quarantine.jsonl").unlink(missing_ok=True)
    return StartedRun(path, dict(facts), dict(git))


def run_facts(simulator: SimulatorInfo, suite: SuiteRecord, policy: PolicyRecord, protocol: Mapping[str, Any]) -> dict[str, Any]:
    """What made the numbers of a run, as JSON values."""
    made_by = SimulatorRecord(
        name=simulator.kind.value,
        kind=simulator.kind.value,
        description=simulator.description,
        version=simulator.version,
        parameters=simulator.parameters,
    )
    return {
        "simulator": made_by.model_dump(mode="json"),
        "suite": suite.model_dump(mode="json"),
        "policy": policy.model_dump(mode="json"),
        "protocol": {"tick_s": TICK_S, "score": DEFAULT_SCORE, **protocol},
    }


def evaluation_metrics(
    run_id: str,
    git: Mapping[str, Any],
    facts: Mapping[str, Any],
    results: list[EpisodeResult],
    *,
    complete: bool,
    quarantined: Mapping[str, Sequence[str]] | None = None,
) -> dict[str, Any]:
    """The content of an evaluation's metrics.json. Episodes are sorted by id, so the file does not depend on who finished first."""
    ordered = sorted(results, key=lambda result: (result.scenario_id, result.repetition))
    return {
        "run_id": run_id,
        "domain": DOMAIN,
        "complete": complete,
        "git": dict(git),
        **facts,
        "fingerprint": fingerprint(facts, ordered),
        "skipped_scenarios": {result.scenario_id: list(result.skipped) for result in ordered if result.skipped},
        **({"quarantined": {name: list(reasons) for name, reasons in sorted(quarantined.items())}} if quarantined else {}),
        "summary": summarize(ordered),
        "scenarios": [result.to_json() for result in ordered],
    }
