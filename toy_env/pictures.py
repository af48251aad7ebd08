"""The cameras' pictures of all envs, drawn town by town. Knows what the renderer wants, not how it draws."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from carla_rl.roads.network import RoadNetwork
from carla_rl.scenario.model import Weather
from carla_rl.types import CameraSpec, Ego, Scene
from carla_rl.world.state import Worlds
from carla_rl.world.views import ego
from toy_env.render import Renderer, atmosphere


class Pictures:
    """Draws what the egos' cameras see."""

    def __init__(self) -> None:
        self._renderer = Renderer()

    def take(
        self,
        cameras: Sequence[CameraSpec],
        groups: Sequence[tuple[RoadNetwork, NDArray[np.int64]]],
        worlds: Worlds,
        scene: Scene,
        weathers: Sequence[Weather | None],
    ) -> dict[str, NDArray[np.uint8]]:
        """By camera name (N, height, width, 3) RGB; black for envs without an episode. `weathers` has one of each env."""
        num_envs = len(worlds.world)
        images = {spec.name: np.zeros((num_envs, spec.height, spec.width, 3), np.uint8) for spec in cameras}
        egos = ego(worlds)
        for network, rows in groups:
            part = Ego(egos.x[rows], egos.y[rows], egos.yaw[rows], egos.speed[rows], egos.yaw_rate[rows], egos.acceleration[rows])
            signals = len(network.roads.signal_id)
            instant = Scene(scene.actors[rows], scene.lights[rows, :signals])
            sky = np.stack([atmosphere(weathers[env] or Weather()) for env in rows])
            for spec in cameras:
                images[spec.name][rows] = self._renderer.camera(network, spec, part, worlds.world["z"][rows], instant, sky)
        return images
