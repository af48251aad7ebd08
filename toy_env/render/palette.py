"""Colours of the drawn world, RGB 0..255, and how painted ground refers to them.

The finest ground holds indices of `MIXED`; everything else uses the colours themselves.
"""

from enum import IntEnum

import numpy as np
from numpy.typing import NDArray

RGB = tuple[int, int, int]


class Ground(IntEnum):
    """What the ground shows at a place: an index into `GROUND`."""

    GRASS = 0
    GRASS_DARK = 1
    GRASS_LIGHT = 2
    SIDEWALK = 3
    SIDEWALK_DARK = 4
    SHOULDER = 5
    PARKING = 6
    ROAD = 7
    ROAD_DARK = 8
    WHITE = 9
    YELLOW = 10
    CURB = 11


GROUND = np.array(
    [
        (104, 138, 74),
        (98, 132, 70),
        (110, 143, 78),
        (176, 172, 164),
        (171, 167, 159),
        (122, 121, 116),
        (104, 106, 114),
        (82, 84, 88),
        (78, 80, 84),
        (236, 236, 232),
        (236, 190, 52),
        (202, 200, 194),
    ],
    np.uint8,
)
"""(len(Ground), 3) RGB."""


def _mixes() -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Every colour of a texel of four painted quarters, and where to find the one of two surfaces a <= b with b on n of the quarters."""
    count = len(GROUND)
    colours = [GROUND[k].astype(np.float64) for k in range(count)]
    index = np.zeros((count, count, 5), np.uint8)
    for a in range(count):
        index[a, a] = a
        for b in range(a + 1, count):
            for quarters in range(1, 4):
                index[a, b, quarters] = len(colours)
                colours.append(GROUND[a] + (GROUND[b].astype(np.float64) - GROUND[a]) * quarters / 4.0)
    return np.rint(np.stack(colours)).astype(np.uint8), index


MIXED, MIX = _mixes()
"""(at most 256, 3) RGB, the first of them `GROUND`; (a, b, n) index into it of b on n quarters of a texel and a on the rest."""

MOTTLE = {Ground.GRASS: (Ground.GRASS_DARK, Ground.GRASS_LIGHT), Ground.ROAD: (Ground.ROAD_DARK,), Ground.SIDEWALK: (Ground.SIDEWALK_DARK,)}
"""Surfaces that are mottled, so that motion over them shows, and the shades they are mottled with."""

LIGHTS = np.array([(60, 62, 60), (40, 235, 90), (255, 205, 40), (255, 45, 40)], np.uint8)
"""(4, 3) colour of a lit lamp and of its stop line, by `LightState`; NONE is a lamp that is off."""

CARS = np.array(
    [
        (196, 40, 44),
        (38, 84, 178),
        (232, 232, 236),
        (48, 50, 56),
        (150, 156, 164),
        (226, 132, 32),
        (28, 132, 140),
        (122, 54, 130),
        (210, 196, 60),
        (104, 70, 48),
    ],
    np.uint8,
)
"""Paints of vehicles; an actor's id picks one."""

CLOTHES = np.array([(214, 64, 128), (70, 60, 170), (240, 150, 60), (240, 230, 90), (40, 160, 200), (150, 220, 120)], np.uint8)
"""Clothes of pedestrians and riders; an actor's id picks one."""
