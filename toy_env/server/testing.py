"""A server in a process of its own, for tests of whatever talks to CARLA.

    with serving("--map", "grid") as server:
        client = carla.Client("127.0.0.1", server.port)

`toy_env.server.fixtures` has the same as a pytest fixture. The server is never in the client's process: several calls of the client hold
Python's lock while they wait.
"""

import contextlib
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

import msgpack

from toy_env.server.layouts import TABLES

START_S = 600.0
"""A server answers within this; the kernels may have to be compiled first."""
STOP_S = 10.0
"""It stops within this, whatever its clients do: a second is usual, most of it the end of the interpreter."""
STARTED = "listening"
"""A word that the server prints when it has its ports."""
NEWEST = max(TABLES)
PORTS = 3
"""The ports that a server takes."""
TRIES = 50


@dataclass
class ServerProcess:
    """A server that runs, and how to look after it."""

    port: int
    process: "subprocess.Popen[bytes]"
    log: Path

    def kill(self) -> None:
        """End it at once, as a crash would."""
        self.process.kill()
        self.process.wait()

    def stop(self) -> int:
        """End it as a user does; its exit code."""
        self.process.terminate()
        try:
            return self.process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            self.kill()
            raise

    @property
    def output(self) -> str:
        """What it has printed so far."""
        return self.log.read_text("utf-8", "replace")


def free_ports(count: int = PORTS) -> int:
    """The first of `count` ports in a row that are free now. Raises RuntimeError where none is found."""
    for _ in range(TRIES):
        with contextlib.ExitStack() as stack:
            first = stack.enter_context(socket.socket())
            first.bind(("127.0.0.1", 0))
            port = int(first.getsockname()[1])
            try:
                for offset in range(1, count):
                    stack.enter_context(socket.socket()).bind(("127.0.0.1", port + offset))
            except (OSError, OverflowError):
                continue
            return port
    raise RuntimeError(f"no {count} free ports in a row were found")


def installed_client() -> str:
    """The version of the client that is installed here, as `carla` or as a wheel like `carla-0-9-15`; the newest where there is none."""
    for version in TABLES:
        with contextlib.suppress(metadata.PackageNotFoundError):
            metadata.distribution(f"carla-{version.replace('.', '-')}")
            return version
    with contextlib.suppress(metadata.PackageNotFoundError):
        return metadata.version("carla")
    return NEWEST


def answers(port: int, timeout_s: float = 1.0) -> bool:
    """Whether a server answers the call `version` on this port."""
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=timeout_s) as sock:
            sock.sendall(msgpack.packb([0, 1, "version", [[False]]]))
            return bool(sock.recv(64))
    except OSError:
        return False


@contextlib.contextmanager
def serving(*options: str, port: int | None = None, faults: Sequence[str] = ()) -> Iterator[ServerProcess]:
    """A fresh server with these options of `carla-rl serve`, on free ports; it is gone afterwards.

    Unless `--client` is among them, it is for the client that is installed here.

    It answers when this gives it; only with the fault `refuse-connect` it does not yet, but its ports are taken.

    Args:
        faults: as `--fault` takes them, e.g. `crash@tick=500`.

    Raises:
        RuntimeError: it did not start; the message holds what it printed.
    """
    port = free_ports() if port is None else port
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder) / "server.log"
        wrong = [word for fault in faults for word in ("--fault", fault)]
        client = () if "--client" in options else ("--client", installed_client())
        command = [sys.executable, "-m", "carla_rl", "serve", "--port", str(port), *client, *options, *wrong]
        refuses = any(word.startswith("refuse-connect") for word in (*options, *faults))
        with log.open("wb") as out:
            process = subprocess.Popen(command, stdout=out, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL)
        server = ServerProcess(port, process, log)
        try:
            deadline = time.monotonic() + START_S
            while not (STARTED in server.output if refuses else answers(port)):
                if process.poll() is not None or time.monotonic() > deadline:
                    raise RuntimeError(f"the server did not start:\n{server.output}")
                time.sleep(0.05)
            yield server
        finally:
            if process.poll() is None:
                server.stop()
