"""Sensors through CARLA's real client, for checks of `server_client`: how to listen, and what is in a picture."""

from typing import Any

import numpy as np


def listening(world: Any, kind: str, place: Any, parent: Any, **attributes: Any) -> tuple[Any, Any]:
    """A sensor that is listened to, and the queue of its data."""
    import queue

    blueprint = world.get_blueprint_library().find(kind)
    for name, value in attributes.items():
        blueprint.set_attribute(name, str(value))
    sensor, data = world.spawn_actor(blueprint, place, attach_to=parent), queue.Queue()
    sensor.listen(data.put)
    return sensor, data


def pixels(image: Any) -> Any:
    """(H, W, 3) red, green, blue."""
    return np.frombuffer(image.raw_data, np.uint8).reshape(image.height, image.width, 4)[..., 2::-1].astype(np.int64)


def metres(image: Any) -> Any:
    """(H, W) depth in m, by the formula in CARLA's documentation."""
    red, green, blue = np.moveaxis(pixels(image), -1, 0)
    return 1000.0 * (red + green * 256 + blue * 65536) / (256**3 - 1)
