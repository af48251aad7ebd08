"""What each env drives next: a stream of its own for each env, which depends on its seed alone."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from carla_rl.errors import UsageError
from carla_rl.gym.config import SOURCE, EnvConfig
from carla_rl.scenario.hashing import whole
from carla_rl.scenario.model import Episode
from carla_rl.scenario.sampler import TrainingSampler
from carla_rl.scenario.suite import Suite

HELD_OUT = ("validation", "evaluation")
"""Suites of these splits are drawn as they are driven by `carla-rl evaluate`: each scenario with its own world, from its start."""
_WORLDS = 2**31
"""Worlds of a scenario that an env may draw: so many that two envs hardly ever meet in one."""


class Draws:
    """Draws scenarios uniformly, with a new world each time; those of a held-out suite always with their own."""

    def __init__(self, suite: Suite, episodes: Sequence[Episode], config: EnvConfig, num_envs: int) -> None:
        """Nothing can be drawn for an env before `seed` was called for it.

        Raises:
            UsageError: the suite is of another split, or held out and not to be driven from the start.
        """
        if config.split is not None and suite.split != config.split:
            raise UsageError(f"{SOURCE}: suite {suite.name} is of the split {suite.split!r}, not {config.split!r}; choose another suite")
        self._own_worlds = suite.split in HELD_OUT
        if self._own_worlds and config.mid_route > 0.0:
            raise UsageError(f"{SOURCE}: suite {suite.name} is held out ({suite.split}) and driven from the start; leave mid_route at 0")
        self._episodes = tuple(episodes)
        self._mid_route = config.mid_route
        self._samplers: list[TrainingSampler | None] = [None] * num_envs
        self._seeds = [0] * num_envs

    def seeded(self, env: int) -> bool:
        """Whether `seed` was called for the env."""
        return self._samplers[env] is not None

    def seed(self, env: int, generator: np.random.Generator) -> None:
        """Begin the env's stream anew, at a place that the generator gives."""
        self._seeds[env] = int(generator.integers(2**63))
        self._samplers[env] = TrainingSampler(self._episodes, self._seeds[env], self._mid_route)

    def next(self, env: int) -> Episode:
        """The env's next episode: of a held-out suite in the scenario's own world, else in one that no other env meets."""
        sampler = self._samplers[env]
        if sampler is None:
            raise RuntimeError(f"env {env} draws an episode before it has a seed")
        number, episode = sampler.drawn, sampler.next()
        # the sampler numbers the worlds of one stream; those of many streams would all be the same few
        return replace(episode, repetition=0 if self._own_worlds else 1 + whole("world", self._seeds[env], number) % _WORLDS)

    def named(self, scenario_id: str) -> Episode:
        """The episode of a scenario as evaluation drives it first.

        Raises:
            UsageError: the suite has no such scenario.
        """
        for episode in self._episodes:
            if episode.scenario.scenario_id == scenario_id:
                return episode
        raise UsageError(f"{SOURCE}: options: no scenario {scenario_id!r} in the suite; `carla-rl suites NAME` lists them")

    @property
    def scenario_ids(self) -> tuple[str, ...]:
        """All scenarios, in the suite's order."""
        return tuple(episode.scenario.scenario_id for episode in self._episodes)
