"""Streams: one TCP connection a subscriber, which names its stream and then only reads. Knows nothing of what is in a message.

The client subscribes a moment after it has asked for a stream's token, and what is sent in between would be lost to it: a token is
therefore *announced*, and who wants to send asks `expected_until` first.
"""

import selectors
import socket
import struct
import time
from collections.abc import Callable

from toy_env.server.transport.loop import Loop, accept, listen

ANNOUNCED_S = 0.25
"""How long a subscriber may take from its token to its connection."""
SLOW_S = 5.0
"""A subscriber that takes nothing for so long while the world waits for it misses messages until it has caught up."""
MAX_WAITING_BYTES = 8 << 20
"""What may wait for a subscriber; a single message may be larger."""

LENGTH = struct.Struct("<I")
STREAM = struct.Struct("<I")
TOKEN = struct.Struct("<IHBB16s")
TCP, ADDRESS_UNSET = 1, 0

Part = bytes | memoryview
"""Bytes of a message; a view is one of single bytes."""


class Subscriber:
    """One connection; `stream` is 0 until it has named its stream."""

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        self.stream = 0
        self.named = bytearray()
        self.waiting = bytearray()
        self.missed = 0
        self.trusted = True
        """It has not let the world wait in vain since it last took all that waited."""


class Streams:
    """Listens for subscribers and sends them the messages of their streams.

    Args:
        joined: is called with a stream and its new subscriber, which may be sent to at once.

    Raises:
        UsageError: the port cannot be used.
    """

    def __init__(self, loop: Loop, host: str, port: int, joined: Callable[[int, Subscriber], None]) -> None:
        self._loop, self._port, self._joined = loop, port, joined
        self._subscribers: dict[int, list[Subscriber]] = {}
        self._nameless: set[Subscriber] = set()
        self._announced: dict[int, list[float]] = {}
        """Until when each subscriber is awaited, by stream."""
        self._listener = listen(host, port)
        loop.watch(self._listener, self._connect)
        self.missed = 0
        """Messages that slow subscribers have missed."""
        self.losing = False
        """What is published is lost: a fault that is made on purpose."""

    def token(self, stream: int) -> bytes:
        """The 24 bytes with which a client finds a stream. It dials the host that it already knows."""
        return TOKEN.pack(stream, self._port, TCP, ADDRESS_UNSET, bytes(16))

    def announce(self, stream: int) -> None:
        """Somebody has asked for the token and is about to subscribe."""
        self._announced.setdefault(stream, []).append(time.monotonic() + ANNOUNCED_S)

    def expected_until(self) -> float:
        """Until when announced subscribers are awaited; 0.0 where there are none."""
        if not self._announced:
            return 0.0
        now = time.monotonic()
        self._announced = {stream: left for stream, times in self._announced.items() if (left := [at for at in times if at > now])}
        return max((max(times) for times in self._announced.values()), default=0.0)

    def has(self, stream: int) -> bool:
        """Whether somebody reads the stream."""
        return stream in self._subscribers

    def publish(self, stream: int, parts: tuple[Part, ...], patient: bool) -> None:
        """Send a message to all subscribers of a stream.

        Args:
            parts: which it is made of, one behind the other; they may change as soon as this returns.
            patient: wait for a slow subscriber, up to SLOW_S; otherwise it misses the message.
        """
        for subscriber in () if self.losing else tuple(self._subscribers.get(stream, ())):
            self.send(subscriber, parts, patient)

    def send(self, subscriber: Subscriber, parts: tuple[Part, ...], patient: bool) -> None:
        """Send a message to one subscriber; see `publish`."""
        size = sum([len(part) for part in parts])
        data = (LENGTH.pack(size), *parts)
        if subscriber.waiting and not self._has_room(subscriber, patient):
            subscriber.missed += 1
            self.missed += 1
            return
        if subscriber.waiting:
            subscriber.waiting += b"".join(data)
            return
        try:
            sent = subscriber.sock.sendmsg(data)
        except BlockingIOError:
            sent = 0
        except OSError:
            self._close(subscriber)
            return
        if sent < LENGTH.size + size:
            subscriber.waiting += memoryview(b"".join(data))[sent:]
            self._loop.watch(subscriber.sock, lambda mask: self._ready(subscriber, mask), writing=True)

    def close(self) -> None:
        """Close all connections and the port."""
        for subscriber in [*self._nameless, *(one for many in self._subscribers.values() for one in many)]:
            self._close(subscriber)
        self._loop.forget(self._listener)
        self._listener.close()

    def _has_room(self, subscriber: Subscriber, patient: bool) -> bool:
        if not (patient and subscriber.trusted):
            return len(subscriber.waiting) < MAX_WAITING_BYTES
        deadline = time.monotonic() + SLOW_S
        while len(subscriber.waiting) >= MAX_WAITING_BYTES and (left := deadline - time.monotonic()) > 0.0:
            if not self._loop.until_writable(subscriber.sock, left):
                break
            self._flush(subscriber)
        subscriber.trusted = len(subscriber.waiting) < MAX_WAITING_BYTES
        return len(subscriber.waiting) < MAX_WAITING_BYTES

    def _connect(self, mask: int) -> None:
        sock = accept(self._listener)
        if sock is None:
            return
        subscriber = Subscriber(sock)
        self._nameless.add(subscriber)
        self._loop.watch(sock, lambda mask: self._ready(subscriber, mask))

    def _ready(self, subscriber: Subscriber, mask: int) -> None:
        if mask & selectors.EVENT_WRITE:
            self._flush(subscriber)
        if not mask & selectors.EVENT_READ:
            return
        try:
            data = subscriber.sock.recv(4096)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self._close(subscriber)
        elif subscriber.stream == 0:
            self._name(subscriber, data)
        # what a subscriber says after its stream means nothing

    def _name(self, subscriber: Subscriber, data: bytes) -> None:
        subscriber.named += data
        if len(subscriber.named) < STREAM.size:
            return
        (subscriber.stream,) = STREAM.unpack_from(subscriber.named)
        self._nameless.discard(subscriber)
        if subscriber.stream == 0:
            self._close(subscriber)
            return
        times = self._announced.get(subscriber.stream)
        if times:
            times.pop(0)
            if not times:
                del self._announced[subscriber.stream]
        self._subscribers.setdefault(subscriber.stream, []).append(subscriber)
        self._joined(subscriber.stream, subscriber)

    def _flush(self, subscriber: Subscriber) -> None:
        try:
            sent = subscriber.sock.send(subscriber.waiting)
            del subscriber.waiting[:sent]
        except BlockingIOError:
            return
        except OSError:
            self._close(subscriber)
            return
        if not subscriber.waiting:
            subscriber.trusted = True
            self._loop.watch(subscriber.sock, lambda mask: self._ready(subscriber, mask))

    def _close(self, subscriber: Subscriber) -> None:
        self._nameless.discard(subscriber)
        others = self._subscribers.get(subscriber.stream, [])
        if subscriber in others:
            others.remove(subscriber)
            if not others:
                del self._subscribers[subscriber.stream]
        subscriber.waiting.clear()
        self._loop.forget(subscriber.sock)
        subscriber.sock.close()
