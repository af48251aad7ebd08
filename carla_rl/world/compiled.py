"""How the kernels are compiled: one set of numba options for all of them.

A *kernel* is called from Python, is compiled once for a user and kept on disk; a *rule* is a part of the kernels that call it, compiled
with them and without an entrance of its own. From Python a rule runs as plain Python, which is how tests work its numbers out.

The numbers are those of plain scalar code: no fast-math, no reduction over envs. A kernel lets go of Python's lock, so several threads may
run the same one, each for envs of its own, and one compilation serves one thread and many.

numba looks only at the file of a kernel to see whether its code on disk is stale: remove the kernels' `*.nbi` files after
an edit of a rule.

No kernel allocates, so reference counting is off (`_nrt`): its atomic counters, two for each array that a call hands on, cost
several times what the rules cost. A kernel that did allocate would not compile.
"""

import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast

import numba
import numpy as np
from numpy.typing import NDArray

from carla_rl.compiled import Function, KernelCompiler, inline_rule, rule
from carla_rl.errors import UsageError

PARALLEL_FROM = 1024
"""Fewer envs than this are worked on by the calling thread: starting the others costs more than it saves."""

__all__ = ["PARALLEL_FROM", "Bound", "Threads", "inline_rule", "is_on_disk", "kernel", "rule"]


def kernel(function: Function) -> Function:
    """Compile a function when it is first called, with the rules that it calls."""
    return cast(
        Function,
        numba.njit(cache=True, error_model="numpy", nogil=True, _nrt=False, no_cfunc_wrapper=True, pipeline_class=KernelCompiler)(function),
    )


def is_on_disk(function: Any) -> bool:
    """Whether a kernel has been compiled and kept before, in any process of this user and Python version; it may be stale after an edit."""
    python = "".join(str(part) for part in sys.version_info[:2])
    name = f"{function.__module__.rpartition('.')[2]}.{function.__name__}-*.py{python}*.nbi"
    return any(Path(function.stats.cache_path).glob(name))


class Bound:
    """A kernel that is always called with arguments of the same types: numba looks at them once instead of at every call (10 us)."""

    def __init__(self, function: Callable[..., object]) -> None:
        self._function: Any = function
        self._entry: Callable[..., object] | None = None

    def __call__(self, *arguments: object) -> None:
        """Call the kernel. All calls must bring the same types as the first one: nothing looks again."""
        self.entry(arguments)(*arguments)

    def entry(self, arguments: tuple[object, ...]) -> Callable[..., object]:
        """The compiled kernel for such arguments."""
        if self._entry is None:
            signature = tuple(numba.typeof(argument) for argument in arguments)
            self._function.compile(signature)
            self._entry = self._function.overloads[signature].entry_point
        return self._entry


class Threads:
    """How many threads kernels may use.

    Args:
        threads: at most so many; None: as many as numba has.

    Raises:
        UsageError: fewer than one, or more than numba has.
    """

    def __init__(self, threads: int | None) -> None:
        most = numba.config.NUMBA_NUM_THREADS
        if threads is not None and not 1 <= threads <= most:
            raise UsageError(f"threads must be 1 to {most} on this machine (found {threads})")
        self._threads = threads or most
        self._others = ThreadPoolExecutor(self._threads - 1) if self._threads > 1 else None

    def bound(self, function: Callable[..., object]) -> Callable[..., None]:
        """A kernel whose first argument are the envs that it works on: each thread takes its part of them, where they are enough."""
        kernel = Bound(function)

        def call(envs: NDArray[np.int64], *arguments: object) -> None:
            if self._others is None or len(envs) < PARALLEL_FROM:
                kernel(envs, *arguments)
                return
            entry = kernel.entry((envs, *arguments))
            mine, *parts = np.array_split(envs, self._threads)
            running = [self._others.submit(entry, part, *arguments) for part in parts]
            entry(mine, *arguments)
            for one in running:
                one.result()

        return call

    @contextmanager
    def limited(self) -> Iterator[None]:
        """Within it numba uses at most so many threads."""
        before = numba.get_num_threads()
        numba.set_num_threads(self._threads)
        try:
            yield
        finally:
            numba.set_num_threads(before)
