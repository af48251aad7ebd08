"""Everything that a training needs to go on bit for bit as if it had never stopped: gathered into one file, read back, put in place.

`checkpoints/resume.pt` holds the heads, optimisers, normalisers, generators and counters, the worlds, the controller's integrals, what was
measured of the unfinished episodes, and how far the run's growing files were. It is one file, so that no kill leaves half of a checkpoint;
last.pt and best.pt, which drive, follow from it. Knows neither the command line nor the training loop.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from carla_rl.checkpoint import RESUME_FORMATS, read_archive, write_archive
from carla_rl.errors import UsageError
from carla_rl.interfaces import Arrays, Controller, Restorable, Simulator
from carla_rl.loop import ClosedLoop, Halfway
from carla_rl.metrics.episode import EpisodeMeter
from carla_rl.policies.residual import ResidualPolicy
from carla_rl.ppo import Trainer
from carla_rl.records.training import Lines
from carla_rl.scenario.model import Episode
from carla_rl.scenario.sampler import Drawn, TrainingSampler

FORMAT = f"{RESUME_FORMATS}1"
FILE = "resume.pt"
ABSENT = object()
"""Stands for a key that is not there."""

Told = Mapping[str, Any]
"""What a run was told and what it runs on, as JSON values: a run goes on only with the same."""


@dataclass(frozen=True, slots=True)
class Best:
    """The best policy on the validation suite so far."""

    score: float
    """Its driving score; -inf before the first."""
    update: int
    """Of the policy; 0 is the one before PPO, -1 where none was driven yet."""


class Source:
    """The sampler's episodes without end; remembers the draws of those that are under way."""

    def __init__(self, sampler: TrainingSampler) -> None:
        self.sampler = sampler
        self._draws: dict[str, Drawn] = {}

    def __iter__(self) -> "Source":
        return self

    def __next__(self) -> Episode:
        return self.recall(self.sampler.draw())

    def recall(self, draw: Drawn) -> Episode:
        """The episode of a draw, which is under way from now on."""
        episode = self.sampler.recall(draw)
        self._draws[episode.episode_id] = draw
        return episode

    def draws(self, episodes: Sequence[Episode | None]) -> list[Drawn | None]:
        """What the episodes under way were drawn as; the others are forgotten."""
        self._draws = {episode.episode_id: self._draws[episode.episode_id] for episode in episodes if episode is not None}
        return [None if episode is None else self._draws[episode.episode_id] for episode in episodes]


@dataclass(frozen=True, slots=True)
class Live:
    """The parts of a training that hold state."""

    trainer: Trainer
    loop: ClosedLoop
    policy: ResidualPolicy
    simulator: Simulator
    controller: Controller
    meter: EpisodeMeter
    source: Source


def write(path: Path, live: Live, *, told: Told, lines: Lines, best: Best) -> None:
    """Keep the state between two updates, atomically.

    Raises:
        UsageError: the place cannot be written; the file from before is still there.
    """
    halfway, model = live.loop.halfway, live.policy.sft.state
    content = {
        "format": FORMAT,
        "run_id": path.parent.parent.name,
        "model": {"architecture": model.architecture, "horizon": live.policy.horizon},
        "told": dict(told),
        "lines": asdict(lines),
        "best": asdict(best),
        "update": live.trainer.update,
        "decisions": live.trainer.decisions,
        "trainer": live.trainer.state_dict(),
        "normaliser": live.policy.state().normaliser if live.policy.normalised else None,
        "sampler": live.source.sampler.state_dict(),
        "draws": [None if draw is None else asdict(draw) for draw in live.source.draws(halfway.episodes)],
        "started": torch.from_numpy(halfway.started),
        "worlds": _tensors(live.simulator.snapshot()) if isinstance(live.simulator, Restorable) else None,
        "controller": _tensors(live.controller.snapshot()),
        "meter": _tensors(live.meter.snapshot()),
    }
    write_archive(path, content)


class Kept:
    """A resume.pt, read and checked as far as a file can be by itself."""

    def __init__(self, path: Path) -> None:
        """Read it.

        Raises:
            UsageError: missing, damaged, or of another run.
        """
        self.path = path
        if not path.is_file():
            raise UsageError(
                f"{path}: no such file, so there is nothing to go on from; put it back, or start the training anew with another --run-id"
            )
        self._content = read_archive(path)
        if self._content.get("format") != FORMAT:
            raise UsageError(
                f"{path}: its format is {self._content.get('format')!r}, this version reads {FORMAT!r}; put the run's own back"
            )
        with self._reading():
            self.run_id: str = self._content["run_id"]
            self.update: int = self._content["update"]
            self.decisions: int = self._content["decisions"]
            self.lines = Lines(**self._content["lines"])
            self.best = Best(**self._content["best"])
            self._model = (self._content["model"]["architecture"], self._content["model"]["horizon"])

    @property
    def told(self) -> Told:
        """What the run was told when this was written."""
        with self._reading():
            return dict(self._content["told"])

    def check_model(self, policy: ResidualPolicy) -> None:
        """Raises UsageError where this was made on a model of another architecture or horizon."""
        mine = (policy.sft.state.architecture, policy.horizon)
        if self._model != mine:
            raise UsageError(
                f"{self.path}: was made on a {self._model[0]} model of {self._model[1]} waypoints, the run's is a {mine[0]} model of "
                f"{mine[1]}; put the run's own back"
            )

    def halfway(self, simulator: Simulator, controller: Controller, meter: EpisodeMeter, source: Source) -> Halfway | None:
        """Bring back where the loop was; None where the simulator cannot: then only the draw of episodes goes on.

        Raises:
            UsageError: what was kept does not fit these parts.
        """
        with self._reading():
            source.sampler.load_state_dict(self._content["sampler"])
            if not isinstance(simulator, Restorable) or self._content["worlds"] is None:
                return None
            draws = [None if draw is None else Drawn(**draw) for draw in self._content["draws"]]
            episodes = tuple(None if draw is None else source.recall(draw) for draw in draws)
            started = self._content["started"].numpy()
            worlds, integrals, measured = (_arrays(self._content[name]) for name in ("worlds", "controller", "meter"))
            meter.restore(measured)
        controller.restore(integrals)
        return Halfway(episodes, started, simulator.restore(episodes, worlds))

    def under_way(self) -> int:
        """Episodes that had been driven for at least one decision and had not ended."""
        with self._reading():
            driven = np.array([draw is not None for draw in self._content["draws"]]) & ~self._content["started"].numpy()
        return int(driven.sum())

    def bring_back(self, trainer: Trainer, policy: ResidualPolicy) -> None:
        """The heads, their features' normaliser, the learner and its generators.

        Raises:
            UsageError: tensors that do not fit this policy.
        """
        with self._reading():
            if (normaliser := self._content["normaliser"]) is not None:
                policy.normalise(normaliser["mean"].numpy(), normaliser["scale"].numpy())
            trainer.load_state_dict(self._content["trainer"])

    @contextmanager
    def _reading(self) -> Iterator[None]:
        """What a damaged file makes its readers say means one thing to the user."""
        try:
            yield
        except UsageError:
            raise
        except (KeyError, TypeError, ValueError, IndexError, AttributeError, RuntimeError) as error:
            raise UsageError(
                f"{self.path}: does not fit this run ({type(error).__name__}: {_short(error)}); put the run's own back"
            ) from error


def differences(was: Any, now: Any, name: str = "") -> list[str]:
    """What differs between two trees of JSON values: `key: was this, is that`, a string each."""
    if isinstance(was, Mapping) and isinstance(now, Mapping):
        keys = [*was, *(key for key in now if key not in was)]
        return [
            told for key in keys for told in differences(was.get(key, ABSENT), now.get(key, ABSENT), f"{name}.{key}" if name else str(key))
        ]
    if was == now:
        return []
    return [f"{name}: was {_shown(was)}, is {_shown(now)}"]


def _shown(value: Any) -> str:
    return "absent" if value is ABSENT else f"{value!r:.80}"


def _short(error: Exception) -> str:
    return " ".join(str(error).split())[:200]


def _tensors(arrays: Arrays) -> dict[str, torch.Tensor]:
    return {name: torch.from_numpy(array) for name, array in arrays.items()}


def _arrays(tensors: Mapping[str, torch.Tensor]) -> Arrays:
    return {name: tensor.numpy() for name, tensor in tensors.items()}
