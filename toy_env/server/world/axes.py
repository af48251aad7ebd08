"""Rotations of CARLA as matrices."""

import math

import numpy as np
from numpy.typing import NDArray

from toy_env.server.layouts.values import Rotation


def axes(rotation: Rotation) -> NDArray[np.float64]:
    """(3, 3) columns forward, right, up of something in CARLA's frame."""
    pitch, yaw, roll = (math.radians(angle) for angle in rotation)
    cp, sp, cy, sy, cr, sr = math.cos(pitch), math.sin(pitch), math.cos(yaw), math.sin(yaw), math.cos(roll), math.sin(roll)
    return np.array(
        [
            [cp * cy, cy * sp * sr - sy * cr, -cy * sp * cr - sy * sr],
            [cp * sy, sy * sp * sr + cy * cr, -sy * sp * cr + cy * sr],
            [sp, -cp * sr, cp * cr],
        ]
    )
