"""How a method is declared, and what is made of the declarations: the dispatcher and the table in the docs. Knows no single method.

A method is a function of a `Context` and its arguments, marked by `method`. It raises `Refused` for what cannot be done.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from toy_env.server.layouts import Layouts
from toy_env.server.layouts.codec import ANY, BOOL, BYTES, FLOAT, INT, TEXT, Kind, many, optional

if TYPE_CHECKING:
    from toy_env.server.managers import Managers
    from toy_env.server.transport.streams import Streams
    from toy_env.server.world.lights import Lights
    from toy_env.server.world.recorder import Recorder
    from toy_env.server.world.world import World

PRIMITIVES = {"int": INT, "float": FLOAT, "bool": BOOL, "str": TEXT, "bytes": BYTES, "any": ANY}


class Fidelity(StrEnum):
    """How much of CARLA's own behaviour a method has; for the table in the docs."""

    FULL = "as CARLA"
    MODEL = "by the toy's own model"
    STORED = "kept and given back, changes nothing"
    IGNORED = "accepted, changes nothing"


class Reply(StrEnum):
    """How a result is wrapped."""

    VALUE = "value"
    VOID = "void"
    BARE = "bare"


class Context(Protocol):
    """What methods work on."""

    world: "World"
    lights: "Lights"
    recorder: "Recorder"
    recordings: Path
    """The folder of recordings."""
    streams: "Streams"
    layouts: Layouts
    client: int
    """Number of the connection that calls,"""
    client_address: str
    """and where from."""
    sent_map: str
    """OpenDRIVE text that a client has sent last."""
    managers: "Managers"

    @property
    def map_names(self) -> tuple[str, ...]:
        """Maps that can be loaded."""

    def load(self, name: str, keep_settings: bool) -> None:
        """Begin a new episode; an empty name is the map of now. Raises Refused for a map that there is not."""

    def episode_told(self) -> int:
        """The number of the episode; who has just loaded a map is told that of before, once."""

    def tick(self) -> int:
        """Advance the world and tell everybody; the number of the frame."""

    def trouble(self) -> str | None:
        """What has gone wrong in the server since this was last asked, and is not the fault of a call: a sentence each time."""


@dataclass(frozen=True)
class Method:
    """A declaration."""

    name: str
    call: Callable[..., Any]
    takes: tuple[str, ...]
    gives: str
    reply: Reply
    fidelity: Fidelity
    note: str

    @property
    def summary(self) -> str:
        """The first line of the function's docstring."""
        return (self.call.__doc__ or "").strip().split("\n")[0]


Function = TypeVar("Function", bound=Callable[..., Any])


def method(
    name: str, *takes: str, gives: str = "", fidelity: Fidelity = Fidelity.FULL, note: str = "", bare: bool = False
) -> Callable[[Function], Function]:
    """Declare a method.

    Args:
        name: on the wire.
        takes: kinds of the arguments: a field of `Composites` or of PRIMITIVES, `[kind]` for many, `kind?` for an optional one.
        gives: kind of the result; empty: none.
        fidelity: for the docs, with `note` on what differs.
        bare: the result is not wrapped as a response.
    """
    reply = Reply.BARE if bare else Reply.VALUE if gives else Reply.VOID

    def mark(function: Function) -> Function:
        declared = (*getattr(function, "methods", ()), Method(name, function, takes, gives or "any", reply, fidelity, note))
        function.methods = declared  # type: ignore[attr-defined]
        return function

    return mark


def collect(modules: Iterable[ModuleType]) -> dict[str, Method]:
    """All methods that the modules declare, by name. Raises ValueError where two have the same name."""
    found: dict[str, Method] = {}
    for module in modules:
        for value in vars(module).values():
            for declared in getattr(value, "methods", ()) if getattr(value, "__module__", "") == module.__name__ else ():
                if declared.name in found:
                    raise ValueError(f"method {declared.name} is declared twice")
                found[declared.name] = declared
    return found


def kind_of(text: str, layouts: Layouts) -> Kind:
    """The kind that a declaration names, in the client's version."""
    if text.startswith("["):
        return many(kind_of(text[1:-1], layouts))
    if text.endswith("?"):
        return optional(kind_of(text[:-1], layouts))
    kind = PRIMITIVES.get(text) or getattr(layouts.values, text)
    assert isinstance(kind, Kind)
    return kind
