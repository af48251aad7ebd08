"""A world, a controller and a policy small enough that the best behaviour and its value are known exactly."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from itertools import count
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from carla_rl import gaussian
from carla_rl.gaussian import Noise
from carla_rl.interfaces import SimulatorInfo
from carla_rl.loop import ClosedLoop
from carla_rl.ppo.actor_critic import copy_heads
from carla_rl.roads.route import Route
from carla_rl.scenario.model import Episode, Scenario
from carla_rl.types import Control, Ego, Ending, Facts, Infraction, Needs, Observation, Plan, SimulatorKind, Step

ROUTE = Route("nowhere", *(np.array([0.0, 1.0]) for _ in range(5)), np.zeros(2, np.int32), np.ones(2), np.ones(2))


def step(envs: int, **changed: Any) -> Step:
    """A state of `envs` egos standing at the start of a 100 m route with a limit of 10 m/s; `changed` sets fields of Ego, Facts or Step."""
    zeros = np.zeros(envs)
    ego = Ego(x=zeros, y=zeros, yaw=zeros, speed=zeros, yaw_rate=zeros, acceleration=zeros)
    facts = Facts(
        tick=np.zeros(envs, np.int64),
        route_completion=zeros,
        route_length=np.full(envs, 100.0),
        driven=zeros,
        infractions=np.zeros((envs, len(Infraction)), np.int64),
        outside_share=zeros,
        lateral=zeros,
        heading_error=zeros,
        speed_limit=np.full(envs, 10.0),
    )
    arrays = {name: np.asarray(value) for name, value in changed.items()}
    mine = {name: value for name, value in arrays.items() if name in Ego.__slots__}
    true = {name: value for name, value in arrays.items() if name in Facts.__slots__}
    return Step(ego=replace(ego, **mine), facts=replace(facts, **true), ending=arrays.get("ending", np.zeros(envs, np.int8)))


def endless(seeds: Iterator[int] | None = None) -> Iterator[Episode]:
    """Episodes without end, told apart by their seeds."""
    for seed in seeds or count():
        yield Episode(Scenario(scenario_id=f"s{seed}", town="nowhere", positions=((0, 0, 0), (1, 0, 0)), seed=seed), ROUTE)


Payoff = Callable[[np.ndarray, np.ndarray, np.ndarray], np.ndarray]
"""(speed, throttle, steer) -> metres of progress, each (N,)"""


class Worlds:
    """Each decision completes `payoff` of the route; after `decisions` of them the episode ends with `ending`.

    The speed that is seen is drawn from five by the episode's seed, in [0, 1].
    """

    info = SimulatorInfo(SimulatorKind.TOY, "0", "a fake", {})

    def __init__(self, num_envs: int, payoff: Payoff, decisions: int = 1, ending: Ending = Ending.COMPLETED) -> None:
        self.num_envs = num_envs
        self._payoff, self._decisions, self._ending = payoff, decisions, ending
        self._speed = np.zeros(num_envs)
        self._age = np.zeros(num_envs, np.int64)
        self._done = np.zeros(num_envs)
        self._over = np.ones(num_envs, np.bool_)

    def reset(self, envs: np.ndarray, episodes: Sequence[Episode]) -> Step:
        self._speed[envs] = [episode.scenario.seed % 5 / 4.0 for episode in episodes]
        self._age[envs] = 0
        self._done[envs] = 0.0
        self._over[envs] = False
        return self._state()

    def step(self, control: Control) -> Step:
        self._done += np.where(self._over, 0.0, self._payoff(self._speed, control.throttle, control.steer) / 100.0)
        self._age += ~self._over
        self._over |= self._age >= self._decisions
        return self._state()

    def observe(self) -> Observation:
        return Observation(speed=self._speed.astype(np.float32), yaw_rate=np.zeros(self.num_envs, np.float32))

    def events(self, env: int) -> tuple[()]:
        return ()

    def _state(self) -> Step:
        ending = np.where(self._over & (self._age > 0), np.int8(self._ending), np.int8(0))
        return step(self.num_envs, route_completion=self._done.copy(), ending=ending.astype(np.int8))


class FirstWaypoint:
    """Throttle and steer are the first waypoint's x and y as they are."""

    name = "first waypoint"

    def reset(self, envs: np.ndarray) -> None:
        """Remembers nothing."""

    def control(self, waypoints: np.ndarray, age_s: float, ego: Ego) -> Control:
        return Control(throttle=waypoints[:, 0, 0], steer=waypoints[:, 0, 1], brake=np.zeros(len(waypoints)))


class TinyPolicy:
    """Features [speed, 1], normalised; a frozen plan of one waypoint, always the same; the action is added to it."""

    name = "tiny"
    needs = Needs()
    horizon = 1

    def __init__(self, seed: int = 0, hidden: int = 16) -> None:
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            self.sft = nn.Linear(2, 2).requires_grad_(False)
            self.delta_head = nn.Sequential(nn.Linear(2, hidden), nn.Tanh(), nn.Linear(hidden, 2))
            self.value_head = nn.Sequential(nn.Linear(2, hidden), nn.Tanh(), nn.Linear(hidden, 1), nn.Flatten(0))
        nn.init.zeros_(self.delta_head[2].weight)
        nn.init.zeros_(self.delta_head[2].bias)
        self.log_std = torch.zeros(2)
        self.residual_ratio, self.scheduled, self.critic_facts = 1.0, True, 0
        self.mean, self.scale, self.normalised = np.zeros(2, np.float32), np.ones(2, np.float32), False
        self._noise: Noise | None = None

    def reset(self, envs: np.ndarray) -> None:
        """Remembers nothing."""

    def sample_with(self, noise: Noise | None) -> None:
        self._noise = noise

    def normalise(self, mean: np.ndarray, scale: np.ndarray) -> None:
        self.mean, self.scale, self.normalised = mean, scale, True

    def twin(self, device: torch.device) -> "TinyPolicy":
        other = TinyPolicy()
        copy_heads(self, other)
        return other

    def distribution(self, features: Tensor) -> tuple[Tensor, Tensor]:
        return self.delta_head(features), self.log_std

    def features(self, observation: Observation) -> np.ndarray:
        return self._features(observation).numpy()

    def _features(self, observation: Observation) -> Tensor:
        speed = torch.from_numpy(observation.speed)
        raw = torch.stack((speed, torch.ones_like(speed)), dim=-1)
        return (raw - torch.from_numpy(self.mean)) * torch.from_numpy(self.scale)

    @torch.no_grad()
    def plan(self, observation: Observation) -> Plan:
        features = self._features(observation)
        sft, mean = self.sft(torch.ones_like(features)), self.delta_head(features)
        if self._noise is None:
            return Plan((sft + mean)[:, None].numpy(), sft[:, None].numpy(), {"features": features.numpy()})
        action = mean + self.log_std.exp() * self._noise.draw(*mean.shape)
        extras = {
            "features": features.numpy(),
            "action": action.numpy(),
            "log_prob": gaussian.log_prob(action, mean, self.log_std).numpy(),
            "bounded": (action.abs() > 1.0).float().mean(-1).numpy(),
        }
        return Plan((sft + action)[:, None].numpy(), sft[:, None].numpy(), extras)

    @torch.no_grad()
    def values(self, inputs: np.ndarray) -> np.ndarray:
        return self.value_head(torch.from_numpy(inputs)).numpy()


def make_loop(worlds: Worlds, source: Iterator[Episode] | None = None) -> ClosedLoop:
    """One tick a decision."""
    return ClosedLoop(worlds, FirstWaypoint(), source or endless(), ticks_per_decision=1)
