"""What a sensor is, and what sensors share."""

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Protocol

import numpy as np

from toy_env.server.layouts import Layouts

if TYPE_CHECKING:
    from toy_env.server.world.actors import Actor
    from toy_env.server.world.world import World


class Sensor(Protocol):
    """One sensor actor's data. It is made when somebody first reads its stream and lives as long as the actor."""

    def measure(self, world: "World") -> Iterable[bytes | memoryview]:
        """What follows the sensor's header, a message each; usually one, none where nothing happened. A view holds until the next frame.

        The world stands still: its frame is done, all states are those that clients are told.
        """


Make = Callable[["Actor", Layouts, int], Sensor]
"""(actor, layouts, seed): the attributes as clients have set them are `actor.attributes`, strings as on the wire."""


def number(actor: "Actor", name: str, default: float = 0.0) -> float:
    """An attribute as a number; `default` where the blueprint has none of that name. Raises ValueError where it is no number."""
    return float(actor.attributes.get(name, default))


def noise(actor: "Actor", seed: int) -> np.random.Generator:
    """The sensor's own stream of numbers: a sensor with the same `noise_seed` in the same server measures the same again."""
    return np.random.default_rng((seed, int(number(actor, "noise_seed"))))
