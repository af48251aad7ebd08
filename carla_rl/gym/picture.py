"""The bird's-eye view of an env, for people. The only part of this package that draws."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from carla_rl.build import drawing_of
from carla_rl.gym.batch import Batch
from carla_rl.types import Ego, Scene

ROUTE_COLOUR = (0, 120, 255)


class BirdView:
    """Draws envs from above, heading up, their routes in blue."""

    def __init__(self) -> None:
        drawing = drawing_of("toy")
        self._renderer = drawing.Renderer()
        self._spec = drawing.BirdSpec()

    def draw(self, batch: Batch, envs: range) -> list[NDArray[np.uint8]]:
        """A picture (height, width, 3) RGB of each of the envs."""
        scene, ego = batch.simulator.scene(), batch.state.ego
        return [self._one(batch, scene, ego, env) for env in envs]

    def _one(self, batch: Batch, scene: Scene, egos: Ego, env: int) -> NDArray[np.uint8]:
        network = batch.simulator.network(batch.town(env))
        at = slice(env, env + 1)
        ego = Ego(egos.x[at], egos.y[at], egos.yaw[at], egos.speed[at], egos.yaw_rate[at], egos.acceleration[at])
        instant = Scene(scene.actors[at], scene.lights[at, : len(network.roads.signal_id)])
        lines = [(_in_ego_frame(batch.route(env), ego)[None], ROUTE_COLOUR, 2)]
        picture: NDArray[Any] = self._renderer.bird(network, self._spec, ego, self._renderer.ground_z(network, ego), instant, lines)[0]
        return picture


def _in_ego_frame(points: NDArray[np.float64], ego: Ego) -> NDArray[np.float64]:
    """Map points (P, 2) in the frame of one ego."""
    dx, dy = points[:, 0] - ego.x[0], points[:, 1] - ego.y[0]
    c, s = np.cos(ego.yaw[0]), np.sin(ego.yaw[0])
    return np.stack((dx * c + dy * s, dy * c - dx * s), axis=-1)
