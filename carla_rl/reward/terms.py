"""What the forms of the reward share. Knows none of them."""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from carla_rl.types import Bools, Infraction, Step

COLLISIONS = (Infraction.COLLISION_PEDESTRIAN, Infraction.COLLISION_VEHICLE, Infraction.COLLISION_STATIC)

Terms = Mapping[str, NDArray[np.floating]]
"""By name, each (N,): what the envs earned in one decision."""


def committed(before: Step, after: Step, *kinds: Infraction) -> Bools:
    """(N,) whether any infraction of these kinds was added in this decision."""
    columns = list(kinds)
    added: NDArray[np.int64] = after.facts.infractions[:, columns].sum(axis=1) - before.facts.infractions[:, columns].sum(axis=1)
    return added > 0
