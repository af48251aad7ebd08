"""What things look like: tables of the boxes and discs that they are put together from. Data only; `solids` draws it.

A *thing* has a place, a heading, a half length L and a half width W. A *part* of it lies in the thing's own frame (x along the heading,
y left, z up, m); its place and size are shares of L and W plus constants, so one shape serves every size of car.
"""

from collections.abc import Mapping
from enum import IntEnum
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from toy_env.render.palette import LIGHTS, RGB

CAR_M = 1.6
"""Heights, m."""
TRUCK_M = 3.4
PEDESTRIAN_M = 1.75
STATIC_M = 1.1
POLE_M = 3.4
"""Height at which a signal's head begins; its lamps are red over yellow over green."""
LAMP_M = 0.26
SIGN_M = 2.3

PAINT: RGB = (-1, 0, 0)
"""Instead of a colour: the thing's own."""
_HUGE = 99.0


class Shape(IntEnum):
    """Row of `TABLE`."""

    CAR = 0
    TRUCK = 1
    PEDESTRIAN = 2
    TWO_WHEELER = 3
    STATIC = 4
    SIGNAL = 5
    STOP = 6
    YIELD = 7


class Part(NamedTuple):
    """A box, or a disc that faces backwards (towards traffic of the thing's heading) or forwards."""

    x: tuple[float, float] = (0.0, 0.0)
    """Centre: share of L, then m."""
    y: tuple[float, float] = (0.0, 0.0)
    """Centre: share of W, then m."""
    z: tuple[float, float] = (0.0, 0.0)
    """Bottom and top above the ground, m; a disc lies midway."""
    length: tuple[float, float] = (0.0, 0.0)
    """Half of it: share of L, then m."""
    width: tuple[float, float] = (0.0, 0.0)
    """Half of it: share of W, then m."""
    side: RGB = PAINT
    top: RGB = PAINT
    corners: int = 0
    """0: a box; of a disc, negative where it faces forwards."""
    anchor: float = _HUGE
    """What is above this height (m) grows far away, so that it stays visible."""
    small: bool = False
    """Left out far away."""
    thin: bool = False
    """Never drawn thinner than about a pixel."""
    lamp: int = 0
    """The `LightState` in which it shines; dark in others. 0: not a lamp."""


COLUMNS = 21


def _row(part: Part) -> list[float]:
    numbers = [*part.x, *part.y, *part.z, *part.length, *part.width, *part.side, *part.top]
    return [float(n) for n in (*numbers, part.corners, part.anchor, part.small, part.thin, part.lamp)]


_GLASS, _TYRE, _SKIN, _TROUSERS = (44, 56, 70), (30, 30, 32), (222, 176, 142), (52, 56, 84)
_RED, _HEADLIGHT, _ORANGE, _WHITE = (226, 26, 30), (250, 246, 214), (240, 120, 24), (240, 240, 238)
_POLE, _HEAD, _STOP, _BACK = (96, 98, 100), (34, 36, 38), (206, 28, 36), (130, 132, 134)


def _trim(height: float) -> list[Part]:
    """Rear lamps, headlights and wheels; they stand a little out of the body, so that the body does not hide them."""
    parts = []
    for side in (-1.0, 1.0):
        for end, colour in ((-1.0, _RED), (1.0, _HEADLIGHT)):
            lamp = Part((end, 0.0), (side, -0.22 * side), (height - 0.1, height + 0.1), (0.0, 0.03), (0.0, 0.2), colour, colour)
            wheel = Part((0.62 * end, 0.0), (side, -0.1 * side), (0.0, 0.62), (0.0, 0.31), (0.0, 0.13), _TYRE, _TYRE)
            parts += [lamp._replace(small=True), wheel._replace(small=True)]
    return parts


def _bar(z: tuple[float, float], length: float, width: float, side: RGB, top: RGB, x: tuple[float, float] = (0.0, 0.0)) -> Part:
    """A box of a size that does not depend on the thing's."""
    return Part(x, z=z, length=(0.0, length), width=(0.0, width), side=side, top=top, thin=True)


def _face(middle: float, radius: float, corners: int, colour: RGB, before: float, anchor: float) -> Part:
    """A disc `before` m ahead of the thing's origin, as the traffic that it faces comes to it."""
    return Part(
        (0.0, -before),
        z=(middle - radius, middle + radius),
        length=(0.0, 0.01),
        width=(0.0, radius),
        side=colour,
        corners=corners,
        anchor=anchor,
    )


def _sign(corners: int, radius: float, rim: RGB, inner: RGB, share: float) -> list[Part]:
    return [
        _bar((0.0, SIGN_M), 0.05, 0.05, _POLE, _POLE),
        _face(SIGN_M, radius, corners, rim, 0.1, SIGN_M - radius),
        _face(SIGN_M, radius * share, corners, inner, 0.14, SIGN_M - radius),
        _face(SIGN_M, radius, -corners, _BACK, 0.1, SIGN_M - radius),
    ]


def _lamps() -> list[Part]:
    colours: list[RGB] = [(int(r), int(g), int(b)) for r, g, b in LIGHTS]
    return [_face(POLE_M + 0.3 + 0.6 * k, LAMP_M, 10, colours[k + 1], 0.23, POLE_M)._replace(lamp=k + 1) for k in range(3)]


SHAPES: Mapping[Shape, list[Part]] = {
    Shape.CAR: [
        Part(z=(0.25, 0.95), length=(1.0, 0.0), width=(1.0, 0.0)),
        Part((-0.12, 0.0), z=(0.95, CAR_M), length=(0.56, 0.0), width=(0.86, 0.0), side=_GLASS),
        *_trim(0.7),
    ],
    Shape.TRUCK: [
        Part((0.0, -1.1), z=(0.55, TRUCK_M), length=(1.0, -1.2), width=(1.0, 0.0), side=_WHITE, top=_WHITE),
        Part((1.0, -1.1), z=(0.4, 1.5), length=(0.0, 1.1), width=(0.96, 0.0)),
        Part((1.0, -1.1), z=(1.5, 2.2), length=(0.0, 1.1), width=(0.96, 0.0), side=_GLASS),
        Part((1.0, -1.1), z=(2.2, 2.7), length=(0.0, 1.1), width=(0.96, 0.0)),
        *_trim(0.9),
    ],
    Shape.PEDESTRIAN: [
        Part(z=(0.0, 0.82), length=(0.6, 0.0), width=(0.7, 0.0), side=_TROUSERS, top=_TROUSERS, thin=True),
        Part(z=(0.82, 1.45), length=(0.8, 0.0), width=(1.0, 0.0), thin=True),
        _bar((1.48, PEDESTRIAN_M), 0.11, 0.11, _SKIN, _TYRE),
    ],
    Shape.TWO_WHEELER: [
        _bar((0.0, 0.66), 0.33, 0.05, _TYRE, _TYRE, (-1.0, 0.33)),
        _bar((0.0, 0.66), 0.33, 0.05, _TYRE, _TYRE, (1.0, -0.33)),
        Part(z=(0.4, 0.9), length=(0.6, 0.0), width=(0.0, 0.1), thin=True),
        _bar((0.9, 1.05), 0.05, 0.3, _TYRE, _TYRE, (0.35, 0.0)),
        _bar((0.75, 1.42), 0.18, 0.22, PAINT, PAINT, (-0.1, 0.0)),
        _bar((1.45, 1.7), 0.12, 0.12, _SKIN, _TYRE, (-0.05, 0.0)),
    ],
    Shape.STATIC: [
        Part(z=(k * STATIC_M / 4, (k + 1) * STATIC_M / 4), length=(1.0, 0.0), width=(1.0, 0.0), side=colour, top=colour, thin=True)
        for k, colour in enumerate((_ORANGE, _WHITE, _ORANGE, _WHITE))
    ],
    Shape.SIGNAL: [
        _bar((0.0, POLE_M), 0.08, 0.08, _POLE, _POLE),
        Part(z=(POLE_M, POLE_M + 1.8), length=(0.0, 0.2), width=(0.0, 0.34), side=_HEAD, top=_HEAD, anchor=POLE_M),
        *_lamps(),
    ],
    Shape.STOP: _sign(8, 0.45, _WHITE, _STOP, 0.85),
    Shape.YIELD: _sign(3, 0.5, _STOP, _WHITE, 0.55),
}


def _tables() -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    longest = max(len(parts) for parts in SHAPES.values())
    table, counts = np.zeros((len(Shape), longest, COLUMNS), np.float64), np.zeros(len(Shape), np.int64)
    for shape, parts in SHAPES.items():
        table[shape, : len(parts)] = [_row(part) for part in parts]
        counts[shape] = len(parts)
    return table, counts


TABLE, COUNTS = _tables()
"""(shapes, parts, COLUMNS) the fields of `Part` in order, and (shapes,) how many parts each has."""
