"""What weather does to a picture: the light, the haze and the colours of the sky. Nothing here depends on the road."""

import math

import numpy as np
from numpy.typing import NDArray

from carla_rl.scenario.model import Weather

ATMOSPHERE = 12
"""Length of a row of `atmosphere`."""

GAIN, HAZE, HAZE_START, ZENITH, HORIZON, SUN = 0, 1, 2, 3, 6, 9
"""First column of each part of the row: brightness 0..1, extinction 1/m, m, RGB, RGB, unit vector to the sun in the map frame."""

_CLEAR_HAZE = 0.0015
_DENSE_FOG = 0.06


def atmosphere(weather: Weather) -> NDArray[np.float64]:
    """(ATMOSPHERE,) what the renderer needs of CARLA's weather fields; compute it once an episode.

    The sun's altitude sets the brightness (down to 0.35 at night), clouds and rain grey the sky, fog has an extinction of
    0.06/m at a density of 100 % (visibility about 50 m) beginning at `fog_distance`. The sun's azimuth is CARLA's, clockwise from x.
    """
    altitude = math.radians(weather.sun_altitude_angle)
    azimuth = -math.radians(weather.sun_azimuth_angle)
    day = min(max((math.sin(altitude) + 0.12) / 0.5, 0.0), 1.0)
    grey = min(1.0, max(weather.cloudiness, weather.precipitation) / 100.0)
    fog = weather.fog_density / 100.0
    dusk = max(0.0, 1.0 - abs(math.sin(altitude)) / 0.3) * (1.0 - grey)

    zenith = _mix(np.array((66.0, 122.0, 196.0)), np.array((140.0, 146.0, 152.0)), grey)
    horizon = _mix(np.array((190.0, 212.0, 230.0)), np.array((176.0, 180.0, 182.0)), grey)
    horizon = _mix(horizon, np.array((244.0, 176.0, 120.0)), 0.7 * dusk)
    zenith = _mix(zenith, horizon, min(1.0, 1.5 * fog))

    row = np.empty(ATMOSPHERE, np.float64)
    row[GAIN] = (0.35 + 0.65 * day) * (1.0 - 0.15 * grey)
    row[HAZE] = _CLEAR_HAZE + _DENSE_FOG * fog * fog
    row[HAZE_START] = weather.fog_distance if fog > 0.0 else 0.0
    night = 0.12 + 0.88 * day
    row[ZENITH : ZENITH + 3] = zenith * night
    row[HORIZON : HORIZON + 3] = horizon * night
    row[SUN : SUN + 3] = (math.cos(altitude) * math.cos(azimuth), math.cos(altitude) * math.sin(azimuth), math.sin(altitude))
    return row


def _mix(a: NDArray[np.float64], b: NDArray[np.float64], share: float) -> NDArray[np.float64]:
    return a + (b - a) * share
