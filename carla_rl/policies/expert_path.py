"""The line that the expert drives: the route ahead as a table by arc length, and beside it where it swerves.

Scalar numba code for one env, ego frame, metres. Knows geometry only.
"""

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from carla_rl.compiled import rule
from carla_rl.geometry import wrap
from carla_rl.policies.expert_numbers import Numbers
from carla_rl.types import ROUTE_POINTS, ROUTE_SPACING_M

FINE = 4
"""Table rows for each route point."""
ROWS = (ROUTE_POINTS - 1) * FINE + 1
"""Rows of the path's table: one each 0.5 m of the route."""
ROW_M = ROUTE_SPACING_M / FINE
CHANGE_POINTS = (4, 24)
"""A lane change takes at least and at most so many route points."""
CHANGE_M = (2.4, 5.0)
"""A route that leaves its line by so much, at least and at most, and goes on in parallel has changed the lane."""
EVEN_TURN = 0.006
"""rad for each route point by which the road's turn before and after a lane change may differ from that along it."""
SWERVE_CURVATURE = 0.25
"""1/m, at walking pace: a circle of 4 m; the vehicle's smallest is 3.7 m."""


class Path(NamedTuple):
    """Table of the path, each (ROWS,) unless said otherwise. The route itself is the path without an offset."""

    x: NDArray[np.float64]
    y: NDArray[np.float64]
    yaw: NDArray[np.float64]
    """rad, direction of travel."""
    s: NDArray[np.float64]
    """m from the ego along the path, increasing, s[0] = 0."""
    curvature: NDArray[np.float64]
    """1/m, of the route beneath and the swerve, not negative."""
    offset: NDArray[np.float64]
    """m to the left of the route."""
    left_x: NDArray[np.float64]
    """Unit vector to the left of the route; not filled of a path beside it, as is the next."""
    left_y: NDArray[np.float64]
    shift: NDArray[np.float64]
    """m to the left that the route has moved from the lane that it starts on: not 0 from a lane change on."""
    turned: NDArray[np.float64]
    """(2, ROUTE_POINTS): heading at the route's points and its integral, of the route only."""


class Swerve(NamedTuple):
    """A stretch of the path beside the route: all in m, of the ego's centre along the route, from the ego on."""

    aside: float
    """m to the left of the route; 0: no swerve."""
    begins: float
    out: float
    """From here on it is `aside` m beside the route,"""
    until: float
    """until here,"""
    ends: float
    """and back on the route."""


def empty_path() -> Path:
    """Room for a path."""
    x, y, yaw, s, curvature, offset, left_x, left_y, shift = (np.zeros(ROWS) for _ in range(9))
    return Path(x, y, yaw, s, curvature, offset, left_x, left_y, shift, np.zeros((2, ROUTE_POINTS)))


@rule
def _tangent(route: NDArray[np.float32], i: int) -> tuple[float, float]:
    """Unit tangent at route point i: central difference, at the start that of the parabola through the first three points."""
    a, b = max(i - 1, 0), min(i + 1, route.shape[0] - 1)
    dx, dy = route[b, 0] - route[a, 0], route[b, 1] - route[a, 1]
    if i == 0:
        dx, dy = 2.0 * dx - 0.5 * (route[2, 0] - route[0, 0]), 2.0 * dy - 0.5 * (route[2, 1] - route[0, 1])
    length = max(math.hypot(dx, dy), 1e-6)
    return dx / length, dy / length


@rule
def _bend(route: NDArray[np.float32], i: int) -> float:
    """Curvature of the circle through route points i - 1, i, i + 1, not negative; 0 at the ends."""
    if i < 1 or i > route.shape[0] - 2:
        return 0.0
    ax, ay = route[i, 0] - route[i - 1, 0], route[i, 1] - route[i - 1, 1]
    bx, by = route[i + 1, 0] - route[i, 0], route[i + 1, 1] - route[i, 1]
    product = math.hypot(ax, ay) * math.hypot(bx, by) * math.hypot(ax + bx, ay + by)
    cross = abs(float(ax * by - ay * bx))
    return 2.0 * cross / max(product, 1e-6)


@rule
def swerve_length(aside: float, speed: float, k: Numbers) -> float:
    """m of road on which the path gets `aside` m to the side: a cubic whose curvature is 6 aside / length^2 at its ends."""
    return math.sqrt(6.0 * abs(aside) * max(1.0 / SWERVE_CURVATURE, speed * speed / k.swerve_accel))


@rule
def lay_route(route: NDArray[np.float32], line: Path) -> None:
    """Fill `line` with the route itself: a smooth curve through its points."""
    for row in range(ROWS):
        i = min(row // FINE, ROUTE_POINTS - 2)
        f = row / FINE - i
        ax, ay = _tangent(route, i)
        bx, by = _tangent(route, i + 1)
        h00, h10 = (1.0 + 2.0 * f) * (1.0 - f) ** 2, f * (1.0 - f) ** 2 * ROUTE_SPACING_M
        h01, h11 = f * f * (3.0 - 2.0 * f), f * f * (f - 1.0) * ROUTE_SPACING_M
        line.left_x[row], line.left_y[row] = -(ay + f * (by - ay)), ax + f * (bx - ax)
        line.x[row] = h00 * route[i, 0] + h10 * ax + h01 * route[i + 1, 0] + h11 * bx
        line.y[row] = h00 * route[i, 1] + h10 * ay + h01 * route[i + 1, 1] + h11 * by
        line.curvature[row] = max(_bend(route, i), _bend(route, i + 1))
        line.offset[row] = 0.0
    _measure(line)
    _find_lane_change(route, line)


@rule
def _measure(path: Path) -> None:
    path.s[0] = 0.0
    for row in range(1, ROWS):
        dx, dy = path.x[row] - path.x[row - 1], path.y[row] - path.y[row - 1]
        path.s[row] = path.s[row - 1] + max(math.hypot(dx, dy), 1e-6)
        path.yaw[row] = math.atan2(dy, dx)
    path.yaw[0] = path.yaw[1]


@rule
def ego_offset(line: Path) -> float:
    """m of the ego to the left of the route."""
    return float(-(line.x[0] * line.left_x[0] + line.y[0] * line.left_y[0]))


@rule
def build_path(line: Path, speed: float, yaw_rate: float, swerve: Swerve, k: Numbers, path: Path) -> None:
    """Fill `path`: the route plus a lateral offset that starts at the ego with its direction of travel and becomes that of the swerve.

    Without a swerve the offset is the cubic with the ego's offset and slope at the start and none of either at the end of the recovery
    length. Into and out of a swerve it is the cubic between the two offsets; one that has begun starts at the ego,
    so that the ego goes on as it has begun.
    """
    start = ego_offset(line)
    # in a turn the centre moves at the slip angle of the bicycle, left of the heading in a left turn
    slip = math.asin(min(max(k.rear_base * yaw_rate / speed, -0.5), 0.5)) if speed > 1.0 else 0.0
    slope = math.tan(min(max(wrap(slip - math.atan2(-line.left_x[0], line.left_y[0])), -0.7), 0.7))
    length = max(k.recover_min, k.recover_s * speed, 4.0 * abs(start), swerve_length(start, speed, k))
    turn_length = max(0.5 * k.recover_min, k.turn_s * speed)
    aside, begins, out, until, ends = swerve.aside, swerve.begins, swerve.out, swerve.until, swerve.ends
    begun = aside != 0.0 and begins <= 0.0
    if begun:
        # the speed follows the bend, see `curvature`
        length = max(out, swerve_length(aside - start, 0.0, k), 0.1)
        turn_length, begins, out = length, 0.0, length
    if aside != 0.0:
        until = max(until, out)
        ends = max(ends, until + 0.1)
    for row in range(ROWS):
        gone = row * ROW_M
        t, u = min(gone / length, 1.0), min(gone / turn_length, 1.0)
        d = start * (1.0 + 2.0 * t) * (1.0 - t) ** 2 + slope * gone * (1.0 - u) ** 2
        bend = 0.0
        if aside != 0.0:
            t = min(max((gone - begins) / (out - begins), 0.0), 1.0)
            u = min(max((gone - until) / (ends - until), 0.0), 1.0)
            d += aside * (t * t * (3.0 - 2.0 * t) - u * u * (3.0 - 2.0 * u))
            if 0.0 < t < 1.0:
                bend = 6.0 * abs(aside - (start if begun else 0.0)) / (out - begins) ** 2
            elif 0.0 < u < 1.0:
                bend = 6.0 * abs(aside) / (ends - until) ** 2
        path.x[row] = line.x[row] + d * line.left_x[row]
        path.y[row] = line.y[row] + d * line.left_y[row]
        path.curvature[row] = line.curvature[row] + bend
        path.offset[row] = d
    _measure(path)


@rule
def _find_lane_change(route: NDArray[np.float32], path: Path) -> None:
    """Fill `path.shift` for the first lane change of the route; zeros where there is none.

    A lane change is a stretch whose heading leaves the even turn from its begin to its end by so much that it ends a lane farther left or
    right, while the road before and after it turns as evenly. Where a plain curve begins or ends, the road turns otherwise there.
    """
    path.shift[:] = 0.0
    heading, total = path.turned[0], path.turned[1]
    for i in range(ROUTE_POINTS):
        x, y = _tangent(route, i)
        heading[i] = math.atan2(y, x)
        if i > 0:
            heading[i] = heading[i - 1] + wrap(heading[i] - heading[i - 1])
        # trapezoids: the integral of the heading along the route
        total[i] = 0.0 if i == 0 else total[i - 1] + 0.5 * (heading[i - 1] + heading[i]) * ROUTE_SPACING_M
    first, last, most = 0, 0, 0.0
    for end in range(CHANGE_POINTS[0], ROUTE_POINTS - 2):
        if most != 0.0 and end > last + CHANGE_POINTS[0]:
            break
        for begin in range(end - CHANGE_POINTS[0], max(end - CHANGE_POINTS[1], -1), -1):
            rate = (heading[end] - heading[begin]) / (end - begin)
            moved = total[end] - total[begin] - 0.5 * (heading[end] + heading[begin]) * ROUTE_SPACING_M * (end - begin)
            before = 0.5 * (heading[begin] - heading[begin - 2]) if begin >= 2 else rate
            after = 0.5 * (heading[end + 2] - heading[end])
            even = max(abs(before - rate), abs(after - rate)) < EVEN_TURN
            if even and max(CHANGE_M[0], abs(most) + 0.01) < abs(moved) < CHANGE_M[1]:
                first, last, most = begin, end, moved
    for row in range(first * FINE, ROWS if most != 0.0 else 0):
        i = min(row // FINE, last)
        rate = (heading[last] - heading[first]) / (last - first)
        path.shift[row] = total[i] - total[first] - (heading[first] + 0.5 * rate * (i - first)) * ROUTE_SPACING_M * (i - first)


@rule
def row_at(path: Path, s: float, hint: int) -> int:
    """The row before `s`, searched upwards and downwards from `hint`; clipped so that row + 1 exists."""
    row = min(max(hint, 0), ROWS - 2)
    while row < ROWS - 2 and path.s[row + 1] <= s:
        row += 1
    while row > 0 and path.s[row] > s:
        row -= 1
    return row


@rule
def pose_at(path: Path, s: float, row: int) -> tuple[float, float, float]:
    """x, y, yaw at `s` within `row` (see `row_at`); straight on beyond either end."""
    step = s - path.s[row]
    f = step / (path.s[row + 1] - path.s[row])
    return path.x[row] + f * (path.x[row + 1] - path.x[row]), path.y[row] + f * (path.y[row + 1] - path.y[row]), path.yaw[row + 1]


@rule
def project(path: Path, x: float, y: float) -> tuple[float, float, int]:
    """(s, lateral offset positive to the left, row) of the path's point nearest to (x, y); before the ego s is negative."""
    best, near = math.inf, 0
    for row in range(0, ROWS, FINE):
        d = (path.x[row] - x) ** 2 + (path.y[row] - y) ** 2
        if d < best:
            best, near = d, row
    nearest = near
    for row in range(max(near - FINE, 0), min(near + FINE, ROWS)):
        d = (path.x[row] - x) ** 2 + (path.y[row] - y) ** 2
        if d < best:
            best, nearest = d, row
    yaw = path.yaw[nearest]
    dx, dy = x - path.x[nearest], y - path.y[nearest]
    c, s = math.cos(yaw), math.sin(yaw)
    return path.s[nearest] + dx * c + dy * s, dy * c - dx * s, nearest
