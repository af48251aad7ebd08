"""Cameras: colours, depth, semantic tags and numbers of things, all from one look at the boxes and the ground of the scenery.

The lens is a pinhole; exposure, blur and distortion change nothing. Without rendering the pictures are black, as in CARLA.
"""

import struct
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from toy_env.render.developing import GROUND_TAGS, develop_colours, develop_depth, develop_labels, haze_table
from toy_env.render.sky import atmosphere
from toy_env.server.errors import Refused
from toy_env.server.layouts import Layouts
from toy_env.server.layouts.values import Weather
from toy_env.server.sensors.sensor import number

if TYPE_CHECKING:
    from toy_env.server.world.actors import Actor
    from toy_env.server.world.scenery import Seen
    from toy_env.server.world.world import World

IMAGE = struct.Struct("<IIf")
"""Width, height, field of view in degrees; then the pixels as BGRA."""
MOST_PIXELS = 1 << 24


class Camera:
    """What the kinds of camera share: where they look and how their picture is sent.

    Raises:
        Refused: a size or a field of view that no camera has.
    """

    def __init__(self, actor: "Actor", layouts: Layouts, seed: int) -> None:
        self._actor = actor
        self._width, self._height = int(number(actor, "image_size_x")), int(number(actor, "image_size_y"))
        self._fov = number(actor, "fov")
        if min(self._width, self._height) < 1 or self._width * self._height > MOST_PIXELS or not 0.1 <= self._fov <= 175.0:
            raise Refused(
                f"{actor.type_id}: {self._width} x {self._height} pixels with a fov of {self._fov:g} degrees; "
                f"give 1 to {MOST_PIXELS} pixels and 0.1 to 175 degrees"
            )
        self._message = bytearray(IMAGE.size + 4 * self._width * self._height)
        IMAGE.pack_into(self._message, 0, self._width, self._height, self._fov)
        self._picture = np.frombuffer(self._message, np.uint32, offset=IMAGE.size).reshape(self._height, self._width)

    def measure(self, world: "World") -> Iterator[memoryview]:
        """One picture a frame."""
        if world.settings.no_rendering_mode:
            self._picture[:] = 0
        else:
            self.develop(world, world.scenery.view(world, world.transform(self._actor), self._width, self._height, self._fov))
        yield memoryview(self._message)

    def develop(self, world: "World", seen: "Seen") -> None:
        """Fill `_picture`."""
        raise NotImplementedError


class Rgb(Camera):
    """Colours, in the light and the haze of the weather."""

    _weather: Weather | None = None

    def develop(self, world: "World", seen: "Seen") -> None:
        """See `Camera.develop`."""
        if world.weather != self._weather:
            self._weather = world.weather
            self._sky = sky_of(world.weather)
            self._haze = haze_table(self._sky)
        window, corner = world.scenery.painted(seen.camera)
        tiles = tuple(world.scenery.surroundings.ground.tiles)
        boxes = world.scenery.boxes(world)
        develop_colours(self._picture, seen.inverse, seen.face, seen.camera, boxes, tiles, window, corner, self._sky, self._haze)


class Depth(Camera):
    """Depth along the optical axis in 24 bits of 1000 m."""

    def develop(self, world: "World", seen: "Seen") -> None:
        """See `Camera.develop`."""
        develop_depth(self._picture, seen.inverse)


class Semantic(Camera):
    """The semantic tag in red."""

    numbered = False

    def develop(self, world: "World", seen: "Seen") -> None:
        """See `Camera.develop`."""
        window, corner = world.scenery.painted(seen.camera)
        fine, boxes = world.scenery.surroundings.ground.tiles.fine, world.scenery.boxes(world)
        develop_labels(self._picture, seen.inverse, seen.face, seen.camera, boxes, fine, GROUND_TAGS, window, corner, self.numbered)


class Instance(Semantic):
    """The semantic tag in red, and the lowest 16 bits of the actor's id in green (low) and blue (high)."""

    numbered = True


def sky_of(weather: Weather) -> NDArray[np.float64]:
    """The row of `atmosphere` for a client's weather, which has the same names but may have any values."""
    fields: Any = weather
    return atmosphere(fields)
