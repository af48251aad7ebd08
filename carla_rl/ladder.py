"""A ladder of checkpoints, from bad to good: SFT models of several amounts and kinds of data, and refinements of several lengths.

Plans which commands make it and knows which of their products are there; ladder.json in its folder says what it is. Runs nothing.
"""

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from pydantic import Field, field_validator

from carla_rl.config import Config
from carla_rl.errors import UsageError
from carla_rl.records.atomic import write_json
from carla_rl.records.reading import read_object

FILE = "ladder.json"
FORMAT = 1
HELD_OUT = "held-out"
PARTIAL = ".partial"
"""Products are made here and moved to their places when they are whole."""


class LadderConfig(Config):
    """What a ladder is made of. Every amount of data comes with every noise; the refinements start from one of these models."""

    simulator: str
    training: str = "train"
    held_out: str = "validation"
    held_out_episodes: int = Field(default=32, ge=1)
    suite: str = "evaluation"
    episodes: tuple[int, ...] = Field(default=(4, 12, 32, 64), description="recorded for each SFT model")
    noise: tuple[float, ...] = Field(default=(0.0, 0.25), description="share of the time that a recorded drive was disturbed")
    decisions: tuple[int, ...] = Field(default=(40_960, 122_880, 327_680), description="of each refinement")
    refined: tuple[int, float] = Field(default=(32, 0.25), description="episodes and noise of the SFT model that is refined")
    epochs: int = Field(default=30, ge=1)
    num_envs: int = Field(default=256, ge=1)
    seed: int = Field(default=0, ge=0)

    @field_validator("episodes", "noise", "decisions")
    @classmethod
    def _several(cls, values: tuple[float, ...]) -> tuple[float, ...]:
        if len(set(values)) < len(values):
            raise ValueError("a rung is given twice")
        return tuple(sorted(values))


QUICK = {
    "training": "quick-train",
    "held_out_episodes": 4,
    "suite": "quick-eval",
    "episodes": (4, 12),
    "noise": (0.25,),
    "decisions": (4096,),
    "refined": (12, 0.25),
    "epochs": 10,
    "num_envs": 32,
}
"""A ladder of a minute, which shows that all parts work and nothing else."""


@dataclass(frozen=True, slots=True)
class Rung:
    """One checkpoint and its drive; paths are relative to the ladder's folder."""

    name: str
    kind: str
    """`sft` or `rl`."""
    episodes: int
    noise: float
    decisions: int | None
    checkpoint: str
    run: str


@dataclass(frozen=True, slots=True)
class Product:
    """One step of the work: a command, and what is there when it is done."""

    title: str
    arguments: tuple[str, ...]
    place: Path
    """A folder."""
    proof: str
    """A file in it that its command writes last."""
    resumable: bool = False
    """Whether the command goes on with what it left; else it is made elsewhere and moved."""

    @property
    def done(self) -> bool:
        """Whether it is there, whole."""
        path = self.place / self.proof
        if not path.is_file():
            return False
        return "complete" not in (found := read_object(path)) or found["complete"] is True


def rungs(config: LadderConfig) -> list[Rung]:
    """The checkpoints in the order in which they are made."""
    found = []
    for noise in config.noise:
        for episodes in config.episodes:
            name = f"sft-{episodes:03d}-noise{noise:g}"
            found.append(Rung(name, "sft", episodes, noise, None, f"{name}/model.pt", f"drive-{name}"))
    episodes, noise = config.refined
    for decisions in config.decisions:
        name = f"rl-{decisions // 1000:04d}k"
        found.append(Rung(name, "rl", episodes, noise, decisions, f"{name}/checkpoints/last.pt", f"drive-{name}"))
    return found


def products(config: LadderConfig, folder: Path) -> Iterator[Product]:
    """Everything that has to be made, in order."""
    if (config.refined[0], config.refined[1]) not in {(e, n) for e in config.episodes for n in config.noise}:
        raise UsageError(f"the refined model ({config.refined[0]} episodes, noise {config.refined[1]:g}) is none of the ladder's")
    part = folder / PARTIAL
    held = ["record", "--suite", config.held_out, "--simulator", config.simulator, "--episodes", str(config.held_out_episodes)]
    title = "Episodes to judge plans on, which no model learned from"
    yield Product(title, (*held, "--out", str(part / HELD_OUT)), folder / HELD_OUT, "recording.json")
    for rung in rungs(config):
        yield from _sft(config, rung, folder) if rung.kind == "sft" else _rl(config, rung, folder)
        drive = ["evaluate", "--checkpoint", str(folder / rung.checkpoint), "--suite", config.suite, "--simulator", config.simulator]
        drive += ["--out", str(part), "--run-id", rung.run]
        yield Product(f"{rung.name} drives", tuple(drive), folder / rung.run, "metrics.json")


def _sft(config: LadderConfig, rung: Rung, folder: Path) -> Iterator[Product]:
    part, data = folder / PARTIAL, f"data-{rung.name.removeprefix('sft-')}"
    record = ["record", "--suite", config.training, "--simulator", config.simulator, "--episodes", str(rung.episodes)]
    record += ["--noise", str(rung.noise), "--out", str(part / data)]
    title = f"The expert is recorded: {rung.episodes} episodes, noise {rung.noise:g}"
    yield Product(title, tuple(record), folder / data, "recording.json")
    learn = ("sft", "--episodes", str(folder / data / "*" / "episode.json"), "--epochs", str(config.epochs), "--seed", str(config.seed))
    yield Product(f"{rung.name} learns", (*learn, "--out", str(part / rung.name)), folder / rung.name, "train_metrics.json")


def _rl(config: LadderConfig, rung: Rung, folder: Path) -> Iterator[Product]:
    base = next(one for one in rungs(config) if one.kind == "sft" and (one.episodes, one.noise) == config.refined)
    place = folder / rung.name
    if (place / "checkpoints" / "resume.pt").is_file():
        train: tuple[str, ...] = ("train", "--resume", str(place))
    else:
        train = ("train", "--sft", str(folder / base.checkpoint), "--suite", config.training, "--simulator", config.simulator)
        train += ("--decisions", str(rung.decisions), "--num-envs", str(config.num_envs), "--seed", str(config.seed))
        train += ("--out", str(folder), "--run-id", rung.name)
    yield Product(f"{rung.name} is refined from {base.name}", train, place, "metrics.json", resumable=True)


def begin(config: LadderConfig, folder: Path) -> None:
    """Write ladder.json, or make sure that the one there is this ladder's.

    Raises:
        UsageError: it is another's, or no ladder at all.
    """
    told = _described(config)
    if (folder / FILE).exists():
        if (found := read_object(folder / FILE)) != told:
            was = found.get("config", {})
            other = [name for name, value in told["config"].items() if not isinstance(was, dict) or was.get(name) != value]
            raise UsageError(f"{folder}: holds another ladder (other {', '.join(other) or 'rungs'}); give its own settings or a new folder")
        return
    write_json(folder / FILE, told)


def read_ladder(folder: Path) -> tuple[LadderConfig, list[Rung]]:
    """The ladder in a folder.

    Raises:
        UsageError: none there, or ladder.json was changed.
    """
    found = read_object(folder / FILE)
    config = LadderConfig.checked(found.get("config", {}), folder / FILE)
    if found != _described(config):
        raise UsageError(f"{folder / FILE}: was changed since the ladder was begun; put it back")
    return config, rungs(config)


def _described(config: LadderConfig) -> dict[str, Any]:
    told = {"format": FORMAT, "config": config.model_dump(mode="json"), "rungs": [asdict(rung) for rung in rungs(config)]}
    found: dict[str, Any] = json.loads(json.dumps(told))
    return found
