"""Obstacle sensor: what stands within a distance before it. A thick ray: boxes are grown by the radius; the ground is no obstacle."""

import math
from collections.abc import Iterator
from typing import TYPE_CHECKING

import msgpack
import numpy as np
from numpy.typing import NDArray

from toy_env.render.boxes import BOX_OWNER, BOX_RADIUS
from toy_env.render.rays import NOTHING_HIT, cast
from toy_env.render.relief import LEVEL
from toy_env.server.layouts import Layouts
from toy_env.server.layouts.values import ActorInfo, Box, Description
from toy_env.server.sensors.rays import MIRROR
from toy_env.server.sensors.sensor import number
from toy_env.server.world.axes import axes

if TYPE_CHECKING:
    from toy_env.server.world.actors import Actor
    from toy_env.server.world.world import World

SCENERY = ActorInfo(0, 0, Description(0, "static.scenery"), Box(), b"", b"")
"""What is no actor, as the client is told of it."""
BELOW_ALL = -1.0e9


class Obstacle:
    """See the module. The carrier is no obstacle to itself; with `only_dynamics` only vehicles and walkers are."""

    def __init__(self, actor: "Actor", layouts: Layouts, seed: int) -> None:
        self._actor = actor
        self._encode = layouts.values.actor.encode
        self._dynamic = actor.attributes.get("only_dynamics", "false").lower() == "true"

    def measure(self, world: "World") -> Iterator[bytes]:
        """A message in each frame in which something is there."""
        me = self._actor.parent
        if me is None or me.row < 0:
            return
        scenery = world.scenery
        boxes = scenery.boxes(world)
        still = len(scenery.surroundings.objects)
        wanted = np.full(len(scenery.owners), not self._dynamic, np.bool_)
        wanted[still:] = [self._counts(owner, me) for owner in scenery.owners[still:]]
        boxes = grown(boxes[wanted[boxes[:, BOX_OWNER].astype(np.int64)]], number(self._actor, "hit_radius"))
        location, rotation = world.transform(self._actor)
        turn, ahead = axes(rotation) * MIRROR[:, None], np.array([[1.0, 0.0, 0.0]])
        distance, face = np.empty(1), np.empty(1, np.int32)
        place = np.array(location) * MIRROR
        cast(place, turn, ahead, number(self._actor, "distance"), BELOW_ALL, boxes, *LEVEL, distance, face)
        if face[0] != NOTHING_HIT:
            owner = scenery.owners[int(boxes[face[0] // 6, BOX_OWNER])]
            other = SCENERY if owner is None else owner.info
            yield msgpack.packb([self._encode(me.info), self._encode(other), float(distance[0])], use_bin_type=True)

    def _counts(self, owner: "Actor | None", me: "Actor") -> bool:
        if owner is None:
            return not self._dynamic
        return owner is not me and (not self._dynamic or owner.type_id.startswith(("vehicle.", "walker.")))


def grown(boxes: NDArray[np.float64], by: float) -> NDArray[np.float64]:
    """Boxes that reach `by` m farther in all directions."""
    wide = boxes.copy()
    for first in (3, 6, 9):
        half = np.sqrt((wide[:, first : first + 3] ** 2).sum(axis=1))
        wide[:, first : first + 3] *= ((half + by) / half)[:, None]
    wide[:, BOX_RADIUS] += by * math.sqrt(3.0)
    return wide
