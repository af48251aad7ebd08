"""One client on one server: connection, map, synchronous mode, and leaving all of it as it was found. What is on the map is `stage`'s."""

from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Any

import carla

from carla_rl.carla_sim.manager import Manager
from carla_rl.carla_sim.messages import LOADING_FACTOR, Orders, Seen, Setting
from carla_rl.carla_sim.origin import made_by
from carla_rl.carla_sim.remote import Refused
from carla_rl.carla_sim.stage import Stage
from carla_rl.types import TICK_S

OURS = ("synchronous_mode", "fixed_delta_seconds", "no_rendering_mode", "deterministic_ragdolls")
"""The settings that are changed here."""
CLEANING_S = 5.0
"""A call while everything is taken down may take so long."""


class Session:
    """What a worker does. Calls come in the order `connect`, `load`, then `begin` and `tick` again and again."""

    def __init__(self) -> None:
        self._client: carla.Client | None = None
        self._before: dict[str, Any] | None = None
        """The settings that the server had."""
        self._stage: Stage | None = None
        self._manager: Manager | None = None
        self._manager_port, self._timeout_s = 0, 0.0
        self._town = ""

    def connect(self, host: str, port: int, manager_port: int, timeout_s: float) -> dict[str, Any]:
        """Reach a server.

        Raises:
            Refused: it speaks another version than the client.
            RuntimeError: it does not answer within `timeout_s` s.
        """
        client = carla.Client(host, port)
        client.set_timeout(timeout_s)
        spoken, known = client.get_server_version(), client.get_client_version()
        if spoken != known:
            raise Refused(
                f"the server at {host}:{port} is CARLA {spoken}, the installed client is {known}; install carla=={spoken} or start a "
                f"server of version {known}"
            )
        self._client, self._manager_port, self._timeout_s = client, manager_port, timeout_s
        maps = sorted(name.rpartition("/")[2] for name in client.get_available_maps())
        return {"version": spoken, "made_by": made_by(host, port, timeout_s), "maps": maps}

    def load(self, town: str, rendering: bool, before: dict[str, Any] | None) -> dict[str, Any]:
        """Bring a town up, empty and in synchronous mode; one that is up already is kept unless somebody left actors there.

        `before` are the settings to leave behind; None: those that the server has now.

        Raises:
            Refused: the server does not have the map.
        """
        client = self._connected
        world = client.get_world()
        settings = world.get_settings()
        self._before = before or self._before or {name: getattr(settings, name) for name in OURS}
        known = {name.rpartition("/")[2]: name for name in client.get_available_maps()}
        if town not in known:
            raise Refused(f"the server has no map {town}; it has {', '.join(sorted(known))}")
        if self._stage is not None:
            self._stage.clear()
        up = world.get_map().name.rpartition("/")[2]
        # a world that waits for ticks tells nobody of its actors: whoever stopped it there has left them behind
        if up != town or (self._town != town and (settings.synchronous_mode or _left_behind(world))):
            client.set_timeout(LOADING_FACTOR * self._timeout_s)
            world = client.load_world(known[town])
            client.set_timeout(self._timeout_s)
        settings = world.get_settings()
        settings.synchronous_mode, settings.fixed_delta_seconds = True, TICK_S
        settings.no_rendering_mode, settings.deterministic_ragdolls = not rendering, True
        world.apply_settings(settings)
        if self._manager is not None:
            self._manager.release()
        self._manager = Manager(client, world, self._manager_port)
        self._stage, self._town = Stage(client, world, self._manager, self._timeout_s), town
        return {**self._stage.layout(), "before": self._before}

    def begin(self, setting: list[Any], orders: list[Any]) -> list[Any]:
        """Set an episode up; see `Stage.begin`."""
        begun, seen = self._ready.begin(Setting(*setting), Orders.of(orders))
        return [begun, seen.to_message()]

    def tick(self, orders: list[Any]) -> list[Any]:
        """One tick; see `Stage.tick`."""
        seen: Seen = self._ready.tick(Orders.of(orders))
        return seen.to_message()

    def close(self) -> None:
        """Leave the server as it was found: no actor of ours, its own settings. A server that is gone is left alone."""
        client, self._client = self._client, None
        if client is None:
            return
        client.set_timeout(CLEANING_S)
        steps: list[Callable[[], Any]] = [] if self._stage is None else [self._stage.clear, self._stage.release]
        steps += [] if self._manager is None else [self._manager.release]
        steps.append(partial(self._restore, client))
        for step in steps:
            # what is gone, or does not answer, cannot be put in order; the next step still may
            with suppress(RuntimeError):
                step()

    def _restore(self, client: "carla.Client") -> None:
        if self._before is not None:
            world = client.get_world()
            settings = world.get_settings()
            for name, value in self._before.items():
                setattr(settings, name, value)
            world.apply_settings(settings)

    @property
    def _connected(self) -> "carla.Client":
        if self._client is None:
            raise RuntimeError("the worker was not told of a server yet")
        return self._client

    @property
    def _ready(self) -> Stage:
        if self._stage is None:
            raise RuntimeError("the worker was not told of a map yet")
        return self._stage


def _left_behind(world: "carla.World") -> bool:
    """Whether there are actors that a client put there."""
    actors = world.get_actors()
    return any(len(actors.filter(kind)) > 0 for kind in ("vehicle.*", "walker.*", "sensor.*", "controller.*", "static.prop.*"))
