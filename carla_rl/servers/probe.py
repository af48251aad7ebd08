"""Whether a CARLA server answers, and as which version: the call `version` in CARLA's MessagePack protocol, without its client.

That a port accepts connections proves only that somebody listens on it. Knows no processes.
"""

import re
import socket
import time
from dataclasses import dataclass

import msgpack

TIMEOUT_S = 2.0
REQUEST, NUMBER = 0, 1
_VERSION = re.compile(r"\d+(?:\.\d+)+")


@dataclass(frozen=True)
class Answer:
    """What came back: a version, or how it failed, as the end of the sentence "the server ..."."""

    version: str = ""
    problem: str = ""
    foreign: bool = False
    """Who answers is no CARLA server, and waiting will not make it one."""


FOREIGN = Answer(problem="answers, but not as a CARLA server: something else listens on that port", foreign=True)


def ask_version(host: str, port: int, timeout_s: float = TIMEOUT_S) -> Answer:
    """Ask the server on a port for its version; takes `timeout_s` at most, but for the look-up of a host's name."""
    deadline = time.monotonic() + timeout_s
    try:
        with socket.create_connection((host, port), timeout=timeout_s) as sock:
            # the client sends its metadata (not asynchronous) before the arguments, of which there are none
            sock.sendall(msgpack.packb([REQUEST, NUMBER, "version", [[False]]]))
            return _read(sock, deadline)
    except ConnectionRefusedError:
        return Answer(problem="refuses connections")
    except ConnectionResetError:
        return Answer(problem="hangs up when asked for its version")
    except TimeoutError:
        return Answer(problem=f"does not answer within {timeout_s:g} s")
    except OSError as error:
        return Answer(problem=f"cannot be reached ({error.strerror or error})")


def _read(sock: socket.socket, deadline: float) -> Answer:
    """The reply, which may come in pieces."""
    unpacker = msgpack.Unpacker(raw=False)
    while True:
        left = deadline - time.monotonic()
        if left <= 0.0:
            raise TimeoutError
        sock.settimeout(left)
        data = sock.recv(4096)
        if not data:
            return Answer(problem="hangs up when asked for its version")
        unpacker.feed(data)
        try:
            for message in unpacker:
                return _version(message)
        except (ValueError, msgpack.UnpackException):
            return FOREIGN


def _version(message: object) -> Answer:
    """Of a reply [1, number, error, [[1, version]]]."""
    match message:
        case [1, 1, _, [[1, str(version)]]] if _VERSION.match(version):
            return Answer(version=version)
    return FOREIGN


def mismatch(server: str, client: str | None) -> str:
    """One sentence where server and client are of different versions, with the remedy; empty where they are not.

    Args:
        client: version of the installed client; None where there is none to compare with.
    """
    if client is None or _number(server) == _number(client):
        return ""
    return (
        f"the server is CARLA {server} and the installed client is carla {client}: they do not speak the same protocol; "
        f"start a server of {_number(client)}, or install the server's own client (pip install carla=={_number(server)})"
    )


def _number(version: str) -> str:
    """0.9.16 of 0.9.16-dirty."""
    found = _VERSION.match(version)
    return found[0] if found else version
