"""From what a user says to servers: those that run, or so many of our own. Knows no command line."""

import shutil
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TypeVar

from carla_rl.errors import UsageError
from carla_rl.servers.folder import runtime_folder
from carla_rl.servers.interface import CarlaServer
from carla_rl.servers.launch import Kind, Launch, Quality
from carla_rl.servers.ports import FIRST, LAST, SECONDARY, STRIDE, TRAFFIC_MANAGER, Leases, limit
from carla_rl.servers.running import RunningServer
from carla_rl.servers.supervise import HOST, SupervisedServer

S = TypeVar("S", bound=CarlaServer)
MOST_SERVERS = 64
WAYS = {"--docker": Kind.DOCKER, "--binary": Kind.BINARY, "--apptainer": Kind.APPTAINER}
OTHER_CLIENTS = {"carla-0-9-15": "0.9.15"}
"""Distributions that are CARLA's client under another name, and its version: a third party's build for CPython 3.11."""
SINGULARITY = "singularity"
"""The other name of apptainer."""


def make_launch(
    *,
    docker: str | None = None,
    binary: str | None = None,
    apptainer: str | None = None,
    toy: bool = False,
    toy_option: str = "--toy-server",
    quality: Quality = Quality.EPIC,
    rendering: bool = True,
    extra: Sequence[str] = (),
) -> Launch | None:
    """How servers are to be started; None where nothing says so.

    Args:
        toy_option: how the command calls the choice of the project's own server.
        extra: further words for the server itself.

    Raises:
        UsageError: two ways at once, or one that this machine does not have.
    """
    told = {"--docker": docker, "--binary": binary, "--apptainer": apptainer, toy_option: "" if toy else None}
    given = [option for option, value in told.items() if value is not None]
    if len(given) > 1:
        raise UsageError(f"{' and '.join(given)} are two ways to start a server; give one")
    if not given:
        return None
    kind = WAYS.get(given[0], Kind.TOY)
    launch = Launch(kind, told[given[0]] or "", quality, rendering, tuple(extra))
    return _checked(launch)


def make_servers(
    running: Sequence[str] = (),
    *,
    count: int | None = None,
    gpus: str | None = None,
    launch: Launch | None = None,
    logs: Path,
    port: int = FIRST,
    leases: Leases | None = None,
    client: str | None = None,
) -> list[CarlaServer]:
    """The servers that a user asked for; none is started yet. Without any word of them: the one at 127.0.0.1:2000.

    Args:
        running: `HOST:PORT` of servers that run.
        count: how many to start; one if left out.
        gpus: numbers of GPUs, `0,1`, over which the servers are spread in turn.
        launch: how to start them.
        logs: folder of their logs; made if need be.
        port: from which on free ports are looked for.
        leases: where ports come from; this user's on this machine if left out.
        client: version of the installed client, with which theirs is compared.

    Raises:
        UsageError: what was said makes no sense, or there are no free ports.
    """
    if running and launch is not None:
        raise UsageError("--carla names servers that run and the other options say how to start one; give either")
    if launch is None and (count is not None or gpus is not None):
        what = "--servers" if count is not None else "--gpus"
        raise UsageError(
            f"{what} is for servers that are started here; say how, by --docker IMAGE, --binary FILE, --apptainer FILE or --toy"
        )
    addresses = _addresses(running)
    leases = leases or Leases(runtime_folder() / "ports")
    if launch is None:
        return [*_all(lambda i: RunningServer(*addresses[i], leases, client=client), len(addresses))]
    return [*make_own_servers(launch, 1 if count is None else count, logs=logs, leases=leases, gpus=gpus, port=port, client=client)]


def make_own_servers(
    launch: Launch,
    count: int,
    *,
    logs: Path,
    leases: Leases,
    gpus: str | None = None,
    port: int = FIRST,
    client: str | None = None,
    guarded: bool = True,
    started: Callable[[SupervisedServer], None] | None = None,
) -> list[SupervisedServer]:
    """So many servers of our own, each with its ports; none is started yet. See `make_servers` and `SupervisedServer`.

    Raises:
        UsageError: as `make_servers`.
    """
    if not 1 <= count <= MOST_SERVERS:
        raise UsageError(f"--servers {count}: give a number from 1 to {MOST_SERVERS}")
    check_first_port(port)
    adapters = read_gpus(gpus) or [None]
    if adapters != [None] and launch.kind is Kind.TOY:
        raise UsageError(f"--gpus {gpus}: {launch} uses no GPU; leave it out")
    _make(logs)

    def make(i: int) -> SupervisedServer:
        gpu = adapters[i % len(adapters)]
        return SupervisedServer(launch, leases, logs, gpu=gpu, client=client, first=port, guarded=guarded, started=started)

    return _all(make, count)


def _all(make: Callable[[int], S], count: int) -> list[S]:
    """So many servers, or none: where one cannot be made, the others give their ports back."""
    with ExitStack() as stack:
        servers = []
        for i in range(count):
            servers.append(make(i))
            stack.callback(servers[-1].close)
        stack.pop_all()
        return servers


def installed_client() -> str | None:
    """Version of the installed client, without importing it; None: there is none."""
    try:
        return version("carla")
    except PackageNotFoundError:
        return next((client for name, client in OTHER_CLIENTS.items() if _is_installed(name)), None)


def _is_installed(distribution: str) -> bool:
    try:
        version(distribution)
    except PackageNotFoundError:
        return False
    return True


def read_address(text: str) -> tuple[str, int]:
    """Host and port of `HOST:PORT`.

    Raises:
        UsageError: it is none.
    """
    host, _, port = text.rpartition(":")
    if not host or not port.isdecimal() or not 1 <= int(port) <= LAST - SECONDARY or any(sign in host for sign in "/: "):
        raise UsageError(f"--carla {text}: write HOST:PORT, for instance 127.0.0.1:2000")
    return host, int(port)


def read_gpus(text: str | None) -> list[int | None]:
    """The numbers in `0,1`; none for None.

    Raises:
        UsageError: something else than different numbers.
    """
    if text is None:
        return []
    words = text.split(",")
    if not all(word.strip().isdecimal() for word in words) or len({int(word) for word in words}) < len(words):
        raise UsageError(f"--gpus {text}: write numbers of GPUs, each once, for instance 0,1")
    return [int(word) for word in words]


def check_first_port(port: int) -> None:
    """Raise UsageError where ports from this one on can be taken by any connection at any moment, or are not ours to take."""
    end = limit() - TRAFFIC_MANAGER
    if not 1024 <= port < end:
        raise UsageError(
            f"first port {port}: give one from 1024 to {end - 1}; above it the system hands ports out to whoever connects somewhere "
            f"(servers take every {STRIDE}th, with the three that follow)"
        )


def _addresses(running: Sequence[str]) -> list[tuple[str, int]]:
    addresses = [read_address(text) for text in running]
    if len(set(addresses)) < len(addresses):
        raise UsageError("--carla names the same server twice; one server serves one env: give each once")
    return addresses or [(HOST, FIRST)]


def _checked(launch: Launch) -> Launch:
    """The launch, if this machine has what it needs."""
    target = launch.target
    if launch.kind is Kind.TOY:
        return launch
    if not target.strip() or target.startswith("-"):
        raise UsageError(f"--{launch.kind} {target!r}: give {'the name of an image' if launch.kind is Kind.DOCKER else 'a file'}")
    if launch.kind is Kind.DOCKER:
        if shutil.which("docker") is None:
            raise UsageError(
                "--docker: there is no docker here; install it with NVIDIA's container toolkit, or give --binary or --apptainer"
            )
        return launch
    path = Path(target).expanduser()
    if not path.is_file():
        hint = "CarlaUE4.sh in the unpacked folder of CARLA" if launch.kind is Kind.BINARY else "a .sif image of CARLA"
        raise UsageError(f"--{launch.kind} {target}: no such file; give {hint}")
    if launch.kind is Kind.BINARY:
        if shutil.which(str(path.absolute())) is None:
            raise UsageError(f"--binary {target}: it cannot be executed; chmod +x it, or give CarlaUE4.sh")
        return Launch(launch.kind, str(path.absolute()), launch.quality, launch.rendering, launch.extra)
    program = next((name for name in ("apptainer", SINGULARITY) if shutil.which(name)), None)
    if program is None:
        raise UsageError(f"--apptainer {target}: there is neither apptainer nor {SINGULARITY} here; load its module or install it")
    return Launch(launch.kind, str(path.absolute()), launch.quality, launch.rendering, launch.extra, program)


def _make(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(f"{folder}: cannot be made for the servers' logs ({error.strerror or error})") from error
