"""Rays through the world, in CARLA's frame: what lidars, radars, obstacle sensors and queries share."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from toy_env.render.developing import GROUND_TAGS
from toy_env.render.labelled_rays import label
from toy_env.render.rays import cast
from toy_env.render.relief import Relief
from toy_env.server.layouts.values import Transform
from toy_env.server.world.axes import axes

if TYPE_CHECKING:
    from toy_env.server.world.world import World

MIRROR = np.array([1.0, -1.0, 1.0])
"""From CARLA's frame to that of the map and back."""


@dataclass(frozen=True)
class Hits:
    """What rays from one place have hit."""

    world: "World"
    origin: NDArray[np.float64]
    """(3,) map frame."""
    turn: NDArray[np.float64]
    """(3, 3) takes the rays' frame to that of the map."""
    rays: NDArray[np.float64]
    """(n, 3) unit vectors in the frame of who looks."""
    distance: NDArray[np.float64]
    """(n,) m; the limit where nothing was hit."""
    face: NDArray[np.int32]
    """(n,) as `toy_env.render.rays.cast` gives it."""
    boxes: NDArray[np.float64]
    """(m, BOX)."""
    relief: Relief

    def labels(self) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        """(n, 2) tag and place in `Scenery.owners` (-1: none) of what was hit, and (n,) cosines to the surfaces."""
        count, scenery = len(self.rays), self.world.scenery
        labels, cosines = np.empty((count, 2), np.int64), np.empty(count)
        ground = (scenery.surroundings.ground.tiles.fine, GROUND_TAGS, *scenery.painted(self.origin))
        label(labels, cosines, self.origin, self.turn, self.rays, self.distance, self.face, self.boxes, ground, *self.relief)
        return labels, cosines


def shoot(world: "World", transform: Transform, rays: NDArray[np.float64], limit: float, afresh: bool = False) -> Hits:
    """Cast rays (n, 3; unit vectors in the frame of `transform`, which is CARLA's) up to `limit` m."""
    boxes = world.scenery.boxes(world, afresh)
    x, y, z = transform.location
    origin, turn = np.array([x, -y, z]), axes(transform.rotation) * MIRROR[:, None]
    distance, face = np.empty(len(rays)), np.empty(len(rays), np.int32)
    ground_z, relief = world.scenery.surroundings.ground_at(x, -y, z)
    cast(origin, turn, rays, limit, ground_z, boxes, *relief, distance, face)
    return Hits(world, origin, turn, rays, distance, face, boxes, relief)
