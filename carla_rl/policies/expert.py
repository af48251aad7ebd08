"""The rule-based expert: plans the same waypoints as a learned policy, from ground-truth objects, lights, limits and the route.

A pure function of the observation, without memory, so that it can be asked what it would do in states that another policy reached.
Knows no simulator; the rules are in `expert_path` (where), `expert_forecast` (who else) and `expert_motion` (how fast).
"""

import numba
import numpy as np
from numpy.typing import NDArray

from carla_rl.policies.expert_forecast import empty_others, foresee
from carla_rl.policies.expert_motion import TICKS, choose, speed_profile, stop_line
from carla_rl.policies.expert_numbers import ExpertConfig, Numbers
from carla_rl.policies.expert_path import ROWS, build_path, empty_path, pose_at, row_at
from carla_rl.types import HORIZON, Bools, Needs, Observation, Plan

OBJECTS = 32
"""Objects that the expert looks at."""


class Expert:
    """`carla_rl.interfaces.Policy` without memory; privileged, as its needs declare."""

    name = "expert"
    needs = Needs(route=True, objects=OBJECTS, lights=True, speed_limit=True)
    horizon = HORIZON

    def __init__(self, config: ExpertConfig | None = None):
        """`config` None takes the numbers as they stand in `ExpertConfig`."""
        self.config = config or ExpertConfig()

    def reset(self, envs: Bools) -> None:
        """Nothing to forget."""

    def plan(self, observation: Observation) -> Plan:
        """(N, HORIZON, 2) waypoints along the route.

        Raises:
            ValueError: the observation lacks something that `needs` declares.
        """
        o = observation
        if o.route is None or o.objects is None or o.light is None or o.stop_sign is None or o.speed_limit is None:
            raise ValueError("the expert needs route, objects, lights and speed limit; the observation lacks one of them")
        waypoints = _plan_all(
            o.speed, o.yaw_rate, o.route, o.objects, o.light, o.stop_sign, o.speed_limit, self.config.numbers(), self.horizon
        )
        return Plan(waypoints=waypoints)


@numba.njit(cache=True)
def _plan_all(
    speed: NDArray[np.float32],
    yaw_rate: NDArray[np.float32],
    route: NDArray[np.float32],
    objects: NDArray[np.float32],
    light: NDArray[np.float32],
    stop_sign: NDArray[np.float32],
    speed_limit: NDArray[np.float32],
    k: Numbers,
    horizon: int,
) -> NDArray[np.float32]:
    n = speed.shape[0]
    waypoints = np.empty((n, horizon, 2), np.float32)
    path, others = empty_path(), empty_others(objects.shape[1])
    top, motion = np.empty(ROWS), np.empty((TICKS + 1, 2))
    for i in range(n):
        v = float(speed[i])
        build_path(route[i], v, float(yaw_rate[i]), k, path)
        speed_profile(path, float(speed_limit[i]), k, top)
        crossing, leaders = foresee(objects[i], path, k, others)
        choose(path, top, v, stop_line(light[i], stop_sign[i], v, k), others, crossing, leaders, k, motion)
        row = 0
        for j in range(horizon):
            row = row_at(path, motion[j + 1, 0], row)
            x, y, _ = pose_at(path, motion[j + 1, 0], row)
            waypoints[i, j, 0], waypoints[i, j, 1] = x, y
    return waypoints
