"""What a server is: CARLA, or this project's CARLA-compatible server, which says so when it is asked. Knows nothing of the client.

The toy's numbers must not pass for CARLA's because they came through CARLA's client, and the versions of both servers read the same.
"""

import socket
import time

import msgpack

CALL = "who_are_you"
"""A function that CARLA does not have."""
REQUEST, NUMBER = 0, 1


def made_by(host: str, port: int, timeout_s: float) -> str:
    """The name and version of this project's server; empty for a server that does not know the question, as CARLA does not.

    Raises:
        RuntimeError: no answer at all within `timeout_s` s.
    """
    deadline = time.monotonic() + timeout_s
    unpacker = msgpack.Unpacker(raw=False, strict_map_key=False)
    try:
        with socket.create_connection((host, port), timeout=timeout_s) as sock:
            sock.sendall(msgpack.packb([REQUEST, NUMBER, CALL, [[False]]]))
            while (left := deadline - time.monotonic()) > 0.0:
                sock.settimeout(left)
                data = sock.recv(4096)
                if not data:
                    raise RuntimeError(f"the server at {host}:{port} hung up when it was asked what it is")
                unpacker.feed(data)
                for _, _, error, result in unpacker:
                    return "" if error is not None else _text(result)
    except OSError as error:
        raise RuntimeError(f"the server at {host}:{port} did not say what it is ({error})") from error
    raise RuntimeError(f"the server at {host}:{port} did not say within {timeout_s:g} s what it is")


def _text(result: object) -> str:
    """The text of a result, which comes bare, or at the end of lists that begin with how the call went."""
    while isinstance(result, list) and result:
        result = result[-1]
    return result if isinstance(result, str) else ""
