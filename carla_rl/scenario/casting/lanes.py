"""Ways along lanes and across roads, as `Path`s. Pure NumPy on a road network; knows no scenario."""

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from carla_rl.roads.network import LaneKind, RoadNetwork
from carla_rl.roads.route import Route
from carla_rl.scenario.script import Path

BEND_ACCEL = 3.0
"""m/s^2 to the side that a scripted vehicle bears in a bend,"""
BEND_BRAKE = 3.0
"""and m/s^2 with which it slows down before."""
FASTEST = 60.0
"""m/s: what a straight path allows."""
_STEP_M = 1.0


def angle(a: float) -> float:
    """The same angle in (-pi, pi]."""
    return math.pi - (math.pi - a) % (2.0 * math.pi)


def make_path(rows: NDArray[np.float64], inside: NDArray[np.bool_]) -> Path:
    """The path through rows (P, 4) of x, y, z, yaw; repeated points are left out."""
    hop = np.hypot(*np.diff(rows[:, :2], axis=0).T)
    keep = np.concatenate(([True], hop > 1e-3))
    rows, inside = rows[keep], inside[keep]
    s = np.concatenate(([0.0], np.cumsum(np.hypot(*np.diff(rows[:, :2], axis=0).T))))
    x, y, z, yaw = (np.ascontiguousarray(column) for column in rows.T)
    return Path(x, y, z, yaw, s, _bend_speed(yaw, s), inside)


def _bend_speed(yaw: NDArray[np.float64], s: NDArray[np.float64]) -> NDArray[np.float64]:
    before, after = np.maximum(np.arange(len(s)) - 1, 0), np.minimum(np.arange(len(s)) + 1, len(s) - 1)
    turned = np.abs((yaw[after] - yaw[before] + np.pi) % (2.0 * np.pi) - np.pi)
    curvature = turned / np.maximum(s[after] - s[before], 0.5)
    speed: NDArray[np.float64] = np.minimum(np.sqrt(BEND_ACCEL / np.maximum(curvature, 1e-6)), FASTEST)
    for k in range(len(s) - 2, -1, -1):
        speed[k] = min(speed[k], math.sqrt(speed[k + 1] ** 2 + 2.0 * BEND_BRAKE * (s[k + 1] - s[k])))
    return speed


def along_lanes(network: RoadNetwork, lanes: Sequence[int], s0: float = 0.0, s1: float | None = None) -> Path:
    """The centre lines of the lanes one after another, from s0 m on the first to s1 m (its end) on the last."""
    roads = network.roads
    rows, inside = [], []
    for number, lane in enumerate(lanes):
        first = s0 if number == 0 else 0.0
        last = s1 if number == len(lanes) - 1 and s1 is not None else float(roads.length[lane])
        s = np.linspace(first, max(last, first), max(math.ceil((last - first) / _STEP_M), 1) + 1)
        rows.append(on_lane(network, lane, s))
        inside.append(np.full(len(s), roads.junction[lane] >= 0))
    return make_path(np.concatenate(rows), np.concatenate(inside))


def on_lane(network: RoadNetwork, lane: int, s: NDArray[np.float64]) -> NDArray[np.float64]:
    """(n, 4): x, y, z in m and yaw in rad on a lane's centre line at s (n,) m."""
    roads = network.roads
    part = slice(int(roads.start[lane]), int(roads.start[lane + 1]))
    yaw = np.interp(s, roads.s[part], np.unwrap(roads.yaw[part]))
    return np.stack([*(np.interp(s, roads.s[part], values[part]) for values in (roads.x, roads.y, roads.z)), yaw], axis=-1)


def along_route(network: RoadNetwork, route: Route, s0: float, s1: float) -> Path:
    """The route from s0 to s1 m, both clipped to it; a metre at least."""
    s0 = min(s0, route.length - _STEP_M)
    s1 = max(min(s1, route.length), s0 + _STEP_M)
    s = np.linspace(s0, s1, max(math.ceil((s1 - s0) / _STEP_M), 1) + 1)
    point = np.clip(np.searchsorted(route.s, s, side="right") - 1, 0, len(route.s) - 1)
    rows = np.stack([*(np.interp(s, route.s, values) for values in (route.x, route.y, route.z)), route.yaw[point]], axis=-1)
    return make_path(rows, network.roads.junction[route.lane[point]] >= 0)


def joined(first: Path, second: Path) -> Path:
    """One path after the other."""
    rows = [np.stack([path.x, path.y, path.z, path.yaw], axis=-1) for path in (first, second)]
    return make_path(np.concatenate(rows), np.concatenate([first.inside, second.inside]))


def across(x: float, y: float, z: float, yaw: float, start: float, end: float, slant: float = 0.0) -> Path:
    """A straight way across the heading `yaw`: from `start` to `end` m to the left of (x, y), `slant` rad against that heading."""
    side = np.linspace(start, end, max(math.ceil(abs(end - start) / _STEP_M), 1) + 1)
    back = np.abs(side - start) * math.tan(slant)
    heading = angle(yaw + math.copysign(math.pi / 2 + slant, end - start))
    rows_x = x - side * math.sin(yaw) - back * math.cos(yaw)
    rows_y = y + side * math.cos(yaw) - back * math.sin(yaw)
    rows = np.stack([rows_x, rows_y, np.full(len(side), z), np.full(len(side), heading)], axis=-1)
    return make_path(rows, np.zeros(len(side), bool))


def spot(x: float, y: float, z: float, yaw: float, aside: float = 0.0) -> Path:
    """A metre straight on from a place `aside` m to the left of (x, y): where something stands."""
    x, y = x - aside * math.sin(yaw), y + aside * math.cos(yaw)
    rows = np.array([[x, y, z, yaw], [x + math.cos(yaw), y + math.sin(yaw), z, yaw]])
    return make_path(rows, np.zeros(2, bool))


def predecessors(network: RoadNetwork, lane: int) -> list[int]:
    """Lanes whose end leads to `lane`."""
    roads = network.roads
    edges = np.flatnonzero(roads.succ == lane)
    return [int(n) for n in np.searchsorted(roads.succ_start, edges, side="right") - 1]


def turns(network: RoadNetwork, lane: int) -> float:
    """rad by which a lane turns to the left from its start to its end."""
    roads = network.roads
    return angle(float(roads.yaw[roads.start[lane + 1] - 1] - roads.yaw[roads.start[lane]]))


def straightest(network: RoadNetwork, lanes: Sequence[int]) -> int:
    """The lane that turns least."""
    return min(lanes, key=lambda lane: abs(turns(network, lane)))


def upstream(network: RoadNetwork, lane: int, way: float) -> tuple[list[int], float]:
    """The lanes before `lane` as far as `way` m or the next junction, in order of travel, ending with `lane`; and where they begin."""
    lanes, left = [lane], way - float(network.roads.length[lane])
    while left > 0.0:
        before = [n for n in predecessors(network, lanes[0]) if network.roads.junction[n] < 0 and n not in lanes]
        if not before:
            return lanes, 0.0
        lanes.insert(0, straightest(network, before))
        left -= float(network.roads.length[lanes[0]])
    return lanes, max(-left, 0.0)


def downstream(network: RoadNetwork, lane: int, way: float) -> tuple[list[int], float]:
    """The lanes from `lane` on for `way` m, straight on where there is a choice; and where they end on the last of them."""
    lanes, left = [lane], way
    while left > network.roads.length[lanes[-1]]:
        after = [n for n in network.successors(lanes[-1]) if n not in lanes]
        if not after:
            return lanes, float(network.roads.length[lanes[-1]])
        left -= float(network.roads.length[lanes[-1]])
        lanes.append(straightest(network, after))
    return lanes, left


def through(network: RoadNetwork, inner: int, way: float) -> tuple[list[int], float]:
    """From the junction lane `inner` on, out of the junction and `way` m farther; and where that ends on the last lane."""
    lanes = [inner]
    while True:
        after = [n for n in network.successors(lanes[-1]) if n not in lanes]
        if not after:
            return lanes, float(network.roads.length[lanes[-1]])
        last = straightest(network, after)
        if network.roads.junction[last] != network.roads.junction[inner]:
            behind, end = downstream(network, last, way)
            return [*lanes, *behind], end
        lanes.append(last)


def extents(network: RoadNetwork, lane: int, x: float, y: float, yaw: float) -> tuple[float, float]:
    """m from (x, y) on `lane` to the right and to the left edge of the road, over all driving and parking lanes of both directions."""
    roads = network.roads
    beside = np.flatnonzero((roads.road == roads.road[lane]) & (roads.section == roads.section[lane]) & (roads.kind <= LaneKind.PARKING))
    lanes = {lane, *(int(n) for n in beside)} | ({int(roads.opposite[lane])} - {-1})
    right = left = 0.0
    for n in lanes:
        part = slice(int(roads.start[n]), int(roads.start[n + 1]))
        k = int(np.argmin(np.hypot(roads.x[part] - x, roads.y[part] - y))) + part.start
        aside = float((roads.y[k] - y) * math.cos(yaw) - (roads.x[k] - x) * math.sin(yaw))
        right, left = max(right, float(roads.half_width[k]) - aside), max(left, float(roads.half_width[k]) + aside)
    return right, left


def meeting(route: Route, path: Path, from_s: float, to_s: float) -> tuple[float, float, float]:
    """Where a path comes nearest to the route between from_s and to_s m of it: (s on the route, s on the path, m between them).

    Of places where they run into each other it is the first one of the route within a metre.
    """
    points = np.flatnonzero((route.s >= from_s) & (route.s <= to_s))
    away = np.hypot(route.x[points, None] - path.x, route.y[points, None] - path.y)
    nearest = away.min(axis=1)
    close = np.flatnonzero(nearest <= max(1.0, float(nearest.min())))
    row = int(close[0])
    column = int(away[row].argmin())
    return float(route.s[points[row]]), float(path.s[column]), float(away[row, column])
