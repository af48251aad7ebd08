"""How kernels are compiled and kept."""

import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numba
import numpy as np
import pytest
from numpy.typing import NDArray

from carla_rl.errors import UsageError
from carla_rl.world.compiled import PARALLEL_FROM, Bound, Threads, is_on_disk, rule


@rule
def half(x: float) -> float:
    return 0.5 * x


def test_a_rule_is_plain_python_outside_kernels() -> None:
    assert half(3.0) == 1.5
    assert half.__name__ == "half"


def test_a_bound_kernel_does_what_the_kernel_does() -> None:
    @numba.njit
    def fill(values: Any, by: float) -> None:
        for k in range(len(values)):
            values[k] += half(by)

    bound = Bound(fill)
    values = np.zeros(3)
    bound(values, 2.0)
    bound(values, 4.0)
    assert values.tolist() == [3.0, 3.0, 3.0]


def test_threads_are_those_asked_for() -> None:
    with pytest.raises(UsageError, match="threads must be 1 to"):
        Threads(0)
    with pytest.raises(UsageError, match="threads must be 1 to"):
        Threads(numba.config.NUMBA_NUM_THREADS + 1)
    before = numba.get_num_threads()
    with Threads(1).limited():
        assert numba.get_num_threads() == 1
    assert numba.get_num_threads() == before


def test_few_envs_stay_on_one_thread() -> None:
    used: list[int] = []

    def work(envs: NDArray[np.int64], values: NDArray[np.float64]) -> None:
        used.append(len(envs))
        values[envs] += 1.0

    most = numba.config.NUMBA_NUM_THREADS
    values = np.zeros(PARALLEL_FROM)
    envs = np.arange(PARALLEL_FROM)
    signature = numba.typeof(envs), numba.typeof(values)
    call = Threads(None).bound(SimpleNamespace(compile=lambda _: None, overloads={signature: SimpleNamespace(entry_point=work)}))
    call(envs[1:], values)
    assert used == [PARALLEL_FROM - 1]
    call(envs, values)
    assert len(used) == 1 + most
    assert values.tolist() == [1.0] + [2.0] * (PARALLEL_FROM - 1)


def test_a_fault_on_another_thread_is_told() -> None:
    def work(envs: NDArray[np.int64]) -> None:
        if envs[-1] == PARALLEL_FROM - 1:
            raise ValueError("the last env")

    envs = np.arange(PARALLEL_FROM)
    call = Threads(None).bound(
        SimpleNamespace(compile=lambda _: None, overloads={(numba.typeof(envs),): SimpleNamespace(entry_point=work)})
    )
    with pytest.raises(ValueError, match="the last env"):
        call(envs)


def test_a_kernel_is_cold_until_it_is_on_disk(tmp_path: Path) -> None:
    function = SimpleNamespace(__module__="toy_env.kernel", __name__="tick", stats=SimpleNamespace(cache_path=str(tmp_path)))
    assert not is_on_disk(function)
    python = f"py{sys.version_info.major}{sys.version_info.minor}"
    (tmp_path / f"kernel.tick_parallel-9.{python}.nbi").touch()
    (tmp_path / "kernel.tick-9.py27.nbi").touch()
    assert not is_on_disk(function)
    (tmp_path / f"kernel.tick-9.{python}.nbi").touch()
    assert is_on_disk(function)
