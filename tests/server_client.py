"""Runs checks with CARLA's real client in a process of its own: an abort of the client fails one test and not the whole run.

A check is a function `check(client, world)` of a module; it is run as `python server_client.py MODULE FUNCTION PORT`.
"""

import importlib.util
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

CHECK_S = 120.0


def run_check(check: Callable[..., None], port: int) -> None:
    """Run a check against the server on a port; fails the test with what the client printed."""
    pytest.importorskip("carla")
    path = check.__code__.co_filename
    command = [sys.executable, __file__, path, check.__name__, str(port)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=CHECK_S, cwd=Path(__file__).parents[1], check=False)
    assert done.returncode == 0, f"{check.__name__} ended with {done.returncode}:\n{done.stdout}\n{done.stderr}"


def _main(path: str, name: str, port: int) -> None:
    import carla

    spec = importlib.util.spec_from_file_location("checks", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    client = carla.Client("127.0.0.1", port)
    client.set_timeout(20.0)
    world: Any = client.reload_world()
    settings = world.get_settings()
    settings.synchronous_mode, settings.fixed_delta_seconds = True, 0.05
    world.apply_settings(settings)
    getattr(module, name)(client, world)
    print("done")


if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parent))
    _main(sys.argv[1], sys.argv[2], int(sys.argv[3]))
