"""What goes wrong around sensors stays there: a defect in one of them, and a client that never reads."""

import contextlib
import re
import socket
import struct
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgpack
import pytest
from server_client import Caller, run_check

from toy_env.server.sensors import SENSORS
from toy_env.server.server import Server, ServerConfig
from toy_env.server.testing import free_ports, installed_client, serving


class Broken:
    """A sensor with a defect."""

    def __init__(self, *arguments: Any) -> None:
        self.measured = 0

    def measure(self, world: Any) -> Iterator[bytes]:
        self.measured += 1
        if self.measured > 1:
            raise ZeroDivisionError("a defect")
        yield msgpack.packb([0.0, 0.0, 0.0])


def check_others_go_on(client: Any, world: Any) -> None:
    import queue

    import carla

    library = world.get_blueprint_library()
    # the client stops listening where nobody holds the sensor any more
    sensors = {kind: world.spawn_actor(library.find(f"sensor.other.{kind}"), carla.Transform()) for kind in ("gnss", "imu")}
    data = {kind: queue.Queue() for kind in sensors}
    for kind, sensor in sensors.items():
        sensor.listen(data[kind].put)
    first = world.tick()
    with pytest.raises(RuntimeError, match=r"sensor\.other\.gnss .* failed in the server"):
        world.tick()
    last = world.tick()
    assert last == first + 2
    assert [data["imu"].get(timeout=5.0).frame for _ in range(3)] == [first, first + 1, last]
    assert data["gnss"].get(timeout=5.0).frame == first
    assert data["gnss"].empty()


def test_a_defect_in_a_sensor_ends_that_sensor_only(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(SENSORS, "sensor.other.gnss", Broken)
    lines: list[str] = []
    config = ServerConfig(port=free_ports(), maps=("ring",), version=installed_client())
    server = Server(config, lambda name, text: pytest.fail("nothing is compiled here"), report=lines.append)
    ended = threading.Event()

    def run() -> None:
        while not ended.is_set():
            server.loop.turn(0.05)

    thread = threading.Thread(target=run)
    thread.start()
    try:
        run_check(check_others_go_on, config.port)
    finally:
        ended.set()
        thread.join()
        server.close()
    (line,) = [line for line in lines if "failed" in line]
    assert "sensor.other.gnss" in line
    assert "ZeroDivisionError: a defect" in line


def _resident_mb(process: int) -> float:
    found = re.search(r"VmRSS:\s+(\d+) kB", Path(f"/proc/{process}/status").read_text())
    assert found is not None
    return int(found[1]) / 1024.0


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="the memory of another process is read from /proc")
def test_a_consumer_that_never_reads_costs_no_memory() -> None:
    """8 MB a picture, 40 pictures: what waits for it is bounded, and the world goes on."""
    unpacker = msgpack.Unpacker(strict_map_key=False)
    with serving("--map", "ring") as server, socket.create_connection(("127.0.0.1", server.port), timeout=60.0) as sock:

        def call(method: str, *arguments: Any) -> Any:
            sock.sendall(msgpack.packb([0, 1, method, [[False], *arguments]]))
            while True:
                for message in unpacker:
                    assert message[2] is None, message[2]
                    return message[3][0][1] if message[3] else None
                unpacker.feed(sock.recv(1 << 20))

        settings = call("get_episode_settings")
        settings[0], settings[2] = True, [True, 0.05]
        call("set_episode_settings", settings)
        size = [["image_size_x", 2, "1920"], ["image_size_y", 2, "1080"]]
        camera = call("spawn_actor", [0, "sensor.camera.depth", size], [[0.0, 0.0, 2.0], [0.0, 0.0, 0.0]])
        (stream,) = struct.unpack_from("<I", camera[5])
        call("tick_cue")
        with socket.create_connection(("127.0.0.1", server.port + 1)) as deaf:
            deaf.sendall(struct.pack("<I", stream))
            frames = [call("tick_cue") for _ in range(5)]
            before = _resident_mb(server.process.pid)
            frames += [call("tick_cue") for _ in range(40)]
            after = _resident_mb(server.process.pid)
        assert frames == list(range(frames[0], frames[0] + 45))
        assert after - before < 40.0
        assert server.process.poll() is None


def test_it_stops_while_it_waits_for_consumers_that_never_read() -> None:
    """Four deaf consumers are waited for 5 s each in one tick: too long for who wants the server to end."""
    with serving("--map", "ring") as server, Caller(server.port) as caller, contextlib.ExitStack() as deaf:
        assert caller.call("set_episode_settings", [True, False, [True, 0.05], True, 0.01, 10, 0.0, True, 3000.0, 2000.0, True])[0] is None
        size = [["image_size_x", 2, "1920"], ["image_size_y", 2, "1080"]]
        for _ in range(4):
            _, camera = caller.call("spawn_actor", [0, "sensor.camera.depth", size], [[0.0, 0.0, 2.0], [0.0, 0.0, 0.0]])
            (stream,) = struct.unpack_from("<I", camera[0][1][5])
            sock = deaf.enter_context(socket.create_connection(("127.0.0.1", server.port + 1)))
            sock.sendall(struct.pack("<I", stream))
        for _ in range(2):
            caller.call("tick_cue")
        caller.sock.sendall(msgpack.packb([0, 99, "tick_cue", [[False]]]))
        time.sleep(1.0)
        assert server.stop() == 0
