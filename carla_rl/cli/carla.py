"""From options about CARLA servers to servers, and from servers to a simulator. Other simulators take none of them."""

import inspect
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import wraps
from inspect import Parameter
from pathlib import Path
from typing import Any

from rich.markup import escape

from carla_rl.build import Networks, make_carla_simulator
from carla_rl.cli import options_servers
from carla_rl.cli.console import stderr
from carla_rl.errors import UsageError
from carla_rl.interfaces import Simulator
from carla_rl.loop import Loss
from carla_rl.roads.network import RoadNetwork
from carla_rl.servers.choose import installed_client, make_launch, make_servers
from carla_rl.servers.interface import CarlaServer
from carla_rl.servers.launch import Kind, Launch, Quality, toy_options
from carla_rl.servers.ports import FIRST
from carla_rl.types import Needs

CARLA = "carla"
"""The simulator's name on the command line."""
TIMEOUT_S = 60.0
DEFAULT_PORT = 2000
SERVER_OPTIONS: dict[str, tuple[Any, Any]] = {
    "carla": (options_servers.Carla, None),
    "servers": (options_servers.Servers, None),
    "gpus": (options_servers.Gpus, None),
    "docker": (options_servers.Docker, None),
    "binary": (options_servers.Binary, None),
    "apptainer": (options_servers.Apptainer, None),
    "toy_server": (options_servers.ToyServer, False),
    "restart_every": (options_servers.RestartEvery, None),
    "server_memory": (options_servers.ServerMemory, None),
    "server_port": (options_servers.ServerPort, FIRST),
    "quality": (options_servers.ServerQuality, Quality.EPIC),
    "carla_timeout": (options_servers.CarlaTimeout, TIMEOUT_S),
}
"""The options by parameter, and their defaults. None of them changes what is driven."""
TAKES = "chosen"
"""The parameter by which a command gets what they say."""


@dataclass(frozen=True)
class CarlaOptions:
    """What a command was told of servers."""

    running: tuple[str, ...] = ()
    """`HOST:PORT` each."""
    count: int | None = None
    gpus: str | None = None
    launch: Launch | None = None
    restart_every: int = 0
    memory_gb: float = 0.0
    port: int = FIRST
    timeout_s: float = TIMEOUT_S

    @property
    def given(self) -> bool:
        """Whether anything was said about servers."""
        return bool(self.running or self.launch or self.count or self.gpus or self.restart_every or self.memory_gb)

    @property
    def envs(self) -> int:
        """One env a server."""
        return len(self.running) if self.running else self.count or 1

    def with_maps(self, files: Sequence[Path]) -> "CarlaOptions":
        """Likewise; servers of this project that are started get these map files, for CARLA has its own."""
        if self.launch is None or self.launch.kind is not Kind.TOY:
            return self
        extra = (*self.launch.extra, *toy_options([str(file) for file in files], client=installed_client()))
        return replace(self, launch=replace(self.launch, extra=extra))

    def limited(self, envs: int) -> "CarlaOptions":
        """No more servers than `envs`."""
        return replace(self, running=self.running[:envs], count=None if self.count is None else min(self.count, envs))

    def apart(self) -> tuple["CarlaOptions", "CarlaOptions"]:
        """Servers for training, and one more for validation: the last of those that run, or one that is started beside them.

        Raises:
            UsageError: there is only one.
        """
        if self.launch is not None:
            return self, replace(self, count=1)
        if len(self.running) < 2:
            raise UsageError(
                "training on CARLA with --validation needs a server of its own for that: repeat --carla HOST:PORT, or let servers be "
                "started here by --docker, --binary, --apptainer or --toy-server; or leave --validation out"
            )
        return replace(self, running=self.running[:-1]), replace(self, running=self.running[-1:])

    def for_training(self, validates: bool) -> tuple["CarlaOptions", "CarlaOptions | None"]:
        """Servers to train on and, where a validation suite is driven now and then, one for that: see `apart`."""
        return self.apart() if validates else (self, None)

    def servers(self, logs: Path) -> list[CarlaServer]:
        """The servers, none of them started yet.

        Raises:
            UsageError: what was said makes no sense.
        """
        return make_servers(
            self.running, count=self.count, gpus=self.gpus, launch=self.launch, logs=logs, port=self.port, client=installed_client()
        )


def carla_options(
    *,
    carla: Sequence[str] | None,
    servers: int | None,
    gpus: str | None,
    docker: str | None,
    binary: str | None,
    apptainer: str | None,
    toy_server: bool,
    restart_every: int | None,
    server_memory: float | None = None,
    server_port: int,
    quality: Quality,
    timeout_s: float,
) -> CarlaOptions:
    """What the options say.

    Raises:
        UsageError: they contradict each other.
    """
    # without pictures nothing is rendered, which the simulator tells each server; a server that cannot render at all is the user's choice
    launch = make_launch(docker=docker, binary=binary, apptainer=apptainer, toy=toy_server, quality=quality)
    if launch is None and (restart_every or server_memory):
        option = "--restart-every" if restart_every else "--server-memory"
        raise UsageError(f"{option} is for servers that are started here (--docker, --binary, --apptainer, --toy-server); leave it out")
    if server_memory and launch is not None and launch.kind is Kind.DOCKER:
        raise UsageError("--server-memory: what a container holds is not seen from here; give --restart-every K instead")
    return CarlaOptions(tuple(carla or ()), servers, gpus, launch, restart_every or 0, server_memory or 0.0, server_port, timeout_s)


def with_servers(command: Callable[..., None]) -> Callable[..., None]:
    """The command with these options; its own parameter `chosen` gets them as `CarlaOptions`.

    Where they contradict each other the command is not begun, and UsageError says so.
    """
    theirs = [Parameter(name, Parameter.KEYWORD_ONLY, default=value, annotation=kind) for name, (kind, value) in SERVER_OPTIONS.items()]
    signature = inspect.signature(command)
    mine = [parameter for parameter in signature.parameters.values() if parameter.name != TAKES]

    @wraps(command)
    def run(**told: Any) -> None:
        servers = {name: told.pop(name) for name in SERVER_OPTIONS}
        command(**told, chosen=carla_options(timeout_s=servers.pop("carla_timeout"), **servers))

    # typer reads both
    run.__signature__ = signature.replace(parameters=[*(p.replace(kind=Parameter.KEYWORD_ONLY) for p in mine), *theirs])  # type: ignore[attr-defined]
    run.__annotations__ = {parameter.name: parameter.annotation for parameter in run.__signature__.parameters.values()}  # type: ignore[attr-defined]
    return run


def check_envs(simulator: str, num_envs: int | None, chosen: CarlaOptions) -> None:
    """Raises UsageError where another number of envs than of servers is asked for."""
    if simulator == CARLA and num_envs is not None and num_envs != chosen.envs:
        raise UsageError(
            f"--num-envs {num_envs}: on CARLA there is one env a server, and {chosen.envs} are used; leave it out and give --servers N "
            "with a way to start them, or --carla HOST:PORT several times"
        )


def tell_loss(loss: Loss) -> None:
    """Say on standard error that an attempt at an episode is void, or that a server is gone for good."""
    what = f"{loss.episode.episode_id} is void" if loss.begun else f"one server less, and {loss.episode.episode_id} waits for another"
    stderr.print(f"[yellow]{escape(what)}: {escape(loss.reason)}[/]", highlight=False, soft_wrap=True)


def make_carla(
    options: CarlaOptions, envs: int, needs: Needs, networks: Callable[[str], RoadNetwork], maps: Sequence[Path], logs: Path
) -> Simulator:
    """The simulator on at most `envs` servers; servers that are ours are started, which can take a minute each.

    Raises:
        UsageError: options that make no sense, no client installed, a server that cannot be used.
        RunFailure: a server cannot be started or reached.
    """
    chosen = options.limited(envs).with_maps(maps)
    servers = chosen.servers(logs)
    started = "starting" if chosen.launch else "reaching"
    with stderr.status(f"{started} {len(servers)} {'server' if len(servers) == 1 else 'servers'}"):
        return make_carla_simulator(
            servers,
            needs,
            networks,
            timeout_s=options.timeout_s,
            restart_every=options.restart_every,
            most_memory_gb=options.memory_gb,
        )


def map_files(networks: Networks, towns: Sequence[str]) -> list[Path]:
    """The OpenDRIVE files of towns that are not this project's own."""
    found = (networks.file_of(town) for town in dict.fromkeys(towns))
    return [path for path in found if path is not None and path.suffix != ".npz"]
