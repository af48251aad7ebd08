"""The routes that the envs drive, in one flat pool: a route that many envs drive is held once. Knows nothing of envs."""

import math
from dataclasses import dataclass
from itertools import pairwise
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from carla_rl.errors import UsageError
from carla_rl.roads.network import Right, Roads
from carla_rl.roads.route import Route
from carla_rl.scenario.script import Path
from carla_rl.types import ROUTE_POINTS, ROUTE_SPACING_M, RoomColumn
from carla_rl.world.state import aligned

POINT = np.dtype(
    [
        ("x", "f8"),
        ("y", "f8"),
        ("s", "f8"),  # m from the route's start
        ("yaw", "f8"),
        ("cos", "f4"),  # of yaw
        ("sin", "f4"),
        ("chord_x", "f4"),  # unit vector to the next point
        ("chord_y", "f4"),
        ("z", "f4"),
        ("half_width", "f4"),
        ("speed_limit", "f4"),
        ("lane", "i4"),
    ],
    align=True,
)
"""A point of a route, as in `carla_rl.roads.route.Route`; or of a `carla_rl.scenario.script.Path`: its speed as the limit, and as the lane
1 inside junctions, else 0. 64 bytes: one line of a cache."""

LINE_M = 1.0
"""Distance between two points of a route's `line`."""
LINE_BEYOND = math.ceil((ROUTE_POINTS - 1) * ROUTE_SPACING_M / LINE_M) + 2
"""So many of them lie beyond the destination, straight on, that what is seen of the route never ends."""

MARK = np.dtype(
    [
        ("s", "f8"),  # m along the route
        ("entry", "i8"),  # a `Right`
        ("signal", "i8"),  # index into the town's signals, -1: none
        ("lane", "i8"),  # the lane that is entered
        ("approach", "i8"),  # the lane before it
    ],
    align=True,
)
"""Where a route enters a junction, or passes a light or sign: a stop line."""


@dataclass(frozen=True, slots=True)
class Slice:
    """Where a route lies in the pool."""

    first: int
    points: int
    mark_first: int
    marks: int
    line_first: int


class RoutePool:
    """Points and marks of routes, appended once each. Routes are told apart by identity."""

    def __init__(self) -> None:
        self._known: dict[int, tuple[Route, Slice]] = {}
        self._paths: dict[int, tuple[Path, int]] = {}
        self._points = aligned((4096,), POINT)
        self._marks = np.zeros(256, MARK)
        self._line = np.zeros((4096, 2))
        self._room = np.zeros((4096, len(RoomColumn)))
        self._used = 0
        self._used_marks = 0
        self._used_line = 0

    @property
    def points(self) -> NDArray[np.void]:
        """(P,) POINT of all routes."""
        return self._points

    @property
    def marks(self) -> NDArray[np.void]:
        """(M,) MARK of all routes."""
        return self._marks

    @property
    def line(self) -> NDArray[np.float64]:
        """(Q, 2) m: every route again, as points LINE_M apart along it from its start on."""
        return self._line

    @property
    def room(self) -> NDArray[np.float64]:
        """(Q, 3) m: columns of `RoomColumn` at the points of `line`."""
        return self._room

    @property
    def used(self) -> int:
        """Points in use."""
        return self._used

    def add(self, route: Route, roads: Roads) -> Slice:
        """The route's place in the pool, after putting it there if need be.

        Raises:
            UsageError: it has fewer than two points or leaves the network.
        """
        known = self._known.get(id(route))
        if known is not None:
            return known[1]
        count = len(route.x)
        if count < 2 or route.length <= 0:
            raise UsageError(f"town {route.town}: a route needs at least two points and some length (found {count} points)")
        if route.lane.min() < 0 or route.lane.max() >= len(roads.length):
            raise UsageError(f"town {route.town}: the route names lanes that the town does not have; trace it on this town's network")
        marks = _marks(route, roads)
        line = _line(route)
        place = Slice(self._used, count, self._used_marks, len(marks), self._used_line)
        self._points = _longer(self._points, self._used + count)
        self._marks = _longer(self._marks, self._used_marks + len(marks))
        self._line = _longer(self._line, self._used_line + len(line))
        self._room = _longer(self._room, self._used_line + len(line))
        rows = self._points[place.first : place.first + count]
        for name in ("x", "y", "z", "yaw", "s", "half_width", "speed_limit", "lane"):
            rows[name] = getattr(route, name)
        rows["cos"], rows["sin"] = np.cos(route.yaw), np.sin(route.yaw)
        dx, dy = np.diff(route.x), np.diff(route.y)
        length = np.maximum(np.hypot(dx, dy), 1e-9)
        rows["chord_x"][:-1], rows["chord_y"][:-1] = dx / length, dy / length
        self._line[place.line_first : place.line_first + len(line)] = line
        self._room[place.line_first : place.line_first + len(line)] = _room(route, roads, len(line))
        self._marks[place.mark_first : place.mark_first + len(marks)] = marks
        self._used += count
        self._used_marks += len(marks)
        self._used_line += len(line)
        self._known[id(route)] = (route, place)
        return place

    def add_path(self, path: Path) -> int:
        """The path's first point in the pool, after putting it there if need be."""
        known = self._paths.get(id(path))
        if known is not None:
            return known[1]
        first, count = self._used, len(path.s)
        self._points = _longer(self._points, first + count)
        rows = self._points[first : first + count]
        for name in ("x", "y", "z", "yaw", "s"):
            rows[name] = getattr(path, name)
        rows["cos"], rows["sin"] = np.cos(path.yaw), np.sin(path.yaw)
        rows["half_width"], rows["speed_limit"], rows["lane"] = 0.0, path.speed, path.inside
        self._used += count
        self._paths[id(path)] = (path, first)
        return first


Rows = TypeVar("Rows", NDArray[np.void], NDArray[np.float64])


def _longer(rows: Rows, needed: int) -> Rows:
    """The same rows in an array that holds `needed` of them."""
    if needed <= len(rows):
        return rows
    larger = aligned((max(needed, 2 * len(rows)), *rows.shape[1:]), rows.dtype)
    larger[: len(rows)] = rows
    return larger


def _line(route: Route) -> NDArray[np.float64]:
    """(n, 2) points LINE_M apart along the route and straight on past its end."""
    s = LINE_M * np.arange(math.ceil(route.length / LINE_M) + LINE_BEYOND)
    beyond = np.maximum(s - route.length, 0.0)
    x = np.interp(s, route.s, route.x) + beyond * np.cos(route.yaw[-1])
    y = np.interp(s, route.s, route.y) + beyond * np.sin(route.yaw[-1])
    return np.stack((x, y), axis=-1)


def _room(route: Route, roads: Roads, count: int) -> NDArray[np.float64]:
    """(count, 3) width of the road beside the route at the first `count` points of its line; the lane's own half widths past its end."""
    widths = np.zeros((len(route.s), len(RoomColumn)))
    begins = np.concatenate(([0], np.flatnonzero(np.diff(route.lane)) + 1, [len(route.lane)]))
    for first, end in pairwise(begins.tolist()):
        lane = int(route.lane[first])
        samples = slice(roads.start[lane], roads.start[lane + 1])
        dx = route.x[first:end, None] - roads.x[samples]
        dy = route.y[first:end, None] - roads.y[samples]
        near = np.argmin(dx * dx + dy * dy, axis=1)
        rows, yaw = np.arange(end - first), roads.yaw[samples][near]
        # a route that is changing lanes is off its lane's centre
        off = dy[rows, near] * np.cos(yaw) - dx[rows, near] * np.sin(yaw)
        right, left, oncoming = _beside(roads, lane)
        widths[first:end] = np.stack((right + off, left - off, oncoming - off), axis=-1)
    at = np.minimum(np.searchsorted(route.s, LINE_M * np.arange(count), side="right") - 1, len(route.s) - 1)
    room: NDArray[np.float64] = widths[at]
    return room


def _beside(roads: Roads, lane: int) -> tuple[float, float, float]:
    """`RoomColumn`s on the centre of a lane."""
    right, _ = _outwards(roads, roads.right, lane)
    left, leftmost = _outwards(roads, roads.left, lane)
    other = int(roads.opposite[leftmost])
    if other < 0:
        return right, left, left
    # for the oncoming lanes outwards is to their right
    beyond, _ = _outwards(roads, roads.right, other)
    return right, left, left + _half_width(roads, other) + beyond


def _outwards(roads: Roads, neighbour: NDArray[np.int32], lane: int) -> tuple[float, int]:
    """m from a lane's centre to the outer edge of the last of its neighbours, and that lane."""
    width, seen = _half_width(roads, lane), {lane}
    while (beside := int(neighbour[lane])) >= 0 and beside not in seen:
        lane = beside
        seen.add(lane)
        width += 2.0 * _half_width(roads, lane)
    return width, lane


def _half_width(roads: Roads, lane: int) -> float:
    return float(roads.half_width[roads.start[lane] : roads.start[lane + 1]].mean())


def _marks(route: Route, roads: Roads) -> NDArray[np.void]:
    """The stop lines along a route: a lane at whose start something stands, or the first lane of a junction."""
    found = []
    for point in np.flatnonzero(np.diff(route.lane)) + 1:
        lane, approach = int(route.lane[point]), int(route.lane[point - 1])
        enters = roads.junction[lane] >= 0 and roads.junction[lane] != roads.junction[approach]
        if not enters and roads.entry[lane] == Right.PRIORITY:
            continue
        start = int(roads.start[lane])
        # the point is up to a point's distance past the start of the lane
        past = (route.x[point] - roads.x[start]) * np.cos(roads.yaw[start]) + (route.y[point] - roads.y[start]) * np.sin(roads.yaw[start])
        s = max(float(route.s[point] - past), float(route.s[point - 1]))
        found.append((s, int(roads.entry[lane]), int(roads.signal[lane]), lane, approach))
    return np.array(found, MARK)
