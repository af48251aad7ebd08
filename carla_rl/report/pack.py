"""Tables of numbers made small for a page: rounded to whole multiples of a grain, differenced, deflated, written as base64.

`static/unpack.js` reads it back. A table is (R, C); differences run along the rows (`down` times) and then along the columns (`across`
times), so that what moves evenly becomes zeros. Whole numbers are written as varints (7 bits a byte, sign in the lowest bit).
Knows nothing of what the numbers mean.
"""

import base64
import json
import zlib
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

_BITS = 7
_LIMIT = 2**31


@dataclass(frozen=True, slots=True)
class Table:
    """A table by name, ready to be packed."""

    name: str
    values: NDArray[Any]
    """(R,) or (R, C) finite numbers."""
    grain: float = 1.0
    """What the numbers are rounded to multiples of."""
    down: int = 0
    across: int = 0


def pack(tables: Iterable[Table]) -> str:
    """Tables as base64 text: zlib of a header's length (4 bytes, little endian), the header (JSON) and the varints of all tables.

    Raises:
        ValueError: a number that is not finite, or too large for its grain.
    """
    header: list[dict[str, Any]] = []
    streams: list[bytes] = []
    for table in tables:
        whole = _whole(table)
        header.append(
            {
                "name": table.name,
                "shape": list(table.values.shape),
                "grain": table.grain,
                "down": table.down,
                "across": table.across,
            }
        )
        streams.append(_varints(whole.ravel()))
    told = json.dumps(header, separators=(",", ":")).encode()
    return base64.b64encode(zlib.compress(len(told).to_bytes(4, "little") + told + b"".join(streams), 7)).decode()


def unpack(text: str) -> dict[str, NDArray[np.float64]]:
    """What `pack` packed, up to the rounding."""
    data = zlib.decompress(base64.b64decode(text))
    end = 4 + int.from_bytes(data[:4], "little")
    numbers = _numbers(np.frombuffer(data[end:], np.uint8))
    found, used = {}, 0
    for part in json.loads(data[4:end]):
        count = int(np.prod(part["shape"]))
        values = numbers[used : used + count].reshape(part["shape"])
        used += count
        for _ in range(part["across"]):
            values = np.cumsum(values, axis=1)
        for _ in range(part["down"]):
            values = np.cumsum(values, axis=0)
        found[part["name"]] = values * part["grain"]
    return found


def _whole(table: Table) -> NDArray[np.int64]:
    """The table in grains, differenced."""
    scaled = np.asarray(table.values, np.float64) / table.grain
    if not np.isfinite(scaled).all() or (np.abs(scaled) >= _LIMIT).any():
        raise ValueError(f"table {table.name}: a number that is not finite or too large to pack")
    whole = np.rint(scaled).astype(np.int64)
    for _ in range(table.down):
        whole = np.diff(whole, axis=0, prepend=np.zeros_like(whole[:1]))
    for _ in range(table.across):
        whole = np.diff(whole, axis=1, prepend=np.zeros_like(whole[:, :1]))
    return whole


def _varints(values: NDArray[np.int64]) -> bytes:
    unsigned = np.where(values < 0, -2 * values - 1, 2 * values).astype(np.uint64)
    lengths = np.ones(len(values), np.int64)
    rest = unsigned >> np.uint64(_BITS)
    while rest.any():
        lengths += rest > 0
        rest >>= np.uint64(_BITS)
    ends = np.cumsum(lengths)
    out = np.zeros(int(ends[-1]) if len(ends) else 0, np.uint8)
    for i in range(int(lengths.max(initial=0))):
        there = lengths > i
        low = (unsigned[there] >> np.uint64(_BITS * i)) & np.uint64(0x7F)
        more = np.where(lengths[there] > i + 1, 0x80, 0)
        out[(ends - lengths)[there] + i] = low.astype(np.uint8) | more.astype(np.uint8)
    return out.tobytes()


def _numbers(data: NDArray[np.uint8]) -> NDArray[np.int64]:
    if not len(data):
        return np.zeros(0, np.int64)
    ends = np.flatnonzero(data < 0x80)
    begins = np.concatenate(([0], ends[:-1] + 1))
    shift = np.arange(len(data)) - np.repeat(begins, ends - begins + 1)
    parts = (data & 0x7F).astype(np.int64) << (_BITS * shift)
    unsigned = np.add.reduceat(parts, begins)
    return np.where(unsigned & 1, -(unsigned + 1) // 2, unsigned // 2)
