"""The renderer: what it keeps of each town, and the two pictures it draws."""

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from carla_rl.roads.network import RoadNetwork
from carla_rl.scenario.model import Weather
from carla_rl.types import CameraSpec, Ego, Scene
from toy_env.render.bird import BirdSpec, Line, Overlay, draw_ground, draw_lines, draw_things
from toy_env.render.camera import LEVEL_M, draw_cameras
from toy_env.render.ground import TILE_M, GroundMap
from toy_env.render.lens import Lens, focal_px, level_for, make_lens
from toy_env.render.levels import heights
from toy_env.render.palette import LIGHTS
from toy_env.render.shapes import COUNTS, TABLE
from toy_env.render.sky import ATMOSPHERE, atmosphere
from toy_env.render.things import actor_things, furniture

_REACH = 4
"""Tiles around an ego that a camera shows: 128 m at least."""


class _TownView:
    """What is kept of one town."""

    def __init__(self, network: RoadNetwork) -> None:
        self.network = network
        self.ground = GroundMap(network)
        self.furniture = furniture(network)

    def shown(self, actors: NDArray[np.float32], ego_z: NDArray[np.float64]) -> NDArray[np.bool_]:
        """(N, A) whether each actor is on its ego's level, or off every road."""
        if self.ground.flat:
            return np.ones(actors.shape[:2], np.bool_)
        height = heights(self.network, actors[..., 2], actors[..., 3], actors[..., 4])
        shown: NDArray[np.bool_] = ~(np.abs(height - ego_z[:, None]) > LEVEL_M)
        return shown


class Renderer:
    """Draws pictures of envs; keeps the painted ground of every town it was shown. Not for use from two threads at a time."""

    def __init__(self) -> None:
        self._towns: dict[tuple[str, str], _TownView] = {}
        self._lenses: dict[CameraSpec, Lens] = {}
        self._default_sky = atmosphere(Weather())

    def ground_z(self, network: RoadNetwork, ego: Ego) -> NDArray[np.float64]:
        """(N,) height in m of the lane nearest to each ego in place and heading: for callers that do not know the ego's z.

        Far from every lane it is that of the nearest sample of any.
        """
        z = heights(network, ego.x, ego.y, ego.yaw)
        for env in np.flatnonzero(np.isnan(z)):
            z[env] = network.roads.z[np.argmin((network.roads.x - ego.x[env]) ** 2 + (network.roads.y - ego.y[env]) ** 2)]
        return z

    def camera(
        self,
        network: RoadNetwork,
        spec: CameraSpec,
        ego: Ego,
        ego_z: NDArray[np.float64],
        scene: Scene,
        sky: NDArray[np.float64] | None = None,
    ) -> NDArray[np.uint8]:
        """What the camera `spec` on each ego sees: (N, height, width, 3) RGB.

        `ego_z` (N,) m is the height of the road under each ego; `sky` (N, ATMOSPHERE) holds `atmosphere(weather)` of each env, None: the
        default weather. `scene.actors` does not hold the ego itself.

        Raises:
            UsageError: a camera without pixels, without a usable field of view or in the ground.
        """
        lens = self._lens(spec)
        town = self._town(network)
        count = len(ego.x)
        windows, corners = town.ground.windows(ego.x, ego.y, ego_z, _REACH)
        pictures = np.empty((count, spec.height, spec.width, 3), np.uint8)
        # copies, because numba compiles anew for an array that is read-only or laid out in another way
        draw_cameras(
            pictures,
            tuple(town.ground.tiles),
            windows,
            corners,
            _views(spec, ego),
            tuple(lens),
            np.array(np.broadcast_to(self._default_sky, (count, ATMOSPHERE)) if sky is None else sky, np.float64, order="C"),
            np.array(ego_z, np.float64, order="C"),
            actor_things(scene.actors, town.shown(scene.actors, ego_z), ego_z),
            np.array(scene.lights, np.int8, order="C"),
            *town.furniture,
            (TABLE, COUNTS),
            LIGHTS,
        )
        return pictures

    def bird(
        self, network: RoadNetwork, spec: BirdSpec, ego: Ego, ego_z: NDArray[np.float64], scene: Scene, lines: Sequence[Line] = ()
    ) -> NDArray[np.uint8]:
        """The world from above, each ego's heading up: (N, height, width, 3) RGB.

        Each of `lines` is drawn over it: points (N, P, 2) m in the ego frame, an RGB colour (0..255 each) and a width in pixels.
        """
        town = self._town(network)
        windows, corners = town.ground.windows(ego.x, ego.y, ego_z, math.ceil(spec.reach_m / TILE_M))
        pictures = np.empty((len(ego.x), spec.height, spec.width, 3), np.uint8)
        poses = np.stack((ego.x - corners[:, 0], ego.y - corners[:, 1], ego.yaw), axis=-1)
        level = int(level_for(np.array(spec.metres_per_px)))
        draw_ground(pictures, tuple(town.ground.tiles), windows, poses, spec.metres_per_px, spec.ahead * spec.height, level)
        shown = town.shown(scene.actors, ego_z)
        for env in range(len(pictures)):
            overlay = Overlay(pictures[env], spec, float(ego.x[env]), float(ego.y[env]), float(ego.yaw[env]))
            draw_lines(overlay, env, lines)
            draw_things(overlay, scene.actors[env], shown[env], scene.lights[env], town.furniture, spec.reach_m, float(ego_z[env]))
        return pictures

    def _town(self, network: RoadNetwork) -> _TownView:
        key = network.town, network.source_sha256
        if key not in self._towns:
            self._towns[key] = _TownView(network)
        return self._towns[key]

    def _lens(self, spec: CameraSpec) -> Lens:
        if spec not in self._lenses:
            self._lenses[spec] = make_lens(spec)
        return self._lenses[spec]


def _views(spec: CameraSpec, ego: Ego) -> NDArray[np.float64]:
    """(N, 8) as `solids` takes them. Sines per env by `math`: NumPy's may differ in the last bit with the size of the batch."""
    focal = focal_px(spec)
    out = np.empty((len(ego.x), 8), np.float64)
    for env, (x, y, yaw) in enumerate(zip(ego.x.tolist(), ego.y.tolist(), ego.yaw.tolist(), strict=True)):
        c, s, look = math.cos(yaw), math.sin(yaw), yaw + spec.yaw
        place = x + spec.x * c - spec.y * s, y + spec.x * s + spec.y * c, spec.z
        out[env] = (*place, math.cos(look), math.sin(look), math.cos(spec.pitch), math.sin(spec.pitch), focal)
    return out
