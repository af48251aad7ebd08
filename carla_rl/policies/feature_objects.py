"""Objects as features: described along and across the route, because that is where they matter.

First the nearest ones ahead in the ego's corridor, then those that come closest to where the ego will be in the next seconds or will soon
be in its way ahead; what stands aside, follows or stays away is left out, for a clone would only learn it by heart. Where and when
something will be in the way is said as if it kept its velocity: no lane, no intention, no acceleration is known here.
Empty slots are zeros, which also means far away. Scalar code for one env.
"""

import math

import numba
import numpy as np
from numpy.typing import NDArray

from carla_rl.types import ROUTE_SPACING_M, ObjectColumn, ObjectKind

F32 = NDArray[np.float32]
F64 = NDArray[np.float64]

OBJECT_ROWS = 24
"""Rows of the object table that are looked at: the nearest so many."""
CORRIDOR_SLOTS = 2
RISK_SLOTS = 6
SLOT = 20
"""Nearness along the route twice (1 - s / 60 and 5 / (5 + |s|), s in m), offset across twice (/ 4 m within +-3, / 30 m within +-3),
velocity along / 10 and across / 5 m/s, cos and sin of the heading against the route's, half length / 3 m, half width / 1.5 m,
one-hot kind (5), threat (1 for one that touches the ego now or will at once, 0 for one that stays away), and of its way through the ego's
corridor: nearness of its coming in and of its going out again, 2 / (2 + s), place along the route / 30 m where it comes in, and by how
many 4 s the ego at its present speed will be there later (within +-2); zeros where it will not come in within 10 s."""

_CORRIDOR_MARGIN_M = 1.5
"""An object is in the corridor where its box comes this close to the route's line: half an ego and half a metre."""
_HARMLESS = 15.0
"""Closeness (m, see `_closeness`) from which an object no longer matters."""
_CLOSING_MPS = 2.0
"""What comes from behind in the ego's own lane is told of only where it closes in faster than this."""
_FORESIGHT_S = 10.0
_SLOWEST_MPS = 2.0
"""An ego that stands is taken to drive this when it is asked when it will be somewhere."""
_BUMPER_M = 2.5
_SEGMENTS = 35
_X, _Y, _YAW, _SPEED = int(ObjectColumn.X), int(ObjectColumn.Y), int(ObjectColumn.YAW), int(ObjectColumn.SPEED)
_LENGTH, _WIDTH, _KIND = int(ObjectColumn.HALF_LENGTH), int(ObjectColumn.HALF_WIDTH), int(ObjectColumn.KIND)
_NONE, _PEDESTRIAN = int(ObjectKind.NONE), int(ObjectKind.PEDESTRIAN)
_ALONG, _ACROSS, _VS, _VD, _COS, _SIN, _THREAT, _ENTERS, _LEAVES, _WHERE = range(10)
"""Columns of what `_place` finds: m, m, m/s, m/s, the heading's cos and sin, threat 0..1, s, s (infinite: never), m."""


@numba.njit(cache=True)
def write_objects(objects: F32, route: F32, speed: float, out: F32) -> None:
    """Fill the slots, (CORRIDOR_SLOTS + RISK_SLOTS) * SLOT zeros, for objects (M, 7) beside a route (R, 2), of an ego at `speed` m/s."""
    placed = np.empty((len(objects), 10))
    score = np.empty((2, len(objects)))
    _place(objects, route, speed, placed, score)
    _write_best(objects, placed, score, speed, 0, CORRIDOR_SLOTS, out)
    _write_best(objects, placed, score, speed, 1, RISK_SLOTS, out[CORRIDOR_SLOTS * SLOT :])


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
    """Objects on the route and their order: lowest score first.

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
        reach = abs(sin) * float(objects[k, _LENGTH]) + abs(cos) * float(objects[k, _WIDTH]) + _CORRIDOR_MARGIN_M
        in_corridor = abs(d) < reach
        enters, leaves = _passage(d, vd, reach)
        where = s + vs * enters if enters <= _FORESIGHT_S else 0.0
        closeness = _closeness(s, d, vs - speed, vd)
        if not in_corridor and enters <= _FORESIGHT_S and where > 0.0:
            closeness = min(closeness, 1.2 * enters + 0.1 * where)
        placed[k] = (s, d, vs, vd, cos, sin, max(1.0 - closeness / _HARMLESS, 0.0), enters, leaves, where)
        if in_corridor and s > 0.0:
            score[0, k] = s
        stands_aside = not in_corridor and abs(float(objects[k, _SPEED])) < 0.05 and int(objects[k, _KIND]) != _PEDESTRIAN
        follows = in_corridor and s < 0.0 and cos > 0.8 and vs - speed < _CLOSING_MPS
        if (in_corridor and s > 0.0) or not (stands_aside or follows or closeness > _HARMLESS):
            score[1, k] = closeness


@numba.njit(cache=True)
def _passage(d: float, vd: float, reach: float) -> tuple[float, float]:
    """Seconds until something `d` m across at `vd` m/s is within `reach` m of the route's line (0: it is), and until it is beyond again."""
    speed = abs(vd)
    if speed < 1e-3:
        return (0.0 if abs(d) < reach else math.inf), math.inf
    ahead = -math.copysign(1.0, vd) * d
    if ahead < -reach:
        return math.inf, math.inf
    return max(ahead - reach, 0.0) / speed, (ahead + reach) / speed


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
def _write_best(objects: F32, placed: F64, score: F64, speed: float, which: int, slots: int, out: F32) -> None:
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
        _write_object(objects[best], placed[best], speed, out[slot * SLOT :])


@numba.njit(cache=True)
def _write_object(thing: F32, place: F64, speed: float, out: F32) -> None:
    out[0] = 1.0 - place[_ALONG] / 60.0
    out[1] = 5.0 / (5.0 + abs(place[_ALONG]))
    out[2] = min(max(place[_ACROSS] / 4.0, -3.0), 3.0)
    out[3] = min(max(place[_ACROSS] / 30.0, -3.0), 3.0)
    out[4] = place[_VS] / 10.0
    out[5] = place[_VD] / 5.0
    out[6] = place[_COS]
    out[7] = place[_SIN]
    out[8] = thing[_LENGTH] / 3.0
    out[9] = thing[_WIDTH] / 1.5
    out[9 + int(thing[_KIND])] = 1.0
    out[15] = place[_THREAT]
    if place[_ENTERS] <= _FORESIGHT_S:
        there = max(place[_WHERE] - _BUMPER_M, 0.0) / max(speed, _SLOWEST_MPS)
        out[16] = 2.0 / (2.0 + place[_ENTERS])
        out[17] = 2.0 / (2.0 + place[_LEAVES])
        out[18] = min(max(place[_WHERE] / 30.0, -3.0), 3.0)
        out[19] = min(max((there - place[_ENTERS]) / 4.0, -2.0), 2.0)
