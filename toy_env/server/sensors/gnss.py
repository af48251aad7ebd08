"""GNSS: latitude, longitude, altitude of the sensor, by the reference of the map and the projection of the client's version."""

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING

import msgpack

from toy_env.server.layouts import Layouts
from toy_env.server.sensors.sensor import noise, number

if TYPE_CHECKING:
    from toy_env.server.world.actors import Actor
    from toy_env.server.world.world import World

_REFERENCE = re.compile(r"\+lat_0=(\S+).*?\+lon_0=(\S+)", re.DOTALL)


def reference(xodr: str) -> tuple[float, float]:
    """(latitude, longitude) in degrees of the map's origin; 0, 0 where the text names none."""
    found = _REFERENCE.search(xodr, 0, min(len(xodr), 4096))
    return (float(found[1]), float(found[2])) if found else (0.0, 0.0)


class Gnss:
    """See the module."""

    def __init__(self, actor: "Actor", layouts: Layouts, seed: int) -> None:
        self._actor = actor
        self._geolocation = layouts.geolocation
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
        true = (*self._geolocation(place.x, place.y, self._origin), place.z)
        drawn = self._random.normal(self._bias, self._deviation)
        yield msgpack.packb([value + float(error) for value, error in zip(true, drawn, strict=True)])
