"""How a part of a kernel is compiled, for all kernels of the project. Knows nothing of what is computed."""

from collections.abc import Callable
from typing import Any, TypeVar, cast

from numba.extending import register_jitable

Function = TypeVar("Function", bound=Callable[..., object])


def rule(function: Function) -> Function:
    """A part of kernels: compiled with each kernel that calls it, without an entrance of its own. From Python it runs as plain Python.

    It may not allocate, so reference counting is off. A division by zero gives inf or nan, as in NumPy, and costs no test.
    """
    options: dict[str, Any] = {"error_model": "numpy", "_nrt": False, "no_cpython_wrapper": True, "no_cfunc_wrapper": True}
    return cast(Function, register_jitable(**options)(function))
