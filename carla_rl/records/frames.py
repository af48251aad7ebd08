"""The frames of one recorded episode as arrays: shapes and finiteness checked for the whole episode at once.

Knows the names of the episode contract and of `carla_rl.types.Observation`; reads no file.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import IntEnum
from itertools import chain
from pathlib import Path
from typing import Any, NoReturn, Self

import numpy as np
from numpy.typing import NDArray

from carla_rl.errors import UsageError
from carla_rl.types import ROUTE_POINTS, LightState, Needs, ObjectColumn, ObjectKind, RoomColumn

Frame = dict[str, Any]


@dataclass(frozen=True)
class Frames:
    """The usable frames of an episode: columns by name, each (T, ...), and image paths by camera."""

    path: Path
    episode_id: str
    columns: dict[str, NDArray[np.float64]]
    images: dict[str, tuple[Path, ...]]

    def __len__(self) -> int:
        return len(self.columns["t"])

    @classmethod
    def read(cls, path: Path, episode_id: str, frames: Sequence[Frame], usable: Sequence[int], needs: Needs, horizon: int) -> Self:
        """Take what `needs` declares out of the frames with the numbers `usable`.

        Raises:
            UsageError: a field missing, of the wrong shape, not a number or not finite; file, frame and field are named.
        """
        reader = _Reader(path, frames, usable)
        columns = {
            "t": reader.column("t", ()),
            "waypoints": reader.column("expert.waypoints", (horizon, 2)),
            "speed": reader.column("observations.state.speed", ()),
            "yaw_rate": reader.column("observations.state.yaw_rate", ()),
        }
        if needs.route:
            columns["route"] = reader.column("observations.map.route", (ROUTE_POINTS, 2))
            columns["route_left"] = reader.column("observations.map.route_left", ())
        if needs.objects:
            columns["objects"] = reader.objects(needs.objects, needs.objects_m)
        if needs.lights:
            columns["light"] = reader.states("observations.map.light", LightState)
            columns["stop_sign"] = reader.column("observations.map.stop_sign", (2,))
        if needs.speed_limit:
            columns["speed_limit"] = reader.column("observations.map.speed_limit", ())
        if needs.room:
            columns["room"] = reader.column("observations.map.room", (ROUTE_POINTS, len(RoomColumn)))
        images = {camera.name: reader.images(camera.name) for camera in needs.cameras}
        return cls(path, episode_id, columns, images)


class _Reader:
    """Fields of the usable frames, by their dotted names."""

    def __init__(self, path: Path, frames: Sequence[Frame], usable: Sequence[int]) -> None:
        self._path = path
        self._frames = frames
        self._usable = usable
        self._parents: dict[tuple[str, ...], list[Any]] = {}

    def column(self, field: str, shape: tuple[int, ...]) -> NDArray[np.float64]:
        """(T, *shape)."""
        values = self._values(field)
        try:
            array = _stack(values, shape)
        except (TypeError, ValueError):
            self._blame(field, values, lambda value: _stack([value], shape), f"expected numbers of shape {shape}")
        if not _is_finite(array):
            self._blame(field, values, lambda value: _finite(_stack([value], shape)), "holds a number that is not finite or too large")
        return array

    def states(self, field: str, kinds: type[IntEnum]) -> NDArray[np.float64]:
        """(T, 2): a distance in m, and a member of `kinds`."""
        array = self.column(field, (2,))
        self._check_members(field, array[:, 1], np.arange(len(array)), kinds)
        return array

    def objects(self, rows: int, reach_m: float) -> NDArray[np.float64]:
        """(T, rows, 7): the nearest so many objects within `reach_m` m (files keep them sorted), padded with zero rows."""
        field, width = "observations.map.objects", len(ObjectColumn)
        tables = self._values(field)
        try:
            flat = _finite(_stack(list(chain.from_iterable(tables)), (width,)))
        except (TypeError, ValueError):
            problem = f"expected finite rows of {width} numbers: x, y, yaw, speed, half length, half width, kind"
            self._blame(field, tables, lambda table: _finite(_stack(table, (width,))), problem)
        counts = np.array([len(table) for table in tables], np.int64)
        frame = np.repeat(np.arange(len(tables)), counts)
        self._check_members(field, flat[:, ObjectColumn.KIND], frame, ObjectKind)
        place = np.arange(len(flat)) - np.repeat(np.cumsum(counts) - counts, counts)
        padded = np.zeros((len(tables), rows, width))
        kept = (place < rows) & (np.hypot(flat[:, ObjectColumn.X], flat[:, ObjectColumn.Y]) <= reach_m)
        padded[frame[kept], place[kept]] = flat[kept]
        return padded

    def _check_members(self, field: str, found: NDArray[np.float64], row: NDArray[np.int64], kinds: type[IntEnum]) -> None:
        """Numbers that stand for a kind of thing must be one: they are places in a feature vector later."""
        strange = np.flatnonzero(~np.isin(found, [int(kind) for kind in kinds]))
        if len(strange):
            first = strange[0]
            known = ", ".join(f"{int(kind)} {kind.name.lower()}" for kind in kinds)
            raise UsageError(
                f"{self._path}: frame {self._usable[row[first]]}: {field}: {found[first]:g} is no {kinds.__name__}; write one of {known}"
            )

    def images(self, camera: str) -> tuple[Path, ...]:
        """T paths."""
        values = self._values(f"observations.cameras.{camera}.image_path")
        try:
            return tuple(self._path.parent / value for value in values)
        except TypeError:
            self._blame(f"observations.cameras.{camera}.image_path", values, lambda value: self._path.parent / value, "expected a path")

    def _values(self, field: str) -> list[Any]:
        """The field of each usable frame."""
        *parents, last = field.split(".")
        level: list[Any] = self._parents.get(tuple(parents), [])
        if not level:
            level = [self._frames[i] for i in self._usable]
            for key in parents:
                level = [value.get(key) if isinstance(value, dict) else None for value in level]
            self._parents[tuple(parents)] = level
        values = [value.get(last) if isinstance(value, dict) else None for value in level]
        if None in values:
            i = self._usable[values.index(None)]
            raise UsageError(f"{self._path}: frame {i}: {field} is missing; the policy needs it, give episodes recorded with it")
        return values

    def _blame(self, field: str, values: Sequence[Any], check: Callable[[Any], object], problem: str) -> NoReturn:
        """Name the first frame whose value does not pass `check`."""
        for i, value in zip(self._usable, values, strict=True):
            try:
                check(value)
            except (TypeError, ValueError):
                raise UsageError(f"{self._path}: frame {i}: {field}: {problem} (found {_brief(value)})") from None
        raise AssertionError(f"{self._path}: {field}: {problem}, but no single frame is to blame")


def _stack(values: Sequence[Any], shape: tuple[int, ...]) -> NDArray[np.float64]:
    """Nested lists of numbers as (len(values), *shape); several times faster than np.array, and strings are no numbers here.

    Raises:
        TypeError, ValueError: another shape, something that is no number, or a whole number beyond float64.
    """
    flat = values
    for size in shape:
        if set(map(len, flat)) - {size}:
            raise ValueError("shape")
        flat = list(chain.from_iterable(flat))
    if set(map(type, flat)) - {float, int}:
        raise TypeError("no number")
    try:
        return np.fromiter(flat, np.float64, len(flat)).reshape(len(values), *shape)
    except OverflowError:
        raise ValueError("too large") from None


def _is_finite(array: NDArray[np.float64]) -> bool:
    """Whether all numbers are finite as float32 too, which is what policies are shown."""
    return bool((np.abs(array) <= np.finfo(np.float32).max).all())


def _finite(array: NDArray[np.float64]) -> NDArray[np.float64]:
    if not _is_finite(array):
        raise ValueError("not finite")
    return array


def _brief(value: Any) -> str:
    try:
        shape = np.shape(value)
    except ValueError:
        return repr(value)[:60]
    return f"shape {shape}" if shape else repr(value)[:60]
