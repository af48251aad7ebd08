"""What a user waits for at first: a fresh process that imports, resets, ticks and observes, with a cold and a warm cache of compiled code.

The cache is a temporary folder, which the process is told; the user's own is neither read nor written.
"""

import json
import subprocess
import sys
import tempfile
import time
from typing import Any

from carla_rl.bench.repeat import summary
from carla_rl.errors import RunFailure

PARTS = ("import_s", "load_s", "reset_s", "step_s", "observe_s")

_CODE = (
    "import sys, time; began = time.perf_counter(); import numba; numba.config.CACHE_DIR = sys.argv[1]; "
    "from carla_rl.bench.first_start import child; child(began)"
)


def first_start(repetitions: int) -> dict[str, Any]:
    """Seconds of one cold start and of several warm ones: `total_s` from the start of the process to its end, and its parts.

    Raises:
        RunFailure: the process failed, or compiled nothing.
    """
    with tempfile.TemporaryDirectory() as cache:
        cold = _start(cache)
        warm = [_start(cache) for _ in range(repetitions)]
    total = summary([run["total_s"] for run in warm])
    parts = {name: summary([run[name] for run in warm]).median for name in PARTS}
    return {"cold": cold, "warm": {**total.to_json("total_s"), **parts}}


def child(began: float) -> None:
    """The fresh process: does what a first start does and prints the seconds of each part; `began` is when it started."""
    import numpy as np

    from carla_rl.bench.driving import NEEDS, episodes
    from carla_rl.build import Networks, make_simulator
    from carla_rl.types import Control

    marks = [began, time.perf_counter()]
    networks = Networks()
    simulator = make_simulator("toy", 1, NEEDS, networks)
    (episode, *_) = episodes(networks)
    marks.append(time.perf_counter())
    simulator.reset(np.zeros(1, np.int64), [episode])
    marks.append(time.perf_counter())
    simulator.step(Control(*(np.zeros(1) for _ in range(3))))
    marks.append(time.perf_counter())
    simulator.observe()
    marks.append(time.perf_counter())
    print(json.dumps({name: end - start for name, start, end in zip(PARTS, marks, marks[1:], strict=False)}))


def _start(cache: str) -> dict[str, float]:
    before = time.perf_counter()
    done = subprocess.run([sys.executable, "-c", _CODE, cache], capture_output=True, text=True, check=False)
    total = time.perf_counter() - before
    if done.returncode:
        lines = done.stderr.strip().splitlines()
        raise RunFailure(f"a fresh process could not drive the toy: {lines[-1] if lines else 'no message'}")
    return {"total_s": total, **json.loads(done.stdout.splitlines()[-1])}
