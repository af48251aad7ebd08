"""A route: the dense line that an episode has to drive, with the lanes that it runs on.

Made by `carla_rl.roads.tracing` from sparse positions; knows nothing of who drives it.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Route:
    """P points at most 1 m apart (the leaderboard's hop), map frame, in driving order."""

    town: str
    x: NDArray[np.float64]
    """(P,) m."""
    y: NDArray[np.float64]
    z: NDArray[np.float64]
    yaw: NDArray[np.float64]
    """(P,) rad, direction of the lane."""
    s: NDArray[np.float64]
    """(P,) m from the start along the route, strictly increasing, s[0] = 0."""
    lane: NDArray[np.int32]
    """(P,) index of the lane in the town's RoadNetwork."""
    half_width: NDArray[np.float64]
    """(P,) m, of the lane."""
    speed_limit: NDArray[np.float64]
    """(P,) m/s."""

    @property
    def length(self) -> float:
        """m."""
        return float(self.s[-1])

    @property
    def lanes(self) -> tuple[int, ...]:
        """The lanes in driving order, each once per visit: what makes two routes the same or different."""
        change = np.flatnonzero(np.diff(self.lane)) + 1
        return tuple(int(n) for n in self.lane[np.concatenate(([0], change))])
