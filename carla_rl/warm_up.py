"""Compiling the kernels of a first start on two processes, so that nobody waits for them one after the other.

numba compiles a kernel when it is first called and keeps it on disk; a machine's first drive therefore waits about a minute. Both halves
below call what a drive calls, with arguments of the same types, and throw the results away. Afterwards everything is loaded from disk.
"""

import sys
from subprocess import PIPE, Popen

import numpy as np
from numpy.typing import NDArray

from carla_rl.build import Networks, make_controller, make_expert, make_simulator
from carla_rl.errors import RunFailure
from carla_rl.geometry import carry
from carla_rl.metrics.episode import plan_distance, tracking_error
from carla_rl.policies.features import route_objects
from carla_rl.policies.perturbation import Perturbation, PerturbationConfig
from carla_rl.scenario.episodes import make_episodes
from carla_rl.scenario.suite import load_suite
from carla_rl.types import ROUTE_POINTS, Control, Ego, ObjectColumn, Observation, Plan, RoomColumn

SUITE = "quick-eval"


def warm_up() -> None:
    """Compile both halves, side by side.

    Raises:
        RunFailure: a half failed; says how.
    """
    with Popen([sys.executable, "-c", "from carla_rl.warm_up import drivers; drivers()"], stderr=PIPE, text=True) as other:
        try:
            world()
            _, told = other.communicate()
        finally:
            # after an error or Ctrl-C here nobody waits for it any more; a process that has ended does not mind
            other.kill()
    if other.returncode:
        raise RunFailure(f"compiling the kernels failed: {told.strip().splitlines()[-1] if told.strip() else 'no message'}")


def world() -> None:
    """The toy: reset, tick, what is seen."""
    networks, needs = Networks(), make_expert().needs
    simulator = make_simulator("toy", 1, needs, networks)
    (episode,) = make_episodes(load_suite(SUITE, networks, "0"), networks, simulator.unsupported)
    simulator.reset(np.zeros(1, np.int64), [episode])
    still = np.zeros(1)
    simulator.step(Control(still, still, still))
    simulator.observe()
    simulator.scene()


def drivers() -> None:
    """Expert, controller, features, measures."""
    seen = _nothing()
    plan = make_expert().plan(seen)
    route_objects(seen)
    waypoints = carry(plan.waypoints, np.zeros((1, 3)), np.zeros((1, 3)))
    make_controller("default", 1).control(waypoints, 0.0, Ego(*(np.zeros(1) for _ in range(6))))
    plan_distance(waypoints, waypoints)
    tracking_error(waypoints, np.full(1, 0.2), np.zeros((1, 3)), np.zeros((1, 3)))
    noise = Perturbation(1, 0.2, PerturbationConfig())
    noise.start(np.ones(1, np.bool_), np.zeros(1, np.uint64))
    noise.apply(Plan(plan.waypoints))


def _nothing() -> Observation:
    """One ego that stands on an empty road."""

    def zeros(*shape: int) -> NDArray[np.float32]:
        return np.zeros(shape, np.float32)

    return Observation(
        speed=zeros(1),
        yaw_rate=zeros(1),
        route=zeros(1, ROUTE_POINTS, 2),
        route_left=zeros(1),
        objects=zeros(1, make_expert().needs.objects, len(ObjectColumn)),
        light=zeros(1, 2),
        stop_sign=zeros(1, 2),
        speed_limit=zeros(1),
        room=zeros(1, ROUTE_POINTS, len(RoomColumn)),
    )
