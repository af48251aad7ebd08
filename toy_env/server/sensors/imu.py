"""IMU: acceleration with gravity, angular velocity and compass, in the frame of the sensor (x forward, y right, z up)."""

import math
from collections.abc import Iterator
from typing import TYPE_CHECKING

import msgpack
import numpy as np

from toy_env.server.layouts import Layouts
from toy_env.server.sensors.sensor import noise, number
from toy_env.server.world.axes import axes

if TYPE_CHECKING:
    from toy_env.server.world.actors import Actor
    from toy_env.server.world.world import World

NORTH_DEG = -90.0
"""Yaw of north: CARLA's maps have it along -y."""
AXES = ("x", "y", "z")


class Imu:
    """See the module. The acceleration is that of the place where the sensor is attached."""

    def __init__(self, actor: "Actor", layouts: Layouts, seed: int) -> None:
        self._actor = actor
        self._random = noise(actor, seed)
        self._acceleration_deviation = [number(actor, f"noise_accel_stddev_{axis}") for axis in AXES]
        self._gyro_deviation = [number(actor, f"noise_gyro_stddev_{axis}") for axis in AXES]
        self._gyro_bias = [number(actor, f"noise_gyro_bias_{axis}") for axis in AXES]

    def measure(self, world: "World") -> Iterator[bytes]:
        """One message a frame."""
        state = world.state(self._actor)
        rotation = world.transform(self._actor).rotation
        frame = axes(rotation)
        felt = state["acceleration"].astype(np.float64) + np.array([0.0, 0.0, world.gravity])
        acceleration = felt @ frame + self._random.normal(0.0, self._acceleration_deviation)
        gyro = np.radians(state["angular_velocity"].astype(np.float64)) @ frame + self._random.normal(self._gyro_bias, self._gyro_deviation)
        compass = math.radians(rotation.yaw - NORTH_DEG) % (2.0 * math.pi)
        yield msgpack.packb([acceleration.tolist(), gyro.tolist(), compass])
