"""Faults made on purpose: how they are written, and what CARLA's client and bare sockets see of each."""

import math
import socket
import subprocess
import sys
import time
from typing import Any

import pytest
from server_client import run_check

from carla_rl.errors import UsageError
from toy_env.server.faults import CRASH_EXIT, FORMS, read_faults
from toy_env.server.testing import answers, free_ports, serving


def test_spans_and_durations() -> None:
    faults = read_faults(["crash@tick=500", "hang@tick=3:30s", "hang@tick=7", "slow@tick=2-4:50ms", "slow@tick=4-:1.5s"])
    told = [faults.tick() for _ in range(7)]
    assert [pause for _, pause in told] == pytest.approx([0.0, 0.05, 30.05, 1.55, 1.5, 1.5, math.inf])
    assert not any(crash for crash, _ in told)
    faults.ticks = 499
    assert faults.tick() == (True, 0.0)
    faults = read_faults(["drop-sensor@frame=10-12", "no-map=Town01", "no-map=Town02", "wrong-version=0.9.15", "refuse-connect:250ms"])
    assert [frame for frame in range(20) if faults.drops(frame)] == [10, 11, 12]
    assert (faults.no_map, faults.wrong_version, faults.refuse_connect_s) == (("Town01", "Town02"), "0.9.15", 0.25)
    assert not faults.load()
    assert read_faults(["exit-on-load"]).load()
    late = read_faults(["exit-on-load@load=2"])
    assert [late.load(), late.load(), late.load()] == [False, True, False]


@pytest.mark.parametrize(
    "text",
    [
        "crash",
        "crash@tick=",
        "crash@tick=0",
        "crash@tick=5-3",
        "crash@frame=3",
        "hang@tick=5:30",
        "hang@tick=5:",
        "slow@tick=5",
        "slow@tick=5:0ms",
        "drop-sensor@load=4",
        "wrong-version=",
        "wrong-version=new",
        "no-map=",
        "exit-on-load@tick=1",
        "refuse-connect",
        "refuse-connect:fast",
    ],
)
def test_what_is_no_fault_is_told_how_to_write_it(text: str) -> None:
    name = text.partition("@")[0].partition("=")[0].partition(":")[0]
    with pytest.raises(UsageError) as caught:
        read_faults([text])
    assert text in str(caught.value)
    assert FORMS[name][0] in str(caught.value)


@pytest.mark.parametrize(("fault", "said"), [("explode@tick=3", "there is no fault 'explode'"), ("no-map=Town77", "no such map anyway")])
def test_a_wrong_fault_is_one_sentence(fault: str, said: str) -> None:
    command = [sys.executable, "-m", "carla_rl", "serve", "--port", str(free_ports()), "--fault", fault]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60.0, check=False)
    assert done.returncode == 2
    assert said in " ".join(done.stderr.split())
    assert "Traceback" not in done.stderr


def _ticks(world: Any, count: int) -> None:
    for _ in range(count):
        world.tick()


def check_crash_at_a_tick(client: Any, world: Any) -> None:
    """The tick that is not answered is an error of the client, in its own time."""
    client.set_timeout(2.0)
    with pytest.raises(RuntimeError):
        _ticks(world, 100)


def test_crash() -> None:
    with serving("--map", "ring", faults=["crash@tick=50"]) as server:
        run_check(check_crash_at_a_tick, server.port)
        assert server.process.wait(10.0) == CRASH_EXIT
        assert "the server ends at tick 50" in server.output


def check_hang_slow_version_map_and_lost_data(client: Any, world: Any) -> None:
    """One server with many faults."""
    import queue

    assert client.get_server_version() == "0.9.15"
    assert not any("grid" in name for name in client.get_available_maps())
    with pytest.raises(RuntimeError, match="map not found"):
        client.load_world("grid")
    imu = world.spawn_actor(world.get_blueprint_library().find("sensor.other.imu"), world.get_map().get_spawn_points()[0])
    data: queue.Queue[Any] = queue.Queue()
    imu.listen(data.put)
    took: dict[int, float] = {}
    asked: list[int] = []
    for _ in range(40):
        before = time.perf_counter()
        asked.append(world.tick())
        took[asked[-1]] = time.perf_counter() - before
    frames = []
    while len(frames) < 38:
        frames.append(data.get(timeout=5.0).frame)
    lost = sorted(set(asked) - set(frames))
    assert len(lost) == 2
    assert lost[1] == lost[0] + 1
    assert sum(seconds > 0.9 for seconds in took.values()) == 1
    assert sum(seconds > 0.09 for seconds in took.values()) >= 5
    client.set_timeout(1.0)
    with pytest.raises(RuntimeError):
        _ticks(world, 100)
    client.set_timeout(20.0)
    assert client.get_server_version() == "0.9.15"


def test_faults_are_combined_and_the_server_goes_on() -> None:
    faults = [
        "wrong-version=0.9.15",
        "no-map=grid",
        "hang@tick=20:1s",
        "slow@tick=30-34:100ms",
        "drop-sensor@tick=12-13",
        "hang@tick=80:3s",
    ]
    with serving("--map", "ring", faults=faults) as server:
        run_check(check_hang_slow_version_map_and_lost_data, server.port)
        assert server.stop() == 0


def check_exit_on_load(client: Any, world: Any) -> None:
    """The second load; the first is the check's own."""
    client.set_timeout(2.0)
    with pytest.raises(RuntimeError):
        client.load_world("ring")


def test_exit_on_load() -> None:
    with serving("--map", "ring", faults=["exit-on-load@load=2"]) as server:
        run_check(check_exit_on_load, server.port)
        assert server.process.wait(10.0) == CRASH_EXIT


def check_hang(client: Any, world: Any) -> None:
    """Ticks time out, and so does everything else."""
    client.set_timeout(1.0)
    with pytest.raises(RuntimeError):
        _ticks(world, 20)
    with pytest.raises(RuntimeError):
        client.get_server_version()


def test_a_server_that_hangs_for_good_still_ends_when_told() -> None:
    with serving("--map", "ring", faults=["hang@tick=10"]) as server:
        run_check(check_hang, server.port)
        assert not answers(server.port, 0.5)
        assert server.stop() == 0


def test_connections_are_refused_at_first() -> None:
    with serving("--map", "ring", faults=["refuse-connect:2s"]) as server:
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", server.port), timeout=1.0)
        deadline = time.monotonic() + 20.0
        while not answers(server.port):
            assert time.monotonic() < deadline
            time.sleep(0.05)
