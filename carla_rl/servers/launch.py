"""How a server is started: command lines, and nothing that runs them.

Flags of CARLA 0.9.15 and 0.9.16 after its documentation ("Quickstart extras", "Multi-GPU", "Rendering options"). A CARLA server does
not look at CUDA_VISIBLE_DEVICES: the GPU is chosen by `-graphicsadapter`, or by what a container is shown.
"""

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from carla_rl.servers.ports import SECONDARY, STREAMING


class Kind(StrEnum):
    """What a server is started from."""

    BINARY = "binary"
    DOCKER = "docker"
    APPTAINER = "apptainer"
    TOY = "toy"
    """This project's CARLA-compatible server."""


class Quality(StrEnum):
    """CARLA's two levels of graphics."""

    LOW = "low"
    EPIC = "epic"


IN_IMAGE = ("/bin/bash", "./CarlaUE4.sh")
"""How CARLA's own images start the server, in their folder of `IMAGE_FOLDER`."""
IMAGE_FOLDER = "/home/carla"
LABEL = "carla-rl.server"
"""Of every container that is started here; its value is the container's name."""
STOP_IN_S = 10
"""A container has so long to end by itself."""


@dataclass(frozen=True)
class Launch:
    """How to start a server; the ports, the GPU and the name of a container are given with each start."""

    kind: Kind
    target: str = ""
    """Path of CarlaUE4.sh, name of an image, path of a .sif; empty for the toy."""
    quality: Quality = Quality.EPIC
    rendering: bool = True
    """Without it there are no cameras and no GPU is needed."""
    extra: tuple[str, ...] = ()
    """Further words for the server itself, e.g. `--map grid` for the toy or `-benchmark` for CARLA."""
    program: str = ""
    """Of docker or apptainer, where it has another name or place, e.g. `podman` or `singularity`."""

    def command(self, port: int, gpu: int | None = None, name: str = "") -> list[str]:
        """The command line of a server on ports from `port` on.

        Args:
            gpu: number of the graphics adapter; None leaves the choice to the server.
            name: of the container, where there is one.
        """
        match self.kind:
            case Kind.BINARY:
                return [self.target, *self._flags(port, gpu)]
            case Kind.DOCKER:
                return [*self._docker(gpu, name), self.target, *IN_IMAGE, *self._flags(port, None)]
            case Kind.APPTAINER:
                nvidia = ["--nv"] if self.rendering else []
                program = self.program or "apptainer"
                return [program, "exec", *nvidia, "--pwd", IMAGE_FOLDER, self.target, *IN_IMAGE, *self._flags(port, gpu)]
            case Kind.TOY:
                # -P: a folder `carla_rl` or `toy_env` where the command happens to be run is not what is meant
                return [sys.executable, "-P", "-m", "carla_rl", "serve", "--port", str(port), *self.extra]

    def stop_command(self, name: str) -> list[str]:
        """What ends the container of this name; empty where ending the processes is enough."""
        if self.kind is not Kind.DOCKER:
            return []
        return [self.program or "docker", "stop", "-t", str(STOP_IN_S), name]

    def _docker(self, gpu: int | None, name: str) -> list[str]:
        """Up to the image: in the foreground, so that the container's output is the log and its exit status is seen."""
        command = [self.program or "docker", "run", "--rm", "--init", "--name", name, "--label", f"{LABEL}={name}", "--network", "host"]
        if self.rendering:
            devices = "all" if gpu is None else f"device={gpu}"
            # the default of NVIDIA's runtime has no graphics: the server would end without a word
            command += ["--gpus", devices, "--env", "NVIDIA_DRIVER_CAPABILITIES=all"]
        return command

    def _flags(self, port: int, gpu: int | None) -> list[str]:
        flags = [
            f"-carla-rpc-port={port}",
            f"-carla-streaming-port={port + STREAMING}",
            f"-carla-primary-port={port + SECONDARY}",
            "-nosound",
        ]
        if not self.rendering:
            return [*flags, "-nullrhi", *self.extra]
        adapter = [] if gpu is None else [f"-graphicsadapter={gpu}"]
        return [*flags, "-RenderOffScreen", f"-quality-level={self.quality.value.capitalize()}", *adapter, *self.extra]

    def __str__(self) -> str:
        """For people: what is started."""
        return "the project's CARLA-compatible server" if self.kind is Kind.TOY else self.target


def toy_options(
    maps: Sequence[str] = (), suite: str | None = None, faults: Sequence[str] = (), client: str | None = None
) -> tuple[str, ...]:
    """`extra` of the project's CARLA-compatible server: options of `carla-rl serve`. `client` is the version of who will talk to it."""
    words = [word for item in maps for word in ("--map", item)]
    words += ["--suite", suite] if suite else []
    words += [word for fault in faults for word in ("--fault", fault)]
    words += ["--client", client] if client else []
    return tuple(words)
