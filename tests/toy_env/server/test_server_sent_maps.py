"""A map that a client sends is compiled in a process of its own: whatever it holds, the server answers and goes on."""

import gzip
from collections.abc import Iterator
from importlib import resources

import pytest
from server_client import Caller

from toy_env.server.testing import ServerProcess, serving

RING = gzip.decompress(resources.files("toy_env.towns").joinpath("ring.xodr.gz").read_bytes()).decode()
COMPILE_S = 120.0
LOAD = ("load_new_episode", "OpenDriveMap", True, 65535)


@pytest.fixture(scope="module")
def server() -> Iterator[ServerProcess]:
    pytest.importorskip("carla")
    with serving("--map", "grid") as running:
        yield running


@pytest.mark.parametrize(
    "text",
    [
        "no map",
        "<OpenDRIVE></OpenDRIVE>",
        RING[: len(RING) // 2],
        RING.replace('length="', 'length="nan'),
        RING.replace("<spiral", "<wobble"),
        RING.replace('<lane id="-1"', '<lane id="x"'),
    ],
    ids=["text", "empty", "half", "nan", "geometry", "lanes"],
)
def test_a_broken_map_is_an_error_of_the_load(server: ServerProcess, text: str) -> None:
    with Caller(server.port, COMPILE_S) as caller:
        before = caller.call("get_episode_info")
        caller.call("copy_opendrive_to_file", text, [2.0, 50.0, 1.0, 0.6, True, True, True])
        error, result = caller.call(*LOAD)
        assert error is None
        # the compiler may make something of it after all
        if result != [[False]]:
            assert "OpenDriveMap" in result[0][1][0]
            assert caller.call("get_episode_info") == before
        assert server.process.poll() is None
        assert "Traceback" not in server.output


def test_a_map_that_is_whole_is_loaded(server: ServerProcess) -> None:
    with Caller(server.port, COMPILE_S) as caller:
        caller.call("copy_opendrive_to_file", RING, [2.0, 50.0, 1.0, 0.6, True, True, True])
        assert caller.call(*LOAD) == (None, [[False]])
        assert caller.call("get_map_data")[1][0][1] == RING
