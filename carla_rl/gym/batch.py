"""N worlds as both environments use them: resets, decisions, rewards, measures. Knows no autoreset and no Gymnasium interface."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from gymnasium.utils import seeding
from numpy.typing import NDArray

from carla_rl.build import Networks, make_simulator, map_folders
from carla_rl.errors import UsageError
from carla_rl.gym.config import SOURCE, EnvConfig
from carla_rl.gym.draws import Draws
from carla_rl.gym.driving import make_driving
from carla_rl.gym.spaces import Seen, View
from carla_rl.metrics.scores import DEFAULT_SCORE, Drive, definition, is_success
from carla_rl.reward import rewards
from carla_rl.scenario.episodes import make_episodes
from carla_rl.scenario.model import Episode
from carla_rl.scenario.suite import load_suite
from carla_rl.types import Bools, Ending, Infraction, Ints, Step

NAMES = {kind: kind.name.lower() for kind in Infraction}
"""Infractions as they are called in the infos."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What one decision brought; each array is (N,)."""

    reward: NDArray[np.float64]
    terminated: Bools
    truncated: Bools
    """Ended by the time limit: the only ending that bootstraps."""

    @property
    def ended(self) -> Bools:
        """Either."""
        return self.terminated | self.truncated


class Batch:
    """N worlds of one suite."""

    def __init__(self, num_envs: int, config: EnvConfig) -> None:
        """Load the suite, trace its routes, build the simulator.

        Raises:
            UsageError: a suite, route, map, preset or number that does not do.
        """
        networks = Networks(map_folders(str(config.suite), config.maps))
        suite = load_suite(config.suite, networks, config.routes)
        self._config = config
        self.num_envs = num_envs
        self.simulator = make_simulator("toy", num_envs, config.needs, networks, config.threads)
        episodes = make_episodes(suite, networks, self.simulator.unsupported, skip_unsupported=config.skip_unsupported)
        self.draws = Draws(suite, episodes, config, num_envs)
        self.driving = make_driving(config, num_envs)
        self.view = View(config)
        self._score = definition(DEFAULT_SCORE)
        self._ids = np.full(num_envs, None, object)
        self._driven: list[Episode | None] = [None] * num_envs
        self._state: Step | None = None

    @property
    def state(self) -> Step:
        """All envs after the last tick.

        Raises:
            RuntimeError: nothing was started yet.
        """
        if self._state is None:
            raise RuntimeError("the envs were never reset")
        return self._state

    def town(self, env: int) -> str:
        """Where the env drives."""
        return self._episode(env).scenario.town

    def route(self, env: int) -> NDArray[np.float64]:
        """(P, 2) m, map frame: the whole route that the env drives."""
        route = self._episode(env).route
        return np.stack((route.x, route.y), axis=-1)

    def seed(self, seeds: Sequence[int]) -> None:
        """Begin the stream of episodes of each env anew; env i's depends on `seeds[i]` alone."""
        for env, seed in enumerate(seeds):
            self.draws.seed(env, seeding.np_random(seed)[0])

    def start(self, envs: Ints, scenario_id: str | None = None) -> None:
        """Start the next episodes of the given envs, or the scenario of that name in each of them."""
        episodes = [self.draws.next(int(env)) if scenario_id is None else self.draws.named(scenario_id) for env in envs]
        self._state = self.simulator.reset(envs, episodes)
        for env, episode in zip(envs, episodes, strict=True):
            self._driven[env] = episode
            self._ids[env] = episode.episode_id
        started = np.zeros(self.num_envs, np.bool_)
        started[envs] = True
        self.driving.reset(started)

    def advance(self, actions: Any, driving: Bools) -> Outcome:
        """One decision. Envs where `driving` (N,) is false have ended before: they earn nothing and end no more.

        Raises:
            ValueError: the actions have another shape than their space, or are no finite numbers.
        """
        shape = (self.num_envs, *self.driving.space.shape)
        given = np.asarray(actions)
        if given.shape != shape:
            raise ValueError(f"the actions of {self.num_envs} envs must have the shape {shape} (found {given.shape})")
        before = self.state
        after = self._state = self.driving.drive(self.simulator, before, given)
        ended = driving & (after.ending != Ending.NONE)
        truncated = ended & (after.ending == Ending.ROUTE_TIMEOUT)
        earned = rewards(before, after, driving, self._config.reward).total
        return Outcome(earned.astype(np.float64), ended & ~truncated, truncated)

    def observe(self) -> Seen:
        """What all envs see now."""
        return self.view.show(self.simulator.observe())

    def info(self, env: int) -> dict[str, Any]:
        """Which episode the env drives and how it stands."""
        facts = self.state.facts
        return {
            "episode_id": self._ids[env],
            "route_completion": float(facts.route_completion[env]),
            "infractions": {name: int(facts.infractions[env, kind]) for kind, name in NAMES.items()},
        }

    def infos(self) -> dict[str, Any]:
        """`info` of all envs as a vector environment gives it: arrays (N,), each with a mask of who has it."""
        facts = self.state.facts
        counts = {name: facts.infractions[:, kind].copy() for kind, name in NAMES.items()}
        return self._masked(
            {"episode_id": self._ids.copy(), "route_completion": facts.route_completion.copy(), "infractions": self._masked(counts)}
        )

    def result(self, env: int) -> dict[str, Any]:
        """What an episode came to: `ending` by name, `driving_score` 0..100 and `success`, as `carla-rl evaluate` has them."""
        facts, events = self.state.facts, self.simulator.events(env)
        ending = Ending(int(self.state.ending[env]))
        counts = {kind: int(facts.infractions[env, kind]) for kind in Infraction}
        drive = Drive(
            # a completed route counts as 100 %, as in `carla_rl.metrics.episode`
            route_completion=1.0 if ending is Ending.COMPLETED else float(facts.route_completion[env]),
            counts=counts,
            outside_share=float(facts.outside_share[env]),
            min_speed_shares=tuple(event.value for event in events if event.kind is Infraction.MIN_SPEED),
        )
        score = self._score.score(drive).score_composed
        return {"ending": ending.name.lower(), "driving_score": score, "success": is_success(ending, counts)}

    def _masked(self, values: Mapping[str, Any]) -> dict[str, Any]:
        return {**values, **{f"_{name}": np.ones(self.num_envs, np.bool_) for name in values}}

    def _episode(self, env: int) -> Episode:
        episode = self._driven[env]
        if episode is None:
            raise RuntimeError(f"env {env} was never reset")
        return episode


def scenario_of(options: Mapping[str, Any] | None) -> str | None:
    """The scenario that the options of a reset name.

    Raises:
        UsageError: an option that there is not.
    """
    unknown = set(options or ()) - {"scenario_id"}
    if unknown:
        raise UsageError(f"{SOURCE}: options: {', '.join(sorted(unknown))}: unknown; the only option of a reset is scenario_id")
    value = (options or {}).get("scenario_id")
    if value is not None and not isinstance(value, str):
        raise UsageError(f"{SOURCE}: options: scenario_id is {value!r}; give the id of a scenario of the suite")
    return value
