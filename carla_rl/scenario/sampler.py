"""An endless, seeded stream of training episodes. Knows no simulator."""

from collections.abc import Sequence
from dataclasses import replace

from carla_rl.errors import UsageError
from carla_rl.scenario.hashing import unit, whole
from carla_rl.scenario.model import Episode

MID_ROUTE_SHARE = 0.8
"""Mid-route starts lie within this share of the route: something is left to drive."""


class TrainingSampler:
    """Draws scenarios uniformly; the n-th draw depends on the seed and n alone, so the counter is the whole state.

    Each draw has its own repetition number (n + 1, so never 0, which evaluation uses first), hence its own world.
    A mid-route start leaves the triggers of the scripted actors before it behind: those stay away.
    """

    def __init__(self, episodes: Sequence[Episode], seed: int, mid_route: float = 0.0) -> None:
        """`mid_route` is the share of draws that start at a uniform place within the first MID_ROUTE_SHARE of the route."""
        if not episodes:
            raise UsageError("there is nothing to train on: the suite has no scenarios")
        if not 0.0 <= mid_route <= 1.0:
            raise UsageError(f"mid_route is {mid_route:g}; write a share between 0 and 1")
        self._episodes = tuple(episodes)
        self._seed = seed
        self._mid_route = mid_route
        self.drawn = 0
        """Episodes drawn so far: save it, and set it to go on from there."""

    def next(self) -> Episode:
        """The next episode."""
        self.drawn += 1
        return self.draw(self.drawn - 1)

    def draw(self, n: int) -> Episode:
        """The n-th draw, 0-based; nothing is counted."""
        episode = self._episodes[whole("scenario", self._seed, n) % len(self._episodes)]
        start = 0.0
        if unit("mid route", self._seed, n) < self._mid_route:
            start = unit("start", self._seed, n) * MID_ROUTE_SHARE * episode.route.length
        return replace(episode, repetition=n + 1, start_m=start)

    @staticmethod
    def number(episode: Episode) -> int:
        """The n of a draw."""
        return episode.repetition - 1
