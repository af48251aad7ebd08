"""A server of our own: started until it answers, replaced when it is given up, ended with all its processes."""

import os
import shlex
import time
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

from carla_rl.errors import RunFailure, UsageError
from carla_rl.servers.launch import Kind, Launch
from carla_rl.servers.ports import FIRST, SERVER_PORTS, TRAFFIC_MANAGER, Leases, taken
from carla_rl.servers.probe import ask_version, mismatch
from carla_rl.servers.process import ServerProcess

HOST = "127.0.0.1"
START_S = {Kind.TOY: 600.0}
"""A server answers within this: the toy may have to compile its kernels first."""
OTHERS_START_S = 240.0
"""And CARLA, which loads its map first; a container's image has to be read from a disk."""
STARTS = 4
"""So many starts in a row are tried: about one in ten of CARLA's fails."""
REST_S = {Kind.TOY: 0.2}
"""Before the next try."""
OTHERS_REST_S = 3.0
HOPELESS = {
    (Kind.TOY, 2): "it was given what it cannot do",
    (Kind.DOCKER, 125): "docker could not run the container",
}
"""Exit codes after which another start would end the same way; beside those of shells, `NOT_FOUND`."""
NOT_FOUND = {126: "its program cannot be executed", 127: "its program was not found"}
BUSY_S = 60.0
"""A server that has answered before and is asked again may be loading a map."""
LOOK_S = 0.1
PROBE_S = 2.0


class SupervisedServer:
    """A server that is started here; see `carla_rl.servers.interface.CarlaServer`.

    Args:
        launch: how.
        leases: where its ports come from, and others when somebody else has taken them.
        logs: the folder of its log, `server-<port>.log`.
        gpu: number of the graphics adapter.
        client: version of the installed client; None: any version will do.
        first: the port from which on free ones are looked for.
        guarded: it ends with this process, however that ends. Otherwise it goes on and holds its ports itself.
        started: told of this server after every start.
        start_s: how long a start may take until it answers.
        starts: how many starts in a row are tried.
    """

    host = HOST

    def __init__(
        self,
        launch: Launch,
        leases: Leases,
        logs: Path,
        *,
        gpu: int | None = None,
        client: str | None = None,
        first: int = FIRST,
        guarded: bool = True,
        started: "Callable[[SupervisedServer], None] | None" = None,
        start_s: float | None = None,
        starts: int = STARTS,
    ) -> None:
        self.launch, self.gpu, self._guarded, self._logs = launch, gpu, guarded, logs
        self._leases, self._first, self._client = leases, first, client
        self._start_s = START_S.get(launch.kind, OTHERS_START_S) if start_s is None else start_s
        self._starts, self._started = starts, started
        self._process: ServerProcess | None = None
        self._deadline, self._number, self._was_up, self._found = 0.0, 0, False, "it was never started"
        self.restarts = 0
        self._lease = leases.block(first)

    @property
    def port(self) -> int:
        """See `CarlaServer`."""
        return self._lease.port

    @property
    def traffic_manager_port(self) -> int:
        """See `CarlaServer`."""
        return self._lease.port + TRAFFIC_MANAGER

    @property
    def name(self) -> str:
        """See `CarlaServer`."""
        return f"{self.host}:{self.port}"

    @property
    def process(self) -> ServerProcess | None:
        """What was started last; None: nothing, or it was ended."""
        return self._process

    @property
    def container(self) -> str:
        """The name of the last start's container, where it has one: no other is ever called so."""
        return f"carla-rl-{self.port}-{os.getpid()}-{self._number}"

    @property
    def ended(self) -> bool:
        """See `CarlaServer`."""
        return self._process is not None and self._process.exit_code is not None

    def memory_gb(self) -> float:
        """See `CarlaServer`."""
        return self._process.memory_gb() if self._process is not None and self._process.exit_code is None else 0.0

    def begin(self) -> None:
        """See `CarlaServer`."""
        if self._process is not None and self._process.exit_code is None:
            return
        if self._process is not None:
            self._finish(self.why())
        if taken(self.port + offset for offset in SERVER_PORTS):
            # somebody took them without asking
            self._lease.release()
            self._lease = self._leases.block(self._first)
        if self._was_up:
            self.restarts, self._was_up = self.restarts + 1, False
        self._number += 1
        command, stop = self.launch.command(self.port, self.gpu, self.container), self.launch.stop_command(self.container)
        log = self._logs / f"server-{self.port}.log"
        title = f"--- start {self._number}, {datetime.now().astimezone().isoformat(timespec='seconds')}: {shlex.join(command)}"
        self._process = ServerProcess(command, stop, log, title=title, guarded=self._guarded, kept=self._lease.descriptors)
        self._deadline = time.monotonic() + self._start_s
        if self._started is not None:
            self._started(self)

    def ready(self) -> None:
        """See `CarlaServer`."""
        for start in range(1, self._starts + 1):
            self.begin()
            version = self._answer()
            if version:
                break
            hopeless = self._hopeless()
            self._finish(self.why())
            if hopeless or start == self._starts:
                after = hopeless or f"{start} starts failed" if start > 1 else hopeless or "its only start failed"
                raise RunFailure(f"{self.launch} does not come up on {self.name}: {after}; {self._found}")
            time.sleep(REST_S.get(self.launch.kind, OTHERS_REST_S))
        wrong = mismatch(version, self._client)
        if wrong:
            self._finish(wrong)
            raise UsageError(f"{self.launch} on {self.name}: {wrong}")
        self._was_up = True

    def give_up(self, reason: str) -> None:
        """See `CarlaServer`."""
        if self._process is not None:
            self._process.note(f"given up: {reason}")
        self._finish(self.why())

    def why(self) -> str:
        """See `CarlaServer`."""
        process = self._process
        if process is None:
            return self._found
        state = process.ended()
        if not state:
            answer = ask_version(self.host, self.port, PROBE_S)
            if answer.version:
                return f"the server runs and answers as version {answer.version}"
            state = f"runs, but {answer.problem}"
        lines = process.tail().splitlines() or ["(nothing)"]
        return "\n  ".join([f"the server {state}; the end of its log {process.log}:", *lines])

    def close(self) -> None:
        """See `CarlaServer`."""
        self._finish(self._found if self._process is None else "it was ended as it was no longer needed")
        self._lease.release()

    def let_go(self) -> None:
        """It goes on without this process, and keeps its ports; only for one that is not guarded."""
        if self._process is not None:
            self._process.let_go()
        self._lease.release()

    def _answer(self) -> str:
        """The version that it answers; empty where it has ended, or its time is up."""
        deadline = max(self._deadline, time.monotonic() + BUSY_S) if self._was_up else self._deadline
        while self._process is not None and self._process.exit_code is None:
            answer = ask_version(self.host, self.port, PROBE_S)
            if answer.version or answer.foreign or time.monotonic() > deadline:
                return answer.version
            time.sleep(LOOK_S)
        return ""

    def _hopeless(self) -> str:
        """Why another start would end like this one; empty where it might not."""
        code = self._process.exit_code if self._process is not None else None
        return "" if code is None else HOPELESS.get((self.launch.kind, code), "") or NOT_FOUND.get(code, "")

    def _finish(self, found: str) -> None:
        """End what runs, and remember what was found."""
        self._found = found
        process, self._process = self._process, None
        if process is not None:
            if process.exit_code is not None:
                process.note(f"the server {process.ended()}")
            process.end()
