"""The three contracts of the project, and what a simulator may add so that a training goes on in the middle of its episodes.

Everything else is an implementation of one of them or a reader of their results.

All are batched over N envs. None of them knows how the others work; `carla_rl.loop` joins them, `carla_rl.build` picks them.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from carla_rl.roads.network import RoadNetwork
from carla_rl.scenario.model import Episode
from carla_rl.types import Bools, Control, Ego, Event, Ints, Needs, Observation, Plan, Scene, SimulatorKind, Step


@dataclass(frozen=True, slots=True)
class SimulatorInfo:
    """What made the numbers; written into every record."""

    kind: SimulatorKind
    version: str
    description: str
    """One honest line, e.g. that the toy is kinematic and its images are drawn."""
    parameters: dict[str, Any]
    """Vehicle model, traffic model, tick: whatever changes the numbers, JSON-able."""
    criteria: Mapping[str, Any] = field(default_factory=dict)
    """What a route is judged by, JSON-able: when it counts as completed, after how many ticks it is cut off (None: never)."""


class EnvsLost(Exception):
    """Worlds died during a step, as when a server crashes: no ending of an episode, and nobody's infraction."""

    def __init__(
        self,
        envs: Sequence[int],
        step: Step,
        *,
        reasons: Mapping[int, str] | None = None,
        hopeless: Collection[int] = (),
        gone: Collection[int] = (),
    ) -> None:
        """Tell which, and why.

        Args:
            envs: the lost ones.
            step: the state of all N envs after the tick; the rows of the lost ones hold the last that is known of them.
            reasons: what is known of why, by env, for people.
            hopeless: envs whose episode cannot be played here, however often it is tried.
            gone: envs that could not be brought back to begin their episode, nor will be: there is one env less.
        """
        self.reasons = dict(reasons or {})
        told = "; ".join(f"env {env}: {self.reasons[env]}" if env in self.reasons else f"env {env}" for env in envs)
        super().__init__(f"worlds were lost ({told})")
        self.envs = tuple(envs)
        self.step = step
        self.hopeless = frozenset(hopeless)
        self.gone = frozenset(gone)


class Simulator(Protocol):
    """N worlds with one ego each. Explicit resets, no automatic ones: the loop decides what an env drives next.

    Every array that it returns is the caller's own: a later call never writes into it.
    """

    @property
    def info(self) -> SimulatorInfo:
        """What it is."""

    @property
    def num_envs(self) -> int:
        """N."""

    def unsupported(self, episode: Episode) -> tuple[str, ...]:
        """Names of the scripted scenario types of the episode that this simulator cannot play."""

    def network(self, town: str) -> RoadNetwork:
        """The road network of a town. Raises UsageError for one that is unknown."""

    def reset(self, envs: Ints, episodes: Sequence[Episode]) -> Step:
        """Start `episodes[i]` in env `envs[i]`; the other envs stay as they are. Returns the state of all N envs.

        An episode depends on nothing but itself: the same episode gives the same world bit for bit, in any env, beside any others;
        as far as the simulator is deterministic, which CARLA is not.

        Raises:
            UsageError: an episode that cannot be played.
            EnvsLost: worlds died, or cannot play their episode; the others have begun theirs.
        """

    def step(self, control: Control) -> Step:
        """Advance each env by one tick. An ended env (or one never reset) stands still.

        Raises:
            EnvsLost: worlds died; the others were advanced. A lost env stands still until its next reset, which brings it back.
        """

    def observe(self) -> Observation:
        """What the egos see now, all N envs, as far as the simulator's `Needs` ask for it. Changes nothing."""

    def events(self, env: int) -> tuple[Event, ...]:
        """The infractions of the env's episode so far, in order of time; all of them, up to `MAX_EVENTS - RARE_EVENTS`."""

    def scene(self) -> Scene:
        """All actors and lights of all N envs, for step logs and pictures. Privileged."""

    def close(self) -> None:
        """Free what it holds; safe to call twice."""


Arrays = Mapping[str, NDArray[Any]]
"""What something remembers, by name: plain arrays of numbers, no objects."""


@runtime_checkable
class Restorable(Protocol):
    """A simulator whose worlds can be kept and brought back, by another object and in another process. Not every simulator can."""

    def snapshot(self) -> Arrays:
        """All that makes the worlds go on as they will, apart from their episodes. Copies; nothing is changed."""

    def restore(self, episodes: Sequence[Episode | None], snapshot: Arrays) -> Step:
        """Make the worlds of all N envs those of a snapshot; `episodes` (N,) are what they drove then, None for an env never reset.

        Whatever was driven here before leaves no trace. Returns the state of all N envs: from here on the same controls give the same bits
        as they did after the snapshot. Raises UsageError for a snapshot of another number of envs or another version of the simulator.
        """


class Policy(Protocol):
    """Observation in, plan out. Row i of the plan depends on nothing but row i of the observations since its last reset."""

    @property
    def name(self) -> str:
        """For records and tables."""

    @property
    def needs(self) -> Needs:
        """What it reads of an observation."""

    @property
    def horizon(self) -> int:
        """H, waypoints in a plan."""

    def reset(self, envs: Bools) -> None:
        """Forget what was remembered of the envs where `envs` (N,) is true: they start a new episode."""

    def plan(self, observation: Observation) -> Plan:
        """Plan for N envs. Row i of the result is the same bits whatever the other rows hold and however many they are."""


class Controller(Protocol):
    """Waypoints in, pedals and wheel out, once a tick."""

    @property
    def name(self) -> str:
        """For records and tables."""

    def reset(self, envs: Bools) -> None:
        """Forget the integrals of the envs where `envs` (N,) is true."""

    def control(self, waypoints: NDArray[np.float64], age_s: float, ego: Ego) -> Control:
        """Pedals for N envs.

        `waypoints` (N, H, 2) m is the plan in the **current** ego frame (the loop carries it along as the ego moves);
        waypoint i is due at (i + 1) * WAYPOINT_S - age_s seconds from now.
        """

    def snapshot(self) -> Arrays:
        """The integrals of all N envs. Copies; nothing is changed."""

    def restore(self, snapshot: Arrays) -> None:
        """Go on from `snapshot`'s result. Raises UsageError for one of another controller or number of envs."""
