"""Sensors: what an actor measures in a frame. A further sensor is a class with `Sensor`'s method and a row of SENSORS.

The hub calls `measure` once a frame in which the sensor is due and somebody reads its stream, after everything has moved.
"""

from toy_env.server.sensors.collision import Collision
from toy_env.server.sensors.gnss import Gnss
from toy_env.server.sensors.imu import Imu
from toy_env.server.sensors.sensor import Make, Sensor

SENSORS: dict[str, Make] = {
    "sensor.other.collision": Collision,
    "sensor.other.gnss": Gnss,
    "sensor.other.imu": Imu,
}
"""By blueprint."""
IN_CLIENT = frozenset({"sensor.other.lane_invasion", "sensor.other.rss"})
"""These are worked out by the client from the world's state; the server only has the actor."""

__all__ = ["IN_CLIENT", "SENSORS", "Sensor", "provides"]


def provides(blueprint: str) -> bool:
    """Whether a sensor can be spawned."""
    return blueprint in SENSORS or blueprint in IN_CLIENT
