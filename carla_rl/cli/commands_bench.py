"""`bench`: how fast it is on this machine. Each sub-command is a benchmark of its own; they share machine, repetitions and tables."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from carla_rl.bench.toy import Sizes, all_threads, bench_toy, quick
from carla_rl.cli import options
from carla_rl.cli.console import print_json, stderr, stdout
from carla_rl.cli.tables_bench import (
    Parts,
    carla_tables,
    compare_lines,
    machine_lines,
    pendulum_tables,
    server_tables,
    toy_tables,
    train_tables,
)

bench = typer.Typer(no_args_is_help=True, help="Measure speed on this machine: medians of several repetitions, with their spread.")


@bench.callback()
def _bench() -> None:
    """Measure speed on this machine: medians of several repetitions, with their spread."""


@bench.command("toy")
def toy(
    num_envs: Annotated[
        list[int] | None, typer.Option("--num-envs", help="Worlds at once; may be repeated. Left out: 1 to 16,384.", show_default=False)
    ] = None,
    threads: Annotated[
        list[int] | None, typer.Option("--threads", help="Threads; may be repeated. Left out: 1, 2 and all.", show_default=False)
    ] = None,
    quick_: Annotated[
        bool, typer.Option("--quick", help="A minute instead of several: fewer sizes and repetitions, no first start.")
    ] = False,
    peers: Annotated[bool, typer.Option("--peers", help="Also run highway-env and MetaDrive where they are installed.")] = False,
    json: options.Json = False,
) -> None:
    """The toy world: env-steps a second by envs and threads, cost of vehicles, resets, memory, camera frames, first start.

    One env-step is one tick of 0.05 s of one env; what is in it is printed with the numbers.
    """
    given = tuple(threads or all_threads())
    sizes = quick(given) if quick_ else Sizes(threads=given)
    if num_envs:
        sizes = sizes.with_envs(tuple(num_envs))
    found = bench_toy(sizes, _tell, with_peers=peers)
    _print(found, toy_tables(found), json)


@bench.command("train")
def train(
    threads: Annotated[
        list[int] | None, typer.Option("--threads", help="Threads of torch and the toy; may be repeated. Left out: 1 and 2.")
    ] = None,
    num_envs: Annotated[int, typer.Option("--num-envs", help="Worlds driven at once.")] = 1024,
    repetitions: Annotated[int, typer.Option("--repetitions", min=1, max=1000, help="Updates that are timed.")] = 5,
    sft: Annotated[
        Path | None,
        typer.Option("--sft", metavar="FILE", help="The SFT model to refine. Left out: a clone made within seconds.", show_default=False),
    ] = None,
    peers: Annotated[bool, typer.Option("--peers", help="Also train with stable-baselines3 where it is installed.")] = False,
    json: options.Json = False,
) -> None:
    """Training: decisions a second end to end, driving alone, learning alone, memory.

    What a decision is and what drives is printed with the numbers.
    """
    # torch is loaded only where a network drives
    from carla_rl.bench.train import bench_train
    from carla_rl.bench.train_sizes import TrainSizes

    given = tuple(threads) if threads else tuple(count for count in all_threads() if count <= 2)
    sizes = TrainSizes(given, num_envs, repetitions=repetitions)
    found = bench_train(sizes, _tell, sft=sft, with_peers=peers)
    _print(found, train_tables(found), json)


@bench.command("pendulum")
def pendulum(
    steps: Annotated[int, typer.Option("--steps", min=4096, help="Steps of each training.")] = 100_000,
    seeds: Annotated[int, typer.Option("--seeds", min=1, max=1000, help="Trainings of each program.")] = 3,
    json: options.Json = False,
) -> None:
    """A standard task, Gymnasium's Pendulum-v1: returns of this trainer beside those of stable-baselines3 with the same budget."""
    from carla_rl.bench.pendulum import PendulumSizes, bench_pendulum

    found = bench_pendulum(PendulumSizes(steps, seeds), _tell)
    _print(found, pendulum_tables(found), json)


@bench.command("server")
def server(
    town: Annotated[str, typer.Option("--map", metavar="FILE|TOWN", help="As `carla-rl serve` takes it.")] = "grid",
    ticks: Annotated[
        int, typer.Option("--ticks", min=4, help="Of one repetition with one vehicle; with more it is a quarter of that.")
    ] = 2000,
    loads: Annotated[int, typer.Option("--loads", min=1, help="Times that the map is loaded again.")] = 100,
    repetitions: Annotated[int, typer.Option("--repetitions", min=1, max=1000, help="Of each loop.")] = 5,
    soak: Annotated[
        float,
        typer.Option("--soak", min=0.0, metavar="MINUTES", help="Simulated minutes of 50 cars that the Traffic Manager drives."),
    ] = 0.0,
    json: options.Json = False,
) -> None:
    """The toy behind CARLA's network protocol: ticks and pictures a second with CARLA's own client, start, loads and memory."""
    from carla_rl.bench.server import ServerSizes, bench_server

    found = bench_server(ServerSizes(town, ticks, loads, repetitions, soak), _tell)
    _print(found, server_tables(found), json)


@bench.command("carla")
def carla(
    ticks: Annotated[int, typer.Option("--ticks", min=40, help="Of one repetition.")] = 800,
    repetitions: Annotated[int, typer.Option("--repetitions", min=1, max=1000, help="Of each loop.")] = 3,
    steps: Annotated[int, typer.Option("--steps", min=1, help="Of the agent alone.")] = 1000,
    servers: Annotated[list[int] | None, typer.Option("--servers", min=1, max=64, help="May be repeated. Left out: 1 and 2.")] = None,
    paced_ms: Annotated[
        float,
        typer.Option("--paced-ms", min=1.0, max=1000.0, help="Also on servers whose ticks take this longer, as those of one that renders."),
    ] = 40.0,
    paced_servers: Annotated[
        list[int] | None, typer.Option("--paced-servers", min=1, max=64, help="How many of these. Left out: 1, 2 and 4.")
    ] = None,
    json: options.Json = False,
) -> None:
    """The closed loop on CARLA against the bare client, the agent's own step, several servers; on the CARLA-compatible server."""
    from carla_rl.bench.carla import CarlaSizes, bench_carla

    found = bench_carla(CarlaSizes(ticks, repetitions, steps, tuple(servers or (1, 2)), paced_ms, tuple(paced_servers or (1, 2, 4))), _tell)
    _print(found, carla_tables(found), json)


@bench.command("compare")
def compare(
    episodes: Annotated[int, typer.Option("--episodes", min=2, max=1_000_000, help="Of each of the two runs.")] = 10_000,
    json: options.Json = False,
) -> None:
    """`carla-rl compare` of two large runs of made-up episodes: seconds and peak of memory of the whole process."""
    from carla_rl.bench.compare import bench_compare

    found = bench_compare(episodes, _tell)
    _print(found, compare_lines(found), json)


def _tell(part: str) -> None:
    """What is measured next."""
    stderr.print(f"[dim]measuring: {part}[/]", highlight=False)


def _print(found: Mapping[str, Any], parts: Parts, json: bool) -> None:
    """The result, for machines or for people."""
    if json:
        print_json(found)
        return
    for line in machine_lines(found["machine"]):
        stdout.print(line, highlight=False)
    for part in parts:
        stdout.print(part, highlight=False)
