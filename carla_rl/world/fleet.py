"""N worlds with their towns, routes and scripts: what every simulator keeps of them, whoever moves them. Knows nothing of ticks.

Routes and compiled scripts lie in pools that all envs share; envs are handed to kernels grouped by town.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from carla_rl.errors import UsageError
from carla_rl.roads.network import RoadNetwork
from carla_rl.scenario.model import Episode
from carla_rl.types import Control, Event, Ints, Needs, Observation, Scene, Step
from carla_rl.world import events, views
from carla_rl.world.compiled import Threads
from carla_rl.world.observe import Told
from carla_rl.world.opening import check_start, write
from carla_rl.world.routes import RoutePool
from carla_rl.world.scripted import Compiled, ScriptPool, rows_for, unplayable
from carla_rl.world.state import Worlds, allocate, grown
from carla_rl.world.town import Town, survey

POOL_POINTS = 2**20
"""The pool of routes may grow to so many points (about 100 MB) before those that nobody drives any more are dropped."""


class Loaded(NamedTuple):
    """A town in use."""

    network: RoadNetwork
    town: Town
    number: int
    """In the order in which the towns were first used."""


class Fleet:
    """The worlds of N envs.

    Args:
        num_envs: number of worlds, N.
        needs: what `observation` shows.
        networks: gives the road network of a town by its name; raises UsageError for one that it does not know.
        threads: for kernels that work on many envs.

    Raises:
        UsageError: no envs.
    """

    def __init__(self, num_envs: int, needs: Needs, networks: Callable[[str], RoadNetwork], threads: Threads) -> None:
        if num_envs < 1:
            raise UsageError(f"a simulator needs at least 1 env (found {num_envs}); set num_envs to 1 or more")
        self.num_envs = num_envs
        self.worlds: Worlds = allocate(num_envs, 8, 1, 1)
        self.routes = RoutePool()
        self.episodes: list[Episode | None] = [None] * num_envs
        self.groups: list[tuple[Loaded, NDArray[np.int64]]] = []
        """The envs that have an episode, by town."""
        self._networks = networks
        self._scripts = ScriptPool()
        self._towns: dict[str, Loaded] = {}
        self._town_of = np.full(num_envs, -1)
        """(N,) number of the town that each env is in; -1 for none."""
        self._views = views.Views(num_envs, needs, threads)

    def load(self, town: str) -> Loaded:
        """A town by its name, surveyed once. Raises UsageError for one that is unknown or has no driving lane."""
        if town not in self._towns:
            network = self._networks(town)
            self._towns[town] = Loaded(network, survey(network), len(self._towns))
        return self._towns[town]

    def open(self, envs: Ints, episodes: Sequence[Episode], half_size: tuple[float, float]) -> list[tuple[Loaded, NDArray[np.int64]]]:
        """Write the world records and scripts of episodes that begin; the given envs by town. Nothing is changed when one is refused.

        `half_size` is half the length and half the width of the ego, m.

        Raises:
            UsageError: an unknown town, a route or a trigger that does not fit it, a scripted actor that cannot be played
                and is not skipped.
            ValueError: envs and episodes do not match, or an env does not exist.
        """
        self.check(envs, episodes)
        if self.routes.used > POOL_POINTS:
            self.forget_routes()
        prepared = []
        for episode in episodes:
            check_start(episode)
            network = self.load(episode.scenario.town).network
            place = self.routes.add(episode.route, network.roads)
            prepared.append((place, self._scripts.get(episode, network, self.routes)))
        self._make_room(episodes, [scripts for _, scripts in prepared])
        moved = False
        for env, episode, (place, scripts) in zip(envs, episodes, prepared, strict=True):
            before, self.episodes[env] = self.episodes[env], episode
            moved = moved or before is None or before.scenario.town != episode.scenario.town
            self._town_of[env] = self._towns[episode.scenario.town].number
            write(self.worlds.world, env, episode, place, scripts, half_size)
            if len(scripts.scripts):
                self.worlds.scripts[env, : len(scripts.scripts)] = rows_for(scripts, episode.start_m)
                self.worlds.parts[env, : len(scripts.parts)] = scripts.parts
        if moved:
            self.groups = self._grouped(np.arange(self.num_envs))
        return self._grouped(envs)

    def scripts_of(self, env: int) -> Compiled:
        """The compiled scripts of the episode that an env drives."""
        episode = self.episodes[env]
        if episode is None:
            raise ValueError(f"env {env} has no episode")
        return self._scripts.get(episode, self._towns[episode.scenario.town].network, self.routes)

    def replace(self, episodes: Sequence[Episode | None], worlds: Worlds) -> None:
        """Go on with other worlds, and the episodes that they drive. Towns, routes and scripts are made anew.

        Raises:
            UsageError: an episode that cannot be played.
            ValueError: not as many episodes as envs.
        """
        if len(episodes) != self.num_envs:
            raise ValueError(f"restore needs an episode or None for each of {self.num_envs} envs (found {len(episodes)})")
        known = {env: episode for env, episode in enumerate(episodes) if episode is not None}
        self.check(np.fromiter(known, np.int64), list(known.values()))
        for episode in known.values():
            self.load(episode.scenario.town)
        self.worlds = worlds
        self.episodes = [known.get(env) for env in range(self.num_envs)]
        self._town_of[:] = [-1 if episode is None else self._towns[episode.scenario.town].number for episode in self.episodes]
        # the worlds say where their routes lay in the pool of then
        self.forget_routes()
        self.groups = self._grouped(np.arange(self.num_envs))

    @property
    def told(self) -> Told:
        """Where kernels tell of the worlds that they have changed, for `step`."""
        return self._views.told

    def step(self, changed: NDArray[np.int64] | None = None) -> Step:
        """The state of all envs. `changed` are those that have changed since the last step untold; None: any may have."""
        return self._views.step(self.worlds, np.arange(self.num_envs) if changed is None else changed)

    def observation(self, images: Mapping[str, NDArray[np.uint8]]) -> Observation:
        """What all envs see. Envs never reset show zeros."""
        return self._views.observation(self.worlds, self.routes, self._towns_and_rows, images)

    def scene(self) -> Scene:
        """All actors and lights of all N envs."""
        return self._views.scene(self.worlds, self._towns_and_rows)

    def events(self, env: int) -> tuple[Event, ...]:
        """The infractions of the env's episode so far, in order of time."""
        return events.listed(self.worlds, env)

    def close(self) -> None:
        """Free the towns and routes; safe to call twice."""
        self._towns.clear()
        self.groups = []
        self.episodes = [None] * self.num_envs
        self._town_of[:] = -1
        self.routes, self._scripts = RoutePool(), ScriptPool()
        self.worlds.world["driving"] = False

    def forget_routes(self) -> None:
        """Keep only the routes and scripts that are being driven."""
        self.routes, self._scripts = RoutePool(), ScriptPool()
        for env, episode in enumerate(self.episodes):
            if episode is None:
                continue
            world = self.worlds.world[env : env + 1]
            network = self._towns[episode.scenario.town].network
            place = self.routes.add(episode.route, network.roads)
            parts = self._scripts.get(episode, network, self.routes).parts
            self.worlds.parts["path"][env, : len(parts)] = parts["path"]
            world["next_mark"] += place.mark_first - world["mark_first"]
            world["route_first"], world["mark_first"], world["line_first"] = place.first, place.mark_first, place.line_first

    def check(self, envs: Ints, episodes: Sequence[Episode]) -> None:
        """Whether these envs can begin these episodes; raises as `open`."""
        if len(envs) != len(episodes) or len({int(env) for env in envs}) != len(envs):
            raise ValueError(f"reset needs one episode for each env, each env once (found {len(envs)} envs, {len(episodes)} episodes)")
        if len(envs) and not (min(envs) >= 0 and max(envs) < self.num_envs):
            raise ValueError(f"reset of env {max(envs)}: there are {self.num_envs} envs, numbered from 0")
        for episode in episodes:
            if types := unplayable(episode):
                raise UsageError(
                    f"episode {episode.episode_id}: {', '.join(types)} cannot be played; "
                    "leave those actors out explicitly or choose another scenario"
                )

    @property
    def _towns_and_rows(self) -> views.Groups:
        return [(loaded.town, rows) for loaded, rows in self.groups]

    def _make_room(self, episodes: Sequence[Episode], scripts: Sequence[Compiled]) -> None:
        """Let every env have the slots and rows that the largest of the episodes needs."""
        background = [episode.scenario.traffic.vehicles + episode.scenario.traffic.pedestrians for episode in episodes]
        self.worlds = grown(
            self.worlds,
            max((count + item.slots for count, item in zip(background, scripts, strict=True)), default=0),
            max((len(item.scripts) for item in scripts), default=0),
            max((len(item.parts) for item in scripts), default=0),
        )

    def _grouped(self, envs: Ints) -> list[tuple[Loaded, NDArray[np.int64]]]:
        """Those of the envs that have an episode, by town."""
        rows = np.asarray(envs, np.int64)
        numbers = self._town_of[rows]
        return [(loaded, rows[numbers == loaded.number]) for loaded in self._towns.values() if (numbers == loaded.number).any()]


def checked_pedals(control: Control, num_envs: int) -> NDArray[np.float64]:
    """(3, N): throttle, steer, brake.

    Raises:
        ValueError: a control is not finite, or the arrays are not (N,).
    """
    wanted = control.throttle, control.steer, control.brake
    for values in wanted:
        if np.shape(values) != (num_envs,):
            raise ValueError(f"control must hold {num_envs} values of throttle, steer and brake (found shape {np.shape(values)})")
    pedals = np.array(wanted, np.float64)
    if not math.isfinite(float(pedals.sum())):
        env = int(np.flatnonzero(~np.isfinite(pedals).all(axis=0))[0])
        throttle, steer, brake = pedals[:, env]
        raise ValueError(f"control of env {env} is not finite: throttle {throttle}, steer {steer}, brake {brake}")
    return pedals
