"""Wakes a traffic manager that waits for a wake-up which has been lost: see `toy_env.server.managers`.

A manager listens for calls itself. Told to leave synchronous mode it wakes its thread, which then does the step that it should have done;
told at once to go back to it, it has done nothing else, and the drive goes on as if no wake-up had been lost.
"""

import socket
from typing import Any

import msgpack

PATIENCE_S = 0.5
"""For each answer; everybody else waits meanwhile."""


def is_awake(host: str, port: int) -> bool:
    """Whether the manager's process runs: one that is stopped or being debugged is silent for other reasons."""
    return _said(host, port, [("health_check_remote_TM", [])])


def rouse(host: str, port: int) -> bool:
    """Wake the manager's thread; False where nobody answers."""
    return _said(host, port, [("set_synchronous_mode", [False]), ("set_synchronous_mode", [True])])


def _said(host: str, port: int, calls: list[tuple[str, list[Any]]]) -> bool:
    """Whether all calls, sent together, have been answered."""
    unpacker = msgpack.Unpacker(max_buffer_size=1 << 16)
    try:
        with socket.create_connection((host, port), PATIENCE_S) as sock:
            sock.sendall(b"".join(msgpack.packb([0, number, name, arguments]) for number, (name, arguments) in enumerate(calls)))
            answers = 0
            while answers < len(calls):
                data = sock.recv(4096)
                if not data:
                    return False
                unpacker.feed(data)
                answers += sum(1 for _ in unpacker)
    except (OSError, ValueError, msgpack.exceptions.UnpackException):
        # nobody there, or no traffic manager: nothing is lost, the client waits as it would have
        return False
    return True
