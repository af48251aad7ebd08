"""`compile-map`: the road network of an OpenDRIVE map. A server waits for it when a client sends a map, so it loads little."""

from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape

from carla_rl.carla_sim.opendrive import compile_opendrive
from carla_rl.cli.console import stdout
from carla_rl.errors import UsageError
from carla_rl.roads.storage import save_network


def compile_map(
    source: Annotated[Path, typer.Argument(metavar="X.xodr[.gz]", help="An OpenDRIVE map.")],
    target: Annotated[Path, typer.Argument(metavar="TOWN.npz", help="The compiled map; its name is the town's.")],
) -> None:
    """Compile an OpenDRIVE map, so that it loads on machines without the carla wheel (which does the compiling)."""
    if target.suffix != ".npz":
        raise UsageError(f"{target}: a compiled map is found by its ending; write {target.name}.npz")
    network = compile_opendrive(source, target.name.removesuffix(".npz"))
    save_network(network, target)
    roads = network.roads
    stdout.print(
        f"{network.town}: {len(roads.road)} lanes, {len(roads.signal_id)} traffic lights in {escape(str(target))}", highlight=False
    )
