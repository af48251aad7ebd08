"""Places on a route: where a trigger lies, whether it lies on the route at all, and where scripted actors may be strewn."""

import math

import numpy as np
from numpy.typing import NDArray

from carla_rl.roads.network import RoadNetwork
from carla_rl.roads.route import Route

TRIGGER_DISTANCE_M = 4.0
"""A trigger lies at most so far from the route. The CARLA leaderboard allows 2 m from its own route, which may change lanes elsewhere than
ours: one lane (3.5 m) beside is still on the route. Three triggers of Longest6 in Town04 need it."""
TRIGGER_ANGLE = math.radians(10.0)
"""and points at most so far from its heading, rad (as in the CARLA leaderboard)."""
SAME_PASS_M = 1.0
"""Where a route passes a trigger more than once, a pass that is no farther from it than the nearest and this is as near."""
LEAST_ROUTE_M = 1.0
"""An episode needs so much route ahead of its start."""
CLEAR_BEHIND_M = 30.0
"""No strewn trigger so near the start of a route: the ego gets up to speed first."""
CLEAR_AHEAD_M = 40.0
"""A strewn trigger has so much straight road ahead outside junctions: room for the scene and for stopping."""
APART_M = 40.0
"""Strewn triggers lie so far apart."""
STRAIGHT = math.radians(6.0)
"""Straight: the heading stays within so much over CLEAR_AHEAD_M, rad."""


def turn(angle: NDArray[np.float64]) -> NDArray[np.float64]:
    """Size of each angle, rad in [0, pi]."""
    return np.abs(np.remainder(angle + math.pi, 2.0 * math.pi) - math.pi)


def pose_at(route: Route, s: float) -> tuple[float, float, float]:
    """x, y in m and yaw in rad of the route s metres from its start."""
    index = int(np.searchsorted(route.s, s, side="right")) - 1
    return float(np.interp(s, route.s, route.x)), float(np.interp(s, route.s, route.y)), float(route.yaw[index])


def distance_to(route: Route, x: float, y: float) -> float:
    """Distance in m from a point to the nearest point of the route's line."""
    return float(_distances(route, x, y).min())


def heading_near(route: Route, x: float, y: float) -> float:
    """Heading of the route, rad, where it comes nearest to a point."""
    return float(route.yaw[int(_distances(route, x, y).argmin())])


def on_route(route: Route, x: float, y: float, yaw: float) -> bool:
    """Whether a trigger lies on the route: within TRIGGER_DISTANCE_M of a point of it whose heading is within TRIGGER_ANGLE."""
    near = (_distances(route, x, y) <= TRIGGER_DISTANCE_M) & (turn(route.yaw[:-1] - yaw) <= TRIGGER_ANGLE)
    return bool(near.any())


def place_of(route: Route, x: float, y: float, yaw: float) -> float:
    """Where on its route a trigger lies, m along it: the nearest of the points whose heading is within TRIGGER_ANGLE.

    On a route that passes it more than once it is the first pass (ScenarioRunner's `ScenarioTriggerer` goes along the route, too).

    Raises:
        ValueError: the route never runs that way.
    """
    along = np.flatnonzero(turn(route.yaw[:-1] - yaw) <= TRIGGER_ANGLE)
    if not len(along):
        raise ValueError(f"the route nowhere has the heading {yaw:.2f} of the trigger at ({x:.1f}, {y:.1f})")
    distance, share = _nearest(route, x, y)
    near = along[distance[along] <= distance[along].min() + SAME_PASS_M]
    passes = np.split(near, np.flatnonzero(np.diff(near) > 1) + 1)
    at = passes[0][distance[passes[0]].argmin()]
    return float(route.s[at] + share[at] * (route.s[at + 1] - route.s[at]))


def _distances(route: Route, x: float, y: float) -> NDArray[np.float64]:
    """(P - 1,) m to each segment of the route."""
    return _nearest(route, x, y)[0]


def _nearest(route: Route, x: float, y: float) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """(P - 1,) m to each segment of the route, and the share of the segment that lies before its nearest point."""
    dx, dy = np.diff(route.x), np.diff(route.y)
    share = np.clip(((x - route.x[:-1]) * dx + (y - route.y[:-1]) * dy) / (dx * dx + dy * dy), 0.0, 1.0)
    return np.hypot(route.x[:-1] + share * dx - x, route.y[:-1] + share * dy - y), share


def open_stretches(network: RoadNetwork, route: Route) -> NDArray[np.float64]:
    """Places (K,), m along the route, where a scripted actor may be triggered: the road ahead is straight and outside junctions."""
    in_junction = np.concatenate(([0], np.cumsum(network.roads.junction[route.lane] >= 0)))
    bend = np.concatenate(([0.0], np.cumsum(turn(np.diff(route.yaw)))))
    end = np.searchsorted(route.s, route.s + CLEAR_AHEAD_M)
    inside = (route.s >= CLEAR_BEHIND_M) & (end < len(route.s))
    first, last = np.flatnonzero(inside), end[inside]
    clear = (in_junction[last + 1] == in_junction[first]) & (bend[last] - bend[first] <= STRAIGHT)
    found: NDArray[np.float64] = route.s[first[clear]]
    return found
