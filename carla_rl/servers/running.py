"""A server that somebody else runs: it is asked, waited for and never ended."""

import time

from carla_rl.errors import RunFailure, UsageError
from carla_rl.servers.ports import Leases
from carla_rl.servers.probe import ask_version, mismatch

FIRST_WAIT_S = 10.0
"""A server that is said to run answers within this."""
AGAIN_WAIT_S = 180.0
"""Whoever runs it may need so long to start it anew."""
LOOK_S = 0.5


class RunningServer:
    """A server at an address; see `carla_rl.servers.interface.CarlaServer`.

    Args:
        leases: give the port of this client's Traffic Manager, and see to it that this is the server's only client here.
        client: version of the installed client; None: any server will do.
        first_wait_s: how long the first `ready` waits.
        again_wait_s: how long `ready` waits after the server was given up.

    Raises:
        UsageError: another process of this user drives on this server.
    """

    restarts = 0
    ended = False

    def __init__(
        self,
        host: str,
        port: int,
        leases: Leases,
        *,
        client: str | None = None,
        first_wait_s: float = FIRST_WAIT_S,
        again_wait_s: float = AGAIN_WAIT_S,
    ) -> None:
        self.host, self.port = host, port
        sole = leases.client(self.name)
        if sole is None:
            raise UsageError(f"another command on this machine drives on the server {self.name}; wait for its end, or name another server")
        self._sole, self._lease, self._client = sole, leases.traffic_manager(), client
        self._first_wait_s, self._again_wait_s, self._given_up = first_wait_s, again_wait_s, ""

    @property
    def traffic_manager_port(self) -> int:
        """See `CarlaServer`."""
        return self._lease.port

    @property
    def name(self) -> str:
        """See `CarlaServer`."""
        return f"{self.host}:{self.port}"

    def memory_gb(self) -> float:
        """Somebody else's."""
        return 0.0

    def begin(self) -> None:
        """Somebody else starts it."""

    def ready(self) -> None:
        """See `CarlaServer`."""
        wait_s = self._again_wait_s if self._given_up else self._first_wait_s
        deadline = time.monotonic() + wait_s
        while True:
            answer = ask_version(self.host, self.port)
            if answer.version:
                break
            if answer.foreign or time.monotonic() > deadline:
                before = f", after it {self._given_up}" if self._given_up else ""
                raise RunFailure(
                    f"the CARLA server at {self.name} {answer.problem}; waited for {wait_s:g} s{before}; start it, name another by --carla "
                    "HOST:PORT, or say how one is started (--docker IMAGE, --binary FILE, --apptainer FILE)"
                )
            time.sleep(LOOK_S)
        wrong = mismatch(answer.version, self._client)
        if wrong:
            raise UsageError(f"{self.name}: {wrong}")
        self._given_up = ""

    def give_up(self, reason: str) -> None:
        """See `CarlaServer`."""
        self._given_up = reason

    def why(self) -> str:
        """See `CarlaServer`."""
        answer = ask_version(self.host, self.port)
        state = f"answers as version {answer.version}" if answer.version else answer.problem
        return f"the server at {self.name}, which is not ours, {state}"

    def close(self) -> None:
        """See `CarlaServer`."""
        self._lease.release()
        self._sole.release()
