"""What the arrays of a step log have to be like: shapes that fit together, finite numbers, times that rise. Reads no file."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

ANY, DECISIONS, STATES, ACTORS = "any", "decisions", "states", "actors"
Shape = tuple[int | str, ...]

SHAPES: Mapping[str, Shape] = {
    "t": (STATES,),
    "ego": (STATES, 6),
    "facts": (STATES, 3),
    "control": (DECISIONS, 3),
    "waypoints": (DECISIONS, ANY, 2),
    "sft_waypoints": (DECISIONS, ANY, 2),
    "expert_waypoints": (DECISIONS, ANY, 2),
    "reward": (DECISIONS,),
    "actor_start": (STATES,),
    "actors": (ACTORS, 8),
    "lights": (DECISIONS, ANY),
    "route": (ANY, 4),
    "outside_share": (STATES,),
    "heading_error": (STATES,),
    "room": (DECISIONS, 3),
}
"""By field of `StepLog`. There is a state before each decision and one at the ending."""


def check_steps(arrays: Mapping[str, NDArray[Any] | None]) -> None:
    """Check the arrays of one log, all of SHAPES; None is one that it lacks.

    Raises:
        ValueError: they are no drive's; the text says which one and why.
    """
    control, actors, start, times = (_there(arrays, name) for name in ("control", "actors", "actor_start", "t"))
    sizes = {DECISIONS: len(control), STATES: len(control) + 1, ACTORS: len(actors)}
    for name, shape in SHAPES.items():
        if (values := arrays[name]) is not None:
            check_array(name, values, tuple(sizes.get(size, size) if isinstance(size, str) else size for size in shape))
    if not len(control):
        raise ValueError("it has no decision")
    if not len(_there(arrays, "route")):
        raise ValueError("its route has no point")
    if not (np.diff(times) > 0.0).all():
        raise ValueError("its times do not rise")
    if start[0] != 0 or start[-1] != len(actors) or (np.diff(start) < 0).any():
        raise ValueError("actor_start does not divide the actors")


def check_array(name: str, values: NDArray[Any], shape: Shape) -> None:
    """Check the shape of one array and that all of it are finite numbers.

    Raises:
        ValueError: they are not.
    """
    if values.ndim != len(shape) or any(wanted not in (ANY, size) for wanted, size in zip(shape, values.shape, strict=True)):
        raise ValueError(f"{name} has shape {values.shape}, expected ({', '.join(map(str, shape))})")
    if values.dtype.kind not in "fi":
        raise ValueError(f"{name} holds {values.dtype}, expected numbers")
    if not np.isfinite(values).all():
        raise ValueError(f"{name} holds a value that is not a finite number")


def _there(arrays: Mapping[str, NDArray[Any] | None], name: str) -> NDArray[Any]:
    values = arrays[name]
    if values is None:
        raise ValueError(f"it lacks {name}")
    return values
