"""One env of the adapter: a server, the worker that talks to it, and what the env's mirror makes of what the worker sees.

Orders go out before a tick, what was seen comes in after it; between them other envs do the same, so servers tick side by side.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from carla_rl.carla_sim.background import AROUND_M, Background
from carla_rl.carla_sim.messages import HIT_BACKGROUND, HIT_SCENERY, LOADING_FACTOR, Orders, Seen, Setting, cameras_as_sent
from carla_rl.carla_sim.mirror import STRANGERS, after, before, prepare, take_background
from carla_rl.carla_sim.remote import Worker, WorldLost
from carla_rl.carla_sim.shown import Lights, Shown
from carla_rl.errors import RunFailure
from carla_rl.scenario.model import Episode
from carla_rl.servers.interface import CarlaServer
from carla_rl.types import Needs
from carla_rl.world.fleet import Fleet, Loaded
from carla_rl.world.state import ACTOR

SEED_BITS = 31


class Env:
    """One world with one ego on one server.

    Args:
        number: of the env.
        server: where it drives.
        fleet: whose records it fills.
        needs: which cameras the ego carries.
        timeout_s: a server that does not answer a call for so long is lost.
    """

    def __init__(self, number: int, server: CarlaServer, fleet: Fleet, needs: Needs, timeout_s: float) -> None:
        self.number, self.server = number, server
        self._fleet, self._needs, self._timeout_s = fleet, needs, timeout_s
        self._worker: Worker | None = None
        self._town: Loaded | None = None
        self._loading = False
        self._before: dict[str, Any] | None = None
        """The settings that the server had before anybody here touched it: what the last worker leaves behind."""
        self._spawn_points: NDArray[np.float64] = np.zeros((0, 4))
        self._background = Background()
        self._shown, self._lights = Shown(), Lights()
        self._strangers = np.zeros((1, STRANGERS), ACTOR)
        self._known: dict[int, int] = {}
        self.images: dict[str, NDArray[np.uint8]] = {}
        """What the cameras saw last."""

    def connect(self) -> dict[str, Any]:
        """Reach the server by a fresh worker; what it says of itself.

        Raises:
            RunFailure, UsageError: the server cannot be started or used, see `CarlaServer.ready`.
            Refused: it cannot be used by this client.
            WorldLost: it is gone again.
        """
        self.server.ready()
        if self._worker is None:
            self._worker = Worker()
        server = self.server
        self._worker.ask("connect", server.host, server.port, server.traffic_manager_port, self._timeout_s)
        return dict(self._answer(2.0))

    def reconnect(self, made_by: str) -> None:
        """Reach the server again, if there is no worker.

        Raises:
            RunFailure: what answers there now is something else; or as `connect`.
            Refused, WorldLost: as `connect`.
        """
        if self.connected:
            return
        found = self.connect()["made_by"]
        if found != made_by:
            raise RunFailure(
                f"the server at {self.server.name} is {found or 'CARLA'} now and was {made_by or 'CARLA'}: the run cannot go on there"
            )

    @property
    def connected(self) -> bool:
        """Whether there is a worker."""
        return self._worker is not None

    def ask_town(self, loaded: Loaded, made_by: str) -> None:
        """Order the map of an episode to be brought up where another one is; `start` takes the answer. `made_by` as in `reconnect`.

        Raises:
            WorldLost: the server is gone.
        """
        self._loading = self._town is None or self._town.network is not loaded.network
        if self._loading:
            if self._town is not None:
                # CARLA's client does not survive every change of the map with a Traffic Manager and streams open: a fresh one does
                self._leave()
                self.reconnect(made_by)
            self._ready.ask("load", loaded.network.town, bool(self._needs.cameras), self._before)

    def start(self, episode: Episode, loaded: Loaded) -> None:
        """Begin an episode whose world record has been written, as far as asking the server goes; `started` takes the answer.

        Raises:
            Refused: the server does not have the map, or what the episode needs.
            WorldLost: the server is gone.
        """
        worker = self._ready
        if self._loading:
            layout = self._answer(2.0 * LOADING_FACTOR)
            self._spawn_points = layout["spawn_points"]
            self._before = layout["before"]
            # lights that stand beside the OpenDRIVE file have no number there
            self._lights.match(loaded.network, {int(number) for number in layout["lights"] if number.isdecimal()})
            self._town, self._loading = loaded, False
        fleet, env = self._fleet, self.number
        prepare(loaded.town, fleet.routes.points, fleet.routes.marks, fleet.worlds, env)
        world, traffic = fleet.worlds.world[env], episode.scenario.traffic
        self._strangers[:], self._known = np.zeros((), ACTOR), {}
        vehicles, models = self._background.begin(episode.seed, self._spawn_points, world, traffic.vehicles)
        self._shown.begin(fleet.scripts_of(env).models)
        self._lights.begin()
        orders = self._orders()
        setting = Setting(
            ego=(float(world["x"]), float(world["y"]), float(world["z"]), float(world["yaw"])),
            seed=episode.seed % 2**SEED_BITS,
            weather=episode.scenario.weather.model_dump(),
            vehicles=vehicles,
            models=models,
            speed_factor=traffic.speed_factor,
            pedestrians=traffic.pedestrians,
            around_m=AROUND_M,
            cameras=cameras_as_sent(self._needs.cameras),
        )
        worker.ask("begin", setting.to_message(), orders.to_message())

    def started(self) -> None:
        """Take in what the server has set up.

        Raises:
            Refused, WorldLost: as `start`.
        """
        begun, seen = self._answer(LOADING_FACTOR)
        world = self._fleet.worlds.world[self.number : self.number + 1]
        world["half_length"], world["half_width"] = begun["ego"]
        actors = self._fleet.worlds.actors[self.number]
        self._background.register(actors, world[0], begun["background"])
        self._take(Seen(*seen))
        world["begun"] = True

    def act(self, throttle: float, steer: float, brake: float) -> None:
        """Order a tick under these pedals; `acted` takes the answer.

        Raises:
            WorldLost: the server is gone.
        """
        fleet, env = self._fleet, self.number
        before(self._loaded.town, fleet.routes.points, fleet.worlds, env)
        world = fleet.worlds.world[env]
        throttle = min(max(throttle + float(world["noise_throttle"]), 0.0), 1.0)
        steer = min(max(steer + float(world["noise_steer"]), -1.0), 1.0)
        self._ready.ask("tick", self._orders((throttle, steer, min(max(brake, 0.0), 1.0))).to_message())

    def acted(self) -> None:
        """Take in the world after the tick and judge it.

        Raises:
            WorldLost: the server is gone, or a picture did not come.
        """
        seen = Seen(*self._answer(2.0))
        fleet, env = self._fleet, self.number
        world = fleet.worlds.world[env]
        old = np.array([world["x"], world["y"], world["speed"]])
        self._take(seen)
        hits = self._hits(seen.hits)
        after(self._loaded.town, fleet.routes.points, fleet.routes.marks, fleet.worlds, self._strangers, env, old, hits)

    def lose(self, reason: str, *, server: bool) -> str:
        """Give the worker up, and the server where it is to blame; what is known of why, for people."""
        worker, self._worker, self._town = self._worker, None, None
        if not server:
            if worker is not None:
                worker.close()
            return reason
        if worker is not None:
            if self.server.ended:
                worker.drop()
            else:
                # one that hangs is killed after a while; one that can leaves a server that is not ours in order
                worker.close()
        self.server.give_up(reason)
        # for a server of ours that is the reason, how it ended and the end of its log
        why = self.server.why()
        return why if reason in why else f"{reason}; {why}"

    def close(self) -> None:
        """Leave the server in order, and end it if it is ours."""
        self._leave()
        self.server.close()

    def _leave(self) -> None:
        """Let the worker put its world in order and end."""
        worker, self._worker, self._town = self._worker, None, None
        if worker is not None:
            worker.close()

    @property
    def _ready(self) -> Worker:
        if self._worker is None:
            raise WorldLost("its worker was given up before")
        return self._worker

    def _answer(self, factor: float) -> Any:
        """What the worker answers, within `factor` times the time that a call may take."""
        return self._ready.answer(factor * self._timeout_s, lambda: self.server.ended)

    @property
    def _loaded(self) -> Loaded:
        if self._town is None:
            raise WorldLost("its map is not up")
        return self._town

    def _orders(self, control: tuple[float, float, float] = (0.0, 0.0, 1.0)) -> Orders:
        """What is to be done before the next tick, after what the scripts have made of the records."""
        worlds, env = self._fleet.worlds, self.number
        world, actors, parts = worlds.world[env], worlds.actors[env], worlds.parts[env]
        come, go, puppets = self._shown.changes(world, actors, parts)
        moved, aside, braking = self._background.changes(world, actors)
        return Orders(control, come, go, puppets, moved, aside, braking, self._lights.changes(self._loaded, worlds, env))

    def _take(self, seen: Seen) -> None:
        """Fill the records from what was seen."""
        worlds, env = self._fleet.worlds, self.number
        world = worlds.world[env : env + 1]
        x, y, z, yaw, speed, yaw_rate = seen.ego.tolist()
        world["x"], world["y"], world["yaw"], world["speed"], world["yaw_rate"] = x, y, yaw, speed, yaw_rate
        del z  # the height is the road's, as for all that looks at it
        self._background.take(worlds.actors[env], seen.others)
        take_background(self._loaded.town, worlds, env)
        self.images = seen.images

    def _hits(self, hits: NDArray[np.int64]) -> NDArray[np.int64]:
        """(K, 2) rows that the mirror knows."""
        found = np.zeros((len(hits), 2), np.int64)
        for row, (kind, number, what) in zip(found, hits.tolist(), strict=True):
            place = self._background.slot_of(number) if kind == HIT_BACKGROUND else number
            if kind == HIT_SCENERY:
                place = self._known.setdefault(number, len(self._known) % STRANGERS)
                self._strangers["kind"][0, place], self._strangers["id"][0, place] = what, number
            row[:] = kind, place
        return found
