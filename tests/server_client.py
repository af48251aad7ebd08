"""Runs checks with CARLA's real client in a process of its own: an abort of the client fails one test and not the whole run.

A check is a function `check(client, world)` of a module; it is run as `python server_client.py MODULE FUNCTION PORT`.
"""

import importlib.util
import os
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgpack
import pytest

CHECK_S = 600.0


def run_check(check: Callable[..., None], port: int) -> None:
    """Run a check against the server on a port; fails the test with what the client printed."""
    pytest.importorskip("carla")
    path = check.__code__.co_filename
    command = [sys.executable, "-P", __file__, path, check.__name__, str(port)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=CHECK_S, cwd=Path(__file__).parents[1], check=False)
    assert done.returncode == 0, f"{check.__name__} ended with {done.returncode}:\n{done.stdout}\n{done.stderr}"


class Caller:
    """A client that can say anything."""

    def __init__(self, port: int, timeout_s: float = 30.0) -> None:
        self.sock = socket.create_connection(("127.0.0.1", port), timeout=timeout_s)
        self.unpacker = msgpack.Unpacker(strict_map_key=False)
        self.number = 0

    def __enter__(self) -> "Caller":
        return self

    def __exit__(self, *error: object) -> None:
        self.sock.close()

    def call(self, method: str, *arguments: Any) -> tuple[Any, Any]:
        self.number += 1
        self.sock.sendall(msgpack.packb([0, self.number, method, [[False], *arguments]], use_bin_type=True))
        while True:
            for message in self.unpacker:
                assert message[:2] == [1, self.number]
                return message[2], message[3]
            data = self.sock.recv(65536)
            assert data, "the server has hung up"
            self.unpacker.feed(data)


def _main(path: str, name: str, port: int) -> None:
    import carla

    spec = importlib.util.spec_from_file_location("checks", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    client = carla.Client("127.0.0.1", port)
    client.set_timeout(60.0)
    world: Any = client.reload_world()
    settings = world.get_settings()
    settings.synchronous_mode, settings.fixed_delta_seconds = True, 0.05
    world.apply_settings(settings)
    getattr(module, name)(client, world)
    # the client's threads may still be handing over data while the interpreter goes down, and crash there
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(0)


if __name__ == "__main__":
    # the package comes first: this folder has a toy_env of its own, which would hide it
    import toy_env.server

    assert toy_env.server.__file__
    sys.path.append(str(Path(__file__).parent))
    _main(sys.argv[1], sys.argv[2], int(sys.argv[3]))
