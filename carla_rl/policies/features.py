"""The feature vector of the object/route-based architecture: what a planner needs of an observation, in numbers near one.

Own motion, the route ahead and the room beside it, the objects that matter (`carla_rl.policies.feature_objects`), light and stop sign.
Scalar code per env: a row has the same bits in any batch. Knows no network.
"""

import numba
import numpy as np
from numpy.typing import NDArray

from carla_rl.policies.feature_objects import CORRIDOR_SLOTS, OBJECT_ROWS, RISK_SLOTS, SLOT, write_objects
from carla_rl.types import ROUTE_SPACING_M, SIGHT_M, LightState, Needs, Observation

F32 = NDArray[np.float32]

LAYOUT = "route_objects/3"
"""Written into checkpoints; changes with every change of meaning or order below."""

NEEDS = Needs(route=True, objects=OBJECT_ROWS, objects_m=SIGHT_M, lights=True, speed_limit=True, room=True)

EGO = 5
"""speed, limit, limit - speed (each / 10 m/s), yaw rate / 0.5, nearness of the destination (1 at it, 0 from 60 m on)."""
ROUTE_INDICES = np.array([1, 2, 3, 4, 5, 6, 8, 10, 12, 14, 16, 18, 21, 24, 28, 32])
ROUTE = 2 * len(ROUTE_INDICES)
"""Per point, s metres ahead: (x - s) and y, each / (2 + s / 4) m, so that near points resolve decimetres and far ones angles."""
ROOM_INDICES = np.array([0, 4, 8, 12, 18, 24])
ROOM = 3 * len(ROOM_INDICES)
"""Per point of the route, columns of `RoomColumn`: (m - 2) / 4 within +-2."""
OBJECTS = (CORRIDOR_SLOTS + RISK_SLOTS) * SLOT
LIGHT = 6
"""Nearness twice (1 - d / 50 not below 0, 2 / (2 + gap), gap = d - 3 m not below 0), one-hot green, yellow, red,
deceleration / 5 m/s^2 that stopping takes (not for green)."""
STOP = 4
"""Nearness twice, whether a stop is owed, deceleration / 5 m/s^2 that stopping takes; zeros where none is in sight."""
SIZE = EGO + ROUTE + ROOM + OBJECTS + LIGHT + STOP

CONTEXT_INDICES = np.array([1, 2, 4, 6, 9, 12, 16, 20])
CONTEXT_SIZE = 2 + 2 * len(CONTEXT_INDICES)
"""Of `drive_context`: speed / 10, yaw rate / 0.5 and the route's points as above."""

_FRONT_M = 3.0
"""From the ego's centre to half a metre before its bumper: where it stops at a line."""
_HARDEST_STOP = 10.0
_LIGHT_NONE, _LIGHT_GREEN = int(LightState.NONE), int(LightState.GREEN)
_SIGHT = SIGHT_M


def route_objects(observation: Observation) -> F32:
    """(N, SIZE) features of N observations that hold what `NEEDS` declares.

    Raises:
        ValueError: the observation lacks a declared part.
    """
    parts = [getattr(observation, name) for name in ("route", "route_left", "objects", "light", "stop_sign", "speed_limit", "room")]
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
    speed: F32,
    yaw_rate: F32,
    route: F32,
    route_left: F32,
    objects: F32,
    light: F32,
    stop_sign: F32,
    speed_limit: F32,
    room: F32,
    out: F32,
) -> None:
    for i in range(len(speed)):
        v = float(speed[i])
        row = out[i]
        row[0] = v / 10.0
        row[1] = speed_limit[i] / 10.0
        row[2] = (speed_limit[i] - v) / 10.0
        row[3] = yaw_rate[i] / 0.5
        row[4] = min(max(1.0 - route_left[i] / 60.0, 0.0), 1.0)
        _write_route(route[i], ROUTE_INDICES, row[EGO:])
        _write_room(room[i], row[EGO + ROUTE :])
        at = EGO + ROUTE + ROOM
        write_objects(objects[i], route[i], v, row[at:])
        at += OBJECTS
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
def _write_room(room: F32, out: F32) -> None:
    for k in range(len(ROOM_INDICES)):
        for side in range(3):
            out[3 * k + side] = min(max((room[ROOM_INDICES[k], side] - 2.0) / 4.0, -2.0), 2.0)


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
