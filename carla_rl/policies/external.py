"""Policies that live outside this package, by "module:Class"."""

import importlib
from typing import Any, cast

from carla_rl.errors import UsageError
from carla_rl.interfaces import Policy
from carla_rl.types import Needs

_ATTRIBUTES = ("name", "needs", "horizon", "reset", "plan")


def load_external(spec: str, **options: Any) -> Policy:
    """An instance of the class that `spec` names, made with `options`.

    Raises:
        UsageError: the spec is malformed, there is no such module or class, it cannot be made so, or it is no policy.
    """
    module_name, colon, class_name = spec.partition(":")
    if not (module_name and colon and class_name) or module_name.startswith("."):
        raise UsageError(f"policy {spec!r}: write it as module:Class, such as my_models.planner:Planner")
    try:
        module = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        raise UsageError(f"policy {spec!r}: no module named {error.name!r}; install it or add its folder to PYTHONPATH") from None
    made = getattr(module, class_name, None)
    if not callable(made):
        raise UsageError(f"policy {spec!r}: the module {module_name} has no class {class_name}; check its spelling")
    try:
        policy = made(**options)
    except TypeError as error:
        raise UsageError(f"policy {spec!r}: {class_name} cannot be made with the options {sorted(options)}: {error}") from error
    missing = [name for name in _ATTRIBUTES if not hasattr(policy, name)]
    if missing:
        raise UsageError(f"policy {spec!r}: a {class_name} lacks {', '.join(missing)}; carla_rl.interfaces.Policy says what a policy has")
    horizon = policy.horizon
    if not isinstance(policy.needs, Needs) or not isinstance(horizon, int) or isinstance(horizon, bool) or horizon < 1:
        raise UsageError(
            f"policy {spec!r}: needs must be a carla_rl.types.Needs and horizon a whole number above 0 "
            f"(found {type(policy.needs).__name__} and {horizon!r})"
        )
    return cast(Policy, policy)
