"""An endless, seeded stream of training episodes, easier at first and harder where it fails, as far as asked. Knows no simulator."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from pydantic import Field

from carla_rl.config import Config
from carla_rl.errors import UsageError
from carla_rl.scenario import places
from carla_rl.scenario.hashing import unit, whole
from carla_rl.scenario.model import Episode

MID_ROUTE_SHARE = 0.8
"""Mid-route starts lie within this share of the route: something is left to drive."""
APPROACH_M = (20.0, 60.0)
"""A start before a trigger lies so far from it: the ego gets up to speed first."""
FORGETTING = 0.05
"""Share by which each finished episode moves the failure rate of its kind."""
PLAIN = "plain"
"""The kind of a scenario without scripted actors."""


class Curriculum(Config):
    """What is drawn more often, and what is spared at first."""

    hard_share: float = Field(
        default=0.0,
        ge=0,
        le=1,
        description="share of the draws that choose the kind of scenario by how often it fails lately",
    )
    trigger_share: float = Field(
        default=0.0, ge=0, le=1, description="share of the mid-route starts that lie shortly before one of the episode's triggers"
    )
    time_limit_s: float | None = Field(
        default=None,
        gt=0,
        le=300,
        description="s of driving after which an episode is cut off, no fault, unless its suite does so earlier; none: as it says",
    )
    traffic_start: float = Field(default=1.0, ge=0, le=1, description="share of each episode's background traffic at the start")
    traffic_until: float = Field(
        default=0.5, gt=0, le=1, description="share of the training over which the traffic grows to the whole, linearly"
    )


@dataclass(frozen=True, slots=True)
class Drawn:
    """What was drawn, in a few numbers: `TrainingSampler.recall` makes the same episode of it again."""

    number: int
    """From 0: the episode's repetition is one more, so never 0, which evaluation uses first; hence every draw is its own world."""
    index: int
    """Of the scenario."""
    start_m: float
    traffic: float
    """Share of the background traffic."""


def kind_of(episode: Episode) -> str:
    """The types of the episode's scripted actors, or `PLAIN`: what a curriculum tells apart."""
    return "+".join(sorted({actor.type for actor in episode.scenario.actors})) or PLAIN


def _triggers(episode: Episode) -> list[float]:
    """Where the scripted actors of an episode are triggered, m along its route."""
    return [places.place_of(episode.route, actor.x, actor.y, actor.yaw) for actor in episode.scenario.actors]


class TrainingSampler:
    """Draws scenarios uniformly, or the kinds that fail more often. The n-th draw depends on the seed, n and what was learned until then.

    A mid-route start leaves the triggers of the scripted actors before it behind: those stay away.
    """

    def __init__(self, episodes: Sequence[Episode], seed: int, mid_route: float = 0.0, curriculum: Curriculum | None = None) -> None:
        """`mid_route` is the share of draws that start at a uniform place within the first MID_ROUTE_SHARE of the route."""
        if not episodes:
            raise UsageError("there is nothing to train on: the suite has no scenarios")
        if not 0.0 <= mid_route <= 1.0:
            raise UsageError(f"mid_route is {mid_route:g}; write a share between 0 and 1")
        self._episodes = tuple(episodes)
        self._seed = seed
        self._mid_route = mid_route
        self._curriculum = curriculum or Curriculum()
        self._triggers = [_triggers(episode) for episode in self._episodes]
        self._kinds: dict[str, list[int]] = {}
        for index, episode in enumerate(self._episodes):
            self._kinds.setdefault(kind_of(episode), []).append(index)
        self._kind_of = {episode.scenario.scenario_id: kind_of(episode) for episode in self._episodes}
        self.failures = dict.fromkeys(self._kinds, 1.0)
        """Running share of each kind's episodes that were no success; 1 before any was seen."""
        self.drawn = 0
        """Episodes drawn so far."""
        self.progress = 0.0
        """Share of the training that is over, 0..1: the caller's to set."""

    def next(self) -> Episode:
        """The next episode."""
        return self.recall(self.draw())

    def draw(self) -> Drawn:
        """What is to be driven next."""
        n = self.drawn
        self.drawn += 1
        index = self._index(n)
        start = 0.0
        if unit("mid route", self._seed, n) < self._mid_route:
            start = self._start(n, index)
        first = self._curriculum.traffic_start
        return Drawn(n, index, start, first + (1.0 - first) * min(self.progress / self._curriculum.traffic_until, 1.0))

    def recall(self, draw: Drawn) -> Episode:
        """The episode of a draw."""
        episode = self._episodes[draw.index]
        if draw.traffic < 1.0:
            traffic = episode.scenario.traffic
            thinned = {name: round(draw.traffic * getattr(traffic, name)) for name in ("vehicles", "pedestrians")}
            episode = replace(episode, scenario=episode.scenario.model_copy(update={"traffic": traffic.model_copy(update=thinned)}))
        limit, own = self._curriculum.time_limit_s, episode.scenario.rules.time_limit_s
        if limit is not None and (own is None or limit < own):
            rules = episode.scenario.rules.model_copy(update={"time_limit_s": limit})
            episode = replace(episode, scenario=episode.scenario.model_copy(update={"rules": rules}))
        return replace(episode, repetition=draw.number + 1, start_m=draw.start_m)

    def learn(self, scenario_id: str, success: bool) -> None:
        """An episode of that scenario ended."""
        kind = self._kind_of[scenario_id]
        self.failures[kind] += FORGETTING * (float(not success) - self.failures[kind])

    def state_dict(self) -> dict[str, Any]:
        """Everything needed to go on: plain numbers."""
        return {"drawn": self.drawn, "progress": self.progress, "failures": dict(self.failures)}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from `state_dict`'s result."""
        self.drawn, self.progress, self.failures = state["drawn"], state["progress"], dict(state["failures"])

    def _start(self, n: int, index: int) -> float:
        """Where on its route the n-th draw starts mid-route, m."""
        place, triggers = unit("start", self._seed, n), self._triggers[index]
        if triggers and unit("trigger", self._seed, n) < self._curriculum.trigger_share:
            near, far = APPROACH_M
            return max(triggers[whole("which trigger", self._seed, n) % len(triggers)] - near - place * (far - near), 0.0)
        length = self._episodes[index].route.length
        return min(place * MID_ROUTE_SHARE * length, length - places.LEAST_ROUTE_M)

    def _index(self, n: int) -> int:
        """The scenario of the n-th draw."""
        number = whole("scenario", self._seed, n)
        if self._curriculum.hard_share == 0.0 or unit("hard", self._seed, n) >= self._curriculum.hard_share:
            return number % len(self._episodes)
        of_kind = self._kinds[self._hard_kind(unit("kind", self._seed, n))]
        return of_kind[number % len(of_kind)]

    def _hard_kind(self, place: float) -> str:
        """The kind at that share of the sum of all failure rates; every kind keeps a small one."""
        weights = {kind: max(rate, FORGETTING) for kind, rate in self.failures.items()}
        left = place * sum(weights.values())
        for kind, weight in weights.items():
            left -= weight
            if left < 0.0:
                return kind
        return kind
