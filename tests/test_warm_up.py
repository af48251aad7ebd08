"""Compiling ahead must cover what a drive calls: after it a drive needs no further kernel, neither compiled nor loaded from disk."""

import sys

from numba.core.dispatcher import Dispatcher

from carla_rl.build import Networks, make_controller, make_expert, make_simulator
from carla_rl.evaluate import Parts, drive
from carla_rl.scenario.episodes import make_episodes
from carla_rl.scenario.suite import load_suite
from carla_rl.warm_up import SUITE, drivers, world


def ready() -> dict[str, int]:
    """By kernel of ours: the number of signatures that can be called."""
    modules = [module for name, module in sys.modules.items() if name.split(".")[0] in ("carla_rl", "toy_env")]
    found = {id(value): value for module in modules for value in vars(module).values() if isinstance(value, Dispatcher)}
    return {f"{kernel.py_func.__module__}.{kernel.py_func.__name__}": len(kernel.signatures) for kernel in found.values()}


def test_a_drive_needs_no_further_kernel() -> None:
    world()
    drivers()
    expert, networks = make_expert(), Networks()
    simulator = make_simulator("toy", 1, expert.needs, networks)
    episodes = make_episodes(load_suite(SUITE, networks, "0"), networks, simulator.unsupported)
    before = ready()
    result = next(drive(Parts(simulator, expert, make_controller("default", 1), expert, 20), episodes))
    assert result.route_completion > 0
    assert ready() == before
    assert sum(before.values()) > 8
