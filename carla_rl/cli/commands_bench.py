"""`bench`: how fast it is on this machine. Each sub-command is a benchmark of its own; they share machine, repetitions and tables."""

from typing import Annotated

import typer

from carla_rl.bench.toy import Sizes, all_threads, bench_toy, quick
from carla_rl.cli import options
from carla_rl.cli.console import print_json, stderr, stdout
from carla_rl.cli.tables_bench import machine_lines, toy_tables

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
    found = bench_toy(sizes, lambda part: stderr.print(f"[dim]measuring: {part}[/]", highlight=False), with_peers=peers)
    if json:
        print_json(found)
        return
    for line in machine_lines(found["machine"]):
        stdout.print(line, highlight=False)
    for part in toy_tables(found):
        stdout.print(part, highlight=False)
