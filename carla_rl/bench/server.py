"""`carla-rl bench server`: what the toy costs behind CARLA's network protocol, with CARLA's own client in a process of its own.

Client and server share this machine, so the figures hold for both together.
"""

import importlib.util
import json
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from carla_rl.bench.machine import describe_machine
from carla_rl.bench.repeat import summary
from carla_rl.build import serving
from carla_rl.errors import RunFailure, UsageError
from carla_rl.types import TICK_S

DEFINITION = (
    "one tick is world.tick() in synchronous mode by CARLA's client, over TCP on this machine; with vehicles also apply_control and "
    "get_transform of each; 50_managed are driven by the client's own Traffic Manager; a camera of 320x240 or a lidar of 64 channels "
    "(30,000 points) is on one of 20 vehicles, and its data have been received in Python"
)
TICK_LOOPS = ("one_vehicle", "20_vehicles", "50_managed")
SENSOR_LOOPS = ("camera", "lidar")
SOAK_VEHICLES, SOAK_SEED = 50, 1
SOAK_S = 3600.0
"""A soak that takes longer has failed."""
LOOP_S = 900.0
"""A loop that takes longer has failed."""


@dataclass(frozen=True, slots=True)
class ServerSizes:
    """How much is measured."""

    town: str = "grid"
    ticks: int = 2000
    """Of one repetition with one vehicle; with more vehicles it is a quarter of that."""
    loads: int = 100
    repetitions: int = 5
    soak_minutes: float = 0.0
    """Simulated minutes of the soak of the Traffic Manager, which is driven twice; 0: none."""

    def __post_init__(self) -> None:
        """Raises UsageError where there is nothing to measure, or no client to do it with."""
        if self.ticks < 4 or self.loads < 1 or self.repetitions < 1 or not self.soak_minutes >= 0.0:
            raise UsageError("--ticks must be 4 or more, --loads and --repetitions 1 or more, --soak 0 or more")
        if importlib.util.find_spec("carla") is None:
            raise UsageError("bench server needs CARLA's client: install it with `pip install 'carla-rl[carla]'`")


def bench_server(sizes: ServerSizes, tell: Callable[[str], None]) -> dict[str, Any]:
    """Measure everything; `tell` hears what is measured next. The result is JSON-able.

    Raises:
        RunFailure: a loop of the client failed.
    """
    tell("start to first answer")
    starts = [_start(sizes) for _ in range(min(sizes.repetitions, 3) + 1)][1:]
    rates = {}
    for loop in (*TICK_LOOPS, *SENSOR_LOOPS):
        tell(loop)
        rounds = sizes.ticks if loop == TICK_LOOPS[0] else sizes.ticks // 4
        with serving("toy")("--map", sizes.town) as server:
            seconds = run_loop(server.port, loop, rounds, sizes.repetitions)
        rates[loop] = summary([rounds / one for one in seconds]).to_json("ticks_per_s")
    tell("load_world")
    loads = _loads(sizes)
    if sizes.soak_minutes:
        tell("soak")
    return {
        "benchmark": "server",
        "machine": describe_machine(),
        "definition": DEFINITION,
        "town": sizes.town,
        "start": summary(starts).to_json("first_answer_s"),
        "ticks": {loop: rates[loop] for loop in TICK_LOOPS},
        "sensors": {loop: rates[loop] for loop in SENSOR_LOOPS},
        "loads": loads,
        "soak": _soak(sizes) if sizes.soak_minutes else None,
    }


def run_loop(port: int, loop: str, rounds: int, repetitions: int) -> list[float]:
    """Seconds of each repetition of a loop of `carla_rl.carla_sim.loops`. Raises RunFailure where the client failed."""
    seconds: list[float] = _run(f"the loop {loop}", LOOP_S, "loops", port, loop, rounds, repetitions)["seconds"]
    return seconds


def run_soak(port: int, vehicles: int, ticks: int, seed: int) -> dict[str, Any]:
    """What `carla_rl.carla_sim.soak` has seen. Raises RunFailure where the client failed."""
    return _run("the soak", SOAK_S, "soak", port, vehicles, ticks, seed)


def _run(what: str, longest_s: float, module: str, *arguments: object) -> dict[str, Any]:
    """What a program of the client has printed. Raises RunFailure where it failed."""
    command = [sys.executable, "-m", f"carla_rl.carla_sim.{module}", *(str(argument) for argument in arguments)]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=longest_s, check=False)
    except subprocess.TimeoutExpired as error:
        raise RunFailure(f"{what} of the client did not end within {longest_s:g} s") from error
    if done.returncode:
        lines = done.stderr.strip().splitlines()
        raise RunFailure(f"{what} of the client ended with {done.returncode}: {lines[-1] if lines else 'no message'}")
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def _soak(sizes: ServerSizes) -> dict[str, Any]:
    """The same drive twice, each on a server of its own: what the first one saw, and whether the second was the same."""
    found = []
    for _ in range(2):
        with serving("toy")("--map", sizes.town) as server:
            found.append(run_soak(server.port, SOAK_VEHICLES, round(sizes.soak_minutes * 60.0 / TICK_S), SOAK_SEED))
    return {**found[0], "same_again": found[0]["digest"] == found[1]["digest"]}


def _start(sizes: ServerSizes) -> float:
    before = time.perf_counter()
    with serving("toy")("--map", sizes.town):
        return time.perf_counter() - before


def _loads(sizes: ServerSizes) -> dict[str, Any]:
    """Seconds of a load, and the server's memory before and after them all."""
    with serving("toy")("--map", sizes.town) as server:
        run_loop(server.port, "load_world", 1, 1)
        before = _resident_mib(server.process.pid)
        seconds = run_loop(server.port, "load_world", sizes.loads, 1)
        after = _resident_mib(server.process.pid)
    return {"count": sizes.loads, "seconds_per_load": seconds[0] / sizes.loads, "server_mib_before": before, "server_mib_after": after}


def _resident_mib(pid: int) -> float:
    """Resident memory of a process, as Linux tells it."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) / 1024.0
    raise RunFailure(f"the kernel does not tell the memory of process {pid}")
