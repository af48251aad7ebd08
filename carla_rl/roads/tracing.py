"""Routes on a road network: the dense line through sparse positions, random positions, and a key that tells routes apart.

A position may lie on several lanes (in junctions, at joints): the chain of places of least total cost is taken, see `lane_graph`. Lanes
change only where the network permits it, as early in their section as possible. Knows nothing of who drives a route nor of the file it
came from.
"""

import hashlib
import itertools
import math
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from carla_rl.errors import UsageError
from carla_rl.roads.lane_graph import CHANGE_M, LaneGraph, Leg, Place
from carla_rl.roads.network import LaneKind, RoadNetwork
from carla_rl.roads.route import Route

Position = tuple[float, float, float]

HOP_M = 1.0
"""Largest distance between two points of a route: the leaderboard's hop."""
LEVEL_M = 3.0
"""Lanes farther above or below than this are on another level, in metres: bridges."""
SNAP_M = 10.0
"""Largest distance of a position from the centre line of its lane."""
_EDGE_M = 0.3
"""A position this far beyond a lane's edge is still on it."""
_OFFSET_COST = 10.0
"""What a metre beside a lane's centre costs, in metres of driving."""

_DRAWS = 500
_ROOM_M = 5.0
"""A drawn route starts and ends at least this far inside its lanes."""
_CHANGE_SHARE = 0.3
"""Share of the long lanes of a drawn route on which it changes lanes where it may."""
_TURN_WEIGHT = 3.0
"""How much more likely a drawn route turns than goes straight on."""


def trace(network: RoadNetwork, positions: Sequence[Position], source: str) -> Route:
    """The cheapest route through `positions` (x, y, z in m, map frame), in order; it starts at the first and ends at the last one.

    `source` says where the positions come from. Raises UsageError naming it and the position that is more than SNAP_M from every driving
    lane, or that cannot be reached from the one before it.
    """
    if len(positions) < 2:
        raise UsageError(f"{source}: a route needs at least two positions, not {len(positions)}; give a start and a destination")
    snapper = _Snapper(network)
    places = [snapper.places(position, f"{source}: position {i + 1} of {len(positions)}") for i, position in enumerate(positions)]
    graph = LaneGraph(network)
    cost = [place.cost for place in places[0]]
    came: list[list[tuple[int, list[Leg]]]] = []
    for i, (before, here) in enumerate(itertools.pairwise(places)):
        best: list[tuple[float, int, list[Leg]]] = [(math.inf, -1, [])] * len(here)
        for a, start in enumerate(before):
            if math.isfinite(cost[a]):
                for b, way in enumerate(graph.search(start, here)):
                    if way is not None and cost[a] + way[0] + here[b].cost < best[b][0]:
                        best[b] = (cost[a] + way[0] + here[b].cost, a, way[1])
        cost = [item[0] for item in best]
        came.append([item[1:] for item in best])
        if not any(map(math.isfinite, cost)):
            where = f"{source}: position {i + 2} of {len(positions)} ({positions[i + 1][0]:.1f}, {positions[i + 1][1]:.1f})"
            raise UsageError(f"{where} cannot be reached from the one before it along the lanes of {network.town}; move one of the two")
    at = int(np.argmin(cost))
    ways: list[list[Leg]] = []
    for step in reversed(came):
        at, legs = step[at]
        ways.append(legs)
    route = _line(network, graph, [leg for legs in reversed(ways) for leg in legs])
    if len(route.x) < 2:
        raise UsageError(f"{source}: the positions are all the same place; give a destination elsewhere")
    return route


def route_key(route: Route) -> str:
    """16 hexadecimal digits: a hash of the town and of the lanes in driving order. Routes that run on the same lanes have the same key."""
    return _key(route.town, route.lanes)


def _key(town: str, lanes: Sequence[int]) -> str:
    return hashlib.sha256(town.encode() + b"\0" + np.array(lanes, "<i4").tobytes()).hexdigest()[:16]


def draw_route(
    network: RoadNetwork, seed: int, min_m: float, max_m: float, wanted: Callable[[str], bool] = lambda key: True
) -> tuple[Position, ...]:
    """Positions of a random route of min_m to max_m metres: the same for the same network and arguments; `trace` gives back the lanes
    drawn.

    It starts and ends outside junctions, on no lane twice, prefers turns to going straight on and changes lanes now and then where that
    is permitted.
    `wanted` tells by its key (see `route_key`) whether a route may be drawn; one that may not costs next to nothing.
    Raises UsageError where no such route is found in _DRAWS attempts, e.g. because the town is too small.
    """
    graph = LaneGraph(network)
    random = np.random.Generator(np.random.Philox(seed))
    for _ in range(_DRAWS):
        legs = _walk(network, graph, random, float(random.uniform(min_m, max_m)))
        if not legs:
            continue
        lanes = tuple(lane for leg in legs for lane in (graph.side_by_side(leg.lane, leg.to) if leg.lane != leg.to else [leg.lane]))
        if not wanted(_key(network.town, lanes)):
            continue
        # one position in each leg pins the lanes down; two where the lane is changed
        places = [(legs[0].lane, legs[0].s0)]
        for leg in legs:
            if leg.lane == leg.to:
                places.append((leg.lane, (leg.s0 + leg.s1) / 2))
            else:
                places += [(leg.lane, leg.s0 + 1.0), (leg.to, leg.s1 - 1.0)]
        places.append((legs[-1].to, legs[-1].s1))
        rows = [_interpolate(network, lane, np.array([s]))[0, :3].round(3).tolist() for lane, s in places]
        positions = tuple((row[0], row[1], row[2]) for row in rows)
        try:
            route = trace(network, positions, f"route drawn with seed {seed}")
        except UsageError:
            continue
        if route.lanes == lanes and min_m <= route.length <= max_m:
            return positions
    raise UsageError(f"{network.town}: found no route of {min_m:g} to {max_m:g} m in {_DRAWS} draws; ask for another length or town")


def _walk(network: RoadNetwork, graph: LaneGraph, random: np.random.Generator, target_m: float) -> list[Leg]:
    """Legs of a random walk of about `target_m` metres; empty where it ran into a dead end or into itself."""
    roads = network.roads
    starts = np.flatnonzero((roads.kind == LaneKind.DRIVING) & (roads.junction == -1) & (roads.length >= 2 * _ROOM_M))
    if not len(starts):
        return []
    lane = int(random.choice(starts))
    s = float(random.uniform(0.1, 0.9)) * (graph.length[lane] - 2 * _ROOM_M) + _ROOM_M
    legs: list[Leg] = []
    seen: set[int] = set()
    left_m = target_m
    while lane not in seen:
        beside = [other for other in (graph.left[lane], graph.right[lane]) if other >= 0 and other not in seen]
        change = bool(beside) and graph.length[lane] - s >= 2 * CHANGE_M and left_m >= 2 * CHANGE_M and random.random() < _CHANGE_SHARE
        to = int(random.choice(beside)) if change else lane
        seen |= {lane, to}
        end = (s + left_m) * graph.length[to] / graph.length[lane]
        if roads.junction[to] == -1 and end <= graph.length[to]:
            # a destination stands clear of junctions
            end = min(end, graph.length[to] - _ROOM_M)
            if end < _ROOM_M or (not legs and end < s + _ROOM_M):
                return []
            return [*legs, Leg(lane, to, s, end)]
        legs.append(Leg(lane, to, s, graph.length[to]))
        left_m -= graph.length[lane] - s
        after = [n for n in graph.successors[to] if n not in seen]
        if not after or left_m < 0.0:
            return []
        weight = np.array([_TURN_WEIGHT if _turns(network, n) else 1.0 for n in after])
        lane, s = int(after[int(random.choice(len(after), p=weight / weight.sum()))]), 0.0
    return []


def _turns(network: RoadNetwork, lane: int) -> bool:
    """Whether a junction lane turns by more than 30 degrees."""
    roads = network.roads
    a, b = int(roads.start[lane]), int(roads.start[lane + 1]) - 1
    return bool(roads.junction[lane] != -1 and math.cos(roads.yaw[b] - roads.yaw[a]) < math.cos(math.pi / 6))


class _Snapper:
    """Finds the places that a position may mean."""

    def __init__(self, network: RoadNetwork) -> None:
        roads = network.roads
        sample = np.flatnonzero(roads.kind[roads.sample_lane] == LaneKind.DRIVING)
        # the samples that start a segment, sorted by x so that those around a position are a slice
        sample = sample[sample + 1 < roads.start[roads.sample_lane[sample] + 1]]
        self.network = network
        self.sample = sample[np.argsort(roads.x[sample], kind="stable")]
        self.x = roads.x[self.sample]

    def places(self, position: Position, what: str) -> list[Place]:
        """On every driving lane that the position lies on, else on the nearest ones within SNAP_M."""
        roads = self.network.roads
        x, y, z = position
        low, high = np.searchsorted(self.x, (x - SNAP_M - 2, x + SNAP_M + 2))
        near = self.sample[low:high]
        near = near[np.abs(roads.y[near] - y) < SNAP_M + 2]
        px, py = x - roads.x[near], y - roads.y[near]
        ux, uy = roads.x[near + 1] - roads.x[near], roads.y[near + 1] - roads.y[near]
        share = np.clip((px * ux + py * uy) / (ux * ux + uy * uy), 0.0, 1.0)
        offset = np.hypot(px - share * ux, py - share * uy)
        near, share, offset = near[offset <= SNAP_M], share[offset <= SNAP_M], offset[offset <= SNAP_M]
        if not len(near):
            town = self.network.town
            raise UsageError(
                f"{what} ({x:.1f}, {y:.1f}) is more than {SNAP_M:g} m from every driving lane of {town}; move it onto the road"
            )
        # on one level: that of the position where there is a lane on it, else the nearest one (many files write z = 0 everywhere)
        height = np.abs(roads.z[near] - z)
        level = height <= max(LEVEL_M, float(height.min()) + LEVEL_M)
        order = np.flatnonzero(level)[np.argsort(offset[level], kind="stable")]
        places: dict[int, Place] = {}
        beyond: dict[int, float] = {}
        for k in order.tolist():
            i, lane = int(near[k]), int(roads.sample_lane[near[k]])
            if lane not in places:
                s = roads.s[i] + share[k] * (roads.s[i + 1] - roads.s[i])
                places[lane] = Place(lane, float(s), float(offset[k]) * _OFFSET_COST)
                beyond[lane] = float(offset[k] - roads.half_width[i])
        limit = max(0.0, min(beyond.values())) + _EDGE_M
        return [place for lane, place in places.items() if beyond[lane] <= limit]


def _line(network: RoadNetwork, graph: LaneGraph, legs: Sequence[Leg]) -> Route:
    """The route along the legs."""
    merged: list[Leg] = []
    for leg in legs:
        last = merged[-1] if merged else None
        if last is not None and last.lane == last.to == leg.lane == leg.to and leg.s0 > 0.0:
            merged[-1] = Leg(leg.lane, leg.lane, last.s0, max(last.s1, leg.s1))
        else:
            merged.append(leg)
    parts = [_points(network, graph, leg, last=leg is merged[-1]) for leg in merged]
    rows = np.concatenate([rows for rows, _ in parts])
    lane = np.concatenate([lanes for _, lanes in parts])
    hop = np.hypot(*np.diff(rows[:, :2], axis=0).T)
    keep = np.concatenate(([True], hop > 1e-6))
    rows, lane = rows[keep], lane[keep]
    s = np.concatenate(([0.0], np.cumsum(np.hypot(*np.diff(rows[:, :2], axis=0).T))))
    x, y, z, yaw, half_width = (np.ascontiguousarray(column) for column in rows.T)
    return Route(network.town, x, y, z, yaw, s, lane, half_width, network.roads.speed_limit[lane])


def _points(network: RoadNetwork, graph: LaneGraph, leg: Leg, last: bool) -> tuple[NDArray[np.float64], NDArray[np.int32]]:
    """Rows (x, y, z, yaw, half width) and lanes along one leg, its end only where it is the last one."""
    chain = [leg.lane] if leg.lane == leg.to else graph.side_by_side(leg.lane, leg.to)
    longest = max(graph.length[lane] for lane in chain)
    s0 = leg.s0 / graph.length[leg.lane]
    s1 = max(s0, leg.s1 / graph.length[leg.to])
    # a little below the hop: where two lanes meet there may be a gap of some millimetres
    steps = math.ceil((s1 - s0) * longest / (0.99 * HOP_M))
    while True:
        rows, lanes = _across(network, graph, chain, np.linspace(s0, s1, steps + 1))
        hop = float(np.hypot(*np.diff(rows[:, :2], axis=0).T).max(initial=0.0))
        # a lane change makes the way a little longer
        if hop <= 0.995 * HOP_M:
            break
        steps = math.ceil(steps * max(hop / (0.99 * HOP_M), 1.01))
    return (rows, lanes) if last or not steps else (rows[:-1], lanes[:-1])


def _across(
    network: RoadNetwork, graph: LaneGraph, chain: Sequence[int], share: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.int32]]:
    """Rows and lanes at the given shares of a section; the change from the chain's first lane to its last begins at the first share."""
    lines = np.stack([_interpolate(network, lane, share * graph.length[lane]) for lane in chain])
    if len(chain) == 1:
        return lines[0], np.full(len(share), chain[0], np.int32)
    room = min(CHANGE_M * (len(chain) - 1) / max(graph.length[lane] for lane in chain), float(share[-1] - share[0]))
    t = np.clip((share - share[0]) / max(room, 1e-9), 0.0, 1.0)
    # smoothstep over the whole chain of lanes
    across = t * t * (3.0 - 2.0 * t) * (len(chain) - 1)
    low = np.minimum(across.astype(np.int64), len(chain) - 2)
    weight = (across - low)[:, None]
    column = np.arange(len(share))
    rows = (1.0 - weight) * lines[low, column] + weight * lines[low + 1, column]
    on = np.minimum(np.floor(across + 0.5).astype(np.int64), len(chain) - 1)
    # heading and width are those of the lane that the point counts to
    rows[:, 3:] = lines[on, column, 3:]
    return rows, np.array(chain, np.int32)[on]


def _interpolate(network: RoadNetwork, lane: int, s: NDArray[np.float64]) -> NDArray[np.float64]:
    """(n, 5): x, y, z, yaw, half width on a lane's centre line at s."""
    roads = network.roads
    part = slice(int(roads.start[lane]), int(roads.start[lane + 1]))
    yaw = np.interp(s, roads.s[part], np.unwrap(roads.yaw[part]))
    columns = [np.interp(s, roads.s[part], values[part]) for values in (roads.x, roads.y, roads.z)]
    wrapped = np.pi - (np.pi - yaw) % (2.0 * np.pi)
    return np.stack([*columns, wrapped, np.interp(s, roads.s[part], roads.half_width[part])], axis=-1)
