"""Where on the Earth a place of a map is, as CARLA has it: projections of a sphere.

Clients have the same in `Map.transform_to_geolocation`. Up to 0.9.15 it is a Mercator in which CARLA's y points south, as it does: agents
of the leaderboard are made for that. In 0.9.16 it is a transverse Mercator with that y taken for north: the same place has a latitude of
0.00293 degrees in 0.9.15 and -0.00294 in 0.9.16 (carla-simulator/carla#9389; the fix is #9552). The formulas are those of J. P. Snyder, Map
Projections: A Working Manual (1987).
"""

import math

EARTH_M = 6378137.0
SCALE = 0.9996
"""Of the transverse Mercator."""


def transverse_mercator(x: float, y: float, origin: tuple[float, float]) -> tuple[float, float]:
    """(latitude, longitude) in degrees of a place in CARLA's frame in m, as in 0.9.16: eq. 8-6 and 8-7."""
    latitude, longitude = origin
    across, along = x / (SCALE * EARTH_M), y / (SCALE * EARTH_M) + math.radians(latitude)
    found = math.asin(math.sin(along) / math.cosh(across))
    return math.degrees(found), longitude + math.degrees(math.atan2(math.sinh(across), math.cos(along)))


def mercator(x: float, y: float, origin: tuple[float, float]) -> tuple[float, float]:
    """(latitude, longitude) in degrees of a place in CARLA's frame in m, as in 0.9.15: eq. 7-1 to 7-4, true to scale at the origin."""
    latitude, longitude = origin
    radius = EARTH_M * math.cos(math.radians(latitude))
    north = math.log(math.tan(0.25 * math.pi + 0.5 * math.radians(latitude))) - y / radius
    return math.degrees(2.0 * math.atan(math.exp(north)) - 0.5 * math.pi), longitude + math.degrees(x / radius)
