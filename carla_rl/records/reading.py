"""Reading runs back, with a sentence for every way in which a run directory can be broken. Writes nothing."""

import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from pydantic_core import from_json

from carla_rl.errors import UsageError
from carla_rl.metrics.result import EpisodeResult, Record
from carla_rl.records.collector import collector_paused
from carla_rl.records.fingerprint import fingerprint
from carla_rl.records.names import file_stem
from carla_rl.records.run import FORMAT, PolicyRecord, SimulatorRecord, SuiteRecord

R = TypeVar("R", bound=Record)


@dataclass(frozen=True)
class Run:
    """A run as its files tell it."""

    path: Path
    run_id: str
    command: str
    config: Mapping[str, Any]
    environment: Mapping[str, Any]
    simulator: SimulatorRecord
    suite: SuiteRecord
    policy: PolicyRecord
    protocol: Mapping[str, Any]
    episodes: tuple[EpisodeResult, ...]
    """Sorted by scenario and repetition."""
    complete: bool
    """False while a run is under way, and for ever when it was interrupted."""
    notes: tuple[str, ...]
    """What a reader has to know: an incomplete run, a last line lost to a kill."""

    def steps_path(self, episode_id: str) -> Path:
        """Where the step log of an episode is, if it was kept."""
        return self.path / "steps" / f"{file_stem(episode_id)}.npz"


def read_run(path: Path) -> Run:
    """Read a run directory (or the metrics.json in one).

    The episodes come from episodes.jsonl. Its last line is dropped with a note when a kill cut it short; every other defect is an error.

    Raises:
        UsageError: no run directory; a file missing, truncated, mixed with another run's, changed by hand, or of another format.
    """
    folder = path.parent if path.name == "metrics.json" else path
    if not folder.is_dir():
        raise UsageError(f"{path}: no such run directory; give a folder that carla-rl evaluate or train wrote")
    config = _finite(folder / "config.json")
    if config.get("format") != FORMAT:
        raise UsageError(f"{folder / 'config.json'}: format {config.get('format')!r}; this program reads format {FORMAT}")
    run_id = _run_id(folder / "config.json", config)
    environment = _finite(folder / "environment.json")
    _same_run(folder / "environment.json", environment, run_id)
    simulator, suite, policy = (
        _part(SimulatorRecord, environment, "simulator", folder),
        _part(SuiteRecord, environment, "suite", folder),
        _part(PolicyRecord, environment, "policy", folder),
    )
    with collector_paused():
        metrics = _Metrics(folder / "metrics.json", run_id)
        episodes, notes = _read_episodes(folder / "episodes.jsonl", run_id, metrics)
    complete = metrics.check(environment, episodes)
    if not complete:
        notes = [f"{run_id}: the run was not finished; {len(episodes)} episodes are there", *notes]
    return Run(
        path=folder,
        run_id=run_id,
        command=_command(folder / "config.json", config),
        config=_object(folder / "config.json", config, "config"),
        environment=environment,
        simulator=simulator,
        suite=suite,
        policy=policy,
        protocol=_object(folder / "environment.json", environment, "protocol"),
        episodes=tuple(episodes),
        complete=complete,
        notes=tuple(notes),
    )


def read_object(path: Path) -> dict[str, Any]:
    """A JSON file that holds an object.

    Raises:
        UsageError: missing, unreadable, truncated or something else.
    """
    try:
        data = _parsed(path.read_bytes())
    except FileNotFoundError:
        raise UsageError(f"{path}: no such file; give a folder that this program wrote") from None
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{path}: cannot be read ({error})") from error
    except json.JSONDecodeError as error:
        raise UsageError(f"{path}: line {error.lineno} is not JSON ({error.msg}); the file is truncated or was changed") from error
    except (ValueError, RecursionError) as error:
        raise UsageError(f"{path}: not JSON ({error}); the file was changed") from error
    if not isinstance(data, dict):
        raise UsageError(f"{path}: holds a {type(data).__name__}, expected an object")
    return data


def _finite(path: Path) -> dict[str, Any]:
    """An object whose numbers are finite: conditions with others are no conditions, and cannot be compared.

    Raises:
        UsageError: as `read_object`; a number that is not.
    """
    data = read_object(path)
    try:
        json.dumps(data, allow_nan=False)
    except ValueError:
        raise UsageError(f"{path}: holds a number that is not finite; the file was changed after the run") from None
    return data


class _Metrics:
    """A run's metrics.json. A finished run's must tell of the same episodes as its lines: they are compared as the lines are read."""

    def __init__(self, path: Path, run_id: str) -> None:
        """Raises UsageError for a file that cannot be read or is of another run."""
        self._path = path
        self._metrics = read_object(path) if path.exists() else {}
        if self._metrics:
            _same_run(path, self._metrics, run_id)
        self._complete = self._metrics.get("complete") is True
        # a training run's metrics.json is the headline alone
        self._headline = "total_episodes" in self._metrics
        told = self._metrics.pop("scenarios", None)
        self._count = len(told) if isinstance(told, list) else None
        lines = [line for line in told if isinstance(line, dict)] if isinstance(told, list) else []
        self._left = {line["episode_id"]: line for line in lines if isinstance(line.get("episode_id"), str)}
        self._nameless = len(self._left) != self._count
        self._differs: str | None = None

    def compare(self, episode_id: str, line: Mapping[str, Any]) -> None:
        """Take in a line of episodes.jsonl; what is told of it is forgotten."""
        told = self._left.pop(episode_id, None)
        if told is not None and told != {name: value for name, value in line.items() if name != "run_id"}:
            self._differs = self._differs or episode_id

    def check(self, environment: Mapping[str, Any], episodes: list[EpisodeResult]) -> bool:
        """Whether the run was finished.

        Raises:
            UsageError: it was, and the file contradicts the episodes.
        """
        path = self._path
        if not self._complete or self._headline:
            return self._complete
        if self._count is None:
            raise UsageError(f"{path}: scenarios is missing or no list; the file was changed after the run")
        if self._count != len(episodes):
            raise UsageError(f"{path}: tells of {self._count} episodes, episodes.jsonl of {len(episodes)}; one of the files was changed")
        if self._nameless:
            raise UsageError(f"{path}: scenarios has an entry without an episode_id of its own; the file was changed after the run")
        if differs := self._differs or next(iter(self._left), None):
            raise UsageError(f"{path}: episode {differs} differs from its line in episodes.jsonl; one of the files was changed")
        if "fingerprint" in self._metrics and self._metrics["fingerprint"] != fingerprint(environment, episodes):
            raise UsageError(f"{path}: fingerprint is not that of environment.json and the episodes; one of the files was changed")
        mean = _object(path, self._metrics, "summary").get("driving_score_mean")
        exact = math.fsum(episode.driving_score for episode in episodes) / len(episodes) if episodes else None
        if mean != exact:
            raise UsageError(f"{path}: summary.driving_score_mean is {mean}, its episodes give {exact}; the file was changed after the run")
        return True


def _read_episodes(path: Path, run_id: str, metrics: _Metrics) -> tuple[list[EpisodeResult], list[str]]:
    if not path.exists():
        return [], []
    seen: dict[str, int] = {}
    episodes, notes = [], []
    for number, data, note in _lines(path):
        if note:
            notes.append(note)
            continue
        source = f"{path}: line {number}"
        _same_run(source, data, run_id)
        result = EpisodeResult.checked(data, source)
        if result.episode_id in seen:
            raise UsageError(f"{source}: episode {result.episode_id} is in line {seen[result.episode_id]} already; two runs were mixed")
        seen[result.episode_id] = number
        metrics.compare(result.episode_id, data)
        episodes.append(result)
    episodes.sort(key=lambda result: (result.scenario_id, result.repetition))
    return episodes, notes


def _lines(path: Path) -> Iterator[tuple[int, dict[str, Any], str]]:
    """Line number, object, and a note instead of the object where the last line was cut short (it lacks its line break)."""
    try:
        lines = path.read_bytes().split(b"\n")
    except OSError as error:
        raise UsageError(f"{path}: cannot be read ({error})") from error
    for number, line in enumerate(lines, 1):
        last = number == len(lines)
        if last and not line:
            return
        try:
            data = _parsed(line)
        except (ValueError, RecursionError) as error:
            if last:
                yield number, {}, f"{path}: line {number} was cut short when the run was killed; that episode is left out"
                return
            what = error.msg if isinstance(error, json.JSONDecodeError) else error
            raise UsageError(f"{path}: line {number} is not JSON ({what}); the file was changed after the run") from error
        if not isinstance(data, dict):
            raise UsageError(f"{path}: line {number} holds a {type(data).__name__}, expected an object")
        yield number, data, ""


def _parsed(text: bytes) -> Any:
    """The JSON value of a text, as `json` reads it and with its errors, in less time."""
    try:
        return from_json(text)
    except ValueError:
        # its errors have no line, and there are texts that it refuses and `json` does not (a lone surrogate)
        return json.loads(text.decode("utf-8"))


def _object(path: Path, data: Mapping[str, Any], name: str) -> dict[str, Any]:
    value = data.get(name, {})
    if not isinstance(value, dict):
        raise UsageError(f"{path}: {name} is a {type(value).__name__}, expected an object; the file was changed after the run")
    return value


def _command(path: Path, data: Mapping[str, Any]) -> str:
    command = data.get("command", "")
    if not isinstance(command, str):
        raise UsageError(f"{path}: command is a {type(command).__name__}, expected a name; the file was changed after the run")
    return command


def _run_id(path: Path, data: Mapping[str, Any]) -> str:
    run_id = data.get("run_id")
    if not isinstance(run_id, str) or not run_id:
        raise UsageError(f"{path}: run_id is missing; this is not a file of a run")
    return run_id


def _same_run(source: Path | str, data: Mapping[str, Any], run_id: str) -> None:
    if data.get("run_id") != run_id:
        raise UsageError(f"{source}: run_id is {data.get('run_id')!r}, config.json says {run_id!r}; files of two runs were mixed")


def _part(kind: type[R], environment: Mapping[str, Any], name: str, folder: Path) -> R:
    return kind.checked(environment.get(name, {}), f"{folder / 'environment.json'}: {name}")
