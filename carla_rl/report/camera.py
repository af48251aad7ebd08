"""What a camera shows in a film's corner: the pictures that the run kept, or the toy's front camera drawn again from a step log.

Only the toy's pictures can be drawn again: they are made of what a log holds.
"""

from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from carla_rl.build import drawing_of
from carla_rl.records.camera_films import KeptFilm
from carla_rl.records.steps import StepLog
from carla_rl.report.instants import Instant
from carla_rl.roads.network import RoadNetwork
from carla_rl.scenario.model import Weather
from carla_rl.types import CameraSpec, Ego, Scene

WIDTH, HEIGHT = 176, 110
"""Of the corner, px; a kept picture of another shape is made to fit into it."""
SPEC = CameraSpec(name="front", width=WIDTH, height=HEIGHT)


class KeptCamera:
    """Called with an instant, gives what the run kept of its decision: BGR, no larger than the corner."""

    def __init__(self, film: Path, decisions: int) -> None:
        """Raises UsageError for a film that is damaged or of another drive."""
        self._film = KeptFilm(film, decisions)

    def __call__(self, now: Instant) -> NDArray[np.uint8]:
        """The picture. Instants come in their order."""
        picture = self._film.at(now.decision)
        share = min(WIDTH / picture.shape[1], HEIGHT / picture.shape[0])
        size = max(1, round(picture.shape[1] * share)), max(1, round(picture.shape[0] * share))
        fitted: NDArray[np.uint8] = np.asarray(cv2.resize(picture, size, interpolation=cv2.INTER_AREA), np.uint8)
        return fitted


class LoggedCamera:
    """Called with an instant, gives what the front camera showed: (110, 176, 3) BGR. Actors farther than the log keeps are not there."""

    def __init__(self, log: StepLog, network: RoadNetwork) -> None:
        drawing = drawing_of("toy")
        self._renderer: Any = drawing.Renderer()
        self._network = network
        self._sky = drawing.atmosphere(log.weather or Weather())[None]

    def __call__(self, now: Instant) -> NDArray[np.uint8]:
        """The picture."""
        zero = np.zeros(1)
        ego = Ego(np.array([now.x]), np.array([now.y]), np.array([now.yaw]), np.array([now.speed]), zero, zero)
        lights = np.zeros((1, max(len(self._network.roads.signal_id), 1)), np.int8)
        lights[0, : len(now.lights)] = now.lights
        scene = Scene(now.actors.astype(np.float32)[None], lights)
        height = self._renderer.ground_z(self._network, ego)
        picture: NDArray[np.uint8] = self._renderer.camera(self._network, SPEC, ego, height, scene, self._sky)[0]
        turned: NDArray[np.uint8] = cv2.cvtColor(picture, cv2.COLOR_RGB2BGR)
        return turned
