"""GNSS: latitude, longitude, altitude of the sensor, by the reference of the map.

The projection is that of the client 0.9.16 (`Map.transform_to_geolocation`): the inverse of a transverse Mercator on a sphere of the
Earth's equatorial radius with the scale 0.9996, with CARLA's y, which points south, taken for north. Servers of 0.9.16 have that sign: the
same place has a latitude of 0.00293 degrees in 0.9.15, -0.00294 in 0.9.16 (carla-simulator/carla#9389; the fix is #9552). Up to 0.9.15
it was a Mercator with +y south, for which agents of the leaderboard are made.
"""

import math
import re
from collections.abc import Iterator
from typing import TYPE_CHECKING

import msgpack

from toy_env.server.layouts import Layouts
from toy_env.server.sensors.sensor import noise, number

if TYPE_CHECKING:
    from toy_env.server.world.actors import Actor
    from toy_env.server.world.world import World

EARTH_M = 6378137.0
SCALE = 0.9996
_REFERENCE = re.compile(r"\+lat_0=(\S+).*?\+lon_0=(\S+)", re.DOTALL)


def reference(xodr: str) -> tuple[float, float]:
    """(latitude, longitude) in degrees of the map's origin; 0, 0 where the text names none."""
    found = _REFERENCE.search(xodr, 0, min(len(xodr), 4096))
    return (float(found[1]), float(found[2])) if found else (0.0, 0.0)


def geolocation(x: float, y: float, origin: tuple[float, float]) -> tuple[float, float]:
    """(latitude, longitude) in degrees of a place in CARLA's frame in m.

    The formulas are those of J. P. Snyder, Map Projections: A Working Manual (1987), eq. 8-6 and 8-7, for the sphere.
    """
    latitude, longitude = origin
    across, along = x / (SCALE * EARTH_M), y / (SCALE * EARTH_M) + math.radians(latitude)
    found = math.asin(math.sin(along) / math.cosh(across))
    return math.degrees(found), longitude + math.degrees(math.atan2(math.sinh(across), math.cos(along)))


class Gnss:
    """See the module."""

    def __init__(self, actor: "Actor", layouts: Layouts, seed: int) -> None:
        self._actor = actor
        self._random = noise(actor, seed)
        self._bias = [number(actor, f"noise_{axis}_bias") for axis in ("lat", "lon", "alt")]
        self._deviation = [number(actor, f"noise_{axis}_stddev") for axis in ("lat", "lon", "alt")]
        self._map = ""
        self._origin = (0.0, 0.0)

    def measure(self, world: "World") -> Iterator[bytes]:
        """One message a frame."""
        if self._map is not world.map.xodr:
            self._map, self._origin = world.map.xodr, reference(world.map.xodr)
        place = world.transform(self._actor).location
        true = (*geolocation(place.x, place.y, self._origin), place.z)
        drawn = self._random.normal(self._bias, self._deviation)
        yield msgpack.packb([value + float(error) for value, error in zip(true, drawn, strict=True)])
