"""The worlds as plain bytes and back, whatever their records hold. Knows no field by name."""

import hashlib
from typing import Any

import numpy as np
from numpy.typing import NDArray

from carla_rl.errors import UsageError
from carla_rl.interfaces import Arrays
from carla_rl.world.state import Worlds

LAYOUT = "layout"
"""Beside the arrays: a digest of their records, so that bytes of another version are never taken for ours."""


def packed(worlds: Worlds) -> Arrays:
    """By the names of `Worlds`: (N, B) bytes of each env, as `uint8`; and the digest of the records."""
    arrays = {name: _bytes(array) for name, array in worlds._asdict().items()}
    return {**arrays, LAYOUT: _layout(worlds)}


def unpacked(snapshot: Arrays, like: Worlds) -> Worlds:
    """The worlds of `packed`'s result, as many and of the same records as `like`, in arrays of their own.

    Raises:
        UsageError: another number of envs, or records of another version of the toy.
    """
    mine = like._asdict()
    if not np.array_equal(snapshot.get(LAYOUT, np.zeros(0)), _layout(like)) or snapshot.keys() != {*mine, LAYOUT}:
        raise UsageError(
            "the kept worlds of the toy are those of another version of it, whose records differ; go on with the version that wrote them"
        )
    for name, array in mine.items():
        if len(snapshot[name]) != len(array):
            raise UsageError(f"the kept worlds of the toy are {len(snapshot[name])}, this simulator has {len(array)} envs; keep num_envs")
    return Worlds(**{name: _records(snapshot[name], array) for name, array in mine.items()})


def _bytes(array: NDArray[Any]) -> NDArray[np.uint8]:
    """(N, B): the rows of an array as bytes."""
    return np.ascontiguousarray(array).reshape(len(array), -1).view(np.uint8).copy()


def _records(rows: NDArray[Any], like: NDArray[Any]) -> NDArray[Any]:
    """Bytes (N, B) as records of the type of `like`; where those are several an env, as many as the bytes hold."""
    records = np.ascontiguousarray(rows).view(like.dtype)
    return (records.reshape(len(rows), *like.shape[1:]) if like.ndim == 1 else records.reshape(len(rows), -1, *like.shape[2:])).copy()


def _layout(worlds: Worlds) -> NDArray[np.uint8]:
    """(32,) digest of the names, types and fixed sizes of the arrays."""
    # how many slots, scripts and parts an env has grows with what it drives; everything else is the version's
    grows = ("actors", "scripts", "parts")
    told = [
        (name, array.ndim, array.shape[2 if name in grows else 1 :], array.dtype.descr, array.dtype.itemsize)
        for name, array in worlds._asdict().items()
    ]
    return np.frombuffer(hashlib.sha256(repr(told).encode()).digest(), np.uint8).copy()
