"""Servers that outlive the command that started them: a small file each, so that later commands find, ask and end exactly these.

A file names the process with the time of its start: a later process of the same number is never taken for the server.
"""

import json
from dataclasses import asdict, dataclass, fields
from datetime import datetime
from pathlib import Path
from typing import Any, Self

from carla_rl.errors import RunFailure, UsageError
from carla_rl.records.atomic import write_json
from carla_rl.servers.probe import ask_version
from carla_rl.servers.process import end_group, identity, run_stop
from carla_rl.servers.supervise import SupervisedServer

READY, SILENT, ENDED = "ready", "does not answer", "ended"


@dataclass(frozen=True)
class Known:
    """What a file says of a server."""

    name: str
    host: str
    port: int
    traffic_manager_port: int
    """A free port for a client's Traffic Manager: no other server here was given it."""
    pid: int
    identity: str
    """See `carla_rl.servers.process.identity`."""
    what: str
    """What was started, for people."""
    gpu: int | None
    log: str
    stop: list[str]
    """What ends its container; empty where there is none."""
    started: str
    """ISO 8601."""

    @classmethod
    def of(cls, server: SupervisedServer) -> Self:
        """Of a server that was just started."""
        process = server.process
        if process is None:
            raise RuntimeError("the server is not started")
        return cls(
            name=str(server.port),
            host=server.host,
            port=server.port,
            traffic_manager_port=server.traffic_manager_port,
            pid=process.pid,
            identity=identity(process.pid),
            what=str(server.launch),
            gpu=server.gpu,
            log=str(process.log),
            stop=server.launch.stop_command(server.container),
            started=datetime.now().astimezone().isoformat(timespec="seconds"),
        )

    @property
    def address(self) -> str:
        """HOST:PORT."""
        return f"{self.host}:{self.port}"


@dataclass(frozen=True)
class Status:
    """A server and how it is now."""

    server: Known
    state: str
    """`READY`, `SILENT` or `ENDED`."""
    version: str = ""
    """Where it is ready."""
    detail: str = ""
    """Where it is not."""

    def to_json(self) -> dict[str, Any]:
        """For machines."""
        return {**asdict(self.server), "state": self.state, "version": self.version or None, "detail": self.detail or None}


class Registry:
    """The files.

    Args:
        folder: made if need be.
    """

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder

    def add(self, server: Known) -> None:
        """Write down a server; one of the same ports that was written down before has ended, or it could not have started."""
        write_json(self._path(server.name), asdict(server))

    def forget(self, *servers: Known) -> None:
        """Nothing is known of them any more."""
        for server in servers:
            self._path(server.name).unlink(missing_ok=True)

    def all(self) -> list[Known]:
        """All servers, by port.

        Raises:
            UsageError: a file that is none of ours.
        """
        found = [self._read(path) for path in self._folder.glob("*.json")]
        return sorted((server for server in found if server is not None), key=lambda server: server.port)

    def find(self, names: list[str]) -> list[Known]:
        """Those of these names; a port or HOST:PORT is a name, too.

        Raises:
            UsageError: there is none of that name.
        """
        known = self.all()
        found = []
        for name in names:
            server = next((server for server in known if name in (server.name, server.address)), None)
            if server is None:
                there = ", ".join(server.name for server in known) or "none"
                raise UsageError(f"no server {name!r} was started by carla-rl server start; there are: {there}")
            if server not in found:
                found.append(server)
        return found

    def _path(self, name: str) -> Path:
        return self._folder / f"{name}.json"

    def _read(self, path: Path) -> Known | None:
        """What a file says; None where it has just been removed."""
        try:
            data = json.loads(path.read_text("utf-8"))
            return Known(**{field.name: data[field.name] for field in fields(Known)})
        except FileNotFoundError:
            return None
        except (ValueError, TypeError, KeyError) as error:
            raise UsageError(f"{path}: does not say what carla-rl server wrote ({error}); remove it and end its server by hand") from error


def status_of(server: Known) -> Status:
    """How a server is now; takes some seconds where it hangs."""
    alive = _lives(server)
    if not alive and not server.stop:
        return Status(server, ENDED, detail="its process is gone; its log says more")
    answer = ask_version(server.host, server.port)
    if answer.version:
        return Status(server, READY, version=answer.version)
    return Status(server, SILENT if alive else ENDED, detail=answer.problem)


def stop_server(server: Known) -> bool:
    """End a server; False where it had ended already. Nothing else is touched.

    Raises:
        RunFailure: it could not be ended.
    """
    if _lives(server):
        end_group(server.pid, server.stop)
        return True
    # a container can outlive what started it, and its name is no other's
    left = run_stop(server.stop) if server.stop else ""
    if left:
        raise RunFailure(f"the server {server.name} could not be ended: {left}")
    return False


def _lives(server: Known) -> bool:
    """Whether the process that was started is there, and no later one of its number."""
    return server.identity != "" and identity(server.pid) == server.identity
