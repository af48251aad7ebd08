"""The state of the worlds as the values of the contracts: steps, observations, scenes. All are copies."""

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from carla_rl.types import ROUTE_POINTS, Ego, Facts, Needs, Observation, RoomColumn, Scene, Step
from carla_rl.world.compiled import Bound, Threads
from carla_rl.world.observe import COLUMNS, TOLD, Told, see, see_signals, tell
from carla_rl.world.routes import RoutePool
from carla_rl.world.state import Worlds
from carla_rl.world.town import Town

ROOM_COLUMNS = len(RoomColumn)
Groups = Sequence[tuple[Town, NDArray[np.int64]]]
"""Envs that drive in the same town, as kernels take it."""


def ego(worlds: Worlds) -> Ego:
    """The egos of all envs."""
    world = worlds.world
    return Ego(**{name: world[name].copy() for name in ("x", "y", "yaw", "speed", "yaw_rate", "acceleration")})


class Views:
    """What is shown of N worlds, as far as some needs ask for it."""

    def __init__(self, num_envs: int, needs: Needs, threads: Threads) -> None:
        self._needs = needs
        self.told = Told(np.zeros((TOLD, num_envs)), np.zeros(num_envs, np.int64), np.zeros(num_envs, np.int8))
        """What the last step told of each env; a kernel that has changed a world tells it here."""
        self._see, self._see_signals, self._tell = threads.bound(see), Bound(see_signals), Bound(tell)

    def step(self, worlds: Worlds, changed: NDArray[np.int64]) -> Step:
        """The state of all envs; an env that was never reset is at the origin with ending NONE. `changed` are those yet to be told."""
        if len(changed):
            self._tell(changed, worlds.world, self.told)
        x, y, yaw, speed, yaw_rate, acceleration, completion, length, driven, share, lateral, error, limit = self.told.numbers.copy()
        facts = Facts(
            tick=self.told.ticks.copy(),
            route_completion=completion,
            route_length=length,
            driven=driven,
            infractions=worlds.counts.copy(),
            outside_share=share,
            lateral=lateral,
            heading_error=error,
            speed_limit=limit,
        )
        return Step(Ego(x, y, yaw, speed, yaw_rate, acceleration), facts, self.told.endings.copy())

    def observation(
        self,
        worlds: Worlds,
        routes: RoutePool,
        groups: Groups,
        images: Mapping[str, NDArray[np.uint8]],
    ) -> Observation:
        """What the needs ask for."""
        world, needs = worlds.world, self._needs
        num_envs = len(world)
        routed, lit, roomed = num_envs if needs.route else 0, num_envs if needs.lights else 0, num_envs if needs.room else 0
        # every row of an env with an episode is filled
        rows_of = np.empty if sum(len(rows) for _, rows in groups) == num_envs else np.zeros
        route, route_left = rows_of((routed, ROUTE_POINTS, 2), np.float32), rows_of(routed, np.float32)
        objects = rows_of((num_envs if needs.objects else 0, needs.objects, COLUMNS), np.float32)
        light, stop_sign = rows_of((lit, 2), np.float32), rows_of((lit, 2), np.float32)
        room = rows_of((roomed, ROUTE_POINTS, ROOM_COLUMNS), np.float32)
        for town, rows in groups:
            self._see(
                rows,
                town,
                routes.line,
                routes.room,
                routes.marks,
                worlds,
                route,
                route_left,
                objects,
                float(needs.objects_m),
                light,
                stop_sign,
                room,
            )
        return Observation(
            speed=world["speed"].astype(np.float32),
            yaw_rate=world["yaw_rate"].astype(np.float32),
            route=route if needs.route else None,
            route_left=route_left if needs.route else None,
            objects=objects if needs.objects else None,
            light=light if needs.lights else None,
            stop_sign=stop_sign if needs.lights else None,
            speed_limit=world["speed_limit"].astype(np.float32) if needs.speed_limit else None,
            room=room if needs.room else None,
            images=images,
        )

    def scene(self, worlds: Worlds, groups: Groups) -> Scene:
        """All actors and lights."""
        rows = worlds.actors
        actors = np.stack(
            [rows[name].astype(np.float32) for name in ("id", "kind", "x", "y", "yaw", "speed", "half_length", "half_width")], axis=-1
        )
        used = (rows["kind"] != 0) & (np.arange(rows.shape[1]) < worlds.world["actors"][:, None])
        actors[~used] = 0.0
        signals = max((len(town.signals) for town, _ in groups), default=0)
        lights = np.zeros((len(rows), signals), np.int8)
        for town, envs in groups:
            self._see_signals(town, worlds, envs, lights)
        return Scene(actors, lights)
