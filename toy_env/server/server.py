"""The server: joins transport, methods, world and sensors. Its rules are those of time: when a tick happens and who waits for whom."""

import gc
import os
import sys
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from carla_rl.errors import UsageError
from carla_rl.scenario.episodes import make_episodes
from carla_rl.scenario.model import Episode
from carla_rl.scenario.suite import load_suite
from carla_rl.world.compiled import is_on_disk
from toy_env.server.blueprints import Catalogue
from toy_env.server.errors import Refused
from toy_env.server.faults import CRASH_EXIT, read_faults
from toy_env.server.layouts import TABLES
from toy_env.server.managers import LAST_QUESTION, Managers
from toy_env.server.maps import OPENDRIVE_MAP, Compile, Maps, map_name
from toy_env.server.methods import MODULES
from toy_env.server.methods.at_once import Controls
from toy_env.server.methods.dispatch import Dispatcher
from toy_env.server.methods.registry import collect
from toy_env.server.sensors.hub import SensorHub
from toy_env.server.sensors.warm_up import is_warm, warm_up
from toy_env.server.transport.loop import Loop, accept, listen
from toy_env.server.transport.rpc import READ_BYTES, Connection, Request, RpcServer
from toy_env.server.transport.streams import Streams, Subscriber
from toy_env.server.world.lights import Lights
from toy_env.server.world.motion import advance
from toy_env.server.world.played import make_played
from toy_env.server.world.recorder import Recorder
from toy_env.server.world.world import Part, World
from toy_env.towns import TOWNS

WORLD_STREAM = 1
QUIET_S = 0.3
"""After a load nothing is streamed until the client has subscribed again, or for so long: it closes its old stream meanwhile."""
FASTEST_TICK_S = 0.001
"""Between two ticks of asynchronous mode at `--speed max`."""

AWAITED = ((False,),)
"""The parameters of a call without arguments whose reply somebody waits for."""

Speed = Literal["real", "max"]


@dataclass(frozen=True)
class ServerConfig:
    """What `carla-rl serve` is told."""

    host: str = "127.0.0.1"
    port: int = 2000
    maps: tuple[str, ...] = ()
    """Files (`.xodr`, `.xodr.gz`) and names of our own towns, which are always there; the first is loaded first."""
    seed: int = 0
    speed: Speed = "real"
    log_rpc: bool = False
    version: str = "0.9.16"
    """Of the client that is to connect."""
    suite: str | None = None
    """A suite whose episodes can be loaded like maps, by the ids of their scenarios."""
    episode: str | None = None
    """The scenario that is loaded first."""
    buildings: bool = True
    """Whether sensors see buildings."""
    recordings: str = "."
    """The folder in which clients may write and read recordings."""
    faults: tuple[str, ...] = ()
    """What goes wrong on purpose, as `toy_env.server.faults` reads it."""


class Server:
    """Listens from its making on; `loop.run()` serves. See `toy_env.server.methods.registry.Context` for what methods see of it.

    Args:
        compile_text: makes a road network of an OpenDRIVE text.
        parts: of the world, in the order in which they act.

    Raises:
        UsageError: a port that is taken, a map that cannot be read, a version that is not known.
    """

    def __init__(
        self, config: ServerConfig, compile_text: Compile, parts: tuple[Part, ...] = (), report: Callable[[str], None] | None = None
    ) -> None:
        if config.version not in TABLES:
            raise UsageError(f"--client {config.version}: there are the clients {', '.join(TABLES)}")
        self.config, self.layouts, self._faults = config, TABLES[config.version], read_faults(config.faults)
        if self._faults.wrong_version:
            self.layouts = replace(self.layouts, version=self._faults.wrong_version)
        self._report = report or _to_stderr
        self.maps = Maps([Path(item) for item in config.maps if item not in TOWNS], compile_text, config.buildings)
        first = map_name(config.maps[0]) if config.maps else self.maps.names[0]
        self._played = make_played(lambda town: self.maps.load(self._town(town)).network)
        self.lights = Lights(self._played.lights)
        self.recorder, self.recordings = Recorder(self.lights), Path(config.recordings)
        self._episodes = self._read_suite()
        self._check_faults()
        self.loop = Loop()
        self.client, self.client_address, self.sent_map = 0, "", ""
        self._outdated: tuple[int, int] | None = None
        """The client that has loaded a map and does not know yet that the episode is another one, and the one that it knows."""
        self.managers = Managers()
        self._quiet_until, self._next_tick = 0.0, 0.0
        self._rpc = RpcServer(self.loop, config.host, config.port, self, self._report)
        self.streams = Streams(self.loop, config.host, config.port + 1, self._joined)
        self._secondary = listen(config.host, config.port + 2)
        self.loop.watch(self._secondary, self._turned_away)
        if config.episode is not None:
            self._played.choose(self._episodes[config.episode])
            first = self._episodes[config.episode].scenario.town
        self.world = World(
            self.layouts,
            Catalogue(self.layouts.unknown),
            self.maps.load(self._town(first)),
            config.seed,
            (self._played, self.lights, self.recorder, *parts),
        )
        self._warm_up()
        self._sensors = SensorHub(self.streams, self._report)
        self._controls = Controls(self.layouts, READ_BYTES)
        methods = collect(MODULES)
        self._dispatcher = Dispatcher(methods, self.layouts, self, self._report, self._report if config.log_rpc else None)
        self.loop.every_turn(self._clock)
        self.loop.every_turn(self._look_after)
        if self._faults.refuse_connect_s:
            self._opens_at: float | None = time.monotonic() + self._faults.refuse_connect_s
            self.loop.every_turn(self._open_late)
        else:
            self._rpc.open()

    @property
    def map_names(self) -> tuple[str, ...]:
        """Maps that can be loaded, and episodes."""
        return tuple(name for name in (*self.maps.names, *self._episodes) if name not in self._faults.no_map)

    def close(self) -> None:
        """Close all connections and ports, and a recording."""
        self.recorder.stop()
        self._rpc.close()
        self.streams.close()
        self.loop.forget(self._secondary)
        self._secondary.close()
        self.loop.close()

    # for the transport

    def held_until(self, request: Request) -> float:
        """When a request may be answered: ticks wait for who is about to subscribe, and for a traffic manager's thread."""
        method = request.method
        if method == "tick_cue":
            return self._tick_held_until(self.managers.ready_at)
        if method == "apply_batch" and request.params[-1:] == (True,):
            return self._tick_held_until(0.0)
        return 0.0

    def _tick_held_until(self, ready_at: float) -> float:
        until = max(self.streams.expected_until(), self._quiet_until, ready_at)
        return until if until > time.monotonic() else 0.0

    def passes(self, request: Request) -> bool:
        """What a held tick may be waiting for: a traffic manager's last question, which changes nothing."""
        return bool(self.managers) and request.method == LAST_QUESTION

    def at_once(self, connection: Connection, data: NDArray[np.uint8], size: int) -> tuple[int, bool]:
        """See `Service.at_once`: controls, and a tick after them. Where every call is written down there is no short way."""
        if self.config.log_rpc:
            return 0, False
        done, batches, tick = self._controls.take(data, size, self.world.bodies, connection.out)
        if batches and self.managers:
            self.managers.asked(connection.number, "apply_batch", time.monotonic())
        if tick >= 0 and not self._tick_held_until(self.managers.ready_at):
            connection.out += self.answer(connection, Request(tick, "tick_cue", AWAITED))
            return size, True
        return done, batches > 0

    def answer(self, connection: Connection, request: Request) -> bytes:
        """The reply to a request."""
        self.client, self.client_address = connection.number, connection.address
        if self.managers:
            self.managers.asked(connection.number, request.method, time.monotonic())
        return self._dispatcher.answer(request)

    def closed(self, connection: Connection) -> None:
        """A client is gone: so are its traffic managers. Its actors stay."""
        self.managers.left(connection.number)

    # for methods

    def load(self, name: str, keep_settings: bool) -> None:
        """See `Context.load`."""
        if self._faults.load():
            self._crash(f"load {self._faults.loads}")
        try:
            episode = self._episodes.get(name)
            if not name:
                loaded, episode = self.world.map, self._played.episode
            elif name.rpartition("/")[2] in self._faults.no_map:
                raise Refused(f"map not found: {name}")
            elif episode is not None:
                loaded = self.maps.load(episode.scenario.town)
            elif name.rpartition("/")[2] == OPENDRIVE_MAP and self.sent_map:
                loaded = self.maps.load_text(self.sent_map)
            else:
                found = self.maps.find(name)
                if found is None:
                    raise Refused(f"map not found: {name}; there are {', '.join(self.maps.names)}")
                loaded = self.maps.load(found)
        except UsageError as error:
            raise Refused(str(error)) from error
        self._sensors.begin()
        self._played.choose(episode)
        self._outdated = self.client, self.world.episode
        self.world.load(loaded, keep_settings)
        self._quiet_until = time.monotonic() + QUIET_S

    def episode_told(self) -> int:
        """See `Context.episode_told`."""
        if self._outdated is None or self._outdated[0] != self.client:
            return self.world.episode
        (_, episode), self._outdated = self._outdated, None
        return episode

    def tick(self) -> int:
        """See `Context.tick`. Everybody is told before it returns, so that who ticks finds the state already there."""
        world = self.world
        crash, pause_s = self._faults.tick() if world.settings.synchronous_mode else (False, 0.0)
        if crash:
            self._crash(f"tick {self._faults.ticks}")
        if pause_s:
            self.loop.rest(pause_s)
        frame = world.tick()
        patient = world.settings.synchronous_mode
        if self.streams.has(WORLD_STREAM):
            self.streams.publish(WORLD_STREAM, (world.message(),), patient)
        world.fresh = False
        if world.sensors:
            self.streams.losing = self._faults.drops(frame)
            self._sensors.measure(world, patient)
            self.streams.losing = False
        return frame

    def trouble(self) -> str | None:
        """See `Context.trouble`."""
        return self._sensors.troubles.pop(0) if self._sensors.troubles else None

    # inside

    def _crash(self, when: str) -> None:
        """The fault of an end without a word to anybody: what the kernel closes is all that clients see."""
        self._report(f"fault: the server ends at {when}")
        os._exit(CRASH_EXIT)

    def _check_faults(self) -> None:
        """Raises UsageError for a map that there is not anyway: such a fault would test nothing."""
        for name in self._faults.no_map:
            if name not in (*self.maps.names, *self._episodes):
                raise UsageError(
                    f"--fault no-map={name}: there is no such map anyway ({', '.join(self.maps.names)}); give its file with --map"
                )

    def _read_suite(self) -> dict[str, Episode]:
        """The episodes that can be loaded, by scenario. Raises UsageError for a suite or an episode that there is not."""
        config = self.config
        if config.suite is None:
            if config.episode is not None:
                raise UsageError(f"--episode {config.episode} needs --suite: the suite that it is of")
            return {}
        suite = load_suite(config.suite, self._played.simulator.network)
        episodes = make_episodes(suite, self._played.simulator.network, self._played.simulator.unsupported)
        found = {episode.scenario.scenario_id: episode for episode in episodes}
        if config.episode is not None and config.episode not in found:
            raise UsageError(f"--episode {config.episode}: not in the suite {config.suite}; it has {', '.join(found)}")
        return found

    def _town(self, name: str) -> str:
        """The name of a map that there is. Raises UsageError for any other."""
        if name not in self.maps.names:
            raise UsageError(f"map {name!r}: there is none of that name ({', '.join(self.maps.names)}); give its file with --map")
        return name

    def _warm_up(self) -> None:
        """Compile the kernel, or read it from the disk, before a client waits for it."""
        if not is_on_disk(advance) or not is_warm():
            self._report("compiling the kernels of world and sensors, once on this machine: about a minute, with --suite some minutes")
        chosen, home = self._played.episode, self.world.map
        if self._episodes and chosen is None:
            # the kernels of the simulator, too
            first = next(iter(self._episodes.values()))
            self._played.choose(first)
            self.world.load(self.maps.load(first.scenario.town))
        self.world.tick()
        if not is_warm():
            warm_up(self.world)
        self._played.choose(chosen)
        self.world.load(home)

    def _joined(self, stream: int, subscriber: Subscriber) -> None:
        """A client has subscribed: to the world, then it is told at once how that is."""
        if stream == WORLD_STREAM:
            self._quiet_until = 0.0
            self.streams.send(subscriber, (self.world.message(),), patient=False)

    def _clock(self, now: float) -> float | None:
        """Tick by itself in asynchronous mode; when it wants to be asked again."""
        settings = self.world.settings
        if settings.synchronous_mode:
            return None
        wait = max(self._quiet_until, self.streams.expected_until(), self._next_tick)
        if now < wait:
            return wait
        self.tick()
        step = self.world.dt if self.config.speed == "real" else FASTEST_TICK_S
        self._next_tick = max(self._next_tick + step, now)
        return self._next_tick

    def _look_after(self, now: float) -> float | None:
        """Wake traffic managers that wait for nothing."""
        again, told = self.managers.look_after(now)
        for sentence in told:
            self._report(sentence)
        return again

    def _open_late(self, now: float) -> float | None:
        """The fault of refused connections: they are taken when their time has come."""
        if self._opens_at is not None and now >= self._opens_at:
            self._rpc.open()
            self._opens_at = None
        return self._opens_at

    def _turned_away(self, mask: int) -> None:
        """The secondary port is there so that the block of ports is taken; nothing is served on it."""
        sock = accept(self._secondary)
        if sock is not None:
            sock.close()


def _to_stderr(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def serve(compile_text: Compile, started: Callable[[Server], None], parts: Iterable[Part] = (), **options: Any) -> None:
    """Serve with the options of `ServerConfig` until the process is interrupted or terminated; `started` is called once it can be reached.

    Raises:
        UsageError: see `Server`.
    """
    server = Server(ServerConfig(**options), compile_text, tuple(parts))
    try:
        started(server)
        # what is there now stays: the collector need not look at it again and again
        gc.freeze()
        server.loop.run()
    finally:
        server.close()
