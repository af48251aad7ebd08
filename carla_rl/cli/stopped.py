"""A training that was stopped: read back from its run directory, and compared with what there is now. Changes nothing."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from carla_rl.cli.training import TrainRequest
from carla_rl.errors import UsageError
from carla_rl.records.reading import read_object
from carla_rl.records.run import FORMAT, TRAINING
from carla_rl.resume import FILE, Kept, differences
from carla_rl.train import CHECKPOINTS

VERSION = "facts.simulator.version"
"""Another version of the program may go on with a run, with a warning."""


@dataclass(frozen=True)
class Stopped:
    """A run that can go on."""

    path: Path
    request: TrainRequest
    facts: Mapping[str, Any]
    """As they were recorded when the run began."""
    kept: Kept
    environment: Mapping[str, Any]
    """environment.json."""

    def check(self, told: Mapping[str, Any], environment: Mapping[str, Any], threads: int) -> list[str]:
        """A warning, if any, of what is other than when the run began and may change its bits: program, libraries, processor, threads.

        Raises:
            UsageError: what the run was told, or what it drives on, is not what it was.
        """
        differ = differences(self.kept.told, told)
        refused = [difference for difference in differ if not difference.startswith(f"{VERSION}:")]
        if refused:
            raise UsageError(
                f"{self.path}: the run cannot go on, since this changed: {'; '.join(refused)}; put it back, or start a new run"
            )
        was, now = _made_by(self.environment, self.request.threads), _made_by(environment, threads)
        if changed := differences(was, now):
            return [f"going on with others than the run began with, so its bits may not be those of a run in one go: {'; '.join(changed)}"]
        return []


def _made_by(environment: Mapping[str, Any], threads: int) -> dict[str, Any]:
    """What may change the last bits of a number."""
    git, machine = environment.get("git", {}), environment.get("machine", {})
    commit = {name: git.get(name) for name in ("commit", "dirty")}
    return {"versions": environment.get("versions", {}), "git": commit, "cpu": machine.get("cpu"), "threads": threads}


def read_stopped(path: Path) -> Stopped:
    """The run in a directory.

    Raises:
        UsageError: no training's directory, a run that was finished, a file that is missing, damaged or of another run.
    """
    # a run is known by its folder's name, which `.` does not tell
    path = path.resolve()
    if not path.is_dir():
        raise UsageError(f"{path}: no such run directory; give a folder that carla-rl train wrote")
    config = read_object(path / "config.json")
    if config.get("format") != FORMAT or config.get("command") != TRAINING:
        raise UsageError(f"{path}: not a training of this version of the program; give a folder that carla-rl train wrote")
    if config.get("run_id") != path.name:
        raise UsageError(f"{path}: is the run {config.get('run_id')!r}; give the folder its old name back")
    request = TrainRequest.checked(config.get("config", {}), path / "config.json")
    total = request.training.ppo.updates
    if (path / "metrics.json").exists() and read_object(path / "metrics.json").get("complete") is True:
        raise UsageError(
            f"{path}: all {total} updates are done, there is nothing to do; for more decisions start a new run: its schedules are others"
        )
    kept = Kept(path / CHECKPOINTS / FILE)
    if kept.run_id != path.name:
        raise UsageError(f"{kept.path}: is of the run {kept.run_id!r}; put the run's own back")
    _check_told(path, kept, request)
    model = request.agent.checkpoint
    if model is None or not model.is_file():
        raise UsageError(f"{model}: no such file, but the run refines it; go on in the folder where it was started, or put the file back")
    environment = read_object(path / "environment.json")
    facts = {name: environment.get(name) for name in ("simulator", "suite", "policy", "protocol", "code")}
    return Stopped(path, request, facts, kept, environment)


def _check_told(path: Path, kept: Kept, request: TrainRequest) -> None:
    """Raises UsageError where config.json says other things than when the checkpoint was written; before anything is built from it."""
    if differ := differences(kept.told.get("config", {}), request.model_dump(mode="json")):
        raise UsageError(f"{path / 'config.json'}: was changed since the run began: {'; '.join(differ)}; put it back, or start a new run")
