"""What a critic may know and a policy may not: the truth about the episode, as numbers near one.

Only the value head sees it, and the value head never drives; so nothing privileged reaches a plan. Knows no policy and no simulator.
"""

import numpy as np
from numpy.typing import NDArray

from carla_rl.types import TICK_S, Infraction, Step

SIZE = 8
"""lateral / 2 m, heading error / 0.5 rad, share outside the route's lanes, route completion, metres left / 100 (at most 5),
seconds driven / 100, infractions so far (at most 3), (limit - speed) / 10 m/s."""


def facts(step: Step) -> NDArray[np.float32]:
    """(N, SIZE) of the state of N envs."""
    true = step.facts
    left = (1.0 - true.route_completion) * true.route_length
    columns = (
        np.clip(true.lateral / 2.0, -5.0, 5.0),
        true.heading_error / 0.5,
        true.outside_share,
        true.route_completion,
        np.minimum(left / 100.0, 5.0),
        true.tick * (TICK_S / 100.0),
        np.minimum(true.infractions[:, : len(Infraction)].sum(axis=1), 3),
        (true.speed_limit - step.ego.speed) / 10.0,
    )
    return np.stack(columns, axis=1).astype(np.float32)
