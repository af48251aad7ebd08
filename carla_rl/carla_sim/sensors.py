"""The sensors on the ego: cameras, whose pictures are asked for by frame, and the collision sensor. Knows nothing of other actors."""

import queue
from collections import deque

import carla
import numpy as np
from numpy.typing import NDArray

from carla_rl.carla_sim import frame
from carla_rl.carla_sim.remote import Refused, WorldLost
from carla_rl.types import CameraSpec

PICTURE_S = 10.0
"""A picture that has not come so long after its tick is lost, as in the leaderboard; sooner where calls have less time."""
CAMERA = "sensor.camera.rgb"
COLLISION = "sensor.other.collision"


class Camera:
    """One RGB camera."""

    def __init__(self, world: "carla.World", ego: "carla.Actor", spec: CameraSpec, wait_s: float) -> None:
        """Attach it; a picture is waited for `wait_s` s.

        Raises:
            Refused: the server has no such sensor.
        """
        self.spec, self._wait_s = spec, wait_s
        blueprint = find(world, CAMERA)
        for name, value in (("image_size_x", spec.width), ("image_size_y", spec.height), ("fov", spec.fov_deg)):
            blueprint.set_attribute(name, str(value))
        self._pictures: queue.SimpleQueue[carla.Image] = queue.SimpleQueue()
        self.actor = world.spawn_actor(blueprint, frame.mount(spec), attach_to=ego)
        self.actor.listen(self._pictures.put)

    def picture(self, number: int) -> NDArray[np.uint8]:
        """(H, W, 3) RGB of the frame `number`; older ones are dropped.

        Raises:
            WorldLost: it did not come. The server may be well: only the episode is void.
        """
        while True:
            try:
                image = self._pictures.get(timeout=self._wait_s)
            except queue.Empty:
                raise WorldLost(
                    f"camera {self.spec.name} sent no picture of frame {number} within {self._wait_s:g} s", server=False
                ) from None
            if image.frame == number:
                pixels = np.frombuffer(image.raw_data, np.uint8).reshape(image.height, image.width, 4)
                return np.ascontiguousarray(pixels[:, :, 2::-1])
            if image.frame > number:
                raise WorldLost(f"camera {self.spec.name} sent frame {image.frame} and never frame {number}", server=False)


class Bumper:
    """The collision sensor: which actors touched the ego since it was last asked."""

    def __init__(self, world: "carla.World", ego: "carla.Actor") -> None:
        """Attach it.

        Raises:
            Refused: the server has no such sensor.
        """
        self._touched: deque[tuple[int, str]] = deque()
        self.actor = world.spawn_actor(find(world, COLLISION), carla.Transform(), attach_to=ego)
        self.actor.listen(self._feel)

    def _feel(self, event: "carla.CollisionEvent") -> None:
        other = event.other_actor
        # the map's own bodies have no actor
        self._touched.append((0, "static") if other is None else (other.id, other.type_id))

    def touched(self) -> list[tuple[int, str]]:
        """Id and type of each actor, each once."""
        found: dict[int, str] = {}
        while self._touched:
            number, kind = self._touched.popleft()
            found[number] = kind
        return list(found.items())


def find(world: "carla.World", name: str) -> "carla.ActorBlueprint":
    """A blueprint by its id.

    Raises:
        Refused: the server does not have it.
    """
    try:
        return world.get_blueprint_library().find(name)
    except (IndexError, RuntimeError):
        raise Refused(f"the server has no blueprint {name}; its assets are not those of CARLA 0.9.16") from None
