"""Lidars: rays against the ground and the boxes of the scenery, as CARLA's lidar sends them.

The head turns by rotation_frequency times the tick; each channel has its share of points_per_second. Points are sent channel by channel,
in the sensor's frame (x forward, y right, z up, m).
"""

import math
import struct
from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from toy_env.render.rays import NOTHING_HIT, collect
from toy_env.server.errors import Refused
from toy_env.server.layouts import Layouts
from toy_env.server.sensors.rays import Hits, shoot
from toy_env.server.sensors.sensor import noise, number

if TYPE_CHECKING:
    from toy_env.server.world.actors import Actor
    from toy_env.server.world.world import World

HEADER = struct.Struct("<fI")
"""Angle of the head in rad, channels; then the points of each channel (u32), then the points."""
SEMANTIC_POINT = np.dtype([("place", "<f4", (3,)), ("cosine", "<f4"), ("number", "<u4"), ("tag", "<u4")])
MOST_CHANNELS = 1024
MOST_POINTS = 1 << 22
"""Of one scan."""


class Lidar:
    """See the module. Intensity falls off with the distance; points are dropped at random by the dropoff attributes.

    Raises:
        Refused: attributes that no lidar has.
    """

    def __init__(self, actor: "Actor", layouts: Layouts, seed: int) -> None:
        self._actor = actor
        self._channels, self._range = int(number(actor, "channels")), number(actor, "range")
        self._rate, self._turns = number(actor, "points_per_second"), number(actor, "rotation_frequency")
        self._fov = number(actor, "horizontal_fov", 360.0)
        if not 1 <= self._channels <= MOST_CHANNELS or self._range <= 0.0 or self._rate < 0.0 or not 0.0 < self._fov <= 360.0:
            raise Refused(
                f"{actor.type_id}: needs 1 to {MOST_CHANNELS} channels, a range above 0, points_per_second from 0 and a horizontal_fov "
                f"up to 360 (found {self._channels}, {self._range:g}, {self._rate:g}, {self._fov:g})"
            )
        self._slopes = np.radians(np.linspace(number(actor, "upper_fov"), number(actor, "lower_fov"), self._channels))
        self._angle = 0.0
        rules = ("atmosphere_attenuation_rate", "dropoff_general_rate", "dropoff_zero_intensity", "dropoff_intensity_limit")
        self._rules = np.array([number(actor, name) for name in rules])
        self._random = noise(actor, seed)
        self._made: tuple[tuple[float, int, float], NDArray[np.float64]] | None = None

    def measure(self, world: "World") -> Iterator[bytes]:
        """One scan a frame."""
        angle, hits = self._scan(world)
        distance, deviation = hits.distance, number(self._actor, "noise_stddev")
        if deviation > 0.0:
            distance = distance + self._random.normal(0.0, deviation, len(distance))
        chances = self._random.random((2, len(distance)), np.float32)
        points, counts = np.empty((len(distance), 4), np.float32), np.zeros(self._channels, np.uint32)
        count = collect(points, counts, hits.rays, distance, hits.face, chances, self._rules)
        yield HEADER.pack(angle, self._channels) + counts.tobytes() + points[:count].tobytes()

    def _scan(self, world: "World") -> tuple[float, Hits]:
        """The head's angle in rad before this frame, and what the rays of the frame hit."""
        swept = round(self._turns * self._fov * world.dt, 6)
        steps = min(round(self._rate * world.dt / self._channels), MOST_POINTS // self._channels)
        rays = self._rays(self._angle, steps, swept)
        before = math.radians(self._angle)
        self._angle = round(math.fmod(self._angle + swept, self._fov), 6)
        return before, shoot(world, world.transform(self._actor), rays, self._range)

    def _rays(self, angle: float, steps: int, swept: float) -> NDArray[np.float64]:
        """(channels * steps, 3) from `angle` over `swept` degrees; kept, since most lidars look the same way in every frame."""
        key = (angle, steps, swept)
        if self._made is None or self._made[0] != key:
            yaw = np.radians((angle + swept / max(steps, 1) * np.arange(steps)) % self._fov - 0.5 * self._fov)
            flat, up = np.cos(self._slopes)[:, None], np.sin(self._slopes)[:, None]
            rays = np.stack((flat * np.cos(yaw), flat * np.sin(yaw), up + 0.0 * yaw), axis=-1)
            self._made = key, rays.reshape(-1, 3)
        return self._made[1]


class SemanticLidar(Lidar):
    """Every point with the cosine of its angle to the surface, and the id and the tag of what it hit; nothing is dropped."""

    def measure(self, world: "World") -> Iterator[bytes]:
        """One scan a frame."""
        angle, hits = self._scan(world)
        labels, cosines = hits.labels()
        kept = np.flatnonzero(hits.face != NOTHING_HIT)
        points = np.empty(len(kept), SEMANTIC_POINT)
        points["place"] = hits.rays[kept] * hits.distance[kept, None]
        points["cosine"], points["number"], points["tag"] = cosines[kept], world.scenery.ids[labels[kept, 1]], labels[kept, 0]
        counts = np.bincount(kept // max(len(hits.rays) // self._channels, 1), minlength=self._channels).astype(np.uint32)
        yield HEADER.pack(angle, self._channels) + counts.tobytes() + points.tobytes()
