"""How long a comparison of two large runs takes, and how much memory: made-up episodes, read and compared by the program itself.

The two runs are written as an evaluation writes them, episode lines, metrics.json and all; a fresh process compares them, so that its time
and its peak of memory are what a user sees. The episodes' scores are drawn, nothing was driven: they say nothing of any policy.
"""

import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from carla_rl.bench.machine import describe_machine
from carla_rl.errors import RunFailure
from carla_rl.interfaces import SimulatorInfo
from carla_rl.metrics.comfort import BOUNDS
from carla_rl.metrics.result import COLLISIONS, Comfort, EpisodeResult, InfractionRecord, Motion, Raw
from carla_rl.metrics.scores import DEFAULT_SCORE, Drive, definition, is_success, status
from carla_rl.records.atomic import append_lines, write_json
from carla_rl.records.run import PolicyRecord, SuiteRecord, evaluation_metrics, start_run
from carla_rl.types import Ending, Infraction, SimulatorKind

AIM_S = 10.0
AIM_BYTES = 1_000_000_000
EVENTS = (Infraction.COLLISION_VEHICLE, Infraction.RED_LIGHT, Infraction.STOP_SIGN)


def bench_compare(episodes: int, tell: Callable[[str], None]) -> dict[str, Any]:
    """Make two runs of so many episodes, compare them, and say what it took.

    Raises:
        RunFailure: the comparison failed.
    """
    with tempfile.TemporaryDirectory() as folder:
        tell(f"writing 2 runs of {episodes:,} made-up episodes")
        paths = [write_made_up(Path(folder), name, episodes, seed) for seed, name in enumerate(("made-up-a", "made-up-b"))]
        size = sum(file.stat().st_size for path in paths for file in path.iterdir())
        tell("comparing them in a fresh process")
        began, used = time.monotonic(), resource.getrusage(resource.RUSAGE_CHILDREN)
        done = subprocess.run(
            (sys.executable, "-m", "carla_rl", "compare", *map(str, paths), "--json"), capture_output=True, text=True, check=False
        )
        seconds = time.monotonic() - began
    if done.returncode:
        raise RunFailure(f"the comparison ended with exit code {done.returncode}: {done.stderr.strip()}")
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    # of all children; the comparison is the largest. Linux counts KiB, macOS bytes
    peak = children.ru_maxrss * (1 if sys.platform == "darwin" else 1024)
    return {
        "machine": describe_machine(),
        "episodes": episodes,
        "pairs": json.loads(done.stdout)["pairs"],
        "bytes_read": size,
        "seconds": round(seconds, 2),
        "cpu_seconds": round(children.ru_utime + children.ru_stime - used.ru_utime - used.ru_stime, 2),
        "peak_bytes": peak,
        "aims": {"seconds": AIM_S, "peak_bytes": AIM_BYTES},
    }


def write_made_up(folder: Path, name: str, episodes: int, seed: int) -> Path:
    """A complete run of made-up episodes in `folder`; where it is."""
    draw = np.random.default_rng(seed)
    simulator = SimulatorInfo(SimulatorKind.TOY, "made up", "no simulator: these episodes were drawn, not driven", {})
    started = start_run(
        folder,
        "evaluate",
        config={"made_up": True},
        simulator=simulator,
        suite=SuiteRecord(name="made-up", sha256="0" * 64, split="none"),
        policy=PolicyRecord(name=name),
        protocol={},
        run_id=name,
    )
    results = [_made_up(i, draw) for i in range(episodes)]
    lines = [json.dumps({"run_id": name, **result.to_json()}, allow_nan=False) for result in results]
    append_lines(started.path / "episodes.jsonl", *lines)
    write_json(started.path / "metrics.json", evaluation_metrics(name, started.git, started.facts, results, complete=True))
    return started.path


def _made_up(number: int, draw: np.random.Generator) -> EpisodeResult:
    counts = {kind: int(n) for kind, n in zip(EVENTS, draw.poisson(0.3, len(EVENTS)), strict=True) if n}
    completed = bool(draw.random() < 0.9)
    ending = Ending.COMPLETED if completed else Ending.VEHICLE_BLOCKED
    if not completed:
        counts[Infraction.VEHICLE_BLOCKED] = 1
    completion = 1.0 if completed else round(float(draw.uniform(0.1, 0.98)), 4)
    score = definition(DEFAULT_SCORE).score(Drive(completion, counts))
    return EpisodeResult(
        scenario_id=f"made-up-{number:06d}",
        success=is_success(ending, counts),
        ade=float(draw.gamma(2.0, 0.3)),
        fde=float(draw.gamma(2.0, 0.6)),
        route_completion=completion,
        collisions=sum(counts.get(kind, 0) for kind in COLLISIONS),
        offroad=0,
        red_light=counts.get(Infraction.RED_LIGHT, 0),
        stop_sign=counts.get(Infraction.STOP_SIGN, 0),
        episode_return=float(draw.normal()),
        steps=200,
        final_dist=0.0 if completed else 50.0,
        comfort=Comfort(max_accel=2.0, max_jerk=5.0, max_lateral_accel=2.0),
        raw=Raw(counts=counts, outside_share=0.0, min_speed_shares=(), tracking_lateral_m=0.1, tracking_longitudinal_m=0.2, delta_m=None),
        episode_id=f"made-up-{number:06d}#0",
        repetition=0,
        seed=number,
        town="nowhere",
        simulator=SimulatorKind.TOY,
        ending=ending,
        status=status(ending, sum(counts.values())),
        score=DEFAULT_SCORE,
        driving_score=score.score_composed,
        score_penalty=score.score_penalty,
        infractions=tuple(
            InfractionRecord(kind=kind, time_s=float(i), x=0.0, y=0.0, other=-1, value=0.0) for kind, n in counts.items() for i in range(n)
        ),
        duration_s=40.0,
        driven_m=300.0 * completion,
        route_length_m=300.0,
        start_m=0.0,
        scripted=("DynamicObjectCrossing",),
        skipped=(),
        motion=_motion(draw),
    )


def _motion(draw: np.random.Generator) -> Motion:
    chunks = 20
    return Motion(
        step_s=0.2,
        chunks=chunks,
        comfortable_chunks=int(draw.integers(0, chunks + 1)),
        comfort_worst=dict.fromkeys(BOUNDS, 1.0),
        comfort_outside=dict.fromkeys(BOUNDS, 0.0),
        min_ttc_s=float(draw.uniform(0.5, 3.0)),
        ttc_short_share=float(draw.uniform(0.0, 0.05)),
        overspeed_mps=0.0,
        off_centre_s=0.2,
        traffic_speed_shares=(1.0, 0.9, 1.1, 1.0),
        against_m=0.0,
    )
