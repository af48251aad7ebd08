"""The toy simulator: N small worlds that fulfil `carla_rl.interfaces.Simulator`. Explicitly chosen, never a stand-in for CARLA.

Holds the state and hands it to the compiled kernels, grouped by town. Knows nothing of policies, scores or files.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

import carla_rl
from carla_rl.errors import UsageError
from carla_rl.interfaces import Arrays, SimulatorInfo
from carla_rl.roads.network import RoadNetwork
from carla_rl.scenario.model import Episode
from carla_rl.types import TICK_S, Control, Event, Ints, Needs, Observation, Scene, SimulatorKind, Step
from carla_rl.world import events, views
from carla_rl.world.compiled import Bound, Threads
from carla_rl.world.criteria import COMPLETE_M, COMPLETE_SHARE
from carla_rl.world.opening import check_start, write
from carla_rl.world.routes import RoutePool
from carla_rl.world.scripted import Compiled, ScriptPool, rows_for, unplayable
from carla_rl.world.state import allocate, grown
from carla_rl.world.town import Town, survey
from toy_env.kernel import tick
from toy_env.reset import start
from toy_env.snapshot import packed, unpacked
from toy_env.traffic import PARAMETERS
from toy_env.vehicle import VehicleModel

if TYPE_CHECKING:
    from toy_env.pictures import Pictures

POOL_POINTS = 2**20
"""The pool of routes may grow to so many points (about 100 MB) before those that nobody drives any more are dropped."""


class Loaded(NamedTuple):
    """A town in use."""

    network: RoadNetwork
    town: Town
    number: int
    """In the order in which the towns were first used."""


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
        self.num_envs = num_envs
        self._needs = needs
        self._networks = networks
        self._vehicle = vehicle or VehicleModel()
        self._parameters = self._vehicle.parameters
        self._worlds = allocate(num_envs, 8, 1, 1)
        self._routes = RoutePool()
        self._scripts = ScriptPool()
        self._towns: dict[str, Loaded] = {}
        self._episodes: list[Episode | None] = [None] * num_envs
        self._town_of = np.full(num_envs, -1)
        """(N,) number of the town that each env is in; -1 for none."""
        self._groups: list[tuple[Loaded, NDArray[np.int64]]] = []
        self._shared = Threads(threads)
        self._tick, self._start = self._shared.bound(tick), Bound(start)
        self._views = views.Views(needs, self._shared)
        self._pictures = _pictures() if needs.cameras else None
        self.info = SimulatorInfo(
            kind=SimulatorKind.TOY,
            version=carla_rl.__version__,
            description="toy simulator: kinematic bicycle ego, lane-following traffic, drawn pictures; its numbers are not CARLA's",
            parameters={"tick_s": TICK_S, "vehicle": asdict(self._vehicle), "traffic": PARAMETERS},
            criteria={"completion_share": COMPLETE_SHARE, "completion_m": COMPLETE_M, "tick_cap": None},
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
            check_start(episode)
            network = self._load(episode.scenario.town).network
            place = self._routes.add(episode.route, network.roads)
            prepared.append((place, self._scripts.get(episode, network, self._routes)))
        self._make_room(episodes, [scripts for _, scripts in prepared])
        moved, size = False, (self._vehicle.half_length, self._vehicle.half_width)
        for env, episode, (place, scripts) in zip(envs, episodes, prepared, strict=True):
            before, self._episodes[env] = self._episodes[env], episode
            moved = moved or before is None or before.scenario.town != episode.scenario.town
            self._town_of[env] = self._towns[episode.scenario.town].number
            write(self._worlds.world, env, episode, place, scripts, size)
            if len(scripts.scripts):
                self._worlds.scripts[env, : len(scripts.scripts)] = rows_for(scripts, episode.start_m)
                self._worlds.parts[env, : len(scripts.parts)] = scripts.parts
        if moved:
            self._groups = self._grouped(np.arange(self.num_envs))
        for loaded, rows in self._grouped(envs):
            self._start(loaded.town, self._routes.points, self._routes.marks, self._worlds, rows)
        return self._views.step(self._worlds)

    def step(self, control: Control) -> Step:
        """See `carla_rl.interfaces.Simulator.step`.

        Raises:
            ValueError: a control is not finite, or the arrays are not (N,).
        """
        pedals = self._pedals(control)
        for loaded, rows in self._groups:
            self._tick(rows, loaded.town, self._parameters, self._routes.points, self._routes.marks, self._worlds, pedals)
        return self._views.step(self._worlds)

    def observe(self) -> Observation:
        """See `carla_rl.interfaces.Simulator.observe`. Envs never reset show zeros."""
        groups = [(loaded.town, rows) for loaded, rows in self._groups]
        images = {}
        if self._pictures is not None:
            weathers = [None if episode is None else episode.scenario.weather for episode in self._episodes]
            networks = [(loaded.network, rows) for loaded, rows in self._groups]
            with self._shared.limited():
                images = self._pictures.take(self._needs.cameras, networks, self._worlds, self.scene(), weathers)
        return self._views.observation(self._worlds, self._routes, groups, images)

    def events(self, env: int) -> tuple[Event, ...]:
        """The infractions of the env's episode so far, in order of time."""
        return events.listed(self._worlds, env)

    def scene(self) -> Scene:
        """All actors and lights of all N envs."""
        return self._views.scene(self._worlds, [(loaded.town, rows) for loaded, rows in self._groups])

    def snapshot(self) -> Arrays:
        """See `carla_rl.interfaces.Restorable.snapshot`: the worlds as bytes."""
        return packed(self._worlds)

    def restore(self, episodes: Sequence[Episode | None], snapshot: Arrays) -> Step:
        """See `carla_rl.interfaces.Restorable.restore`. Towns, routes and scripts are made anew from the episodes.

        Raises:
            UsageError: worlds of another number of envs or of other records; an episode that cannot be played.
            ValueError: not as many episodes as envs.
        """
        if len(episodes) != self.num_envs:
            raise ValueError(f"restore needs an episode or None for each of {self.num_envs} envs (found {len(episodes)})")
        known = {env: episode for env, episode in enumerate(episodes) if episode is not None}
        self._check(np.fromiter(known, np.int64), list(known.values()))
        for episode in known.values():
            self._load(episode.scenario.town)
        self._worlds = unpacked(snapshot, self._worlds)
        self._episodes = [known.get(env) for env in range(self.num_envs)]
        self._town_of[:] = [-1 if episode is None else self._towns[episode.scenario.town].number for episode in self._episodes]
        # the worlds say where their routes lay in the pool of then
        self._forget_routes()
        self._groups = self._grouped(np.arange(self.num_envs))
        return self._views.step(self._worlds)

    @property
    def memory_bytes(self) -> int:
        """Bytes that the state of all N worlds takes; the towns and routes, which they share, come on top."""
        return sum(array.nbytes for array in self._worlds)

    def placed(self, env: int) -> int:
        """How many vehicles and pedestrians of the background found room at the env's reset."""
        return int(self._worlds.world[env]["placed"])

    def close(self) -> None:
        """Free the towns and routes; safe to call twice."""
        self._towns.clear()
        self._groups = []
        self._episodes = [None] * self.num_envs
        self._town_of[:] = -1
        self._routes, self._scripts = RoutePool(), ScriptPool()
        self._worlds.world["driving"] = False

    def _pedals(self, control: Control) -> NDArray[np.float64]:
        """(3, N): throttle, steer, brake, checked."""
        wanted = control.throttle, control.steer, control.brake
        for values in wanted:
            if np.shape(values) != (self.num_envs,):
                raise ValueError(f"control must hold {self.num_envs} values of throttle, steer and brake (found shape {np.shape(values)})")
        pedals = np.array(wanted, np.float64)
        if not math.isfinite(float(pedals.sum())):
            env = int(np.flatnonzero(~np.isfinite(pedals).all(axis=0))[0])
            throttle, steer, brake = pedals[:, env]
            raise ValueError(f"control of env {env} is not finite: throttle {throttle}, steer {steer}, brake {brake}")
        return pedals

    def _load(self, town: str) -> Loaded:
        if town not in self._towns:
            network = self._networks(town)
            self._towns[town] = Loaded(network, survey(network), len(self._towns))
        return self._towns[town]

    def _make_room(self, episodes: Sequence[Episode], scripts: Sequence[Compiled]) -> None:
        """Let every env have the slots and rows that the largest of the episodes needs."""
        background = [episode.scenario.traffic.vehicles + episode.scenario.traffic.pedestrians for episode in episodes]
        self._worlds = grown(
            self._worlds,
            max((count + item.slots for count, item in zip(background, scripts, strict=True)), default=0),
            max((len(item.scripts) for item in scripts), default=0),
            max((len(item.parts) for item in scripts), default=0),
        )

    def _forget_routes(self) -> None:
        """Keep only the routes and scripts that are being driven."""
        self._routes, self._scripts = RoutePool(), ScriptPool()
        for env, episode in enumerate(self._episodes):
            if episode is None:
                continue
            world = self._worlds.world[env : env + 1]
            network = self._towns[episode.scenario.town].network
            place = self._routes.add(episode.route, network.roads)
            parts = self._scripts.get(episode, network, self._routes).parts
            self._worlds.parts["path"][env, : len(parts)] = parts["path"]
            world["next_mark"] += place.mark_first - world["mark_first"]
            world["route_first"], world["mark_first"], world["line_first"] = place.first, place.mark_first, place.line_first

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

    def _grouped(self, envs: Ints) -> list[tuple[Loaded, NDArray[np.int64]]]:
        """Those of the envs that have an episode, by town."""
        rows = np.asarray(envs, np.int64)
        numbers = self._town_of[rows]
        return [(loaded, rows[numbers == loaded.number]) for loaded in self._towns.values() if (numbers == loaded.number).any()]
