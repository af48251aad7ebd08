"""Collision sensor: who touched the actor that carries it in this frame, and how hard."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

import msgpack

from toy_env.server.layouts import Layouts

if TYPE_CHECKING:
    from toy_env.server.world.actors import Actor
    from toy_env.server.world.world import World


class Collision:
    """See the module. The impulse in N s is the carrier's mass by the closing speed, against its motion."""

    def __init__(self, actor: "Actor", layouts: Layouts, seed: int) -> None:
        self._actor = actor
        self._encode = layouts.values.actor.encode

    def measure(self, world: "World") -> Iterator[bytes]:
        """A message a touch."""
        me = self._actor.parent
        if me is None or me.row < 0:
            return
        mass = float(world.body(me)["mass"])
        for hit in world.hits:
            if me is hit.actor or me is hit.other:
                other, sign = (hit.other, -1.0) if me is hit.actor else (hit.actor, 1.0)
                impulse = [sign * mass * speed for speed in hit.closing]
                yield msgpack.packb([self._encode(me.info), self._encode(other.info), impulse], use_bin_type=True)
