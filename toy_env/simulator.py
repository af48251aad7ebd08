"""The toy simulator: N small worlds that fulfil `carla_rl.interfaces.Simulator`. Explicitly chosen, never a stand-in for CARLA.

Holds the state and hands it to the compiled kernels, grouped by town. Knows nothing of policies, scores or files.
"""

from collections.abc import Callable, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, NamedTuple

import numba
import numpy as np
from numpy.typing import NDArray

import carla_rl
from carla_rl.errors import UsageError
from carla_rl.interfaces import SimulatorInfo
from carla_rl.roads.network import RoadNetwork
from carla_rl.scenario.model import Episode
from carla_rl.types import TICK_S, Control, Event, Ints, Needs, Observation, Scene, SimulatorKind, Step
from toy_env import events, views
from toy_env.kernel import tick, tick_parallel
from toy_env.reset import start, world_record
from toy_env.routes import RoutePool
from toy_env.scripted import compile_scripts, unplayable
from toy_env.state import allocate, grown
from toy_env.town import Town, survey
from toy_env.traffic import PARAMETERS
from toy_env.vehicle import VehicleModel

if TYPE_CHECKING:
    from toy_env.pictures import Pictures

POOL_POINTS = 2**20
"""The pool of routes may grow to so many points (80 MB) before those that nobody drives any more are dropped."""
PARALLEL_FROM = 256
"""Fewer envs in a town than this are advanced on the calling thread: starting the others costs more than it saves."""


class Loaded(NamedTuple):
    """A town in use."""

    network: RoadNetwork
    town: Town


def _pictures() -> "Pictures":
    # drawing is loaded only where a policy looks at pictures
    from toy_env.pictures import Pictures

    return Pictures()


class ToySimulator:
    """N worlds with one ego each, kinematic, in own or CARLA's towns.

    Args:
        num_envs: number of worlds, N.
        needs: what `observe` shows.
        networks: gives the road network of a town by its name; raises UsageError for one that it does not know.
        vehicle: the egos' motion.
        threads: numba threads to use at most; None: as many as numba has. The numbers do not depend on it.

    Raises:
        UsageError: no envs, or more threads than numba has.
    """

    def __init__(
        self,
        num_envs: int,
        needs: Needs,
        networks: Callable[[str], RoadNetwork],
        vehicle: VehicleModel | None = None,
        threads: int | None = None,
    ) -> None:
        if num_envs < 1:
            raise UsageError(f"a simulator needs at least 1 env (found {num_envs}); set num_envs to 1 or more")
        if threads is not None and not 1 <= threads <= numba.config.NUMBA_NUM_THREADS:
            raise UsageError(f"threads must be 1 to {numba.config.NUMBA_NUM_THREADS} on this machine (found {threads})")
        self.num_envs = num_envs
        self._needs = needs
        self._networks = networks
        self._vehicle = vehicle or VehicleModel()
        self._threads = threads or numba.config.NUMBA_NUM_THREADS
        self._worlds = allocate(num_envs, 8, 1)
        self._routes = RoutePool()
        self._towns: dict[str, Loaded] = {}
        self._episodes: list[Episode | None] = [None] * num_envs
        self._groups: list[tuple[Loaded, NDArray[np.int64]]] = []
        self._pictures = _pictures() if needs.cameras else None
        self.info = SimulatorInfo(
            kind=SimulatorKind.TOY,
            version=carla_rl.__version__,
            description="toy simulator: kinematic bicycle ego, lane-following traffic, drawn pictures; its numbers are not CARLA's",
            parameters={"tick_s": TICK_S, "vehicle": asdict(self._vehicle), "traffic": PARAMETERS},
        )

    def unsupported(self, episode: Episode) -> tuple[str, ...]:
        """Scripted scenario types of the episode that cannot be played here."""
        return unplayable(episode)

    def network(self, town: str) -> RoadNetwork:
        """The road network of a town. Raises UsageError for one that is unknown or has no driving lane."""
        return self._load(town).network

    def reset(self, envs: Ints, episodes: Sequence[Episode]) -> Step:
        """See `carla_rl.interfaces.Simulator.reset`. Nothing is changed when an episode is refused.

        Raises:
            UsageError: an unknown town, a route or a trigger that does not fit it, a scripted actor that cannot be played
                and is not skipped.
            ValueError: envs and episodes do not match, or an env does not exist.
        """
        self._check(envs, episodes)
        if self._routes.used > POOL_POINTS:
            self._forget_routes()
        prepared = []
        for episode in episodes:
            loaded = self._load(episode.scenario.town)
            scripts = compile_scripts(episode)
            prepared.append(
                (world_record(episode, self._routes.add(episode.route, loaded.network.roads), len(scripts), self._vehicle), scripts)
            )
        actors = max((int(world["actors"][0]) for world, _ in prepared), default=0)
        self._worlds = grown(self._worlds, actors, max((len(scripts) for _, scripts in prepared), default=0))
        for env, episode, (world, scripts) in zip(envs, episodes, prepared, strict=True):
            self._episodes[env] = episode
            self._worlds.world[env] = world[0]
            self._worlds.scripts[env, : len(scripts)] = scripts
        self._groups = self._grouped(range(self.num_envs))
        for loaded, rows in self._grouped(envs):
            start(loaded.town, self._routes.points, self._routes.marks, self._worlds, rows)
        return views.step(self._worlds)

    def step(self, control: Control) -> Step:
        """See `carla_rl.interfaces.Simulator.step`.

        Raises:
            ValueError: a control is not finite, or the arrays are not (N,).
        """
        pedals = np.stack((control.throttle, control.steer, control.brake)).astype(np.float64, copy=False)
        if pedals.shape != (3, self.num_envs):
            raise ValueError(f"control must hold {self.num_envs} values of throttle, steer and brake (found shape {pedals.shape})")
        if not np.isfinite(pedals).all():
            env = int(np.flatnonzero(~np.isfinite(pedals).all(axis=0))[0])
            throttle, steer, brake = pedals[:, env]
            raise ValueError(f"control of env {env} is not finite: throttle {throttle}, steer {steer}, brake {brake}")
        for loaded, rows in self._groups:
            arguments = (loaded.town, self._vehicle.parameters, self._routes.points, self._routes.marks, self._worlds, rows, pedals)
            if self._threads == 1 or len(rows) < PARALLEL_FROM:
                tick(*arguments)
                continue
            before = numba.get_num_threads()
            numba.set_num_threads(self._threads)
            tick_parallel(*arguments)
            numba.set_num_threads(before)
        return views.step(self._worlds)

    def observe(self) -> Observation:
        """See `carla_rl.interfaces.Simulator.observe`. Envs never reset show zeros."""
        groups = [(loaded.town, rows) for loaded, rows in self._groups]
        images = {}
        if self._pictures is not None:
            weathers = [None if episode is None else episode.scenario.weather for episode in self._episodes]
            images = self._pictures.take(
                self._needs.cameras, [(loaded.network, rows) for loaded, rows in self._groups], self._worlds, self.scene(), weathers
            )
        return views.observation(self._worlds, self._routes.points, self._routes.marks, groups, self._needs, images)

    def events(self, env: int) -> tuple[Event, ...]:
        """The infractions of the env's episode so far, in order of time."""
        return events.listed(self._worlds, env)

    def scene(self) -> Scene:
        """All actors and lights of all N envs."""
        return views.scene(self._worlds, [(loaded.town, rows) for loaded, rows in self._groups])

    def placed(self, env: int) -> int:
        """How many vehicles and pedestrians of the background found room at the env's reset."""
        return int(self._worlds.world[env]["placed"])

    def close(self) -> None:
        """Free the towns and routes; safe to call twice."""
        self._towns.clear()
        self._groups = []
        self._routes = RoutePool()
        self._worlds.world["driving"] = False

    def _load(self, town: str) -> Loaded:
        if town not in self._towns:
            network = self._networks(town)
            self._towns[town] = Loaded(network, survey(network))
        return self._towns[town]

    def _forget_routes(self) -> None:
        """Keep only the routes that are being driven."""
        self._routes = RoutePool()
        for env, episode in enumerate(self._episodes):
            if episode is None:
                continue
            world = self._worlds.world[env : env + 1]
            place = self._routes.add(episode.route, self._towns[episode.scenario.town].network.roads)
            world["next_mark"] += place.mark_first - world["mark_first"]
            world["route_first"], world["mark_first"] = place.first, place.mark_first

    def _check(self, envs: Ints, episodes: Sequence[Episode]) -> None:
        if len(envs) != len(episodes) or len({int(env) for env in envs}) != len(envs):
            raise ValueError(f"reset needs one episode for each env, each env once (found {len(envs)} envs, {len(episodes)} episodes)")
        if len(envs) and not (min(envs) >= 0 and max(envs) < self.num_envs):
            raise ValueError(f"reset of env {max(envs)}: there are {self.num_envs} envs, numbered from 0")
        for episode in episodes:
            if types := unplayable(episode):
                raise UsageError(
                    f"episode {episode.episode_id}: the toy simulator cannot play {', '.join(types)};"
                    " leave those actors out explicitly or choose another scenario"
                )

    def _grouped(self, envs: Sequence[int] | Ints) -> list[tuple[Loaded, NDArray[np.int64]]]:
        """Those of the envs that have an episode, by town."""
        groups: dict[str, list[int]] = {}
        for env in envs:
            episode = self._episodes[env]
            if episode is not None:
                groups.setdefault(episode.scenario.town, []).append(int(env))
        return [(self._towns[town], np.array(rows, np.int64)) for town, rows in groups.items()]
