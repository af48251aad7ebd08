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
import numpy as np
from numpy.typing import NDArray

from toy_env.server.transport.loop import BACKLOG, Loop, accept, bind

REQUEST, RESPONSE = 0, 1
UNAWAITED = ((True,),)
"""How the parameters of a call begin whose reply nobody waits for."""
READ_BYTES = 1 << 18
SPARE_BYTES = 64
"""Behind them, which whoever looks for the end of a request may read."""
MAX_MESSAGE_BYTES = 64 << 20
"""A longer message closes the connection: the longest honest one is an OpenDRIVE text."""
MAX_UNREAD_BYTES = 64 << 20
"""A client that leaves so much of its replies unread is closed."""
MAX_QUEUED = 1 << 16
"""So is one that sends so many requests while it is held."""
SHORT_S = 0.002
"""A request that is held for no longer is waited for, all others with it."""
UNAWAITED_S = 0.002
"""Replies that nobody waits for leave with the next one that somebody waits for, or after this time: each write wakes a thread of the
client."""


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

    def at_once(self, connection: "Connection", data: NDArray[np.uint8], size: int) -> tuple[int, bool]:
        """Answer requests that are read faster than by MessagePack's own reader: of the first `size` bytes of `data`, which begin with a
        request, how many have been answered (whole requests, into `connection.out`), and whether somebody waits for a reply of them."""

    def answer(self, connection: "Connection", request: Request) -> bytes:
        """The reply as bytes."""

    def closed(self, connection: "Connection") -> None:
        """The client is gone."""


def reply(number: int, error: Any, result: Any) -> bytes:
    """A reply."""
    return packed((RESPONSE, number, error, result))


def reply_with(number: int, result: bytes) -> bytes:
    """A reply without an error; the result is already packed."""
    return REPLY_HEAD + packed(number) + NIL + result


def packed(value: Any) -> bytes:
    """A value as MessagePack."""
    data: bytes = _packer.pack(value)
    return data


_packer = msgpack.Packer(use_bin_type=True)
REPLY_HEAD, NIL = b"\x94\x01", b"\xc0"


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
        self.fed = 0
        """Bytes that the unpacker has been given,"""
        self.read = 0
        """and those of them that are whole requests."""
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
        self._unawaited: dict[int, float] = {}
        """Connections with replies that nobody waits for, and when these leave at the latest."""
        self._buffer = np.zeros(READ_BYTES + SPARE_BYTES, np.uint8)
        self._view = self._buffer.data
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
                size = connection.sock.recv_into(self._view, READ_BYTES)
            except BlockingIOError:
                return
            except OSError:
                size = 0
            if not size:
                self._close(connection)
                return
            done, awaited = 0, False
            if connection.read == connection.fed and not connection.requests:
                done, awaited = self._service.at_once(connection, self._buffer, size)
            if done == size:
                self._hand_over(connection, awaited)
            elif self._take(connection, self._view[done:size]):
                self._work(connection, awaited)

    def _take(self, connection: Connection, data: memoryview) -> bool:
        """Queue the requests that the bytes complete. False where they are none, and the connection is closed."""
        unpacker, requests = connection.unpacker, connection.requests
        try:
            unpacker.feed(data)
            connection.fed += len(data)
            for message in unpacker:
                requests.append(_request(message))
            # at the end of the last whole request, whatever stands behind it
            connection.read = unpacker.tell()
        except (ValueError, TypeError, RecursionError, msgpack.exceptions.UnpackException) as error:
            # UnicodeDecodeError, BufferFull and StackError are of these
            self._report(f"client {connection.number} sent what is no request ({type(error).__name__}: {error}); it is disconnected")
            self._close(connection)
            return False
        if len(requests) > MAX_QUEUED:
            self._report(f"client {connection.number} sent {len(requests)} requests without waiting; it is disconnected")
            self._close(connection)
            return False
        return True

    def _work(self, connection: Connection, awaited: bool) -> None:
        """Answer what is queued, up to a request that has to wait; `awaited`: somebody waits for what has already been answered."""
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
            request = requests.popleft()
            connection.out += service.answer(connection, request)
            awaited = awaited or request.params[:1] != UNAWAITED
        else:
            self._held.pop(connection.number, None)
        self._hand_over(connection, awaited or bool(requests))

    def _hand_over(self, connection: Connection, awaited: bool) -> None:
        """Send the replies that there are, at once if somebody waits for one of them."""
        if awaited or len(connection.out) > READ_BYTES:
            self._send(connection)
        elif connection.out:
            self._unawaited.setdefault(connection.number, time.monotonic() + UNAWAITED_S)

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
        if not self._held and not self._unawaited:
            return None
        for number in list(self._held):
            connection = self._connections.get(number)
            del self._held[number]
            if connection is not None:
                self._work(connection, awaited=True)
        for number in [number for number, until in self._unawaited.items() if until <= now]:
            del self._unawaited[number]
            connection = self._connections.get(number)
            if connection is not None:
                self._send(connection)
        return min([*self._held.values(), *self._unawaited.values()], default=None)

    def _send(self, connection: Connection) -> None:
        if self._unawaited:
            self._unawaited.pop(connection.number, None)
        if not connection.out:
            return
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
        self._unawaited.pop(connection.number, None)
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
