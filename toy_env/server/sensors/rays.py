"""Rays through the world, in CARLA's frame: what lidars, radars, obstacle sensors and queries share."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from toy_env.render.boxes import BOX_OWNER, BOX_TAG
from toy_env.render.developing import GROUND_TAGS, ground_tags
from toy_env.render.rays import GROUND_HIT, cast
from toy_env.server.world.axes import axes
from toy_env.server.layouts.values import Transform

if TYPE_CHECKING:
    from toy_env.server.world.world import World

MIRROR = np.array([1.0, -1.0, 1.0])
"""From CARLA's frame to that of the map and back."""


@dataclass(frozen=True)
class Hits:
    """What rays from one place have hit."""

    origin: NDArray[np.float64]
    """(3,) map frame."""
    rays: NDArray[np.float64]
    """(n, 3) unit vectors, map frame."""
    distance: NDArray[np.float64]
    """(n,) m; the limit where nothing was hit."""
    face: NDArray[np.int32]
    """(n,) as `toy_env.render.rays.cast` gives it."""
    boxes: NDArray[np.float64]
    """(m, BOX)."""
    owner_ids: NDArray[np.int64]
    """Ids of the owners of boxes; 0: no actor."""
    world: "World"

    def tags(self, chosen: NDArray[np.bool_]) -> NDArray[np.int64]:
        """Semantic tags of the chosen ones, all of which have hit something."""
        face = self.face[chosen]
        tags = np.zeros(len(face), np.int64)
        solid = face > GROUND_HIT
        tags[solid] = self.boxes[face[solid] // 6, BOX_TAG]
        if not solid.all():
            ground = ~solid
            spots = self.origin[:2] + self.rays[chosen][ground, :2] * self.distance[chosen][ground, None]
            window, corner = self.world.scenery.painted(self.origin)
            found = np.empty(len(spots), np.int64)
            ground_tags(found, self.world.scenery.surroundings.ground.tiles.fine, GROUND_TAGS, window, spots - corner)
            tags[ground] = found
        return tags

    def cosines(self, chosen: NDArray[np.bool_]) -> NDArray[np.float64]:
        """Of the angles between the chosen rays and the surfaces that they hit."""
        face, rays = self.face[chosen], self.rays[chosen]
        solid = face > GROUND_HIT
        cosines = np.abs(rays[:, 2])
        box, axis = face[solid] // 6, face[solid] % 6 // 2
        normals = self.boxes[box[:, None], 3 + 3 * axis[:, None] + np.arange(3)]
        along = np.abs((normals * rays[solid]).sum(axis=1))
        cosines[solid] = along / np.sqrt((normals * normals).sum(axis=1))
        return cosines

    def owners(self) -> NDArray[np.int64]:
        """(n,) place in `Scenery.owners` of what each ray has hit, -1 where that is the ground or nothing."""
        found = np.full(len(self.face), -1, np.int64)
        solid = self.face > GROUND_HIT
        found[solid] = self.boxes[self.face[solid] // 6, BOX_OWNER].astype(np.int64)
        return found


def shoot(world: "World", transform: Transform, rays: NDArray[np.float64], limit: float, afresh: bool = False) -> Hits:
    """Cast rays (n, 3; unit vectors in the frame of `transform`, which is CARLA's) up to `limit` m."""
    scenery = world.scenery
    boxes = scenery.boxes(world, afresh)
    x, y, z = transform.location
    origin = np.array([x, -y, z])
    turned = rays @ (axes(transform.rotation) * MIRROR[:, None]).T
    distance, face = np.empty(len(rays)), np.empty(len(rays), np.int32)
    cast(origin, np.ascontiguousarray(turned), limit, scenery.surroundings.ground_z(x, -y, z), boxes, distance, face)
    ids = np.array([0 if owner is None else owner.id for owner in scenery.owners], np.int64)
    return Hits(origin, turned, distance, face, boxes, ids, world)
