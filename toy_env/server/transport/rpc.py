"""MessagePack-RPC over TCP: bytes to requests, replies to bytes. Knows no method.

Requests of one connection are answered in their order, but for those that a service lets pass a held one. What is not MessagePack-RPC
closes that connection and touches no other.
"""

import contextlib
import itertools
import selectors
import socket
import time
from collections import deque
from collections.abc import Callable
from typing import Any, NamedTuple, Protocol

import msgpack

from toy_env.server.transport.loop import BACKLOG, Loop, accept, bind

REQUEST, RESPONSE = 0, 1
READ_BYTES = 1 << 18
MAX_MESSAGE_BYTES = 64 << 20
"""A longer message closes the connection: the longest honest one is an OpenDRIVE text."""
MAX_UNREAD_BYTES = 64 << 20
"""A client that leaves so much of its replies unread is closed."""
MAX_QUEUED = 1 << 16
"""So is one that sends so many requests while it is held."""
SHORT_S = 0.002
"""A request that is held for no longer is waited for, all others with it."""


class Request(NamedTuple):
    """A call: `params` begins with the client's call metadata."""

    number: int
    method: str
    params: tuple[Any, ...]


class Service(Protocol):
    """What answers requests."""

    def held_until(self, request: Request) -> float:
        """The time (as `time.monotonic`) before which the request is not to be answered; 0.0: now."""

    def passes(self, request: Request) -> bool:
        """Whether the request may be answered while one before it is held."""

    def answer(self, connection: "Connection", request: Request) -> bytes:
        """The reply as bytes."""

    def closed(self, connection: "Connection") -> None:
        """The client is gone."""


def reply(number: int, error: Any, result: Any) -> bytes:
    """A reply."""
    return bytes(_packer.pack((RESPONSE, number, error, result)))


_packer = msgpack.Packer(use_bin_type=True)


class Connection:
    """One client. `number` tells connections apart."""

    def __init__(self, number: int, sock: socket.socket) -> None:
        self.number = number
        self.sock = sock
        self.address = ""
        """Where the client is; empty where it has already gone."""
        with contextlib.suppress(OSError):
            self.address = str(sock.getpeername()[0])
        self.requests: deque[Request] = deque()
        self.out = bytearray()
        self.writing = False
        self.unpacker = msgpack.Unpacker(use_list=False, raw=False, strict_map_key=False, max_buffer_size=MAX_MESSAGE_BYTES)


class RpcServer:
    """Hands the requests of clients to a service. The port is taken at once; connections are refused until `open`.

    Raises:
        UsageError: the port cannot be used.
    """

    def __init__(self, loop: Loop, host: str, port: int, service: Service, report: Callable[[str], None]) -> None:
        self._loop, self._service, self._report = loop, service, report
        self._numbers = itertools.count(1)
        self._connections: dict[int, Connection] = {}
        self._held: dict[int, float] = {}
        """Connections whose first request waits, and until when."""
        self._listener = bind(host, port)
        loop.every_turn(self._resume)

    def open(self) -> None:
        """Take connections from now on."""
        self._listener.listen(BACKLOG)
        self._loop.watch(self._listener, self._connect)

    def close(self) -> None:
        """Close all connections and the port."""
        for connection in list(self._connections.values()):
            self._close(connection)
        self._loop.forget(self._listener)
        self._listener.close()

    def _connect(self, mask: int) -> None:
        sock = accept(self._listener)
        if sock is None:
            return
        connection = Connection(next(self._numbers), sock)
        self._connections[connection.number] = connection
        self._loop.watch(sock, lambda mask: self._ready(connection, mask))

    def _ready(self, connection: Connection, mask: int) -> None:
        if mask & selectors.EVENT_WRITE:
            self._send(connection)
        if mask & selectors.EVENT_READ:
            try:
                data = connection.sock.recv(READ_BYTES)
            except BlockingIOError:
                return
            except OSError:
                data = b""
            if not data:
                self._close(connection)
            elif self._take(connection, data):
                self._work(connection)

    def _take(self, connection: Connection, data: bytes) -> bool:
        """Queue the requests that the bytes complete. False where they are none, and the connection is closed."""
        try:
            connection.unpacker.feed(data)
            connection.requests.extend(_request(message) for message in connection.unpacker)
        except (ValueError, TypeError, RecursionError, msgpack.exceptions.UnpackException) as error:
            # UnicodeDecodeError, BufferFull and StackError are of these
            self._report(f"client {connection.number} sent what is no request ({type(error).__name__}: {error}); it is disconnected")
            self._close(connection)
            return False
        if len(connection.requests) > MAX_QUEUED:
            self._report(f"client {connection.number} sent {len(connection.requests)} requests without waiting; it is disconnected")
            self._close(connection)
            return False
        return True

    def _work(self, connection: Connection) -> None:
        """Answer what is queued, up to a request that has to wait."""
        requests, service = connection.requests, self._service
        while requests:
            until = service.held_until(requests[0])
            if until and self._let_pass(connection):
                continue
            rest = until - time.monotonic() if until else 0.0
            if rest > SHORT_S:
                self._held[connection.number] = until
                break
            if rest > 0.0:
                # what has been answered leaves before; sockets are waited for in whole milliseconds, so this is slept
                self._send(connection)
                time.sleep(rest)
            connection.out += service.answer(connection, requests.popleft())
        else:
            self._held.pop(connection.number, None)
        if connection.out:
            self._send(connection)

    def _let_pass(self, connection: Connection) -> bool:
        """Answer the first request that may pass the one that is held; whether there was one."""
        for place, request in enumerate(connection.requests):
            if place and self._service.passes(request):
                del connection.requests[place]
                connection.out += self._service.answer(connection, request)
                return True
        return False

    def _resume(self, now: float) -> float | None:
        """Go on with the connections that wait, as far as they may."""
        for number in list(self._held):
            connection = self._connections.get(number)
            del self._held[number]
            if connection is not None:
                self._work(connection)
        return min(self._held.values(), default=None)

    def _send(self, connection: Connection) -> None:
        try:
            sent = connection.sock.send(connection.out)
            del connection.out[:sent]
        except BlockingIOError:
            sent = 0
        except OSError:
            self._close(connection)
            return
        if len(connection.out) > MAX_UNREAD_BYTES:
            self._report(f"client {connection.number} does not read its replies; it is disconnected")
            self._close(connection)
        elif bool(connection.out) != connection.writing:
            connection.writing = bool(connection.out)
            self._loop.watch(connection.sock, lambda mask: self._ready(connection, mask), writing=connection.writing)

    def _close(self, connection: Connection) -> None:
        if self._connections.pop(connection.number, None) is None:
            return
        self._held.pop(connection.number, None)
        self._loop.forget(connection.sock)
        connection.sock.close()
        self._service.closed(connection)


def _request(message: Any) -> Request:
    """Check a message. Raises ValueError for what is no request."""
    if message.__class__ is not tuple or len(message) != 4 or message[0] != REQUEST:
        raise ValueError("not a request")
    _, number, method, params = message
    if number.__class__ is not int or method.__class__ is not str or params.__class__ is not tuple:
        raise ValueError("a request is [0, number, name, arguments]")
    return Request(number, method, params)
