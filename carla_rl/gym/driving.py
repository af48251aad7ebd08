"""From an action to ticks: pedals and wheel held for a decision, or waypoints that a controller follows. Both drive N envs."""

from typing import Any, Protocol

import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray

from carla_rl.build import make_controller
from carla_rl.errors import UsageError
from carla_rl.geometry import carry
from carla_rl.gym.config import SOURCE, EnvConfig
from carla_rl.interfaces import Simulator
from carla_rl.loop import poses
from carla_rl.types import TICK_S, Bools, Control, Ego, Step

REACH_M = 100.0
"""Bound of a waypoint's coordinates either way, m."""


class Driving(Protocol):
    """One kind of action."""

    @property
    def space(self) -> spaces.Box:
        """Of one env."""

    def reset(self, envs: Bools) -> None:
        """Forget what was remembered of the envs where `envs` (N,) is true."""

    def drive(self, simulator: Simulator, before: Step, actions: NDArray[Any]) -> Step:
        """Drive N actions, cut to the space, for one decision. `before` is the state of now.

        Raises:
            ValueError: an action is not a finite number.
        """


class Pedals:
    """(2,): the pedal (1 full throttle, -1 full brake) and steer (1 full left), held for the decision."""

    def __init__(self, config: EnvConfig) -> None:
        self._ticks = config.decision_ticks
        self.space = spaces.Box(-1.0, 1.0, (2,), np.float32)

    def reset(self, envs: Bools) -> None:
        """See `Driving.reset`: nothing is remembered."""

    def drive(self, simulator: Simulator, before: Step, actions: NDArray[Any]) -> Step:
        """See `Driving.drive`."""
        pedal, steer = np.clip(actions.astype(np.float64), -1.0, 1.0).T
        control = Control(throttle=np.maximum(pedal, 0.0), steer=steer.copy(), brake=np.maximum(-pedal, 0.0))
        step = before
        for _ in range(self._ticks):
            step = simulator.step(control)
        return step


class Waypoints:
    """(H, 2) m in the ego frame, 0.1 s apart, followed by a controller preset: the plan of a policy of this program."""

    def __init__(self, config: EnvConfig, num_envs: int) -> None:
        """Build the controller and let it look at a plan of that length.

        Raises:
            UsageError: there is no such preset, or it reads farther ahead than the plan reaches.
        """
        self._ticks = config.decision_ticks
        self.space = spaces.Box(-REACH_M, REACH_M, (config.horizon, 2), np.float32)
        self._controller = make_controller(config.controller, num_envs)
        still = Ego(*(np.zeros(num_envs) for _ in range(6)))
        try:
            self._controller.control(np.zeros((num_envs, config.horizon, 2)), (self._ticks - 1) * TICK_S, still)
        except ValueError as error:
            raise UsageError(f"{SOURCE}: horizon is {config.horizon}, too short: {error}; give more waypoints") from None
        self._controller.reset(np.ones(num_envs, np.bool_))

    def reset(self, envs: Bools) -> None:
        """See `Driving.reset`."""
        self._controller.reset(envs)

    def drive(self, simulator: Simulator, before: Step, actions: NDArray[Any]) -> Step:
        """See `Driving.drive`."""
        plan = np.clip(actions.astype(np.float32), -REACH_M, REACH_M)
        then, step = poses(before.ego), before
        for tick in range(self._ticks):
            step = simulator.step(self._controller.control(carry(plan, then, poses(step.ego)), tick * TICK_S, step.ego))
        return step


def make_driving(config: EnvConfig, num_envs: int) -> Driving:
    """What the configuration asks for.

    Raises:
        UsageError: see `Waypoints`.
    """
    return Waypoints(config, num_envs) if config.action == "waypoints" else Pedals(config)
