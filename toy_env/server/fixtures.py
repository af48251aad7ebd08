"""`carla_server`: a pytest fixture that is a fresh server. Use it with `pytest_plugins = ["toy_env.server.fixtures"]` in a conftest.py."""

from collections.abc import Iterator

import pytest

from toy_env.server.testing import ServerProcess, serving


@pytest.fixture
def carla_server(request: pytest.FixtureRequest) -> Iterator[ServerProcess]:
    """A fresh server process; parametrize it indirectly with a tuple of options of `carla-rl serve`."""
    with serving(*getattr(request, "param", ())) as server:
        yield server
