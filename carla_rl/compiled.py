"""How kernels and their parts are compiled, for all of the project. Knows nothing of what is computed.

A part of a kernel never runs by itself, so it is handed on to the kernel as it was lowered: the optimiser sees it once, as a part of
the kernel, and machine code is made once. What numba looks for in a function beside what kernels are written in (closures, comprehensions,
array expressions, branches on None) is not looked for. Together this is about a third of the time of a first start.
"""

from collections.abc import Callable
from typing import Any, TypeVar, cast

from numba.core.codegen import JITCodeLibrary
from numba.core.compiler import CompilerBase, DefaultPassBuilder
from numba.core.compiler_machinery import AnalysisPass, PassManager, register_pass
from numba.core.typed_passes import IRLegalization
from numba.extending import register_jitable

Function = TypeVar("Function", bound=Callable[..., object])

UNNEEDED = {
    "with_lifting",
    "inline_closure_likes",
    "rewrite_semantic_constants",
    "dead_branch_prune",
    "make_function_op_code_to_jit_function",
    "find_literally",
    "literal_unroll",
    "LiteralPropagation",
    "inline_overloads",
    "nopython_rewrites",
    "dump_parfor_diagnostics",
}
"""Passes of numba, by name, for what kernels and rules do not use."""


class RuleLibrary(JITCodeLibrary):
    """The code of a rule and of the rules that it calls, linked and no more: it is optimised and made machine code in kernels."""

    def finalize(self) -> None:
        """Link what has been added. Numba calls it when the library is to be used by another."""
        for library in dict.fromkeys(self._linking_libraries):
            self._final_module.link_in(library._get_module_for_linking(), preserve=True)
        self._finalized = True

    @property
    def codegen(self) -> "RuleLibrary":
        """Whom numba tells the Python globals of new machine code. Here is none, so nobody needs them."""
        return self

    def set_env(self, name: str, environment: object) -> None:
        """See `codegen`."""


@register_pass(mutates_CFG=False, analysis_only=True)
class IntoRuleLibrary(AnalysisPass):
    """Lets what follows put its code into a `RuleLibrary`."""

    _name = "into_rule_library"

    def __init__(self) -> None:
        AnalysisPass.__init__(self)

    def run_pass(self, state: Any) -> bool:
        """Nothing of the function is changed."""
        state.library = RuleLibrary(state.targetctx.codegen(), state.func_id.func_qualname)
        return False


class KernelCompiler(CompilerBase):
    """Numba's passes for native code without those that kernels do not need."""

    def define_pipelines(self) -> list[PassManager]:
        """One way to compile, as numba asks for it."""
        passes = DefaultPassBuilder.define_nopython_pipeline(self.state)
        passes.passes = [step for step in passes.passes if step[0].name() not in UNNEEDED]
        self.add(passes)
        passes.finalize()
        return [passes]

    def add(self, passes: PassManager) -> None:
        """Further passes."""


class RuleCompiler(KernelCompiler):
    """The same for a part of kernels."""

    def add(self, passes: PassManager) -> None:
        """Further passes."""
        passes.add_pass_after(IntoRuleLibrary, IRLegalization)


@register_pass(mutates_CFG=False, analysis_only=True)
class Inlined(AnalysisPass):
    """Lets the optimiser make the function a part of each that calls it.

    Numba's own option for that is handed on to what the function calls, and so all of that would be compiled once more.
    """

    _name = "inlined"

    def __init__(self) -> None:
        AnalysisPass.__init__(self)

    def run_pass(self, state: Any) -> bool:
        """Nothing of the function is changed."""
        state.flags.forceinline = True
        return False


class InlineRuleCompiler(RuleCompiler):
    """The same for a part that is always inlined."""

    def add(self, passes: PassManager) -> None:
        """Further passes."""
        super().add(passes)
        passes.add_pass_after(Inlined, IntoRuleLibrary)


def rule(function: Function) -> Function:
    """A part of kernels: compiled with each kernel that calls it, without an entrance of its own. From Python it runs as plain Python.

    It may not allocate, so reference counting is off. A division by zero gives inf or nan, as in NumPy, and costs no test.
    """
    return _part(function, RuleCompiler)


def inline_rule(function: Function) -> Function:
    """A rule that becomes a part of the code of each rule that calls it: for what happens in every tick.

    An array is handed on as 7 numbers and a town as 35, so a call costs more than many a rule. A rule that is long and seldom needed
    stays a `rule`.
    """
    return _part(function, InlineRuleCompiler)


def _part(function: Function, compiler: type[CompilerBase]) -> Function:
    # the same options for all: numba compiles a function anew for callers of other options
    options: dict[str, Any] = {"error_model": "numpy", "_nrt": False, "no_cpython_wrapper": True, "no_cfunc_wrapper": True}
    return cast(Function, register_jitable(**options, pipeline_class=compiler)(function))
