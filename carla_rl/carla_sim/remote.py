"""A worker process as the adapter sees it: calls with a deadline, and a reason when it is gone.

The client runs in a process of its own because it may hang with Python's lock held, or end its process, when its server dies.
"""

import contextlib
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from typing import Any

from carla_rl.carla_sim.wire import Channel, Hung, HungUp

GRACE_S = 10.0
"""A worker that is told to end may take so long to leave its world behind in order."""
LOOK_S = 0.2
TAIL = 600
"""Characters of what a dead worker printed that are told."""


class WorldLost(Exception):
    """The world behind a worker cannot be used any more; the text says why, as part of a sentence."""

    def __init__(self, reason: str, *, server: bool = True) -> None:
        """`server`: whether the server is to blame, and not this one episode."""
        super().__init__(reason)
        self.server = server


class Refused(Exception):
    """What was asked for is not possible on this server, however often one tries; the text is a sentence for the user."""


class Worker:
    """A process that talks to one server. Calls are answered in their order."""

    def __init__(self) -> None:
        mine, its = socket.socketpair()
        # the output of the client's C++ side: what it says when it aborts
        self._output = tempfile.TemporaryFile()  # noqa: SIM115 - lives as long as the worker
        command = [sys.executable, "-m", "carla_rl.carla_sim.worker", str(its.fileno())]
        # in a session of its own: Ctrl-C is the harness's to handle, and the world is left in order afterwards
        self._process = subprocess.Popen(
            command,
            pass_fds=[its.fileno()],
            stdin=subprocess.DEVNULL,
            stdout=self._output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        its.close()
        self._channel = Channel(mine)

    @property
    def pid(self) -> int:
        """Of the process."""
        return self._process.pid

    def ask(self, name: str, *arguments: Any) -> None:
        """Begin a call; `answer` gives its result.

        Raises:
            WorldLost: the worker is gone.
        """
        try:
            self._channel.send([name, list(arguments)])
        except HungUp:
            raise WorldLost(self._end()) from None

    def answer(self, timeout_s: float, server_ended: Callable[[], bool] = lambda: False) -> Any:
        """The result of the call that was begun first. The client waits for its own time-out when its server dies; this does not.

        Raises:
            WorldLost: the worker, or its server, is gone or does not answer within `timeout_s` s.
            Refused: the server cannot do it.
        """
        deadline = time.monotonic() + timeout_s
        while not self._channel.waits(LOOK_S) and time.monotonic() < deadline:
            if server_ended():
                raise WorldLost("its server has ended")
        try:
            kind, value = self._channel.receive(max(deadline - time.monotonic(), LOOK_S))
        except Hung:
            self._kill()
            raise WorldLost(f"it did not answer within {timeout_s:g} s") from None
        except HungUp:
            raise WorldLost(self._end()) from None
        if kind == "done":
            return value
        if kind == "refused":
            raise Refused(value)
        raise WorldLost(value, server=kind != "episode")

    def close(self) -> None:
        """Let it leave its world in order (its actors gone, asynchronous mode restored) and end; kill it if that takes too long."""
        self._channel.close()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(GRACE_S)
        self.drop()

    def drop(self) -> None:
        """End it at once, and leave its world as it is; safe to call twice."""
        self._kill()
        self._channel.close()
        self._output.close()

    def _kill(self) -> None:
        if self._process.poll() is None:
            self._process.kill()
            self._process.wait()

    def _end(self) -> str:
        """How it ended, for people."""
        try:
            code = self._process.wait(GRACE_S)
        except subprocess.TimeoutExpired:
            self._kill()
            return "its client hung up"
        how = f"with exit code {code}"
        if code < 0:
            with contextlib.suppress(ValueError):
                how = f"by {signal.Signals(-code).name}"
        self._output.seek(0)
        said = " ".join(self._output.read().decode("utf-8", "replace").split())[-TAIL:]
        return f"its client was ended {how}" + (f" ({said})" if said else "")
