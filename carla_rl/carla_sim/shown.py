"""What of the mirror is shown on the server: the actors of scripts as puppets, and the lights. Only what changes is sent.

The lights follow the plan of `carla_rl.world.signals`, scripts included, with the times that CARLA's lights have by default. CARLA's own
cycle begins wherever the server happened to be, and an episode must depend on nothing but itself.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from carla_rl.carla_sim.remote import Refused
from carla_rl.roads.network import RoadNetwork
from carla_rl.types import ObjectKind
from carla_rl.world.fleet import Loaded
from carla_rl.world.observe import see_signals
from carla_rl.world.scripted import NOISE, State
from carla_rl.world.state import Role, Worlds

Come = list[tuple[int, str, float, float, float, float]]
NONE, SCRIPTED = int(ObjectKind.NONE), int(Role.SCRIPTED)
POSE = ("x", "y", "z", "yaw", "speed")


class Shown:
    """The puppets of an env."""

    def __init__(self) -> None:
        self._models: tuple[str, ...] = ()
        self._there: dict[int, tuple[int, tuple[float, ...]]] = {}
        """By slot: the id of the actor that is shown, and where."""

    def begin(self, models: tuple[str, ...]) -> None:
        """A new episode, whose script's parts have these blueprints."""
        self._models, self._there = models, {}

    def changes(self, world: Any, actors: NDArray[np.void], parts: NDArray[np.void]) -> tuple[Come, list[int], NDArray[np.float64]]:
        """What comes, what goes and what has moved since the last call; see `messages.Orders`."""
        first, last = int(world["vehicles"] + world["walkers"]), int(world["actors"])
        if first == last:
            return [], [], np.zeros((0, 6))
        rows = actors[first:last]
        shown = (rows["kind"] != NONE) & (rows["role"] == SCRIPTED)
        now = {first + int(k): (int(rows["id"][k]), tuple(float(rows[name][k]) for name in POSE)) for k in np.flatnonzero(shown)}
        go = [slot for slot, (number, _) in self._there.items() if slot not in now or now[slot][0] != number]
        come: Come = []
        moving = []
        for slot, (number, pose) in now.items():
            if slot in go or slot not in self._there:
                x, y, z, yaw, _ = pose
                come.append((slot, self._model(slot, number, parts), x, y, z, yaw))
            elif pose != self._there[slot][1]:
                moving.append((slot, *pose))
        self._there = now
        return come, go, np.array(moving, np.float64).reshape(-1, 6)

    def _model(self, slot: int, number: int, parts: NDArray[np.void]) -> str:
        """The blueprint of the part that plays in a slot."""
        # slots are shared by parts that are never there together: it is the one that has come and not gone
        rows = [row for row in range(len(self._models)) if parts["law"][row] != NOISE and parts["slot"][row] == slot]
        playing = [row for row in rows if parts["state"][row] in (State.STANDS, State.MOVES)]
        return self._models[(playing or rows)[0]]


class Lights:
    """The lights of an env's town."""

    def __init__(self) -> None:
        self._numbers: list[int] = []
        self._last: NDArray[np.int8] = np.zeros(0, np.int8)

    def match(self, network: RoadNetwork, known: set[int]) -> None:
        """A map is up whose lights have these OpenDRIVE ids; none of them shows anything of ours yet.

        Raises:
            Refused: a light of the road network is not among them.
        """
        self._numbers = [int(number) for number in network.roads.signal_id]
        missing = [number for number in self._numbers if number not in known]
        if missing:
            raise Refused(
                f"{len(missing)} of the {len(self._numbers)} traffic lights of {network.town} are not on the server (signal "
                f"{', '.join(map(str, missing[:5]))}); the map file is not the server's: give the server's own with --maps"
            )
        self._last = np.zeros(len(self._numbers), np.int8)

    def begin(self) -> None:
        """A new episode: all lights are to be sent, for CARLA's Traffic Manager sets all of them anew when it gets its seed."""
        self._last = np.zeros(len(self._numbers), np.int8)

    def changes(self, loaded: Loaded, worlds: Worlds, env: int) -> list[tuple[int, int]]:
        """OpenDRIVE id and `LightState` of each light that has changed since the last call."""
        if not self._numbers:
            return []
        states = np.zeros((env + 1, len(self._numbers)), np.int8)
        see_signals(loaded.town, worlds, np.array([env]), states)
        changed = np.flatnonzero(states[env] != self._last)
        self._last = states[env]
        return [(self._numbers[k], int(self._last[k])) for k in changed]
