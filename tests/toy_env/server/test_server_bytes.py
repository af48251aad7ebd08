"""Malformed bytes never stop the server or another client; refusals and errors name what is wrong."""

import contextlib
import os
import random
import signal
import socket
import struct
import subprocess
import sys
from collections.abc import Iterator

import pytest
from server_client import Caller

from toy_env.server.methods import MODULES
from toy_env.server.methods.names import CLIENT_METHODS, OWN_METHODS
from toy_env.server.methods.registry import collect
from toy_env.server.testing import ServerProcess, answers, free_ports, installed_client, serving


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    with serving("--map", "ring", "--recordings", str(tmp_path_factory.mktemp("recordings"))) as running:
        yield running


def test_the_version(server: ServerProcess) -> None:
    with Caller(server.port) as caller:
        assert caller.call("version") == (None, [[1, installed_client()]])


@pytest.fixture
def caller(server: ServerProcess) -> Iterator[Caller]:
    with Caller(server.port) as one:
        yield one


def test_what_is_not_provided_names_itself(caller: Caller) -> None:
    missing = sorted(set(CLIENT_METHODS) - set(collect(MODULES)))
    assert missing
    for name in missing:
        error, result = caller.call(name)
        assert name in error
        assert "not provided" in error
        assert result is None
    assert "no such function" in caller.call("make_tea")[0]


def test_every_method_is_one_of_the_client(server: ServerProcess) -> None:
    assert set(collect(MODULES)) <= {*CLIENT_METHODS, *OWN_METHODS}


def test_wrong_arguments_are_errors_of_the_call(caller: Caller) -> None:
    assert "apply_control_to_vehicle" in caller.call("apply_control_to_vehicle", 1)[0]
    assert "VehicleControl" in caller.call("apply_control_to_vehicle", 1, [1, 2])[0]
    assert "finite" in caller.call("set_actor_location", 1, [float("nan"), 0.0, 0.0])[0]
    error, result = caller.call("set_actor_location", 99999, [0.0, 0.0, 0.0])
    assert error is None
    assert "99999" in result[0][1][0]


def test_random_bytes_and_values(server: ServerProcess, caller: Caller) -> None:
    """Bytes on both ports, and well-formed calls with nonsense in them, while another client goes on."""
    draw = random.Random(7)
    witness = caller
    names = sorted(collect(MODULES))
    numbers = [True, -1, 2**63, 2**64 - 1, 1e308, float("inf")]
    values = [None, *numbers, "", "x" * 1000, b"", b"\0" * 24, [], [[]], {}, {1: 2}, [[0, [1]]], "\ud7ff"]
    for turn in range(150):
        for port in (server.port, server.port + 1):
            with contextlib.suppress(ConnectionError), socket.create_connection(("127.0.0.1", port), timeout=5.0) as sock:
                sock.sendall(draw.randbytes(draw.randrange(1, 200)))
        assert witness.call("version") == (None, [[1, installed_client()]])
        name = draw.choice(names)
        if name in ("load_new_episode", "set_episode_settings"):
            continue
        with Caller(server.port) as other:
            other.call(name, *[draw.choice(values) for _ in range(draw.randrange(4))])
        if turn % 50 == 0:
            with Caller(server.port) as deep, contextlib.suppress(ConnectionError):
                deep.sock.sendall(b"\x91" * 100_000)
    assert witness.call("version") == (None, [[1, installed_client()]])
    assert server.process.poll() is None
    assert "failed:" not in server.output, server.output


def test_a_subscriber_that_never_reads_does_not_hold_the_world_up(server: ServerProcess, caller: Caller) -> None:
    with socket.create_connection(("127.0.0.1", server.port + 1), timeout=5.0) as deaf:
        deaf.sendall(struct.pack("<I", 1))
        error, result = caller.call("get_episode_settings")
        settings = result[0][1]
        settings[0], settings[2] = True, [True, 0.05]
        caller.call("set_episode_settings", settings)
        frames = [caller.call("tick_cue")[1][0][1] for _ in range(200)]
    assert error is None
    assert frames == list(range(frames[0], frames[0] + 200))
    settings[0] = False
    caller.call("set_episode_settings", settings)


def test_a_taken_port_is_one_sentence(server: ServerProcess) -> None:
    command = [sys.executable, "-m", "carla_rl", "serve", "--port"]
    done = subprocess.run([*command, str(server.port)], capture_output=True, text=True, timeout=60.0, check=False)
    assert done.returncode == 2
    assert str(server.port) in done.stderr
    assert "Traceback" not in done.stderr


def test_a_missing_map_is_one_sentence() -> None:
    command = [sys.executable, "-m", "carla_rl", "serve", "--port", str(free_ports()), "--map", "nowhere.xodr"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60.0, check=False)
    assert done.returncode == 2
    assert "nowhere.xodr" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_it_stops_when_told(number: signal.Signals) -> None:
    with serving("--map", "ring") as running:
        os.kill(running.process.pid, number)
        assert running.process.wait(10.0) == 0
        assert not answers(running.port)
