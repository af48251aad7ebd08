"""Poses between the client's types and our frame, with `carla_rl.geometry`'s turn. Knows nothing of actors."""

import math

import carla

from carla_rl.geometry import from_carla, to_carla
from carla_rl.types import CameraSpec

Pose = tuple[float, float, float, float]
"""x, y, z in m and yaw in rad, map frame."""


def transform(x: float, y: float, z: float, yaw: float) -> "carla.Transform":
    """A pose of ours as the client takes it."""
    east, south, degrees = to_carla(x, y, yaw)
    return carla.Transform(carla.Location(east, south, z), carla.Rotation(yaw=degrees))


def pose(placed: "carla.Transform") -> Pose:
    """A pose of the client's as ours."""
    x, y, yaw = from_carla(placed.location.x, placed.location.y, placed.rotation.yaw)
    return x, y, placed.location.z, yaw


def mount(camera: CameraSpec) -> "carla.Transform":
    """Where a camera sits on the ego: pitch is positive upwards in both frames, y and yaw turn."""
    right, yaw_right = 0.0 - camera.y, 0.0 - math.degrees(camera.yaw)
    return carla.Transform(carla.Location(camera.x, right, camera.z), carla.Rotation(pitch=math.degrees(camera.pitch), yaw=yaw_right))


def velocity(speed: float, yaw: float) -> "carla.Vector3D":
    """m/s along a heading of ours as the client takes it."""
    return carla.Vector3D(speed * math.cos(yaw), 0.0 - speed * math.sin(yaw), 0.0)
