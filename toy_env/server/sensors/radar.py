"""Radar: random rays within an ellipse; of each that hits something how far that is and how fast it goes away."""

import math
from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

from toy_env.render.rays import NOTHING_HIT
from toy_env.server.errors import Refused
from toy_env.server.layouts import Layouts
from toy_env.server.sensors.rays import shoot
from toy_env.server.sensors.sensor import noise, number
from toy_env.server.world.axes import axes

if TYPE_CHECKING:
    from toy_env.server.world.actors import Actor
    from toy_env.server.world.world import World

MOST_RAYS = 1 << 20


class Radar:
    """See the module. A velocity is that of the hit against the sensor along the ray, negative where it comes nearer.

    Raises:
        Refused: attributes that no radar has.
    """

    def __init__(self, actor: "Actor", layouts: Layouts, seed: int) -> None:
        self._actor, self._random = actor, noise(actor, seed)
        fovs = number(actor, "horizontal_fov"), number(actor, "vertical_fov")
        self._range, self._rate = number(actor, "range"), number(actor, "points_per_second")
        if not all(0.0 < fov < 180.0 for fov in fovs) or self._range <= 0.0 or self._rate < 0.0:
            raise Refused(f"{actor.type_id}: needs fields of view between 0 and 180 degrees, a range above 0 and points_per_second from 0")
        self._spread = [math.tan(0.5 * math.radians(fov)) for fov in fovs]

    def measure(self, world: "World") -> Iterator[bytes]:
        """One scan a frame."""
        count = min(int(self._rate * world.dt), MOST_RAYS)
        radius, angle = self._random.random(count), self._random.random(count) * 2.0 * math.pi
        rays = np.stack((np.ones(count), self._spread[0] * radius * np.cos(angle), self._spread[1] * radius * np.sin(angle)), axis=-1)
        rays /= np.sqrt((rays * rays).sum(axis=1))[:, None]
        transform = world.transform(self._actor)
        hits = shoot(world, transform, rays, self._range)
        kept = hits.face != NOTHING_HIT
        owner = hits.labels()[0][kept, 1]
        objects = len(world.scenery.surroundings.objects)
        velocities = np.concatenate((np.zeros((1, 3)), world.bodies.states["velocity"].astype(np.float64)))
        # what is no actor stands
        theirs = velocities[np.maximum(owner - objects + 1, 0)]
        own = world.state(self._actor)["velocity"].astype(np.float64)
        directions = rays[kept] @ axes(transform.rotation).T
        points = np.empty((int(kept.sum()), 4), np.float32)
        points[:, 0] = ((theirs - own) * directions).sum(axis=1)
        points[:, 1] = np.arctan2(rays[kept, 1], rays[kept, 0])
        points[:, 2] = np.arcsin(rays[kept, 2])
        points[:, 3] = hits.distance[kept]
        yield points.tobytes()
