"""A world without roads for the tests of metrics and records: each ego drives straight along x at a speed that its seed sets."""

from collections.abc import Iterable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from carla_rl.errors import UsageError
from carla_rl.interfaces import SimulatorInfo
from carla_rl.loop import ClosedLoop, rollout
from carla_rl.roads.network import RoadNetwork
from carla_rl.roads.route import Route
from carla_rl.scenario.model import Episode, Scenario
from carla_rl.types import (
    TICK_S,
    WAYPOINT_S,
    Control,
    Ego,
    Ending,
    Event,
    Facts,
    Infraction,
    Needs,
    Observation,
    Plan,
    Scene,
    SimulatorKind,
    Step,
)

LENGTH_M = 10.0
H = 20

Script = Mapping[str, Sequence[tuple[int, Infraction, float]]]
"""By scenario: tick, kind and value of each infraction."""


def episode(
    scenario_id: str = "line/1", *, seed: int = 0, repetition: int = 0, town: str = "Line", skipped: tuple[str, ...] = ()
) -> Episode:
    scenario = Scenario(scenario_id=scenario_id, town=town, positions=((0, 0, 0), (LENGTH_M, 0, 0)), seed=seed)
    s = np.arange(0.0, LENGTH_M + 0.5, 1.0)
    zero = np.zeros_like(s)
    route = Route(town, s, zero, zero, zero, s, np.zeros(len(s), np.int32), zero + 1.75, zero + 13.9)
    return Episode(scenario, route, repetition, skipped=skipped)


class LineSimulator:
    """Speed 2 m/s + seed; an episode is completed after LENGTH_M; `endings` end one earlier."""

    def __init__(self, num_envs: int, script: Script | None = None, endings: Mapping[str, tuple[int, Ending]] | None = None) -> None:
        self.info = SimulatorInfo(SimulatorKind.TOY, "1", "a straight line for tests", {"tick_s": TICK_S})
        self.num_envs = num_envs
        self._script = script or {}
        self._endings = endings or {}
        self._episodes: list[Episode | None] = [None] * num_envs
        self._tick = np.zeros(num_envs, np.int64)
        self._ending = np.zeros(num_envs, np.int8)

    def unsupported(self, episode: Episode) -> tuple[str, ...]:
        return ()

    def network(self, town: str) -> RoadNetwork:
        raise UsageError(f"town {town!r}: a line has no roads")

    def reset(self, envs: NDArray[np.int64], episodes: Sequence[Episode]) -> Step:
        for env, item in zip(envs, episodes, strict=True):
            self._episodes[env] = item
            self._tick[env] = self._ending[env] = 0
        return self._state()

    def step(self, control: Control) -> Step:
        for env, item in enumerate(self._episodes):
            if item is None or self._ending[env]:
                continue
            self._tick[env] += 1
            tick, ending = self._endings.get(item.scenario.scenario_id, (-1, Ending.NONE))
            if self._tick[env] == tick:
                self._ending[env] = ending
            elif self._speed(env) * self._tick[env] * TICK_S >= LENGTH_M - 1e-9:
                self._ending[env] = Ending.COMPLETED
        return self._state()

    def observe(self) -> Observation:
        ahead = np.arange(50, dtype=np.float32) * 2
        route = np.broadcast_to(np.stack((ahead, np.zeros_like(ahead)), axis=-1), (self.num_envs, 50, 2)).copy()
        objects = np.zeros((self.num_envs, 4, 7), np.float32)
        objects[:, 0] = (12.34567, -1.5, 0.25, 3.0, 2.25, 1.0, 1.0)
        speed = np.array([self._speed(env) for env in range(self.num_envs)], np.float32)
        light = np.tile(np.array([30.0, 3.0], np.float32), (self.num_envs, 1))
        stop = np.tile(np.array([100.0, 0.0], np.float32), (self.num_envs, 1))
        image = np.zeros((self.num_envs, 8, 16, 3), np.uint8)
        image[..., 0] = 200
        left = (LENGTH_M - speed * self._tick * TICK_S).astype(np.float32)
        limit = np.full(self.num_envs, 13.9, np.float32)
        return Observation(speed, np.zeros_like(speed), route, left, objects, light, stop, limit, {"front": image})

    def events(self, env: int) -> tuple[Event, ...]:
        item = self._episodes[env]
        assert item is not None
        x = float(self._speed(env) * TICK_S)
        return tuple(
            Event(kind, tick, tick * x, 0.0, other=7, value=value)
            for tick, kind, value in self._script.get(item.scenario.scenario_id, ())
            if tick <= self._tick[env]
        )

    def scene(self) -> Scene:
        actors = np.zeros((self.num_envs, 3, 8), np.float32)
        actors[:, 1] = (9, 1, 20, 1, 0, 3, 2.25, 1)
        actors[:, 2] = (11, 1, 2000, 1, 0, 3, 2.25, 1)
        # padded as for a larger town elsewhere, the more so the more envs there are
        lights = np.zeros((self.num_envs, 2 + self.num_envs), np.int8)
        lights[:, :2] = 3
        return Scene(actors, lights)

    def close(self) -> None:
        pass

    def _speed(self, env: int) -> float:
        item = self._episodes[env]
        return 0.0 if item is None else 2.0 + item.scenario.seed

    def _state(self) -> Step:
        n = self.num_envs
        speed = np.array([self._speed(env) for env in range(n)])
        x = speed * self._tick * TICK_S
        zero = np.zeros(n)
        counts = np.zeros((n, len(Infraction)), np.int64)
        outside = np.zeros(n)
        for env, item in enumerate(self._episodes):
            for event in self.events(env) if item else ():
                counts[env, event.kind] += 1
                if event.kind is Infraction.OUTSIDE_ROUTE_LANES:
                    outside[env] = event.value
        ego = Ego(x, zero, zero, speed, zero, 0.1 * self._tick)
        share = np.minimum(x / LENGTH_M, 1.0)
        facts = Facts(self._tick.copy(), share, zero + LENGTH_M, x, counts, outside, zero, zero, zero + 13.9)
        return Step(ego, facts, self._ending.copy())


class StraightPolicy:
    """Plans straight on at the present speed, everything moved by `offset` (m forward, m left), with an SFT plan without the offset."""

    name = "straight"
    needs = Needs(route=True)
    horizon = H

    def __init__(self, offset: tuple[float, float] = (0.0, 0.0), *, sft: bool = True) -> None:
        self._offset = np.array(offset, np.float32)
        self._sft = sft

    def reset(self, envs: NDArray[np.bool_]) -> None:
        pass

    def plan(self, observation: Observation) -> Plan:
        straight = np.zeros((len(observation), H, 2), np.float32)
        straight[..., 0] = observation.speed[:, None] * (np.arange(H, dtype=np.float32) + 1) * np.float32(WAYPOINT_S)
        return Plan(straight + self._offset, straight if self._sft else None)


class Cruise:
    """Half throttle, whatever the plan."""

    name = "cruise"

    def reset(self, envs: NDArray[np.bool_]) -> None:
        pass

    def control(self, waypoints: NDArray[np.float64], age_s: float, ego: Ego) -> Control:
        zero = np.zeros(len(waypoints))
        return Control(zero + 0.5, zero - 0.125, zero)


def loop(
    episodes: Iterable[Episode], num_envs: int = 1, script: Script | None = None, **simulator: Mapping[str, tuple[int, Ending]]
) -> ClosedLoop:
    """A loop of 4 ticks a decision that keeps scenes."""
    return ClosedLoop(LineSimulator(num_envs, script, **simulator), Cruise(), iter(episodes), ticks_per_decision=4, keep_scenes=True)


__all__ = ["LENGTH_M", "Cruise", "H", "LineSimulator", "StraightPolicy", "episode", "loop", "rollout"]
