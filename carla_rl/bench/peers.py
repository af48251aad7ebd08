"""Other simulators in the same call, where they are installed: single-env speed in their configuration nearest to ours.

Each is driven in a process of its own, which knows nothing of this program but this module: what it prints or breaks stays there.
"""

import json
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module, metadata
from importlib.util import find_spec
from typing import Any

from carla_rl.bench.repeat import rate

TICKS_PER_STEP = 2
"""Their steps are made of two ticks of 0.05 s, as our observations come every second tick; an env-step is a tick for all."""
TIMEOUT_S = 300.0


@dataclass(frozen=True, slots=True)
class Peer:
    """A package that can be measured."""

    package: str
    """Its name for pip."""
    module: str
    configurations: tuple[str, ...]


PEERS = (
    Peer("highway-env", "highway_env", ("highway", "intersection")),
    Peer("metadrive-simulator", "metadrive", ("metadrive",)),
)

TRAINER = Peer("stable-baselines3", "stable_baselines3", ())


def peers(repetitions: int, seconds: float, tell: Callable[[str], None]) -> list[dict[str, Any]]:
    """A row for each configuration of each peer; `env_steps_per_s` is null with a `note` where it could not be measured."""
    rows = []
    for peer in PEERS:
        if find_spec(peer.module) is None:
            rows.append({"peer": peer.package, "env_steps_per_s": None, "note": f"not installed (pip install {peer.package})"})
            continue
        for name in peer.configurations:
            tell(f"{peer.package}: {name}")
            found = _measured(name, repetitions, seconds)
            rows.append({"peer": peer.package, "version": metadata.version(peer.package), "env": name, **found})
    return rows


def trainer() -> dict[str, str | None]:
    """The program that trainings are compared with: `version`, or null with a `note` where it is not there."""
    if find_spec(TRAINER.module) is None:
        return {"peer": TRAINER.package, "version": None, "note": f"not installed (pip install {TRAINER.package})"}
    return {"peer": TRAINER.package, "version": metadata.version(TRAINER.package), "note": None}


def child(name: str, repetitions: int, seconds: float) -> None:
    """The peer's process: measure one configuration and print it as the last line."""
    make, configuration = _CONFIGURATIONS[name]
    reset, step, vehicles, close = make()
    reset()
    count = vehicles()

    def run(rounds: int) -> int:
        for _ in range(rounds):
            if step():
                reset()
        return rounds * TICKS_PER_STEP

    measured = rate(run, repetitions, seconds)
    close()
    print(json.dumps({**measured.to_json("env_steps_per_s"), "vehicles_at_reset": count, "configuration": configuration}))


Driven = tuple[Callable[[], object], Callable[[], bool], Callable[[], int], Callable[[], None]]
"""Reset; a step that says whether the episode ended; other vehicles now; close."""


def _highway(prefix: str, settings: dict[str, Any], pedal: float) -> Driven:
    import gymnasium
    import numpy as np

    import_module("highway_env")
    # the newest version of the environment that the package has
    env_id = max(name for name in gymnasium.registry if name.startswith(f"{prefix}-v"))
    common = {
        "simulation_frequency": 20,
        "policy_frequency": 20 // TICKS_PER_STEP,
        "action": {"type": "ContinuousAction"},
        "observation": {"type": "Kinematics", "vehicles_count": 9},
    }
    env = gymnasium.make(env_id, config=common | settings)
    action = np.array([pedal, 0.0], np.float32)

    def step() -> bool:
        _, _, terminated, truncated, _ = env.step(action)
        return terminated or truncated

    return env.reset, step, lambda: len(env.unwrapped.road.vehicles) - 1, env.close  # type: ignore[attr-defined]


def _metadrive() -> Driven:
    settings = {
        "use_render": False,
        "map": "X",
        "traffic_density": 0.3,
        "num_scenarios": 16,
        "physics_world_step_size": 0.05,
        "decision_repeat": TICKS_PER_STEP,
        "log_level": 50,
    }
    env = import_module("metadrive").MetaDriveEnv(settings)

    def step() -> bool:
        _, _, terminated, truncated, _ = env.step([0.0, 0.3])
        return bool(terminated or truncated)

    return env.reset, step, lambda: len(env.engine.traffic_manager.vehicles) - 1, env.close


_CONFIGURATIONS: dict[str, tuple[Callable[[], Driven], str]] = {
    "highway": (
        lambda: _highway("highway", {"vehicles_count": 8, "lanes_count": 3}, 0.1),
        "straight motorway, 3 lanes, 8 IDM vehicles, 20 Hz ticks, kinematic observation of 9 vehicles at 10 Hz; no lights, no route",
    ),
    "intersection": (
        lambda: _highway("intersection", {"initial_vehicle_count": 8}, 0.1),
        "one junction, up to 8 IDM vehicles at the start, more later, 20 Hz ticks, kinematic observation of 9 vehicles at 10 Hz; no lights",
    ),
    "metadrive": (
        _metadrive,
        "one junction (map X), traffic_density 0.3, physics and traffic at 20 Hz, lidar and navigation at 10 Hz; no rendering, no lights",
    ),
}


def _measured(name: str, repetitions: int, seconds: float) -> dict[str, Any]:
    code = f"from carla_rl.bench.peers import child; child({name!r}, {repetitions}, {seconds})"
    began = time.perf_counter()
    try:
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=TIMEOUT_S)
    except subprocess.TimeoutExpired:
        return {"env_steps_per_s": None, "note": f"no result within {time.perf_counter() - began:.0f} s"}
    if done.returncode:
        lines = done.stderr.strip().splitlines()
        return {"env_steps_per_s": None, "note": f"installed, but failed: {lines[-1] if lines else 'no message'}"}
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found
