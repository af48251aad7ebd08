"""What a training writes down as it goes, and where it goes on after a kill.

    episodes.jsonl       one line a training episode
    updates.jsonl        one line an update and one a drive of the validation suite: on the disk before the next update begins
    train_metrics.json   the same as one document
    metrics.json         the headline over all training episodes; ADE and FDE are the last validation's

The lines are the truth; the two documents are made of them, now and then and at the end. Knows no simulator, policy or learner.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from carla_rl.errors import UsageError
from carla_rl.metrics.result import EpisodeResult
from carla_rl.metrics.summary import training_metrics
from carla_rl.records.atomic import append_lines, write_bytes, write_json
from carla_rl.records.reading import read_object
from carla_rl.records.run import DOMAIN

UPDATE, VALIDATION, DROPPED, LOST = "update", "validation", "dropped", "lost"
"""What a line of updates.jsonl may tell of: its only key beside the run id."""


@dataclass(frozen=True, slots=True)
class Lines:
    """How many lines the two files have."""

    episodes: int
    updates: int


class TrainingLog:
    """The files of one training run and what they hold."""

    def __init__(self, folder: Path, facts: Mapping[str, Any]) -> None:
        """Of a run that begins. `facts` (simulator, suite, policy, protocol) go into metrics.json as they are."""
        self.folder = folder
        self._facts = facts
        self.updates: list[dict[str, Any]] = []
        """The vital signs of every update, in order."""
        self.validations: list[dict[str, Any]] = []
        self.dropped: list[dict[str, Any]] = []
        """Episodes that were cut because a simulator could not bring its worlds back: after which update, how many."""
        self.lost: list[dict[str, Any]] = []
        """Episodes that are void because their worlds died: in which update, which, why."""
        self.returns: list[float | None] = []
        """Of all episodes that ended."""
        self._pending: list[EpisodeResult] = []
        """Episodes that ended and are not on the disk yet."""
        self._next_document = 1

    @classmethod
    def reopened(cls, folder: Path, facts: Mapping[str, Any], lines: Lines) -> "TrainingLog":
        """Of a run that goes on after its first `lines`; the files are only read, see `cut`.

        Raises:
            UsageError: a file that is missing, shorter than it was, or changed.
        """
        log = cls(folder, facts)
        log.returns = [line["return"] for line in _read(log._episodes, lines.episodes, "return")]
        for line in _read(log._updates, lines.updates):
            for kind, rows in ((UPDATE, log.updates), (VALIDATION, log.validations), (DROPPED, log.dropped), (LOST, log.lost)):
                rows += [line[kind]] if kind in line else []
        return log

    @property
    def lines(self) -> Lines:
        """What is on the disk; episodes that ended in a rollout that is not done are not."""
        return Lines(len(self.returns) - len(self._pending), len(self.updates) + len(self.validations) + len(self.dropped) + len(self.lost))

    def cut(self) -> None:
        """Take what a run wrote after the checkpoint that it goes on from out of the files.

        Raises:
            UsageError: the folder cannot be written.
        """
        lines = self.lines
        for path, count in ((self._episodes, lines.episodes), (self._updates, lines.updates)):
            written = path.read_bytes() if path.exists() else b""
            kept = b"".join(written.splitlines(keepends=True)[:count])
            if kept != written:
                write_bytes(path, kept)

    def add_episodes(self, results: Iterable[EpisodeResult]) -> None:
        """Episodes that ended; they are written with the next update or by `flush`."""
        ended = list(results)
        self._pending += ended
        self.returns += [result.episode_return for result in ended]

    def add(self, kind: str, row: Mapping[str, Any]) -> None:
        """Write one line of updates.jsonl, after the episodes that ended before it.

        Raises:
            UsageError: the disk is full or the folder gone.
        """
        self.flush()
        append_lines(self._updates, json.dumps({"run_id": self.folder.name, kind: row}, allow_nan=False))
        {UPDATE: self.updates, VALIDATION: self.validations, DROPPED: self.dropped, LOST: self.lost}[kind].append(dict(row))

    def flush(self) -> None:
        """Write the episodes that ended.

        Raises:
            UsageError: the disk is full or the folder gone.
        """
        lines = [json.dumps({"run_id": self.folder.name, **result.to_json()}, allow_nan=False) for result in self._pending]
        if lines:
            append_lines(self._episodes, *lines)
            self._pending.clear()

    def write_documents(self, about: Mapping[str, Any], *, complete: bool) -> None:
        """train_metrics.json, with `about` in it, and metrics.json, as of now, each written atomically.

        Raises:
            UsageError: the disk is full or the folder gone.
        """
        content = {"updates": self.updates, "validation": self.validations, "dropped_at_resume": self.dropped, "lost": self.lost}
        write_json(self.folder / "train_metrics.json", {"run_id": self.folder.name, "complete": complete, **about, **content})
        # the sampled plans of training say little; what counts is how far the mean is from the expert
        ade, fde = (self.validations[-1][name] if self.validations else None for name in ("ade_mean", "fde_mean"))
        headline = training_metrics(self.folder.name, self.returns, ade, fde)
        write_json(self.folder / "metrics.json", {**headline, "domain": DOMAIN, "complete": complete, **self._facts})

    def write_documents_now_and_then(self, about: Mapping[str, Any]) -> None:
        """Likewise, at ever larger sizes, so that the cost stays linear in the updates."""
        if len(self.updates) >= self._next_document:
            self._next_document = len(self.updates) * 5 // 4 + 1
            self.write_documents(about, complete=False)

    @property
    def _episodes(self) -> Path:
        return self.folder / "episodes.jsonl"

    @property
    def _updates(self) -> Path:
        return self.folder / "updates.jsonl"


def note_resume(path: Path, environment: Mapping[str, Any], update: int, now: datetime | None = None) -> None:
    """Add to a run's environment.json that, when and on what it went on after `update`; what it began on stays.

    Raises:
        UsageError: the file cannot be read or written.
    """
    record = read_object(path / "environment.json")
    when = (now or datetime.now()).astimezone().isoformat(timespec="seconds")
    resumed = [*record.get("resumed", []), {"time": when, "update": update, **environment}]
    write_json(path / "environment.json", {**record, "resumed": resumed})


def _read(path: Path, count: int, *keys: str) -> list[dict[str, Any]]:
    """The first `count` lines, each an object with these keys."""
    try:
        lines = path.read_bytes().splitlines(keepends=True) if count else []
    except OSError as error:
        raise UsageError(f"{path}: cannot be read ({error.strerror or error}), but the run goes on after line {count} of it") from error
    if len(lines) < count or (count and not lines[count - 1].endswith(b"\n")):
        raise UsageError(f"{path}: ends before line {count}, after which the run goes on; the file was changed, put it back")
    found = []
    for number, line in enumerate(lines[:count], 1):
        try:
            data = json.loads(line)
        except ValueError as error:
            raise UsageError(f"{path}: line {number} is not JSON ({error}); the file was changed, put it back") from error
        if not isinstance(data, dict) or not all(key in data for key in keys):
            raise UsageError(f"{path}: line {number} is no record of this run; the file was changed, put it back")
        found.append(data)
    return found
