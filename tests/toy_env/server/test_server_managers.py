"""When a tick may follow the step of a traffic manager, and that one that waits for nothing is woken."""

import socket
import threading
import time
from typing import Any

import msgpack
import pytest
from server_client import Caller

from toy_env.server.managers import AWAITED_S, REST_S, STEP, Manager, Managers
from toy_env.server.testing import free_ports, serving

HERE = Manager("192.168.1.1", 8000, 7, "127.0.0.1")


def test_a_tick_waits_for_the_last_question() -> None:
    managers = Managers()
    assert managers.ready_at == 0.0
    assert managers.add(HERE)
    assert not managers.add(HERE)
    for second, name in enumerate(STEP[:-1]):
        managers.asked(7, name, float(second))
    assert managers.ready_at == pytest.approx(2.0 + AWAITED_S)
    managers.asked(7, STEP[-1], 2.01)
    assert managers.ready_at == pytest.approx(2.01 + REST_S)


def test_what_is_no_step_lets_no_tick_wait() -> None:
    managers = Managers()
    managers.add(HERE)
    for name in ("apply_batch", "get_episode_settings", "get_vehicle_light_states", "apply_batch", "get_episode_settings"):
        managers.asked(7, name, 5.0)
        managers.asked(8, name, 5.0)
    assert managers.ready_at == 0.0
    managers.asked(7, "get_weather_parameters", 6.0)
    managers.asked(7, "apply_batch", 6.0)
    managers.left(7)
    assert managers.ready_at == 0.0
    assert not managers


class _Manager:
    """What a traffic manager listens with; it remembers what it is told."""

    def __init__(self) -> None:
        self.port = free_ports(1)
        self.told: list[tuple[str, list[Any]]] = []
        self.listener = socket.create_server(("127.0.0.1", self.port))
        threading.Thread(target=self._answer, daemon=True).start()

    def _answer(self) -> None:
        while True:
            try:
                sock, _ = self.listener.accept()
            except OSError:
                return
            unpacker = msgpack.Unpacker()
            with sock:
                while data := sock.recv(4096):
                    unpacker.feed(data)
                    for _, number, name, arguments in unpacker:
                        self.told.append((name, arguments))
                        sock.sendall(msgpack.packb([1, number, None, None]))


def test_a_manager_that_waits_for_nothing_is_woken() -> None:
    manager = _Manager()
    with serving("--map", "ring") as server, Caller(server.port) as caller:
        assert caller.call("get_episode_settings")[0] is None
        caller.call("add_traffic_manager_running", ["10.0.0.1", manager.port])
        caller.call("tick_cue")
        caller.call("get_episode_settings")
        deadline = time.monotonic() + 20.0
        while len(manager.told) < 3 and time.monotonic() < deadline:
            time.sleep(0.05)
        assert manager.told == [("health_check_remote_TM", []), ("set_synchronous_mode", [False]), ("set_synchronous_mode", [True])]
        manager.told.clear()
        caller.call("tick_cue")
        caller.call("get_vehicle_light_states")
        time.sleep(2.0)
        assert manager.told == []
        assert f"port {manager.port} waited for a wake-up that was lost" in server.output
    manager.listener.close()
