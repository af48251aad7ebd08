"""Leases of ports: every port of a block is free, and no other process of this user on this machine was given one of them.

A lease is a lock on a file a port. The system lets go of it when its process ends, by a kill too, so nothing has to be cleaned up.
Knows nothing of servers.
"""

import contextlib
import errno
import fcntl
import os
import socket
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from carla_rl.errors import UsageError

FIRST = 2000
"""CARLA's own RPC port."""
FIRST_TRAFFIC_MANAGER = 8000
"""CARLA's own port of a Traffic Manager."""
STRIDE = 10
"""From one block to the next."""
RPC, STREAMING, SECONDARY, TRAFFIC_MANAGER = range(4)
"""Offsets in a block. The first three are the server's; the last is bound by the client's process."""
SERVER_PORTS = (RPC, STREAMING, SECONDARY)
BLOCK = (*SERVER_PORTS, TRAFFIC_MANAGER)
LAST = 65535
ROOM = 10_000
"""Where the system hands out ports from this one on or later, there is room below."""
EPHEMERAL = Path("/proc/sys/net/ipv4/ip_local_port_range")
EPHEMERAL_FIRST = 32768
"""Where the range of ports that the system hands out to whoever connects somewhere begins, if it does not say so itself."""


@dataclass
class Lease:
    """Ports from `port` on that belong to this process until `release`, or until it ends.

    Who gives `descriptors` to a process that outlives this one gives it the lease too.
    """

    port: int
    descriptors: tuple[int, ...]

    def release(self) -> None:
        """Give the ports back; a second call does nothing."""
        for descriptor in self.descriptors:
            os.close(descriptor)
        self.descriptors = ()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, traceback: TracebackType | None) -> None:
        self.release()


class Leases:
    """Where leases come from.

    Args:
        folder: for the lock files; the same for all processes that shall not get in each other's way. Made if need be.
    """

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder

    def block(self, first: int = FIRST) -> Lease:
        """The first free block of a server: RPC, streaming, secondary and Traffic Manager, from `first` on in steps of `STRIDE`.

        Raises:
            UsageError: there is none below the ports that the system hands out itself.
        """
        return self._search(first, BLOCK)

    def traffic_manager(self, first: int = FIRST_TRAFFIC_MANAGER) -> Lease:
        """One free port for a Traffic Manager of this process.

        Raises:
            UsageError: as `block`.
        """
        return self._search(first, (0,))

    def client(self, name: str) -> Lease | None:
        """The right to be the only client on this machine of a server that somebody else runs; None where another process has it."""
        descriptor = self._lock(f"client-{name}")
        return None if descriptor is None else Lease(0, (descriptor,))

    def _search(self, first: int, offsets: tuple[int, ...]) -> Lease:
        end = limit()
        for port in range(first, end - max(offsets), STRIDE):
            lease = self._try(port, offsets)
            if lease is not None:
                return lease
        raise UsageError(
            f"no {len(offsets)} free ports in a row from {first} on below {end}, where the ports end or the system begins to hand them out "
            f"to any connection; end what holds them, or name a first port below {end - max(offsets)}"
        )

    def _try(self, port: int, offsets: tuple[int, ...]) -> Lease | None:
        """The lease of these ports, or None where one is taken or given away."""
        with contextlib.ExitStack() as stack:
            descriptors = []
            for offset in offsets:
                descriptor = self._lock(str(port + offset))
                if descriptor is None:
                    return None
                stack.callback(os.close, descriptor)
                descriptors.append(descriptor)
            if taken(port + offset for offset in offsets):
                return None
            stack.pop_all()
            return Lease(port, tuple(descriptors))

    def _lock(self, name: str) -> int | None:
        """The descriptor of a lock that is ours now; None where it is another process's, or another lease's of this one."""
        descriptor = os.open(self._folder / f"{name}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            return None
        return descriptor


def taken(ports: Iterable[int]) -> list[int]:
    """Those of the ports on which somebody listens, or that this user may not listen on.

    Tried as a server does it, so that connections of a server of before that have not quite ended do not count.
    """
    found = []
    with contextlib.ExitStack() as stack:
        for port in ports:
            tried = stack.enter_context(socket.socket())
            tried.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                tried.bind(("", port))
                tried.listen(1)
            except OSError as error:
                if error.errno not in (errno.EADDRINUSE, errno.EACCES):
                    raise
                found.append(port)
    return found


def limit() -> int:
    """Where ports end that may be leased: below those that the system itself hands out, of which one may be taken at any moment.

    Some machines hand out nearly all ports; there is no room below then, and every port may be leased.
    """
    if not EPHEMERAL.is_file():
        return EPHEMERAL_FIRST
    first = int(EPHEMERAL.read_text().split()[0])
    return first if first >= ROOM else LAST + 1
