"""`carla-rl bench carla`: what the harness costs on top of CARLA's client, against this project's CARLA-compatible server.

The closed loop is that of `evaluate`: policy, controller, criteria, the expert's plan for ADE, step logs. The bare loop ticks, applies a
control and reads a transform, with as many vehicles of the Traffic Manager around. Client and server share this machine.
"""

import importlib.util
import itertools
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from carla_rl.agent import DECISION_TICKS, DEFAULT_CONTROLLER
from carla_rl.bench.clone import HIDDEN, OUT_DIM, quick_clone
from carla_rl.bench.course import make_course
from carla_rl.bench.machine import describe_machine
from carla_rl.bench.repeat import summary
from carla_rl.bench.server import run_loop
from carla_rl.build import Networks, make_carla_simulator, make_controller, make_expert, serving
from carla_rl.checkpoint import TINY_MULTICAM, SftState
from carla_rl.errors import UsageError
from carla_rl.interfaces import Policy
from carla_rl.loop import ClosedLoop, rollout
from carla_rl.metrics.episode import EpisodeMeter
from carla_rl.policies.images import IMAGE_SIZE
from carla_rl.policies.sft import FrozenSft, SftPolicy, new_model
from carla_rl.records.steps import StepLogger
from carla_rl.scenario.episodes import make_episodes
from carla_rl.scenario.model import Episode
from carla_rl.scenario.suite import load_suite
from carla_rl.servers.choose import make_launch, make_servers
from carla_rl.types import HORIZON, Needs, Observation

DEFINITION = (
    "one tick is 0.05 s of one env, resets left out; the bare loop is tick, apply_control and get_transform of one vehicle; both with 8 "
    "vehicles of the Traffic Manager; a step of the agent is its plan and the pedals of one tick, for one env on one thread"
)
VEHICLES = 8
BARE = f"among_{VEHICLES}"
SUITE, TOWN = "quick-eval", "grid"
FIRST_PORT = 12500
AIMS = {"share_of_bare": 0.6, "object_p99_ms": 3.0, "camera_p99_ms": 8.0, "scaling": 0.9}
WARM_UP = 20
"""Decisions before those that are timed."""
PICTURES = 8
"""That a camera shows in turn while the agent is timed."""


@dataclass(frozen=True, slots=True)
class CarlaSizes:
    """How much is measured."""

    ticks: int = 800
    """Of one repetition."""
    repetitions: int = 3
    steps: int = 1000
    """Of the agent."""
    servers: tuple[int, ...] = (1, 2)
    paced_ms: float = 40.0
    """A tick of the servers in the second series takes this longer and no processor: what a CARLA that renders on a GPU takes."""
    paced_servers: tuple[int, ...] = (1, 2, 4)

    def __post_init__(self) -> None:
        """Raises UsageError where there is nothing to measure, or no client to do it with."""
        if min(self.ticks, self.repetitions, self.steps, *self.servers, *self.paced_servers) < 1 or not self.paced_ms > 0.0:
            raise UsageError("--ticks, --repetitions, --steps, --servers, --paced-ms and --paced-servers must be 1 or more")
        if importlib.util.find_spec("carla") is None:
            raise UsageError("bench carla needs CARLA's client: install it with `pip install 'carla-rl[carla]'`")


def bench_carla(sizes: CarlaSizes, tell: Callable[[str], None]) -> dict[str, Any]:
    """Measure everything; `tell` hears what is measured next. The result is JSON-able.

    Raises:
        RunFailure: a server or a loop of the client failed.
    """
    torch.set_num_threads(1)
    tell("a model to drive with")
    policy = SftPolicy(FrozenSft(quick_clone(make_course(256).loop)))
    fresh = new_model(TINY_MULTICAM, HORIZON, OUT_DIM, HIDDEN, seed=0)
    camera = SftPolicy(FrozenSft(SftState(TINY_MULTICAM, fresh.encoder.state_dict(), fresh.head.state_dict(), cameras=("front",))))
    tell("the bare client")
    with serving("toy")("--map", TOWN) as server:
        bare = summary([sizes.ticks / one for one in run_loop(server.port, BARE, sizes.ticks, sizes.repetitions)])
    loops = _loops(policy, sizes.servers, sizes, 0.0, tell)
    paced = _loops(policy, sizes.paced_servers, sizes, sizes.paced_ms, tell)
    tell("the agent's own step")
    return {
        "benchmark": "carla",
        "machine": describe_machine(),
        "definition": DEFINITION,
        "simulator": "toy-server",
        "bare": bare.to_json("ticks_per_s"),
        "loops": loops,
        "share_of_bare": _of_one(loops) / bare.median,
        "scaling": _scaling(loops),
        "paced": {"tick_ms": sizes.paced_ms, "loops": paced, "scaling": _scaling(paced)},
        "agent_ms": {"object": _step_ms(policy, sizes.steps), "camera": _step_ms(camera, sizes.steps)},
        "aims": AIMS,
    }


def _loops(
    policy: Policy, counts: tuple[int, ...], sizes: CarlaSizes, paced_ms: float, tell: Callable[[str], None]
) -> dict[str, dict[str, float]]:
    """The closed loop by number of servers, whose ticks take `paced_ms` longer than they need."""
    found = {}
    for count in counts:
        slow = f" whose ticks take {paced_ms:g} ms longer" if paced_ms else ""
        tell(f"the closed loop on {count} {'server' if count == 1 else 'servers'}{slow}")
        found[str(count)] = summary(list(_rates(policy, count, sizes, paced_ms))).to_json("ticks_per_s")
    return found


def _of_one(loops: Mapping[str, Mapping[str, float]]) -> float:
    """Ticks a second of one server, by the loop with the fewest."""
    name, row = next(iter(loops.items()))
    return row["ticks_per_s"] / int(name)


def _scaling(loops: Mapping[str, Mapping[str, float]]) -> dict[str, float]:
    """What N servers give, as a share of N times one."""
    return {name: row["ticks_per_s"] / (int(name) * _of_one(loops)) for name, row in loops.items()}


def _episodes(networks: Networks) -> Iterator[Episode]:
    """Drives of one town without end, none of them stopped by its time limit."""
    suite = load_suite(SUITE, networks, TOWN)
    for episode in itertools.cycle(make_episodes(suite, networks, lambda episode: ())):
        scenario = episode.scenario
        traffic = scenario.traffic.model_copy(update={"vehicles": VEHICLES, "pedestrians": 0})
        yield replace(episode, scenario=scenario.model_copy(update={"traffic": traffic, "actors": ()}))


def _rates(policy: Policy, count: int, sizes: CarlaSizes, paced_ms: float) -> Iterator[float]:
    """Ticks a second of all envs together, of each repetition."""
    networks, expert = Networks(), make_expert()
    slow = ("--fault", f"slow@tick=1-:{paced_ms:g}ms") if paced_ms else ()
    launch = make_launch(toy=True, extra=("--map", TOWN, *slow))
    with tempfile.TemporaryDirectory() as folder:
        servers = make_servers(count=count, launch=launch, logs=Path(folder), port=FIRST_PORT)
        simulator = make_carla_simulator(servers, policy.needs.union(expert.needs), networks, timeout_s=60.0)
        with closing(simulator):
            controller = make_controller(DEFAULT_CONTROLLER, count)
            loop = ClosedLoop(simulator, controller, _episodes(networks), ticks_per_decision=DECISION_TICKS, keep_scenes=True)
            meter, logger = EpisodeMeter(count, simulator.info.kind), StepLogger(count)
            driven = rollout(loop, policy)
            for number in range(-1, sizes.repetitions):
                decisions = WARM_UP if number < 0 else sizes.ticks // DECISION_TICKS
                took = done = 0.0
                while done < decisions:
                    before = time.perf_counter()
                    decision = next(driven)
                    expert.reset(decision.started)
                    wanted = expert.plan(decision.observation.restrict(expert.needs)).waypoints
                    earned = np.zeros(count)
                    list(logger.update(decision, reward=earned, expert=wanted))
                    list(meter.update(decision, reward=earned, reference=wanted))
                    if not decision.ended.any():
                        # an ending is followed by the next episode's reset, which is not what is measured
                        took, done = took + time.perf_counter() - before, done + 1
                if number >= 0:
                    yield decisions * DECISION_TICKS * count / took


def _step_ms(policy: SftPolicy, steps: int) -> dict[str, float]:
    """ms of a plan and the pedals of one tick after it: median and 99th percentile."""
    ego_pedals = make_controller(DEFAULT_CONTROLLER, 1)
    ego = make_course(1).loop.step.ego
    policy.reset(np.ones(1, np.bool_))
    took = []
    for observation in itertools.islice(_made_up(policy.needs), steps + WARM_UP):
        before = time.perf_counter()
        plan = policy.plan(observation)
        ego_pedals.control(plan.waypoints.astype(np.float64), 0.0, ego)
        took.append(1000.0 * (time.perf_counter() - before))
    return {"median": float(np.median(took[WARM_UP:])), "p99": float(np.percentile(took[WARM_UP:], 99))}


def _made_up(needs: Needs) -> Iterator[Observation]:
    """What one env might show, without end. Pictures are of noise, never the same twice in a row: a model encodes only what has changed."""
    draw = np.random.default_rng(0)
    seen = make_course(1).loop.observation
    assert seen is not None
    assert all((camera.width, camera.height) == (IMAGE_SIZE, IMAGE_SIZE) for camera in needs.cameras)
    shown = []
    for _ in range(PICTURES):
        images = {camera.name: draw.integers(0, 256, (1, camera.height, camera.width, 3), np.uint8) for camera in needs.cameras}
        shown.append(replace(seen, images=images).restrict(needs))
    return itertools.cycle(shown)
