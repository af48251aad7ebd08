"""How the kernels are compiled: one set of numba options for all of them.

The numbers are those of plain scalar code: no fast-math, no reduction over envs. Compiled code is kept on disk beside the modules;
numba looks only at the file of a function, so after an edit remove the `*.nbi` files of the functions that call it.

No kernel allocates, so reference counting is off (`_nrt`): its atomic counters, two for each array that a call hands on, cost
several times what the rules cost. A kernel that did allocate would not compile.
"""

from collections.abc import Callable
from typing import TypeVar, cast

from numba import njit

Function = TypeVar("Function", bound=Callable[..., object])


def compiled(function: Function) -> Function:
    """Compile a function when it is first called. A division by zero gives inf or nan, as in NumPy, and costs no test."""
    return cast(Function, njit(cache=True, error_model="numpy", _nrt=False)(function))


def compiled_parallel(function: Function) -> Function:
    """Likewise, with its `prange` loops on several threads."""
    return cast(Function, njit(cache=True, error_model="numpy", parallel=True)(function))
