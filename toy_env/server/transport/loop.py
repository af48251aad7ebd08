"""One thread and all sockets: effects happen in the order in which bytes arrive. Knows no protocol."""

import selectors
import signal
import socket
import time
from collections.abc import Callable
from types import FrameType

from carla_rl.errors import UsageError

BACKLOG = 64
LONGEST_REST_S = 3600.0
"""A longer rest is made of several: no system waits for infinity."""


class Loop:
    """Calls what is registered for a socket when it can be read or written, and `due` functions when their time has come."""

    def __init__(self) -> None:
        self._selector = selectors.DefaultSelector()
        self._due: list[Callable[[float], float | None]] = []
        self._running = False
        self._alarm, self._wakeup = socket.socketpair()
        for end in (self._alarm, self._wakeup):
            end.setblocking(False)
        self._selector.register(self._alarm, selectors.EVENT_READ, self._woken)

    def watch(self, sock: socket.socket, ready: Callable[[int], None], writing: bool = False) -> None:
        """Call `ready(mask)` whenever the socket can be read (or also be written)."""
        mask = selectors.EVENT_READ | (selectors.EVENT_WRITE if writing else 0)
        if sock in self._selector.get_map():
            self._selector.modify(sock, mask, ready)
        else:
            self._selector.register(sock, mask, ready)

    def forget(self, sock: socket.socket) -> None:
        """Stop watching."""
        if sock.fileno() >= 0 and sock in self._selector.get_map():
            self._selector.unregister(sock)

    def every_turn(self, due: Callable[[float], float | None]) -> None:
        """Call `due(now)` once a turn; it gives the time (as `time.monotonic`) at which it wants to be called next, None for any."""
        self._due.append(due)

    def turn(self, longest_s: float | None = None) -> None:
        """Serve what is ready, waiting at most `longest_s`; None: for as long as nobody is due."""
        now = time.monotonic()
        wait = longest_s
        for due in self._due:
            at = due(now)
            if at is not None:
                wait = max(at - now, 0.0) if wait is None else min(wait, max(at - now, 0.0))
        for key, mask in self._selector.select(wait):
            key.data(mask)

    def run(self) -> None:
        """Turn until `stop`, or until the process is interrupted or terminated by a signal."""
        self._running = True
        signal.set_wakeup_fd(self._wakeup.fileno())
        before = {number: signal.signal(number, self._interrupted) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            while self._running:
                self.turn()
        finally:
            signal.set_wakeup_fd(-1)
            for number, handler in before.items():
                signal.signal(number, handler)

    def stop(self) -> None:
        """Let `run` return after this turn."""
        self._running = False

    def rest(self, seconds: float) -> None:
        """Serve nobody for so long, or until the process is told to stop."""
        until = time.monotonic() + seconds
        with selectors.DefaultSelector() as selector:
            selector.register(self._alarm, selectors.EVENT_READ)
            while self._running and (left := until - time.monotonic()) > 0.0:
                if selector.select(min(left, LONGEST_REST_S)):
                    self._woken(selectors.EVENT_READ)

    def until_writable(self, sock: socket.socket, seconds: float) -> bool:
        """Wait for a socket that takes bytes again and serve nobody meanwhile; False after so long, or when the process is told to stop."""
        with selectors.DefaultSelector() as selector:
            selector.register(self._alarm, selectors.EVENT_READ)
            selector.register(sock, selectors.EVENT_WRITE)
            ready = [key.fileobj for key, _ in selector.select(seconds)]
        # what has woken it stays in the alarm: whoever waits next is not to wait either
        return sock in ready and self._alarm not in ready

    def close(self) -> None:
        """Free what it holds."""
        self._selector.close()
        self._alarm.close()
        self._wakeup.close()

    def _woken(self, mask: int) -> None:
        self._alarm.recv(4096)

    def _interrupted(self, number: int, frame: FrameType | None) -> None:
        self.stop()


def listen(host: str, port: int) -> socket.socket:
    """A listening socket that does not block. Raises UsageError as `bind` does."""
    sock = bind(host, port)
    sock.listen(BACKLOG)
    return sock


def bind(host: str, port: int) -> socket.socket:
    """A socket that does not block and has the port; connections are refused until it listens.

    Raises:
        UsageError: the port is taken, or the host is not one of this machine.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    sock = socket.socket(family, socket.SOCK_STREAM)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        sock.bind((host, port))
    except (OSError, OverflowError) as error:
        sock.close()
        reason = error.strerror if isinstance(error, OSError) else "no such port"
        raise UsageError(
            f"port {port} of {host} cannot be used ({reason}); stop what runs there or give another --port (P to P+2 are needed)"
        ) from error
    sock.setblocking(False)
    return sock


def accept(listener: socket.socket) -> socket.socket | None:
    """The next connection, or None where it is gone again."""
    try:
        sock, _ = listener.accept()
    except OSError:
        # also where the process has no file descriptor left: who is connected goes on
        return None
    sock.setblocking(False)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return sock
