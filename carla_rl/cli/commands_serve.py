"""`serve`: the toy behind CARLA's network protocol."""

from enum import StrEnum
from typing import Annotated, Any

import typer
from rich.markup import escape

from carla_rl.build import run_server
from carla_rl.cli.console import stdout


class Speed(StrEnum):
    """Clock of asynchronous mode."""

    REAL = "real"
    MAX = "max"


def serve(
    port: Annotated[int, typer.Option("--port", min=1, max=65533, help="RPC port P; P+1 streams data, P+2 is kept.")] = 2000,
    maps: Annotated[
        list[str] | None,
        typer.Option(
            "--map", metavar="FILE|TOWN", help="A .xodr or .xodr.gz file, or one of our own towns; the first is loaded. Repeatable."
        ),
    ] = None,
    host: Annotated[str, typer.Option("--host", help="Address to listen on; the protocol has no password.")] = "127.0.0.1",
    suite: Annotated[
        str | None, typer.Option("--suite", metavar="NAME|FILE", help="Its episodes can be loaded like maps: the client drives the hero.")
    ] = None,
    episode: Annotated[str | None, typer.Option("--episode", metavar="ID", help="The scenario of the suite that is loaded first.")] = None,
    client: Annotated[
        str, typer.Option("--client", metavar="VERSION", help="Of the client that is to connect: 0.9.16 or 0.9.15.")
    ] = "0.9.16",
    seed: Annotated[int, typer.Option("--seed", min=0, help="Of the noise of sensors.")] = 0,
    speed: Annotated[
        Speed, typer.Option("--speed", help="Clock of asynchronous mode; synchronous mode is as fast as the client.")
    ] = Speed.REAL,
    buildings: Annotated[bool, typer.Option("--buildings/--no-buildings", help="Whether sensors see buildings beside the roads.")] = True,
    recordings: Annotated[str, typer.Option("--recordings", metavar="DIR", help="Where clients may write and read recordings.")] = ".",
    faults: Annotated[
        list[str] | None,
        typer.Option("--fault", metavar="FAULT", help="Go wrong on purpose, e.g. crash@tick=500; see docs/server.md. Repeatable."),
    ] = None,
    log_rpc: Annotated[bool, typer.Option("--log-rpc", help="Print every call to standard error.")] = False,
) -> None:
    """Serve the toy simulator to CARLA's own client: a script for CARLA 0.9.16 (or 0.9.15) connects to it as to CARLA, without a GPU.

    It is a toy: cars move by a kinematic model, and nothing of it is CARLA's physics or picture.
    """
    run_server(
        "toy",
        _tell,
        host=host,
        port=port,
        maps=tuple(maps or ()),
        suite=suite,
        episode=episode,
        seed=seed,
        speed=speed.value,
        version=client,
        buildings=buildings,
        recordings=recordings,
        faults=tuple(faults or ()),
        log_rpc=log_rpc,
    )


def _tell(server: Any) -> None:
    """What runs now, for people."""
    config = server.config
    stdout.print(
        f"[bold]carla-rl toy server[/] for the client carla=={config.version}: a toy, not CARLA",
        highlight=False,
    )
    stdout.print(f"  listening  {escape(config.host)}:{config.port} (streams {config.port + 1}, kept {config.port + 2})", highlight=False)
    stdout.print(f"  map        {escape(server.world.map.name)} of {escape(', '.join(server.map_names))}", highlight=False)
    stdout.print(f"  seed       {config.seed}, asynchronous clock {config.speed}; synchronous mode is the supported one", highlight=False)
    for fault in config.faults:
        stdout.print(f"  fault      {escape(fault)}", highlight=False)
    stdout.print("  Ctrl-C stops it", highlight=False)
    stdout.file.flush()
