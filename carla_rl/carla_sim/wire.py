"""How the adapter and its workers talk: MessagePack values, arrays included, in frames with their length before them. No pickle.

Knows nothing of what is said.
"""

import select
import socket
import struct
import time
from typing import Any

import msgpack
import numpy as np

ARRAY = 1
"""The extension type of an array: dtype, shape and bytes."""
HEADER = struct.Struct("<I")
CHUNK = 1 << 20
LARGEST = 1 << 30
"""Bytes of a message; more is a broken stream."""


class Hung(Exception):
    """Nothing came in time."""


class HungUp(Exception):
    """The other side is gone."""


class Channel:
    """One end of a stream socket that whole messages go over. Takes the socket over."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock

    def send(self, message: Any) -> None:
        """Send one message.

        Raises:
            HungUp: the other side is gone.
        """
        data = msgpack.packb(message, default=_pack_array, use_bin_type=True)
        self._sock.settimeout(None)
        try:
            self._sock.sendall(HEADER.pack(len(data)) + data)
        except OSError as error:
            raise HungUp from error

    def receive(self, timeout_s: float | None) -> Any:
        """The next message; waits `timeout_s` s for all of it, or for ever.

        Raises:
            Hung: it did not come in time.
            HungUp: the other side is gone.
        """
        deadline = None if timeout_s is None else time.monotonic() + timeout_s
        size = HEADER.unpack(self._read(HEADER.size, deadline))[0]
        if size > LARGEST:
            raise HungUp(f"a message of {size} bytes: the stream is broken")
        return msgpack.unpackb(self._read(size, deadline), ext_hook=_unpack_array, strict_map_key=False)

    def waits(self, timeout_s: float) -> bool:
        """Whether a message has begun to come, or the other side has hung up, within `timeout_s` s."""
        return bool(select.select([self._sock], [], [], timeout_s)[0])

    def close(self) -> None:
        """Hang up; safe to call twice."""
        self._sock.close()

    def _read(self, size: int, deadline: float | None) -> bytes:
        parts, missing = [], size
        while missing:
            left = None if deadline is None else deadline - time.monotonic()
            if left is not None and left <= 0.0:
                raise Hung
            self._sock.settimeout(left)
            try:
                part = self._sock.recv(min(missing, CHUNK))
            except TimeoutError as error:
                raise Hung from error
            except OSError as error:
                raise HungUp from error
            if not part:
                raise HungUp
            parts.append(part)
            missing -= len(part)
        return b"".join(parts)


def _pack_array(value: Any) -> Any:
    if isinstance(value, np.ndarray):
        array = np.ascontiguousarray(value)
        return msgpack.ExtType(ARRAY, msgpack.packb([array.dtype.str, array.shape, array.tobytes()], use_bin_type=True))
    if isinstance(value, np.generic):
        return value.item()
    raise TypeError(f"a {type(value).__name__} cannot be sent")


def _unpack_array(code: int, data: bytes) -> Any:
    if code != ARRAY:
        raise ValueError(f"extension type {code} is not known")
    dtype, shape, content = msgpack.unpackb(data)
    return np.frombuffer(content, np.dtype(dtype)).reshape(shape)
