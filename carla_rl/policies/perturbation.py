"""A driver that is pushed off its line now and then, while the labels stay the expert's: data from which a clone learns to recover.

Noise injection as in Laskey et al. 2017 (DART) and Codevilla et al. 2018: what is executed is disturbed in bursts, what is recorded is
the undisturbed plan made in the state so reached. Knows nothing of the expert's rules.
"""

import math
from dataclasses import replace

import numba
import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from carla_rl.config import Config
from carla_rl.types import Bools, Plan


class PerturbationConfig(Config):
    """Bursts of disturbance: how often, how long, how strong."""

    share: float = Field(default=0.25, ge=0, le=1, description="of the time that a burst is on, in expectation")
    duration_s: float = Field(default=1.0, gt=0)
    lateral_m: float = Field(default=1.6, ge=0, description="largest lateral displacement of the plan's end, either side")
    speed_share: float = Field(default=0.5, ge=0, le=1, description="largest relative change of the plan's speed, either way")


class Perturbation:
    """Disturbs plans in bursts. Each env draws from the stream of its episode's seed, so an episode is disturbed alike in any env."""

    def __init__(self, num_envs: int, decision_s: float, config: PerturbationConfig) -> None:
        self._config = config
        self._burst = max(1, round(config.duration_s / decision_s))
        self._seed = np.zeros(num_envs, np.uint64)
        self._decision = np.zeros(num_envs, np.int64)

    def start(self, envs: Bools, seeds: NDArray[np.uint64]) -> None:
        """New episodes in `envs` (N,), whose seeds stand in the same rows of `seeds` (N,)."""
        self._seed[envs] = seeds[envs]
        self._decision[envs] = 0

    def apply(self, plan: Plan) -> Plan:
        """The plan as executed: disturbed where a burst is on."""
        config = self._config
        executed = disturb(plan.waypoints, self._seed, self._decision // self._burst, config.share, config.lateral_m, config.speed_share)
        self._decision += 1
        return replace(plan, waypoints=executed)


@numba.njit(cache=True)
def _unit(key: np.uint64, draw: int) -> float:
    """A number in [0, 1) from a key: splitmix64 (Steele et al. 2014)."""
    z = key + np.uint64(draw + 1) * np.uint64(0x9E3779B97F4A7C15)
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return float((z ^ (z >> np.uint64(31))) >> np.uint64(11)) / 9007199254740992.0


@numba.njit(cache=True)
def disturb(
    waypoints: NDArray[np.float32],
    seeds: NDArray[np.uint64],
    bursts: NDArray[np.int64],
    share: float,
    lateral_m: float,
    speed_share: float,
) -> NDArray[np.float32]:
    """Waypoints (N, H, 2) scaled in speed and bent sideways (quadratically, `lateral_m` at most at the end), in `share` of the rows."""
    out = waypoints.copy()
    n, h, _ = waypoints.shape
    for i in range(n):
        key = seeds[i] + np.uint64(bursts[i]) * np.uint64(0xD6E8FEB86659FD93)
        if _unit(key, 0) >= share:
            continue
        bend = lateral_m * (2.0 * _unit(key, 1) - 1.0)
        scale = 1.0 + speed_share * (2.0 * _unit(key, 2) - 1.0)
        reach = math.hypot(waypoints[i, h - 1, 0], waypoints[i, h - 1, 1])
        # a standing car is not pushed sideways
        bend *= min(1.0, reach / 5.0)
        for j in range(h):
            t = (j + 1) / h
            out[i, j, 0] = waypoints[i, j, 0] * scale
            out[i, j, 1] = waypoints[i, j, 1] * scale + bend * t * t
    return out
