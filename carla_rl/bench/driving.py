"""Toy worlds kept driving for measurements: ticks, observations every second tick, a cheap rule at the wheel, resets of what has ended.

One env-step is one tick of 0.05 s of one env with moving vehicles, traffic lights, collisions and criteria, the observation of route,
objects, lights and limit at 10 Hz, and its share of the resets.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Protocol, cast

import numpy as np
from numpy.typing import NDArray

from carla_rl.build import Networks, make_simulator
from carla_rl.interfaces import Simulator
from carla_rl.scenario.episodes import make_episodes
from carla_rl.scenario.model import Episode, Traffic
from carla_rl.scenario.suite import load_suite
from carla_rl.types import ROUTE_SPACING_M, Control, LightState, Needs, Observation

DEFINITION = (
    "one env-step is one 20 Hz tick of one env with 8 other moving vehicles, traffic lights, collisions and criteria, "
    "and the observation of route, objects, lights and speed limit at 10 Hz; resets of ended envs are included"
)
POLICY = "steer at the route 8 m ahead, 70 % of the limit, at most 8 m/s, stop for lights that are not green; blind to other vehicles"
SUITE, TOWN = "quick-train", "grid"
"""Routes in the town with signals and stop signs; a collision or a red light ends an episode, as in training."""

VEHICLES = 8
NEEDS = Needs(route=True, objects=VEHICLES, lights=True, speed_limit=True)
TICKS_PER_OBSERVATION = 2

_AIM = 4
"""Route point that is steered at."""
_STEER_PER_CURVATURE = 4.0
"""A bend of 1 / m turns the wheel so far: wheelbase over steer gain, roughly."""
_LINE_M = 5.0
"""Stops so far before a stop line, m."""


class ToyWorlds(Simulator, Protocol):
    """What the toy tells beside the contract."""

    @property
    def memory_bytes(self) -> int:
        """Of the state of all N worlds."""

    def placed(self, env: int) -> int:
        """Vehicles that found room at the env's reset."""


def episodes(networks: Networks, vehicles: int = VEHICLES) -> tuple[Episode, ...]:
    """The routes that are driven, with so many vehicles and no scripted actors."""
    suite = load_suite(SUITE, networks, TOWN)
    plain = [scenario.model_copy(update={"traffic": Traffic(vehicles=vehicles), "actors": ()}) for scenario in suite.scenarios]
    return make_episodes(replace(suite, scenarios=tuple(plain)), networks, lambda _: ())


class Worlds:
    """N worlds that drive for ever; all have just been reset, each somewhere on its route, so that they do not end together.

    Raises:
        UsageError: no envs, or more threads than there are.
    """

    def __init__(self, num_envs: int, threads: int = 1, vehicles: int = VEHICLES, needs: Needs = NEEDS) -> None:
        networks = Networks()
        self.simulator = cast(ToyWorlds, make_simulator("toy", num_envs, needs, networks, threads))
        self.num_envs = num_envs
        self._episodes = episodes(networks, vehicles)
        self._drawn = 0
        self.resets = 0
        """Episodes begun since the start."""
        self.reset_all()

    def draw(self, count: int, *, spread: bool = False) -> list[Episode]:
        """The next episodes, each with its own world; with `spread` they start anywhere within the first 80 % of their route."""
        drawn = []
        for _ in range(count):
            episode = self._episodes[self._drawn % len(self._episodes)]
            # the golden ratio spreads them evenly, however many there are
            start = 0.8 * episode.route.length * (0.618034 * self._drawn % 1.0) if spread else 0.0
            self._drawn += 1
            drawn.append(replace(episode, repetition=self._drawn, start_m=start))
        return drawn

    def reset_all(self) -> None:
        """Begin a new episode in every env."""
        self.simulator.reset(np.arange(self.num_envs), self.draw(self.num_envs, spread=True))

    def run(self, rounds: int) -> int:
        """Drive so many observations' worth of ticks; the env-steps that these were."""
        for _ in range(rounds):
            control = decide(self.simulator.observe())
            self.ticks(control, TICKS_PER_OBSERVATION)
        return rounds * TICKS_PER_OBSERVATION * self.num_envs

    def ticks(self, control: Control, count: int) -> None:
        """So many ticks with the same pedals, each followed by the resets that it makes necessary."""
        for _ in range(count):
            ended = np.flatnonzero(self.simulator.step(control).ending)
            if len(ended):
                self.resets += len(ended)
                self.simulator.reset(ended, self.draw(len(ended)))


class Replay:
    """A drive of one env, again and again with the pedals of its first time: no rule has to be computed while it is timed."""

    def __init__(self, rounds: int) -> None:
        self._worlds = Worlds(1)
        self._rounds = rounds
        self._first = self._worlds.draw(1)
        self._start()
        self._controls = []
        for _ in range(rounds):
            control = decide(self._worlds.simulator.observe())
            self._controls.append(control)
            self._worlds.ticks(control, TICKS_PER_OBSERVATION)

    def run(self, times: int) -> int:
        """The whole drive so many times; the env-steps that these were."""
        for _ in range(times):
            self._start()
            for control in self._controls:
                self._worlds.simulator.observe()
                self._worlds.ticks(control, TICKS_PER_OBSERVATION)
        return times * self._rounds * TICKS_PER_OBSERVATION

    def _start(self) -> None:
        self._worlds.simulator.reset(np.zeros(1, np.int64), self._first)


def decide(seen: Observation) -> Control:
    """The rule at the wheel, see `POLICY`, for N envs at once."""
    assert seen.route is not None
    ahead = _AIM * ROUTE_SPACING_M
    curvature = 2.0 * seen.route[:, _AIM, 1].astype(np.float64) / (ahead * ahead)
    lack = 0.5 * (goal_speed(seen) - seen.speed.astype(np.float64))
    return Control(
        throttle=np.clip(lack, 0.0, 0.75),
        steer=np.clip(_STEER_PER_CURVATURE * curvature, -1.0, 1.0),
        brake=np.clip(-lack, 0.0, 1.0),
    )


def goal_speed(seen: Observation) -> NDArray[np.float64]:
    """(N,) m/s: the speed that the rule drives where nobody is in the way."""
    assert seen.light is not None
    assert seen.speed_limit is not None
    gap = np.maximum(seen.light[:, 0].astype(np.float64) - _LINE_M, 0.0)
    state = seen.light[:, 1]
    free = (state == LightState.NONE) | (state == LightState.GREEN)
    # braking with 3 m/s^2 stops within the gap
    goal: NDArray[np.float64] = np.minimum(np.minimum(0.7 * seen.speed_limit, 8.0), np.where(free, np.inf, np.sqrt(6.0 * gap)))
    return goal


def mean_placed(worlds: Worlds, envs: Sequence[int] | NDArray[np.int64]) -> float:
    """Vehicles that found room at the last reset, on average."""
    return float(np.mean([worlds.simulator.placed(int(env)) for env in envs]))
