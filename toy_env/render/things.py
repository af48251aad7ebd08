"""What stands in a town as rows of numbers: actors of a scene, and the signals and signs beside the road. No pixels here."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from carla_rl.roads.network import Right, RoadNetwork
from carla_rl.types import ObjectKind
from toy_env.render.palette import CARS, CLOTHES
from toy_env.render.shapes import Shape
from toy_env.render.strips import edge, entry_lanes

SHAPE, X, Y, YAW, LENGTH, WIDTH, RED, SIGNAL, LEVEL = 0, 1, 2, 3, 4, 5, 6, 9, 10
"""Columns of a thing: `Shape` (-1: none), place m and heading rad in the map frame, half length and width m, its RGB, the index of the
signal that lights its lamps (-1: none), height of the ground under it m."""
THING = 11

_SIGN_ASIDE_M = 0.8
"""Distance of a sign from the edge of its lane."""
_TRUCK_M, _CAR_M, _NARROW_M = 3.2, 1.7, 0.5
"""Half lengths above which a vehicle is a truck and a static object a parked car; half width below which a vehicle is a two-wheeler."""


class Furniture(NamedTuple):
    """What never moves in a town."""

    lines: NDArray[np.float64]
    """(M, 7) stop lines of signals: left end x, y, right end x, y, heading of the traffic, height of the ground, index of the signal."""
    things: NDArray[np.float64]
    """(K, THING) signals and signs; a heading is that of the traffic that they face. Signals that no lane obeys are not there."""


def furniture(network: RoadNetwork) -> Furniture:
    """The stop lines, signals and signs of a town."""
    roads = network.roads
    lanes = entry_lanes(roads)
    first = roads.start[lanes].astype(np.int64)
    yaw, z, signal, entry = roads.yaw[first], roads.z[first], roads.signal[lanes], roads.entry[lanes]
    left, right = edge(roads, first, 0.95), edge(roads, first, -0.95)
    ruled = signal >= 0
    lines = np.column_stack((left, right, yaw, z, signal)).astype(np.float64)[ruled]

    heads, which = np.unique(signal[ruled], return_index=True)
    lamps = np.zeros((len(heads), THING))
    lamps[:, SHAPE], lamps[:, SIGNAL] = Shape.SIGNAL, heads
    lamps[:, X], lamps[:, Y] = roads.signal_x[heads], roads.signal_y[heads]
    lamps[:, YAW], lamps[:, LEVEL] = yaw[ruled][which], z[ruled][which]

    signed = (entry == Right.STOP) | (entry == Right.YIELD)
    signs = np.zeros((int(signed.sum()), THING))
    aside = right[signed] + _SIGN_ASIDE_M * np.stack((np.sin(yaw[signed]), -np.cos(yaw[signed])), axis=-1)
    signs[:, SHAPE] = np.where(entry[signed] == Right.STOP, Shape.STOP, Shape.YIELD)
    signs[:, X], signs[:, Y], signs[:, YAW], signs[:, LEVEL], signs[:, SIGNAL] = aside[:, 0], aside[:, 1], yaw[signed], z[signed], -1.0
    return Furniture(lines, np.concatenate((lamps, signs)))


def actor_things(actors: NDArray[np.float32], shown: NDArray[np.bool_], level: NDArray[np.float64]) -> NDArray[np.float64]:
    """(N, A, THING) of `Scene.actors` (N, A, 8); `shown` (N, A) which to draw, `level` (N,) m the ground that they stand on.

    A static object as big as a car is drawn as a parked car, a vehicle less than a metre wide as a two-wheeler with its rider.
    """
    things = np.zeros((*actors.shape[:2], THING))
    kind, length, width = actors[..., 1], actors[..., 6], actors[..., 7]
    parked = (kind == ObjectKind.STATIC) & (length > _CAR_M) & (length < _TRUCK_M) & (width > 0.7) & (width < 1.2)
    things[..., SHAPE] = np.select(
        [
            ~shown | (kind == ObjectKind.NONE),
            kind == ObjectKind.PEDESTRIAN,
            (kind == ObjectKind.BICYCLE) | ((kind == ObjectKind.VEHICLE) & (width < _NARROW_M)),
            (kind == ObjectKind.VEHICLE) & (length > _TRUCK_M),
            (kind == ObjectKind.VEHICLE) | (kind == ObjectKind.EMERGENCY) | parked,
        ],
        [-1, Shape.PEDESTRIAN, Shape.TWO_WHEELER, Shape.TRUCK, Shape.CAR],
        Shape.STATIC,
    )
    things[..., X : YAW + 1] = actors[..., 2:5]
    things[..., LENGTH], things[..., WIDTH] = length, width
    things[..., RED : RED + 3] = actor_colours(actors)
    things[..., SIGNAL], things[..., LEVEL] = -1.0, level[:, None]
    return things


def actor_colours(actors: NDArray[np.float32]) -> NDArray[np.uint8]:
    """(..., 3) RGB of actors (..., 8): by kind and, within a kind, by id, the same in every picture."""
    number = actors[..., 0].astype(np.int64)
    people = (actors[..., 1] == ObjectKind.PEDESTRIAN)[..., None]
    static = (actors[..., 1] == ObjectKind.STATIC)[..., None]
    emergency = (actors[..., 1] == ObjectKind.EMERGENCY)[..., None]
    paint = np.where(people, CLOTHES[number * 5 % len(CLOTHES)], CARS[number * 7 % len(CARS)])
    paint = np.where(emergency, np.array((216, 40, 36), np.uint8), paint)
    parked = (actors[..., 6] > _CAR_M)[..., None]
    block = np.where(parked, np.array((150, 152, 156), np.uint8), np.array((240, 120, 24), np.uint8))
    return np.where(static, block, paint).astype(np.uint8)
