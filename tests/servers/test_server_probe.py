"""What answers on a port: a CARLA server, something else, or nothing in time."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import msgpack
import pytest

from carla_rl.servers.probe import ask_version, mismatch


@contextmanager
def answering(*pieces: bytes) -> Iterator[int]:
    """A port on which one connection is answered with these bytes, piece by piece."""
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def answer() -> None:
            connection, _ = listening.accept()
            with connection:
                request = msgpack.unpackb(connection.recv(1000))
                assert request == [0, 1, "version", [[False]]]
                for piece in pieces:
                    connection.sendall(piece)

        thread = threading.Thread(target=answer)
        thread.start()
        yield listening.getsockname()[1]
        thread.join()


REPLY = msgpack.packb([1, 1, None, [[1, "0.9.16"]]])


def test_a_server_tells_its_version_in_however_many_pieces() -> None:
    with answering(REPLY[:5], REPLY[5:]) as port:
        assert ask_version("127.0.0.1", port).version == "0.9.16"


@pytest.mark.parametrize("reply", [b"HTTP/1.1 400 Bad Request\r\n\r\n", msgpack.packb([1, 1, "no such function", None]), b"\xc1"])
def test_something_else_listens(reply: bytes) -> None:
    with answering(reply) as port:
        answer = ask_version("127.0.0.1", port)
    assert (answer.version, answer.foreign) == ("", True)
    assert "something else listens" in answer.problem


def test_who_hangs_up_listens_or_is_not_there_says_so() -> None:
    with answering() as port:
        assert ask_version("127.0.0.1", port).problem == "hangs up when asked for its version"
    assert ask_version("127.0.0.1", port).problem == "refuses connections"
    # a port that accepts connections is no server that answers
    with socket.create_server(("127.0.0.1", 0)) as listening:
        answer = ask_version("127.0.0.1", listening.getsockname()[1], 0.1)
    assert answer.problem == "does not answer within 0.1 s"
    assert not answer.foreign


def test_versions() -> None:
    assert mismatch("0.9.16", "0.9.16") == mismatch("0.9.16-dirty", "0.9.16") == mismatch("0.9.15", None) == ""
    told = mismatch("0.9.15-1-gabc", "0.9.16")
    assert "0.9.15-1-gabc" in told
    assert "start a server of 0.9.16, or install the server's own client (pip install carla==0.9.15)" in told
