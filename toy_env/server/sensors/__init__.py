"""Sensors: what an actor measures in a frame. A further sensor is a class with `Sensor`'s method and a row of SENSORS.

The hub calls `measure` once a frame in which the sensor is due and somebody reads its stream, after everything has moved.
"""

from toy_env.server.sensors.cameras import Depth, Instance, Rgb, Semantic
from toy_env.server.sensors.collision import Collision
from toy_env.server.sensors.gnss import Gnss
from toy_env.server.sensors.imu import Imu
from toy_env.server.sensors.lidars import Lidar, SemanticLidar
from toy_env.server.sensors.obstacle import Obstacle
from toy_env.server.sensors.radar import Radar
from toy_env.server.sensors.sensor import Make, Sensor

SENSORS: dict[str, Make] = {
    "sensor.camera.depth": Depth,
    "sensor.camera.instance_segmentation": Instance,
    "sensor.camera.rgb": Rgb,
    "sensor.camera.semantic_segmentation": Semantic,
    "sensor.lidar.ray_cast": Lidar,
    "sensor.lidar.ray_cast_semantic": SemanticLidar,
    "sensor.other.collision": Collision,
    "sensor.other.gnss": Gnss,
    "sensor.other.imu": Imu,
    "sensor.other.obstacle": Obstacle,
    "sensor.other.radar": Radar,
}
"""By blueprint."""
IN_CLIENT = frozenset({"sensor.other.lane_invasion", "sensor.other.rss"})
"""These are worked out by the client from the world's state; the server only has the actor."""

__all__ = ["IN_CLIENT", "SENSORS", "Sensor", "provides"]


def provides(blueprint: str) -> bool:
    """Whether a sensor can be spawned."""
    return blueprint in SENSORS or blueprint in IN_CLIENT
