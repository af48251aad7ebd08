"""What an agent sees: the spaces, and observations brought into them.

Spaces have finite bounds, wider than what a drive can show; a value beyond is cut to its bound, so that an observation always lies in its
space. Lengths are metres in the ego frame (x forward, y left), speeds m/s, angles radians.
"""

import math
from typing import Any

import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray

from carla_rl.gym.config import EnvConfig
from carla_rl.policies import features
from carla_rl.types import ROUTE_POINTS, SIGHT_M, LightState, ObjectColumn, ObjectKind, Observation, RoomColumn

SPEED = 100.0
"""m/s."""
YAW_RATE = 10.0
"""rad/s."""
PLACE = 1000.0
"""m, of the route's points either way."""
ROUTE_LEFT = 1e6
"""m."""
FEATURE = 100.0
"""Of the feature vector, whose numbers are near one."""

_OBJECT_LOW = [-100.0, -100.0, -math.pi, -SPEED, 0.0, 0.0, 0.0]
_OBJECT_HIGH = [100.0, 100.0, math.pi, SPEED, 100.0, 100.0, float(max(ObjectKind))]

Seen = dict[str, NDArray[Any]] | NDArray[np.float32]
"""Observations of N envs: of a dict space, or feature vectors."""


class View:
    """The observation space of one env, and the way into it."""

    space: spaces.Space[Any]

    def __init__(self, config: EnvConfig) -> None:
        self._boxes = {} if config.observation == "features" else _boxes(config)
        self.space = spaces.Dict(dict(self._boxes)) if self._boxes else _box(-FEATURE, FEATURE, features.SIZE)

    def show(self, seen: Observation) -> Seen:
        """Observations of N envs as values of the batched space: new arrays, (N, ...)."""
        if not self._boxes:
            return np.clip(features.route_objects(seen), -FEATURE, FEATURE)
        shown = {}
        for name, box in self._boxes.items():
            if name in seen.images:
                shown[name] = seen.images[name]
                continue
            value = getattr(seen, name)
            shown[name] = np.clip(value.reshape(len(seen), *box.shape), box.low, box.high)
        return shown


def row(seen: Seen, env: int) -> Any:
    """The observation of one env."""
    return {name: value[env] for name, value in seen.items()} if isinstance(seen, dict) else seen[env]


def _box(low: float | list[float], high: float | list[float], *shape: int) -> spaces.Box:
    lowest, highest = (np.broadcast_to(np.array(bound, np.float32), shape) for bound in (low, high))
    return spaces.Box(lowest, highest, shape, np.float32)


def _boxes(config: EnvConfig) -> dict[str, spaces.Box]:
    boxes = {"speed": _box(0.0, SPEED, 1), "yaw_rate": _box(-YAW_RATE, YAW_RATE, 1)}
    if config.route:
        boxes["route"] = _box(-PLACE, PLACE, ROUTE_POINTS, 2)
        boxes["route_left"] = _box(0.0, ROUTE_LEFT, 1)
    if config.objects:
        boxes["objects"] = _box(_OBJECT_LOW, _OBJECT_HIGH, config.objects, len(ObjectColumn))
    if config.lights:
        boxes["light"] = _box([-SIGHT_M, 0.0], [SIGHT_M, float(max(LightState))], 2)
        boxes["stop_sign"] = _box([-SIGHT_M, 0.0], [SIGHT_M, 1.0], 2)
    if config.speed_limit:
        boxes["speed_limit"] = _box(0.0, SPEED, 1)
    if config.room:
        boxes["room"] = _box(-PLACE, PLACE, ROUTE_POINTS, len(RoomColumn))
    if (camera := config.camera) is not None:
        boxes[camera.name] = spaces.Box(0, 255, (camera.height, camera.width, 3), np.uint8)
    return boxes
