"""The toy simulator: N small worlds that fulfil `carla_rl.interfaces.Simulator`. Explicitly chosen, never a stand-in for CARLA.

Hands the worlds of its fleet to the compiled kernels, grouped by town. Knows nothing of policies, scores or files.
"""

from collections.abc import Callable, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING

import numpy as np

import carla_rl
from carla_rl.interfaces import Arrays, SimulatorInfo
from carla_rl.roads.network import RoadNetwork
from carla_rl.scenario.model import Episode
from carla_rl.types import TICK_S, Bools, Control, Event, Ints, Needs, Observation, Scene, SimulatorKind, Step
from carla_rl.world.compiled import Bound, Threads
from carla_rl.world.criteria import COMPLETE_M, COMPLETE_SHARE
from carla_rl.world.fleet import Fleet, checked_pedals
from carla_rl.world.scripted import unplayable
from carla_rl.world.state import Worlds
from toy_env.kernel import tick
from toy_env.reset import start
from toy_env.snapshot import packed, unpacked
from toy_env.traffic import PARAMETERS
from toy_env.vehicle import VehicleModel

NONE = np.zeros(0, np.int64)
"""No envs."""

if TYPE_CHECKING:
    from toy_env.pictures import Pictures


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
        self._shared = Threads(threads)
        self._fleet = Fleet(num_envs, needs, networks, self._shared)
        self.num_envs = num_envs
        self._needs = needs
        self._vehicle = vehicle or VehicleModel()
        self._parameters = self._vehicle.parameters
        self._tick, self._start = self._shared.bound(tick), Bound(start)
        self._pictures = _pictures() if needs.cameras else None
        self._changed: Bools = np.ones(num_envs, np.bool_)
        """(N,) worlds that are not as they were when the cameras last took pictures."""
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
        return self._fleet.load(town).network

    def reset(self, envs: Ints, episodes: Sequence[Episode]) -> Step:
        """See `carla_rl.interfaces.Simulator.reset`. Nothing is changed when an episode is refused.

        Raises:
            UsageError: an unknown town, a route or a trigger that does not fit it, a scripted actor that cannot be played
                and is not skipped.
            ValueError: envs and episodes do not match, or an env does not exist.
        """
        fleet = self._fleet
        for loaded, rows in fleet.open(envs, episodes, (self._vehicle.half_length, self._vehicle.half_width)):
            self._start(loaded.town, fleet.routes.points, fleet.routes.marks, fleet.worlds, rows)
        self._changed[envs] = True
        return fleet.step(np.asarray(envs, np.int64))

    def step(self, control: Control) -> Step:
        """See `carla_rl.interfaces.Simulator.step`.

        Raises:
            ValueError: a control is not finite, or the arrays are not (N,).
        """
        pedals, fleet = checked_pedals(control, self.num_envs), self._fleet
        if self._pictures is not None:
            # a world whose episode has ended stands still
            self._changed |= fleet.worlds.world["driving"] != 0
        for loaded, rows in fleet.groups:
            self._tick(rows, loaded.town, self._parameters, fleet.routes.points, fleet.routes.marks, fleet.worlds, pedals, fleet.told)
        return fleet.step(NONE)

    def observe(self) -> Observation:
        """See `carla_rl.interfaces.Simulator.observe`. Envs never reset show zeros."""
        images, fleet = {}, self._fleet
        if self._pictures is not None:
            weathers = [None if episode is None else episode.scenario.weather for episode in fleet.episodes]
            networks = [(loaded.network, rows) for loaded, rows in fleet.groups]
            with self._shared.limited():
                images = self._pictures.take(self._needs.cameras, networks, fleet.worlds, self.scene(), weathers, self._changed)
            self._changed[:] = False
        return fleet.observation(images)

    def events(self, env: int) -> tuple[Event, ...]:
        """The infractions of the env's episode so far, in order of time."""
        return self._fleet.events(env)

    def scene(self) -> Scene:
        """All actors and lights of all N envs."""
        return self._fleet.scene()

    def snapshot(self) -> Arrays:
        """See `carla_rl.interfaces.Restorable.snapshot`: the worlds as bytes."""
        return packed(self._worlds)

    def restore(self, episodes: Sequence[Episode | None], snapshot: Arrays) -> Step:
        """See `carla_rl.interfaces.Restorable.restore`. Towns, routes and scripts are made anew from the episodes.

        Raises:
            UsageError: worlds of another number of envs or of other records; an episode that cannot be played.
            ValueError: not as many episodes as envs.
        """
        self._fleet.replace(episodes, unpacked(snapshot, self._worlds))
        self._changed[:] = True
        return self._fleet.step()

    @property
    def memory_bytes(self) -> int:
        """Bytes that the state of all N worlds takes; the towns and routes, which they share, come on top."""
        return sum(array.nbytes for array in self._worlds)

    def placed(self, env: int) -> int:
        """How many vehicles and pedestrians of the background found room at the env's reset."""
        return int(self._worlds.world[env]["placed"])

    def close(self) -> None:
        """Free the towns and routes; safe to call twice."""
        self._fleet.close()

    @property
    def _worlds(self) -> Worlds:
        return self._fleet.worlds
