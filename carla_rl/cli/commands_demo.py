"""`demo`: the whole story in one run. Each step is one of the other commands, run as a user would type it."""

import itertools
import shlex
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.markup import escape
from rich.table import Table

from carla_rl.build import Networks
from carla_rl.cli import options, options_servers
from carla_rl.cli.carla import CARLA, TIMEOUT_S, carla_options
from carla_rl.cli.console import stderr, stdout
from carla_rl.cli.setup import compile_first
from carla_rl.cli.tables import number, percent
from carla_rl.errors import RunFailure, UsageError
from carla_rl.records.atomic import make_folder, write_bytes, write_json
from carla_rl.records.names import new_run_id
from carla_rl.records.reading import read_object
from carla_rl.scenario.suite import load_suite, overlap
from carla_rl.servers.launch import Quality
from carla_rl.servers.ports import FIRST


@dataclass(frozen=True)
class Size:
    """How much of everything: the full demo for a result, the quick one to see that all parts work."""

    training: str
    validation: str | None
    """Suite that picks the checkpoint; without one the last is taken."""
    evaluation: str
    episodes: int
    held_out: int
    epochs: int
    decisions: int
    num_envs: int
    camera_episodes: int
    """Recorded for the camera model; 0 leaves that model out."""
    settings: str
    """What the training is told beside the defaults, TOML."""
    routes: str | None = None
    """Of the evaluation suite; all of them without it."""

    @property
    def checkpoint(self) -> str:
        """The training's result."""
        return "best.pt" if self.validation else "last.pt"


# few routes make a weak clone on purpose: it is what there is to refine
FULL = Size("train", "validation", "evaluation", 32, 32, 30, 1_000_000, 256, 4, "validate_every = 30\n")
QUICK = Size(
    training="quick-train",
    validation=None,
    evaluation="quick-eval",
    episodes=20,
    held_out=4,
    epochs=10,
    decisions=40_960,
    num_envs=128,
    camera_episodes=0,
    # few updates: larger steps, less noise
    settings="[ppo]\ndelta_lr = 2e-3\nlog_std_start = -1.2\nlog_std_end = -2.0\ntarget_kl = 0.03\n",
)
# a server does some hundred ticks a second: this shows that all parts work on CARLA's side, not what they can do
ON_CARLA = Size(
    training="quick-train",
    validation=None,
    evaluation="quick-eval",
    episodes=20,
    held_out=4,
    epochs=10,
    decisions=256,
    num_envs=0,
    camera_episodes=0,
    settings="[ppo]\nrollout = 64\nminibatch = 64\n",
    routes="ring-eval-000,ring-eval-002,highway-eval-000",
)


REPORT = "report.html"


@dataclass(frozen=True)
class Step:
    """One command of the story."""

    title: str
    arguments: tuple[str, ...]


def demo(
    context: typer.Context,
    quick: Annotated[bool, typer.Option("--quick", help="A small one: shows that everything works, not what it can do.")] = False,
    simulator: Annotated[
        str,
        typer.Option(
            "--simulator", help="What is driven and trained on: toy, or carla, which makes it a small one. Recorded is on the toy."
        ),
    ] = "toy",
    carla: options_servers.Carla = None,
    servers: options_servers.Servers = None,
    docker: options_servers.Docker = None,
    binary: options_servers.Binary = None,
    apptainer: options_servers.Apptainer = None,
    toy_server: options_servers.ToyServer = False,
    server_port: options_servers.ServerPort = FIRST,
    seed: options.Seed = 0,
    out: options.Out = Path("out"),
) -> None:
    """The whole story on the toy simulator: record, clone, look offline, evaluate, refine with PPO, evaluate again, compare, report.

    Each step prints the command that does the same. Leaves everything in out/<run_id>/. The full demo takes minutes, the quick one less
    than two. Nothing is tuned on the evaluation suite; the result is whatever was measured.
    """
    if simulator not in ("toy", CARLA):
        raise UsageError(f"simulator {simulator!r}: unknown; the demo drives on toy or carla")
    chosen = carla_options(
        carla=carla,
        servers=servers,
        gpus=None,
        docker=docker,
        binary=binary,
        apptainer=apptainer,
        toy_server=toy_server,
        restart_every=None,
        server_port=server_port,
        quality=Quality.EPIC,
        timeout_s=TIMEOUT_S,
    )
    if simulator == "toy" and chosen.given:
        raise UsageError("options about CARLA servers were given with the toy; add --simulator carla, or leave them out")
    size = ON_CARLA if simulator == CARLA else QUICK if quick else FULL
    drives: tuple[str, ...] = ("--simulator", simulator)
    if simulator == CARLA:
        told = {"--servers": servers, "--docker": docker, "--binary": binary, "--apptainer": apptainer, "--server-port": server_port}
        drives += tuple(str(word) for option, value in told.items() if value is not None for word in (option, value))
        drives += tuple(word for address in carla or () for word in ("--carla", address)) + (("--toy-server",) if toy_server else ())
    folder = out / new_run_id("demo")
    make_folder(folder)
    _say_disjoint(size)
    compile_first("toy")
    done = list(_play(_story(size, folder, seed, drives), context.obj))
    table = _results(folder)
    stdout.rule("[bold]The result")
    made_by = read_object(folder / "drive-rl" / "metrics.json")["simulator"]
    stdout.print(_table(table, size, made_by["name"]))
    stdout.print(
        f"[dim]ADE and FDE: against the expert's plan at the states that each policy visited. Made by: {escape(made_by['description'])}[/]"
    )
    name = escape(str(folder))
    write_json(folder / "demo.json", {"quick": quick, "seed": seed, "simulator": made_by["name"], "steps": done, "results": table})
    stdout.print(
        f"everything is in [bold]{name}[/]; look at learning with: tensorboard --logdir {name}/ppo", highlight=False, soft_wrap=True
    )
    stdout.print(f"open the report in a browser: [bold]{escape(str((folder / REPORT).resolve()))}[/]", highlight=False, soft_wrap=True)


def _say_disjoint(size: Size) -> None:
    """Training, validation and evaluation share neither route nor seed; say so, and make sure.

    Raises:
        RunFailure: they do share something.
    """
    suites = [load_suite(name, Networks()) for name in (size.training, "validation", size.evaluation)]
    for a, b in itertools.combinations(suites, 2):
        if shared := overlap(a, b):
            raise RunFailure(f"suites {a.name} and {b.name} overlap ({shared[0]}); the shipped files were changed")
    told = ", ".join(f"{suite.name} ({len(suite.scenarios)} scenarios)" for suite in suites)
    stdout.print(f"suites: {told}; no route and no seed is in two of them", highlight=False)


def _story(size: Size, folder: Path, seed: int, drives: tuple[str, ...]) -> Iterator[Step]:
    """The steps, one after the other: later ones name files of earlier ones."""
    data, held_out = folder / "episodes", folder / "episodes-held-out"
    model = folder / "sft" / "model.pt"
    refined = folder / "ppo" / "checkpoints" / size.checkpoint
    evaluation = ("--suite", size.evaluation, *(("--routes", size.routes) if size.routes else ()), *drives, "--out", str(folder))
    settings = folder / "train.toml"
    write_bytes(settings, size.settings.encode())
    training: tuple[str, ...] = ("--suite", size.training, *drives, "--config", str(settings), "--seed", str(seed))
    training += ("--decisions", str(size.decisions), "--out", str(folder), "--run-id", "ppo")
    if size.num_envs:
        training += ("--num-envs", str(size.num_envs))
    if size.validation:
        training += ("--validation", size.validation)
    yield Step(
        "The expert drives a few routes and is recorded, pushed off its line now and then",
        ("record", "--suite", size.training, "--episodes", str(size.episodes), "--noise", "0.25", "--out", str(data)),
    )
    yield Step(
        "Other routes are recorded to judge on",
        ("record", "--suite", "validation", "--episodes", str(size.held_out), "--out", str(held_out)),
    )
    yield Step(
        "Behaviour cloning: the SFT model",
        ("sft", "--episodes", _glob(data), "--epochs", str(size.epochs), "--seed", str(seed), "--out", str(model.parent)),
    )
    yield Step("Offline metrics of SFT", ("offline", "--checkpoint", str(model), "--episodes", _glob(held_out)))
    yield Step("Closed loop: the expert, the mark to reach", ("evaluate", "--policy", "expert", *evaluation, "--run-id", "drive-expert"))
    yield Step("Closed loop: SFT only", ("evaluate", "--checkpoint", str(model), *evaluation, "--run-id", "drive-sft"))
    yield Step("Online PPO from closed-loop episodes: the delta head", ("train", "--sft", str(model), *training))
    yield Step("Closed loop: SFT + delta", ("evaluate", "--checkpoint", str(refined), *evaluation, "--run-id", "drive-rl"))
    yield Step("Offline metrics of SFT + delta", ("offline", "--checkpoint", str(refined), "--episodes", _glob(held_out)))
    if size.camera_episodes:
        yield from _camera_story(size, folder)
    yield Step("The comparison: SFT against SFT + delta", ("compare", str(folder / "drive-sft"), str(folder / "drive-rl")))
    # the run of the training after the drives: it gives the learning curves
    runs = tuple(str(folder / name) for name in ("drive-sft", "drive-rl", "drive-expert", "ppo"))
    yield Step("All of it as a page to look at", ("report", *runs, "--out", str(folder / REPORT)))


def _camera_story(size: Size, folder: Path) -> Iterator[Step]:
    """The same start for a model that looks through a camera."""
    pictures, camera = folder / "episodes-camera", folder / "sft-camera" / "model.pt"
    yield Step(
        "A model that looks through a camera: recorded with pictures ...",
        ("record", "--suite", size.training, "--camera", "front", "--episodes", str(size.camera_episodes), "--out", str(pictures)),
    )
    yield Step(
        "... cloned for one epoch (this shows the path, it makes no driver) ...",
        (
            "sft",
            "--episodes",
            _glob(pictures),
            "--architecture",
            "tiny_multicam",
            "--epochs",
            "1",
            "--batch",
            "32",
            "--out",
            str(camera.parent),
        ),
    )
    picture = min(pictures.glob("*/front/*.png"))
    yield Step("... and asked for a plan", ("plan", "--checkpoint", str(camera), "--image", str(picture)))


def _glob(folder: Path) -> str:
    return str(folder / "*" / "episode.json")


def _play(story: Iterable[Step], run: Callable[[Sequence[str]], int]) -> Iterator[dict[str, Any]]:
    """Run the steps; what was run and how long it took, one after the other.

    Raises:
        RunFailure: a step failed.
    """
    for index, step in enumerate(story, 1):
        stdout.rule(f"[bold]{index}. {step.title}", align="left")
        command = shlex.join(("carla-rl", *step.arguments))
        stdout.print(f"[dim]$ {escape(command)}[/]", highlight=False, soft_wrap=True)
        began = time.monotonic()
        code = run(step.arguments)
        seconds = time.monotonic() - began
        if code:
            raise RunFailure(f"step {index} of the demo ended with exit code {code}; what it printed says why")
        stderr.print(f"[dim]{seconds:.0f} s[/]")
        yield {"title": step.title, "command": command, "seconds": round(seconds, 1)}


def _results(folder: Path) -> list[dict[str, Any]]:
    """The headline of each of the three drives."""
    rows = []
    for name, run in (("expert", "drive-expert"), ("SFT", "drive-sft"), ("SFT + delta", "drive-rl")):
        summary = read_object(folder / run / "metrics.json")["summary"]
        keys = ("num_episodes", "driving_score_mean", "route_completion_mean", "success_rate", "collisions_per_km", "ade_mean", "fde_mean")
        rows.append({"policy": name, **{key: summary[key] for key in keys}})
    return rows


def _table(rows: Sequence[dict[str, Any]], size: Size, simulator: str) -> Table:
    table = Table(
        title=f"Driving score on {size.evaluation}: {rows[0]['num_episodes']} episodes, simulator {simulator}", title_justify="left"
    )
    table.add_column("policy")
    for column in ("score", "completion", "success", "coll./km", "ADE", "FDE"):
        table.add_column(column, justify="right")
    for row in rows:
        table.add_row(
            row["policy"],
            number(row["driving_score_mean"]),
            percent(row["route_completion_mean"]),
            percent(row["success_rate"]),
            number(row["collisions_per_km"], 2),
            f"{number(row['ade_mean'], 2)} m",
            f"{number(row['fde_mean'], 2)} m",
        )
    return table
