"""The routes that the envs drive, in one flat pool: a route that many envs drive is held once. Knows nothing of envs."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from carla_rl.errors import UsageError
from carla_rl.roads.network import Right, Roads
from carla_rl.roads.route import Route

POINT = np.dtype(
    [
        ("x", "f8"),
        ("y", "f8"),
        ("z", "f8"),
        ("yaw", "f8"),
        ("cos", "f8"),  # of yaw
        ("sin", "f8"),
        ("s", "f8"),  # m from the route's start
        ("half_width", "f8"),
        ("speed_limit", "f8"),
        ("lane", "i8"),
    ],
    align=True,
)
"""A point of a route, as in `carla_rl.roads.route.Route`."""

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


class RoutePool:
    """Points and marks of routes, appended once each. Routes are told apart by identity."""

    def __init__(self) -> None:
        self._known: dict[int, tuple[Route, Slice]] = {}
        self._points = np.zeros(4096, POINT)
        self._marks = np.zeros(256, MARK)
        self._used = 0
        self._used_marks = 0

    @property
    def points(self) -> NDArray[np.void]:
        """(P,) POINT of all routes."""
        return self._points

    @property
    def marks(self) -> NDArray[np.void]:
        """(M,) MARK of all routes."""
        return self._marks

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
        place = Slice(self._used, count, self._used_marks, len(marks))
        self._points = _room(self._points, self._used + count)
        self._marks = _room(self._marks, self._used_marks + len(marks))
        rows = self._points[place.first : place.first + count]
        for name in ("x", "y", "z", "yaw", "s", "half_width", "speed_limit", "lane"):
            rows[name] = getattr(route, name)
        rows["cos"], rows["sin"] = np.cos(route.yaw), np.sin(route.yaw)
        self._marks[place.mark_first : place.mark_first + len(marks)] = marks
        self._used += count
        self._used_marks += len(marks)
        self._known[id(route)] = (route, place)
        return place


def _room(rows: NDArray[np.void], needed: int) -> NDArray[np.void]:
    """The same rows in an array that holds `needed` of them."""
    if needed <= len(rows):
        return rows
    larger = np.zeros(max(needed, 2 * len(rows)), rows.dtype)
    larger[: len(rows)] = rows
    return larger


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
