"""`carla-rl bench toy`: what the toy world costs, part by part. Each part is a function; `bench_toy` puts them together."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from time import perf_counter
from typing import Any

import numba
import numpy as np

from carla_rl.bench.driving import DEFINITION, POLICY, VEHICLES, Replay, Worlds, mean_placed
from carla_rl.bench.first_start import first_start
from carla_rl.bench.machine import describe_machine
from carla_rl.bench.peers import peers
from carla_rl.bench.repeat import rate, summary
from carla_rl.errors import UsageError
from carla_rl.types import CameraSpec, Control, Needs

REPLAY_ROUNDS = 400
"""Observations of the drive that is timed with a single env: 40 s."""
CAMERA_ENVS = 8


@dataclass(frozen=True, slots=True)
class Sizes:
    """How much is measured."""

    num_envs: tuple[int, ...] = (1, 4, 16, 64, 256, 1024, 4096, 16_384)
    threads: tuple[int, ...] = (1,)
    vehicles: tuple[int, ...] = (0, 8, 16, 32, 64)
    part_envs: int = 256
    """Envs with which the cost of vehicles and resets is measured."""
    repetitions: int = 5
    seconds: float = 0.5
    """Of one repetition, about."""
    first_start: bool = True
    settle_rounds: int = 100
    """Observations for which the worlds of the throughput drive before they are timed: then some of them end in every second."""

    def __post_init__(self) -> None:
        """Check that it can be measured here.

        Raises:
            UsageError: no envs, or threads that this machine does not have.
        """
        if wrong := [count for count in self.num_envs if count < 1]:
            raise UsageError(f"--num-envs {wrong[0]}: a simulator needs at least 1 env; write 1 or more")
        check_threads(self.threads)

    def with_envs(self, num_envs: tuple[int, ...]) -> "Sizes":
        """The same for other numbers of envs."""
        return replace(self, num_envs=num_envs)


def check_threads(threads: Sequence[int]) -> None:
    """Raises UsageError where this machine does not have so many."""
    cores = numba.config.NUMBA_NUM_THREADS
    if wrong := [count for count in threads if not 1 <= count <= cores]:
        raise UsageError(f"--threads {wrong[0]}: this machine has {cores} to offer; write 1 to {cores}")


def all_threads() -> tuple[int, ...]:
    """One, two and all threads of this machine."""
    cores = numba.config.NUMBA_NUM_THREADS
    return tuple(sorted({1, min(2, cores), cores}))


def quick(threads: tuple[int, ...]) -> Sizes:
    """Less of everything, and no first start, which alone takes a minute."""
    return Sizes((1, 256, 1024), threads, (0, 8, 32), part_envs=64, repetitions=3, seconds=0.2, first_start=False, settle_rounds=20)


def bench_toy(sizes: Sizes, tell: Callable[[str], None], *, with_peers: bool = False) -> dict[str, Any]:
    """Measure everything; `tell` hears what is measured next. The result is JSON-able; durations say their unit in their names.

    Raises:
        RunFailure: a fresh process could not be measured.
    """
    tell("throughput")
    table = [throughput(num_envs, threads, sizes, tell) for num_envs in sizes.num_envs for threads in sizes.threads]
    tell("cost by vehicles")
    actors = cost_by_vehicles(sizes)
    tell("resets")
    resets = cost_of_resets(sizes)
    tell("a single env")
    single = rate(Replay(REPLAY_ROUNDS).run, sizes.repetitions, sizes.seconds).to_json("env_steps_per_s")
    tell("front camera")
    camera = camera_rate(sizes)
    tell("first start" if sizes.first_start else "no first start")
    return {
        "benchmark": "toy",
        "machine": describe_machine(),
        "definition": DEFINITION,
        "policy": POLICY,
        "throughput": table,
        "vehicles": actors,
        "reset": resets,
        "memory": {"vehicles": VEHICLES, "bytes_per_env": Worlds(sizes.part_envs).simulator.memory_bytes / sizes.part_envs},
        "single_env": single,
        "camera": camera,
        "first_start": first_start(min(sizes.repetitions, 3)) if sizes.first_start else None,
        "peers": peers(sizes.repetitions, 4.0 * sizes.seconds, tell) if with_peers else None,
    }


def throughput(num_envs: int, threads: int, sizes: Sizes, tell: Callable[[str], None]) -> dict[str, Any]:
    """Env-steps a second as `DEFINITION` has them, the rule at the wheel included."""
    tell(f"throughput: {num_envs} envs, threads {threads}")
    worlds = Worlds(num_envs, threads)
    placed, steps = mean_placed(worlds, np.arange(num_envs)), 0
    worlds.run(sizes.settle_rounds)
    worlds.resets = 0

    def run(rounds: int) -> int:
        nonlocal steps
        done = worlds.run(rounds)
        steps += done
        return done

    measured = rate(run, sizes.repetitions, sizes.seconds)
    return {
        "num_envs": num_envs,
        "threads": threads,
        **measured.to_json("env_steps_per_s"),
        "vehicles_placed": placed,
        "resets_per_1000_env_steps": 1000.0 * worlds.resets / steps,
    }


def cost_by_vehicles(sizes: Sizes) -> dict[str, Any]:
    """Microseconds of an env-step by the number of other vehicles, one thread, and the straight line through them."""
    rows = []
    for vehicles in sizes.vehicles:
        worlds = Worlds(sizes.part_envs, vehicles=vehicles)
        placed = mean_placed(worlds, np.arange(sizes.part_envs))
        measured = rate(worlds.run, sizes.repetitions, sizes.seconds)
        rows.append(
            {
                "vehicles": vehicles,
                "vehicles_placed": placed,
                "us_per_env_step": 1e6 / measured.median,
                **measured.to_json("env_steps_per_s"),
                "bytes_per_env": worlds.simulator.memory_bytes / sizes.part_envs,
            }
        )
    return {"num_envs": sizes.part_envs, "threads": 1, "rows": rows, "line": _line(rows)}


def cost_of_resets(sizes: Sizes) -> dict[str, Any]:
    """A reset of all envs at once and of one alone, in microseconds and in env-steps with one thread."""
    found = {}
    for name, num_envs in (("together", sizes.part_envs), ("alone", 1)):
        worlds = Worlds(num_envs)
        step_us = 1e6 / rate(worlds.run, sizes.repetitions, sizes.seconds).median
        envs = np.arange(num_envs)
        values = []
        for _ in range(max(sizes.repetitions, 2)):
            episodes = [worlds.draw(num_envs) for _ in range(max(256 // num_envs, 1))]
            before = perf_counter()
            for drawn in episodes:
                worlds.simulator.reset(envs, drawn)
            values.append(1e6 * (perf_counter() - before) / (len(episodes) * num_envs))
        measured = summary(values)
        found[name] = {"num_envs": num_envs, **measured.to_json("us_per_env"), "env_steps": measured.median / step_us}
    return found


def camera_rate(sizes: Sizes) -> dict[str, Any]:
    """Front-camera frames a second on one core, a tick before each, without which nothing would be drawn anew."""
    spec = CameraSpec()
    worlds = Worlds(CAMERA_ENVS, needs=Needs(cameras=(spec,)))
    before = numba.get_num_threads()
    # the renderer draws with all threads of numba that it finds
    numba.set_num_threads(1)
    try:
        measured = rate(partial(_frames, worlds), sizes.repetitions, sizes.seconds)
    finally:
        numba.set_num_threads(before)
    return {"width": spec.width, "height": spec.height, "num_envs": CAMERA_ENVS, "threads": 1, **measured.to_json("frames_per_s")}


def _frames(worlds: Worlds, rounds: int) -> int:
    """Every ego stands on its brake, so that the worlds are driven on and no episode ends at once."""
    still, brake = np.zeros(worlds.num_envs), np.ones(worlds.num_envs)
    for _ in range(rounds):
        worlds.ticks(Control(still, still, brake), 1)
        worlds.simulator.observe()
    return rounds * worlds.num_envs


def _line(rows: Sequence[dict[str, Any]]) -> dict[str, float] | None:
    """Least squares of cost over vehicles: `us_fixed`, `us_per_vehicle`, and the share `r2` of the variance that it explains."""
    if len(rows) < 3:
        return None
    x = np.array([row["vehicles_placed"] for row in rows])
    y = np.array([row["us_per_env_step"] for row in rows])
    slope, fixed = np.polyfit(x, y, 1)
    rest = y - (fixed + slope * x)
    return {"us_fixed": float(fixed), "us_per_vehicle": float(slope), "r2": float(1.0 - rest.var() / y.var())}
