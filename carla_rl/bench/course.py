"""The closed loop that a training drives, as `carla-rl train` builds it on the toy: the suite, the decisions, starts in mid-route.

Knows neither what drives nor what learns.
"""

import itertools
from dataclasses import dataclass
from typing import cast

from carla_rl.agent import DECISION_TICKS, DEFAULT_CONTROLLER
from carla_rl.bench.driving import ToyWorlds
from carla_rl.build import Networks, make_controller, make_simulator
from carla_rl.loop import ClosedLoop
from carla_rl.policies import features
from carla_rl.scenario.episodes import make_episodes
from carla_rl.scenario.sampler import TrainingSampler
from carla_rl.scenario.suite import load_suite

SUITE = "train"
MID_ROUTE = 0.7
"""Share of the episodes that start somewhere on their route: the default of a training."""


@dataclass(frozen=True, slots=True)
class Course:
    """N worlds and the loop that drives them."""

    simulator: ToyWorlds
    loop: ClosedLoop


def make_course(num_envs: int, threads: int = 1, seed: int = 0) -> Course:
    """All envs have just begun an episode; what they drive depends on the seed alone.

    Raises:
        UsageError: no envs, or more threads than there are.
    """
    networks = Networks()
    suite = load_suite(SUITE, networks)
    simulator = make_simulator("toy", num_envs, features.NEEDS, networks, threads)
    sampler = TrainingSampler(make_episodes(suite, networks, simulator.unsupported), seed, MID_ROUTE)
    source = (sampler.next() for _ in itertools.count())
    controller = make_controller(DEFAULT_CONTROLLER, num_envs)
    loop = ClosedLoop(simulator, controller, source, ticks_per_decision=DECISION_TICKS)
    return Course(cast(ToyWorlds, simulator), loop)
