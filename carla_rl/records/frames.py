"""The frames of one recorded episode as arrays: shapes and finiteness checked for the whole episode at once.

Knows the names of the episode contract and of `carla_rl.types.Observation`; reads no file.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from carla_rl.errors import UsageError
from carla_rl.types import ROUTE_POINTS, Needs, ObjectColumn

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
            columns["objects"] = reader.objects(needs.objects)
        if needs.lights:
            columns["light"] = reader.column("observations.map.light", (2,))
            columns["stop_sign"] = reader.column("observations.map.stop_sign", (2,))
        if needs.speed_limit:
            columns["speed_limit"] = reader.column("observations.map.speed_limit", ())
        images = {camera.name: reader.images(camera.name) for camera in needs.cameras}
        return cls(path, episode_id, columns, images)


class _Reader:
    """Fields of the usable frames, by their dotted names."""

    def __init__(self, path: Path, frames: Sequence[Frame], usable: Sequence[int]) -> None:
        self._path = path
        self._frames = frames
        self._usable = usable

    def column(self, field: str, shape: tuple[int, ...]) -> NDArray[np.float64]:
        """(T, *shape)."""
        values = self._values(field)
        try:
            array = np.array(values, np.float64)
        except (TypeError, ValueError):
            array = None
        if array is None or array.shape[1:] != shape:
            self._blame(field, values, lambda value: _array(value).shape == shape, f"expected numbers of shape {shape}")
            raise AssertionError("unreachable: one of the frames is to blame")
        if not np.isfinite(array).all():
            self._blame(field, values, lambda value: bool(np.isfinite(_array(value)).all()), "holds a number that is not finite")
        return array

    def objects(self, rows: int) -> NDArray[np.float64]:
        """(T, rows, 7): the nearest so many objects (files keep them sorted), padded with zero rows."""
        field, width = "observations.map.objects", len(ObjectColumn)
        tables = self._values(field)
        try:
            flat = np.array([row for table in tables for row in table], np.float64).reshape(-1, width)
            sound = bool(np.isfinite(flat).all())
        except (TypeError, ValueError):
            sound = False
        if not sound:
            self._blame(
                field, tables, _is_table, f"expected finite rows of {width} numbers: x, y, yaw, speed, half length, half width, kind"
            )
            raise AssertionError("unreachable: one of the frames is to blame")
        counts = np.array([len(table) for table in tables], np.int64)
        frame = np.repeat(np.arange(len(tables)), counts)
        place = np.arange(len(flat)) - np.repeat(np.cumsum(counts) - counts, counts)
        padded = np.zeros((len(tables), rows, width))
        kept = place < rows
        padded[frame[kept], place[kept]] = flat[kept]
        return padded

    def images(self, camera: str) -> tuple[Path, ...]:
        """T paths."""
        values = self._values(f"observations.cameras.{camera}.image_path")
        if not all(isinstance(value, str) for value in values):
            self._blame(f"observations.cameras.{camera}.image_path", values, lambda value: isinstance(value, str), "expected a path")
        return tuple(self._path.parent / value for value in values)

    def _values(self, field: str) -> list[Any]:
        keys = field.split(".")
        values = []
        for i in self._usable:
            value: Any = self._frames[i]
            for key in keys:
                value = value.get(key) if isinstance(value, dict) else None
            if value is None:
                raise UsageError(f"{self._path}: frame {i}: {field} is missing; the policy needs it, give episodes recorded with it")
            values.append(value)
        return values

    def _blame(self, field: str, values: Sequence[Any], is_good: Callable[[Any], bool], problem: str) -> None:
        """Name the first frame whose value is not good."""
        for i, value in zip(self._usable, values, strict=True):
            try:
                good = is_good(value)
            except (TypeError, ValueError):
                good = False
            if not good:
                raise UsageError(f"{self._path}: frame {i}: {field}: {problem} (found {_brief(value)})")


def _array(value: Any) -> NDArray[np.float64]:
    return np.array(value, np.float64)


def _is_table(value: Any) -> bool:
    return isinstance(value, list) and all(
        _array(row).shape == (len(ObjectColumn),) and bool(np.isfinite(_array(row)).all()) for row in value
    )


def _brief(value: Any) -> str:
    try:
        shape = _array(value).shape
    except (TypeError, ValueError):
        return repr(value)[:60]
    return f"shape {shape}" if shape else repr(value)
