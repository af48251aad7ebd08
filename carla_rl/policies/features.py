"""The feature vector of the object/route-based architecture: what a planner needs of an observation, in numbers near one.

Objects are described along and across the route, because that is where they matter: first the nearest ones ahead in the ego's
corridor, then those that come closest to where the ego will be in the next seconds; what stands aside, follows or stays away is left out,
for a clone would only learn it by heart. Empty slots are zeros, which also means far away.
Scalar code per env: a row has the same bits in any batch. Knows no network.
"""

import math

import numba
import numpy as np
from numpy.typing import NDArray

from carla_rl.types import ROUTE_SPACING_M, SIGHT_M, LightState, Needs, ObjectColumn, ObjectKind, Observation

F32 = NDArray[np.float32]
F64 = NDArray[np.float64]

LAYOUT = "route_objects/2"
"""Written into checkpoints; changes with every change of meaning or order below."""

OBJECT_ROWS = 24
NEEDS = Needs(route=True, objects=OBJECT_ROWS, lights=True, speed_limit=True)

EGO = 5
"""speed, limit, limit - speed (each / 10 m/s), yaw rate / 0.5, nearness of the destination (1 at it, 0 from 60 m on)."""
ROUTE_INDICES = np.array([1, 2, 3, 4, 5, 6, 8, 10, 12, 14, 16, 18, 21, 24, 28, 32])
ROUTE = 2 * len(ROUTE_INDICES)
"""Per point, s metres ahead: (x - s) and y, each / (2 + s / 4) m, so that near points resolve decimetres and far ones angles."""
CORRIDOR_SLOTS = 2
RISK_SLOTS = 4
SLOT = 15
"""Nearness along the route twice (1 - s / 60 and 5 / (5 + |s|), s in m), offset across / 4 m within +-5, velocity along / 10
and across / 5 m/s, cos and sin of the heading against the route's, half length / 3 m, half width / 1.5 m,
one-hot kind (5), threat (1 for one that touches the ego now or will at once, 0 for one that stays away)."""
LIGHT = 6
"""Nearness twice (1 - d / 50 not below 0, 2 / (2 + gap), gap = d - 3 m not below 0), one-hot green, yellow, red,
deceleration / 5 m/s^2 that stopping takes (not for green)."""
STOP = 4
"""Nearness twice, whether a stop is owed, deceleration / 5 m/s^2 that stopping takes; zeros where none is in sight."""
SIZE = EGO + ROUTE + (CORRIDOR_SLOTS + RISK_SLOTS) * SLOT + LIGHT + STOP

CONTEXT_INDICES = np.array([1, 2, 4, 6, 9, 12, 16, 20])
CONTEXT_SIZE = 2 + 2 * len(CONTEXT_INDICES)
"""Of `drive_context`: speed / 10, yaw rate / 0.5 and the route's points as above."""

_CORRIDOR_MARGIN_M = 1.5
"""An object is in the corridor where its box comes this close to the route's line: half an ego and half a metre."""
_FRONT_M = 3.0
"""From the ego's centre to half a metre before its bumper: where it stops at a line."""
_HARMLESS = 15.0
"""Closeness (m, see `_closeness`) from which an object no longer matters."""
_SEGMENTS = 35
_HARDEST_STOP = 10.0
_LIGHT_NONE, _LIGHT_GREEN = int(LightState.NONE), int(LightState.GREEN)
_X, _Y, _YAW, _SPEED = int(ObjectColumn.X), int(ObjectColumn.Y), int(ObjectColumn.YAW), int(ObjectColumn.SPEED)
_LENGTH, _WIDTH, _KIND = int(ObjectColumn.HALF_LENGTH), int(ObjectColumn.HALF_WIDTH), int(ObjectColumn.KIND)
_NONE, _PEDESTRIAN = int(ObjectKind.NONE), int(ObjectKind.PEDESTRIAN)
_SIGHT = SIGHT_M


def route_objects(observation: Observation) -> F32:
    """(N, SIZE) features of N observations that hold what `NEEDS` declares.

    Raises:
        ValueError: the observation lacks a declared part.
    """
    parts = [getattr(observation, name) for name in ("route", "route_left", "objects", "light", "stop_sign", "speed_limit")]
    if any(part is None for part in parts):
        raise ValueError("the observation lacks a part that the policy's needs declare")
    arrays = [np.ascontiguousarray(part, np.float32) for part in (observation.speed, observation.yaw_rate, *parts)]
    out = np.zeros((len(observation), SIZE), np.float32)
    _features(*arrays, out)
    return out


def drive_context(observation: Observation) -> F32:
    """(N, CONTEXT_SIZE): own motion and the route ahead, for heads on top of a model that sees only images.

    Raises:
        ValueError: the observation lacks the route.
    """
    if observation.route is None:
        raise ValueError("the observation lacks the route that the policy's needs declare")
    speed, yaw_rate, route = (np.ascontiguousarray(a, np.float32) for a in (observation.speed, observation.yaw_rate, observation.route))
    out = np.zeros((len(observation), CONTEXT_SIZE), np.float32)
    _context(speed, yaw_rate, route, out)
    return out


@numba.njit(cache=True)
def _context(speed: F32, yaw_rate: F32, route: F32, out: F32) -> None:
    for i in range(len(speed)):
        out[i, 0] = speed[i] / 10.0
        out[i, 1] = yaw_rate[i] / 0.5
        _write_route(route[i], CONTEXT_INDICES, out[i, 2:])


@numba.njit(cache=True)
def _features(
    speed: F32, yaw_rate: F32, route: F32, route_left: F32, objects: F32, light: F32, stop_sign: F32, speed_limit: F32, out: F32
) -> None:
    rows = objects.shape[1]
    placed = np.empty((rows, 7))
    score = np.empty((2, rows))
    for i in range(len(speed)):
        v = float(speed[i])
        row = out[i]
        row[0] = v / 10.0
        row[1] = speed_limit[i] / 10.0
        row[2] = (speed_limit[i] - v) / 10.0
        row[3] = yaw_rate[i] / 0.5
        row[4] = min(max(1.0 - route_left[i] / 60.0, 0.0), 1.0)
        _write_route(route[i], ROUTE_INDICES, row[EGO:])
        _place(objects[i], route[i], v, placed, score)
        at = EGO + ROUTE
        _write_best(objects[i], placed, score, 0, CORRIDOR_SLOTS, row[at:])
        at += CORRIDOR_SLOTS * SLOT
        _write_best(objects[i], placed, score, 1, RISK_SLOTS, row[at:])
        at += RISK_SLOTS * SLOT
        _write_light(light[i, 0], int(light[i, 1]), v, row[at:])
        at += LIGHT
        _write_stop(stop_sign[i, 0], stop_sign[i, 1], v, row[at:])


@numba.njit(cache=True)
def _write_route(route: F32, indices: NDArray[np.int64], out: F32) -> None:
    for k in range(len(indices)):
        s = indices[k] * ROUTE_SPACING_M
        unit = 2.0 + 0.25 * s
        out[2 * k] = (route[indices[k], 0] - s) / unit
        out[2 * k + 1] = route[indices[k], 1] / unit


@numba.njit(cache=True)
def segments(route: F32) -> F64:
    """(S, 5) for the route (R, 2) as far as objects are seen: start x, y, direction cos, sin and length of each of its segments."""
    out = np.empty((min(_SEGMENTS, len(route) - 1), 5))
    for j in range(len(out)):
        dx = float(route[j + 1, 0]) - float(route[j, 0])
        dy = float(route[j + 1, 1]) - float(route[j, 1])
        length = math.sqrt(dx * dx + dy * dy)
        out[j, 0], out[j, 1], out[j, 4] = route[j, 0], route[j, 1], length
        out[j, 2], out[j, 3] = (dx / length, dy / length) if length > 0.0 else (1.0, 0.0)
    return out


@numba.njit(cache=True)
def on_route(parts: F64, x: float, y: float) -> tuple[float, float, float, float]:
    """A point of the ego frame on `segments`: metres along, across (positive left), cos and sin of the route's heading there.

    Before the first and after the last segment the route goes straight on.
    """
    best = math.inf
    nearest = 0
    along = 0.0
    last = len(parts) - 1
    for j in range(last + 1):
        px = x - parts[j, 0]
        py = y - parts[j, 1]
        u = px * parts[j, 2] + py * parts[j, 3]
        if j > 0:
            u = max(u, 0.0)
        if j < last:
            u = min(u, parts[j, 4])
        ox = px - u * parts[j, 2]
        oy = py - u * parts[j, 3]
        distance = ox * ox + oy * oy
        if distance < best:
            best = distance
            nearest = j
            along = u
    cos, sin = parts[nearest, 2], parts[nearest, 3]
    side = cos * (y - parts[nearest, 1]) - sin * (x - parts[nearest, 0])
    return nearest * ROUTE_SPACING_M + along, math.copysign(math.sqrt(best), side), cos, sin


@numba.njit(cache=True)
def _place(objects: F32, route: F32, speed: float, placed: F64, score: F64) -> None:
    """Objects on the route (along, across, velocity along and across, heading's cos and sin, threat) and their order: lowest score first.

    `score[0]` is for the corridor ahead, `score[1]` for closeness in the next seconds; infinite where an object does not qualify.
    """
    parts = segments(route)
    for k in range(len(objects)):
        score[0, k] = math.inf
        score[1, k] = math.inf
        if int(objects[k, _KIND]) == _NONE:
            continue
        s, d, route_cos, route_sin = on_route(parts, float(objects[k, _X]), float(objects[k, _Y]))
        yaw_cos, yaw_sin = math.cos(float(objects[k, _YAW])), math.sin(float(objects[k, _YAW]))
        cos = yaw_cos * route_cos + yaw_sin * route_sin
        sin = yaw_sin * route_cos - yaw_cos * route_sin
        vs = float(objects[k, _SPEED]) * cos
        vd = float(objects[k, _SPEED]) * sin
        placed[k, 0], placed[k, 1], placed[k, 2], placed[k, 3], placed[k, 4], placed[k, 5] = s, d, vs, vd, cos, sin
        reach = abs(sin) * float(objects[k, _LENGTH]) + abs(cos) * float(objects[k, _WIDTH])
        in_corridor = abs(d) - reach < _CORRIDOR_MARGIN_M
        closeness = _closeness(s, d, vs - speed, vd)
        placed[k, 6] = max(1.0 - closeness / _HARMLESS, 0.0)
        if in_corridor and s > 0.0:
            score[0, k] = s
        stands_aside = not in_corridor and abs(float(objects[k, _SPEED])) < 0.05 and int(objects[k, _KIND]) != _PEDESTRIAN
        follows = in_corridor and s < 0.0 and cos > 0.8
        if (in_corridor and s > 0.0) or not (stands_aside or follows or closeness > _HARMLESS):
            score[1, k] = closeness


@numba.njit(cache=True)
def _closeness(s: float, d: float, vs: float, vd: float) -> float:
    """How near an object comes to the ego within 3 s if both keep their velocities along the route, later counting as farther."""
    best = math.inf
    for step in range(7):
        t = 0.5 * step
        gap_s = max(abs(s + vs * t) - 4.0, 0.0)
        gap_d = max(abs(d + vd * t) - 1.5, 0.0)
        best = min(best, math.sqrt(0.25 * gap_s * gap_s + gap_d * gap_d) + 1.5 * t)
    # ties, as of several objects that touch now, go to the nearer one
    return best + 0.01 * (abs(s) + abs(d))


@numba.njit(cache=True)
def _write_best(objects: F32, placed: F64, score: F64, which: int, slots: int, out: F32) -> None:
    """Fill slots in the order of the scores; an object that is taken is out of both orders."""
    for slot in range(slots):
        best = -1
        for k in range(len(objects)):
            if score[which, k] < math.inf and (best < 0 or score[which, k] < score[which, best]):
                best = k
        if best < 0:
            return
        score[0, best] = math.inf
        score[1, best] = math.inf
        _write_object(objects[best], placed[best], out[slot * SLOT :])


@numba.njit(cache=True)
def _write_object(thing: F32, place: F64, out: F32) -> None:
    out[0] = 1.0 - place[0] / 60.0
    out[1] = 5.0 / (5.0 + abs(place[0]))
    out[2] = min(max(place[1] / 4.0, -5.0), 5.0)
    out[3] = place[2] / 10.0
    out[4] = place[3] / 5.0
    out[5] = place[4]
    out[6] = place[5]
    out[7] = thing[_LENGTH] / 3.0
    out[8] = thing[_WIDTH] / 1.5
    out[8 + int(thing[_KIND])] = 1.0
    out[14] = place[6]


@numba.njit(cache=True)
def _stopping(speed: float, distance: float) -> float:
    """Deceleration / 5 m/s^2 that stops within the distance."""
    return min(speed * speed / (2.0 * max(distance, 0.5)), _HARDEST_STOP) / 5.0


@numba.njit(cache=True)
def _write_light(distance: float, state: int, speed: float, out: F32) -> None:
    if state == _LIGHT_NONE:
        return
    d = max(float(distance), 0.0)
    gap = max(d - _FRONT_M, 0.0)
    out[0] = max(1.0 - d / 50.0, 0.0)
    out[1] = 2.0 / (2.0 + gap)
    out[1 + state] = 1.0
    if state != _LIGHT_GREEN:
        out[5] = _stopping(speed, gap)


@numba.njit(cache=True)
def _write_stop(distance: float, owed: float, speed: float, out: F32) -> None:
    if distance >= _SIGHT:
        return
    d = max(float(distance), 0.0)
    gap = max(d - _FRONT_M, 0.0)
    out[0] = max(1.0 - d / 50.0, 0.0)
    out[1] = 2.0 / (2.0 + gap)
    out[2] = owed
    if owed > 0.0:
        out[3] = _stopping(speed, gap)
