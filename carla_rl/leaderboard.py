"""An agent of ours inside somebody else's loop: the CARLA leaderboard asks for a control every tick and ticks the world itself.

The same policy and controller as in `carla_rl.loop`, one env, with what the leaderboard's sensors give: pictures, speed and yaw rate. A
policy that needs more (objects, lights, the route in its lanes) is *privileged*: its facts come from the world itself, by
`carla_rl.carla_sim.observer`, and what it drives is no entry of the leaderboard. Imports neither the leaderboard nor CARLA.
"""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from carla_rl.agent import Agent
from carla_rl.build import fitting_controller, make_policy
from carla_rl.errors import UsageError
from carla_rl.geometry import carry
from carla_rl.loop import poses
from carla_rl.types import TICK_S, CameraSpec, Ego, Needs, Observation

SPEED, IMU = "speed", "imu"
"""Ids of the sensors beside the cameras."""
MOST_CAMERAS = 8
FARTHEST_M = 3.0
"""The leaderboard's limits of cameras and of how far from the ego's centre they sit."""
YAW_RATE = 5
"""Place of the gyroscope's z in the leaderboard's IMU data, rad/s, clockwise."""

Pedals = tuple[float, float, float]
"""Throttle, steer and brake in CARLA's signs: steer is positive to the right."""


class Driver:
    """Drives one route.

    Args:
        agent: what drives.

    Raises:
        UsageError: it cannot be built, or carries what the leaderboard does not allow.
    """

    def __init__(self, agent: Agent) -> None:
        self.agent = agent
        self._policy = make_policy(agent.policy, agent.checkpoint, agent.sft)
        self._controller = fitting_controller(agent.controller, 1, self._policy, agent.decision_ticks)
        self._ticks = 0
        self._waypoints: NDArray[np.float32] = np.zeros((1, 1, 2), np.float32)
        self._then = np.zeros((1, 3))
        self._ego = _ego(0.0, 0.0, 0.0, 0.0, 0.0, 0.0)
        cameras = self.needs.cameras
        if len(cameras) > MOST_CAMERAS or any(math.hypot(one.x, one.y, one.z) > FARTHEST_M for one in cameras):
            raise UsageError(
                f"policy {self._policy.name}: the leaderboard allows {MOST_CAMERAS} cameras within {FARTHEST_M:g} m of the ego's centre"
            )

    @property
    def needs(self) -> Needs:
        """What the policy reads."""
        return self._policy.needs

    @property
    def privileged(self) -> bool:
        """Whether it reads what no sensor gives."""
        needs = self.needs
        return needs.route or needs.objects > 0 or needs.lights or needs.speed_limit or needs.room

    def sensors(self) -> list[dict[str, Any]]:
        """The sensors as the leaderboard wants them told: cameras by their names, speedometer, IMU."""
        at = {"x": 0.0, "y": 0.0, "z": 0.0, "roll": 0.0, "pitch": 0.0, "yaw": 0.0}
        told: list[dict[str, Any]] = [_camera(camera) for camera in self.needs.cameras]
        told.append({"type": "sensor.speedometer", "id": SPEED, "reading_frequency": 1.0 / TICK_S})
        told.append({"type": "sensor.other.imu", "id": IMU, **at})
        return told

    def measured(self, data: Mapping[str, tuple[int, Any]]) -> tuple[Ego, Observation]:
        """The ego by dead reckoning from where it began, and what its sensors show; `data` is the leaderboard's, by sensor id."""
        speed = max(float(data[SPEED][1]["speed"]), 0.0)
        yaw_rate = 0.0 - float(data[IMU][1][YAW_RATE])
        before = self._ego
        yaw = float(before.yaw[0]) + 0.5 * (float(before.yaw_rate[0]) + yaw_rate) * TICK_S
        middle = 0.5 * (float(before.yaw[0]) + yaw)
        way = 0.5 * (float(before.speed[0]) + speed) * TICK_S
        x, y = float(before.x[0]) + way * math.cos(middle), float(before.y[0]) + way * math.sin(middle)
        self._ego = _ego(x, y, yaw, speed, yaw_rate, (speed - float(before.speed[0])) / TICK_S)
        images = {camera.name: _picture(camera, data[camera.name][1]) for camera in self.needs.cameras}
        return self._ego, Observation(np.array([speed], np.float32), np.array([yaw_rate], np.float32), images=images)

    def drive(self, ego: Ego, seen: Observation) -> Pedals:
        """The control of the tick that follows `seen`; a new plan every `decision_ticks`. To be called once a tick."""
        into = self._ticks % self.agent.decision_ticks
        if self._ticks == 0:
            self._policy.reset(np.ones(1, np.bool_))
            self._controller.reset(np.ones(1, np.bool_))
        if into == 0:
            self._waypoints, self._then = self._policy.plan(seen.restrict(self.needs)).waypoints, poses(ego)
            if not np.isfinite(self._waypoints).all():
                raise UsageError(f"policy {self._policy.name} planned a waypoint that is not a finite number; check its checkpoint")
        self._ticks += 1
        control = self._controller.control(carry(self._waypoints, self._then, poses(ego)), into * TICK_S, ego)
        return float(control.throttle[0]), 0.0 - float(control.steer[0]), float(control.brake[0])


def _ego(x: float, y: float, yaw: float, speed: float, yaw_rate: float, acceleration: float) -> Ego:
    return Ego(*(np.array([value]) for value in (x, y, yaw, speed, yaw_rate, acceleration)))


def _camera(camera: CameraSpec) -> dict[str, Any]:
    """In CARLA's frame: y and yaw to the right, degrees."""
    return {
        "type": "sensor.camera.rgb",
        "id": camera.name,
        "x": camera.x,
        "y": 0.0 - camera.y,
        "z": camera.z,
        "roll": 0.0,
        "pitch": math.degrees(camera.pitch),
        "yaw": 0.0 - math.degrees(camera.yaw),
        "width": camera.width,
        "height": camera.height,
        "fov": camera.fov_deg,
    }


def _picture(camera: CameraSpec, pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """(1, H, W, 3) RGB of the leaderboard's (H, W, 4) BGRA.

    Raises:
        ValueError: it is of another size than was asked for.
    """
    if pixels.shape[:2] != (camera.height, camera.width):
        raise ValueError(f"camera {camera.name}: a picture of {pixels.shape[1]}x{pixels.shape[0]}, expected {camera.width}x{camera.height}")
    return np.ascontiguousarray(pixels[None, :, :, 2::-1])
