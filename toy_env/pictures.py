"""The cameras' pictures of all envs, drawn town by town, each world only when it has changed.

Knows what the renderer wants, not how it draws.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from carla_rl.roads.network import RoadNetwork
from carla_rl.scenario.model import Weather
from carla_rl.types import Bools, CameraSpec, Ego, Scene
from carla_rl.world.state import Worlds
from carla_rl.world.views import ego
from toy_env.render import Renderer, atmosphere


class Pictures:
    """Draws what the egos' cameras see."""

    def __init__(self) -> None:
        self._renderer = Renderer()
        self._last: dict[str, NDArray[np.uint8]] = {}

    def take(
        self,
        cameras: Sequence[CameraSpec],
        groups: Sequence[tuple[RoadNetwork, NDArray[np.int64]]],
        worlds: Worlds,
        scene: Scene,
        weathers: Sequence[Weather | None],
        changed: Bools,
    ) -> dict[str, NDArray[np.uint8]]:
        """By camera name (N, height, width, 3) RGB; black for envs without an episode. `weathers` has one of each env.

        `changed` (N,) says which worlds are not as they were at the last call; the others' pictures are those of then, which saves
        most of the drawing once few of many episodes are still driven.
        """
        images = {spec.name: self._begun(spec, changed) for spec in cameras}
        egos = ego(worlds)
        for network, here in groups:
            rows = here[changed[here]]
            if not len(rows):
                continue
            part = Ego(egos.x[rows], egos.y[rows], egos.yaw[rows], egos.speed[rows], egos.yaw_rate[rows], egos.acceleration[rows])
            signals = len(network.roads.signal_id)
            instant = Scene(scene.actors[rows], scene.lights[rows, :signals])
            sky = np.stack([atmosphere(weathers[env] or Weather()) for env in rows])
            for spec in cameras:
                images[spec.name][rows] = self._renderer.camera(network, spec, part, worlds.world["z"][rows], instant, sky)
        self._last = images
        return images

    def _begun(self, spec: CameraSpec, changed: Bools) -> NDArray[np.uint8]:
        """The last pictures, those of changed worlds black."""
        if spec.name not in self._last or changed.all():
            return np.zeros((len(changed), spec.height, spec.width, 3), np.uint8)
        images = self._last[spec.name].copy()
        images[changed] = 0
        return images
