"""The options about CARLA servers that several commands share, each written once."""

from typing import Annotated

import typer

from carla_rl.servers.choose import MOST_SERVERS
from carla_rl.servers.launch import Quality

PANEL = "CARLA servers"

Carla = Annotated[
    list[str] | None,
    typer.Option(
        "--carla",
        metavar="HOST:PORT",
        help="A CARLA server that runs; repeat it for several, one env each. 127.0.0.1:2000 if nothing is said about servers.",
        rich_help_panel=PANEL,
    ),
]
Servers = Annotated[
    int | None,
    typer.Option(
        "--servers", min=1, max=MOST_SERVERS, help="So many are started here, one env each; 1 if left out.", rich_help_panel=PANEL
    ),
]
Gpus = Annotated[
    str | None,
    typer.Option("--gpus", metavar="0,1", help="GPUs over which the servers are spread (-graphicsadapter).", rich_help_panel=PANEL),
]
Docker = Annotated[str | None, typer.Option("--docker", metavar="IMAGE", help="Start servers from this image.", rich_help_panel=PANEL)]
Binary = Annotated[str | None, typer.Option("--binary", metavar="FILE", help="Start servers with this CarlaUE4.sh.", rich_help_panel=PANEL)]
Apptainer = Annotated[str | None, typer.Option("--apptainer", metavar="FILE", help="Start servers from this .sif.", rich_help_panel=PANEL)]
ToyServer = Annotated[
    bool,
    typer.Option(
        "--toy-server",
        help="Start the project's own CARLA-compatible server instead of CARLA: kinematic, for tests; its numbers are not CARLA's.",
        rich_help_panel=PANEL,
    ),
]
RestartEvery = Annotated[
    int | None,
    typer.Option(
        "--restart-every",
        metavar="K",
        min=1,
        help="Start a server anew after K episodes: CARLA's memory grows with every load.",
        rich_help_panel=PANEL,
    ),
]
ServerMemory = Annotated[
    float | None,
    typer.Option(
        "--server-memory",
        metavar="GB",
        min=0.1,
        help="Start a server anew, between two episodes, once it holds more memory than this; not for containers.",
        rich_help_panel=PANEL,
    ),
]
ServerPort = Annotated[
    int, typer.Option("--server-port", help="Where looking for free ports begins; each server takes four in a row.", rich_help_panel=PANEL)
]
ServerQuality = Annotated[Quality, typer.Option("--quality", help="CARLA's level of graphics.", rich_help_panel=PANEL)]
Rendering = Annotated[
    bool,
    typer.Option(
        "--rendering/--no-rendering", help="Without it there are no cameras and no GPU is needed (-nullrhi).", rich_help_panel=PANEL
    ),
]
CarlaTimeout = Annotated[
    float,
    typer.Option(
        "--carla-timeout",
        metavar="SECONDS",
        min=1.0,
        max=3600.0,
        help="A server that does not answer for so long is lost; loading a map may take four times as long.",
        rich_help_panel=PANEL,
    ),
]
