"""How values become lists of plain things and back. What arrives is checked here and nowhere else, so that a kernel never sees nonsense.

A *kind* turns one value: `decode` takes what msgpack gives (tuples, numbers, strings, bytes) and raises `Malformed` where that is not the
kind; `encode` gives what msgpack takes. Knows no version and no method.
"""

import math
from collections.abc import Callable, Mapping
from typing import Any

from toy_env.server.errors import Malformed


class Kind:
    """A way to read and to write one value."""

    def __init__(
        self, name: str, decode: Callable[[Any], Any], encode: Callable[[Any], Any] | None = None, plain: type | None = None
    ) -> None:
        self.name = name
        self.plain = plain
        """The class of a value that is taken as it is; floats if they are finite. None: there is none."""
        self.decode = decode
        self.encode = encode or _same


def _same(value: Any) -> Any:
    return value


def _float(value: Any) -> float:
    if value.__class__ is float or value.__class__ is int:
        if math.isfinite(value):
            return float(value)
        raise Malformed(f"a finite number is needed (found {value})")
    raise Malformed(f"a number is needed (found {type(value).__name__})")


def _command(value: Any) -> float:
    """A pedal or the wheel. Not a number is the most, as Unreal's clamp has it: the Traffic Manager asks a vehicle that shall stand for a
    brake of 0/0."""
    if value.__class__ is float and not math.isfinite(value):
        return -1.0 if value == -math.inf else 1.0
    return _float(value)


def _int(value: Any) -> int:
    if value.__class__ is int:
        return int(value)
    raise Malformed(f"a whole number is needed (found {type(value).__name__})")


def _bool(value: Any) -> bool:
    if value.__class__ is bool:
        return bool(value)
    raise Malformed(f"true or false is needed (found {type(value).__name__})")


def _text(value: Any) -> str:
    if value.__class__ is str:
        return str(value)
    raise Malformed(f"a string is needed (found {type(value).__name__})")


def _bytes(value: Any) -> bytes:
    if value.__class__ is bytes:
        return bytes(value)
    raise Malformed(f"bytes are needed (found {type(value).__name__})")


FLOAT, INT, BOOL, TEXT, BYTES = (
    Kind("float", _float, plain=float),
    Kind("int", _int, plain=int),
    Kind("bool", _bool, plain=bool),
    Kind("str", _text, plain=str),
    Kind("bytes", _bytes, plain=bytes),
)
ANY = Kind("anything", _same)
COMMAND = Kind("float", _command, plain=float)
"""A number of a vehicle's control."""


def record(make: Callable[..., Any], **fields: Kind) -> Kind:
    """A value with named fields as an array: `fields` in the order of the wire. A field that is not named keeps its default."""
    names, decoders = tuple(fields), tuple(kind.decode for kind in fields.values())
    encoders = tuple(kind.encode for kind in fields.values())
    count, called = len(names), getattr(make, "__name__", "record")
    plain = tuple(kind.plain for kind in fields.values())
    floats = tuple(place for place, kind in enumerate(plain) if kind is float)
    whole = None if None in plain or getattr(make, "_fields", ()) != names else getattr(make, "_make", None)

    def decode(value: Any) -> Any:
        if value.__class__ is not tuple or len(value) != count:
            raise Malformed(f"{called} is an array of {count} values (found {_found(value)})")
        if whole is not None and tuple(map(type, value)) == plain and math.isfinite(sum([value[place] for place in floats])):
            # what nearly all controls and vectors are: a sum is finite only where every part is
            return whole(value)
        return make(**{name: decoder(item) for name, decoder, item in zip(names, decoders, value, strict=True)})

    def encode(value: Any) -> tuple[Any, ...]:
        if whole is not None:
            return tuple(value)
        return tuple([encoder(getattr(value, name)) for name, encoder in zip(names, encoders, strict=True)])

    return Kind(called, decode, encode)


def many(kind: Kind) -> Kind:
    """Any number of values of one kind."""

    def decode(value: Any) -> tuple[Any, ...]:
        if value.__class__ is not tuple:
            raise Malformed(f"an array of {kind.name} is needed (found {_found(value)})")
        return tuple([kind.decode(item) for item in value])

    return Kind(f"[{kind.name}]", decode, lambda values: [kind.encode(value) for value in values])


def optional(kind: Kind) -> Kind:
    """None or a value."""

    def decode(value: Any) -> Any:
        if value == (False,):
            return None
        if value.__class__ is tuple and len(value) == 2 and value[0] is True:
            return kind.decode(value[1])
        raise Malformed(f"an optional {kind.name} is needed (found {_found(value)})")

    return Kind(f"{kind.name} or nothing", decode, lambda value: (False,) if value is None else (True, kind.encode(value)))


def variant(kinds: Mapping[int, Kind]) -> Kind:
    """One of several kinds, told apart by a number: decodes to (number, value)."""

    def decode(value: Any) -> tuple[int, Any]:
        if value.__class__ is not tuple or len(value) != 2 or value[0].__class__ is not int or value[0] not in kinds:
            raise Malformed(f"a variant is needed (found {_found(value)})")
        return value[0], kinds[value[0]].decode(value[1])

    return Kind("variant", decode)


def _found(value: Any) -> str:
    return f"an array of {len(value)}" if value.__class__ is tuple else type(value).__name__
