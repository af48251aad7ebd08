"""The background on the server: vehicles that the Traffic Manager drives, and pedestrians with CARLA's own controllers. Knows no script.

Which vehicles start where is the harness's business; the Traffic Manager and the pedestrians get their seeds from the episode.
"""

import math
from typing import Any

import carla
import numpy as np
from numpy.typing import NDArray

from carla_rl.carla_sim import frame
from carla_rl.carla_sim.blueprints import body_of
from carla_rl.carla_sim.manager import Manager
from carla_rl.carla_sim.messages import GAP_M, Orders, Setting
from carla_rl.carla_sim.sensors import find
from carla_rl.types import ObjectKind

DROP_M = 0.3
TRIES = 20
"""Places are drawn so often for each pedestrian until one is near the ego."""
WALK_MPS = 1.4
CROSSING = 0.2
"""Share of the pedestrians that cross roads."""
COLUMNS = 6


class Crowd:
    """Background actors by number: vehicles first, then pedestrians."""

    def __init__(self, world: "carla.World", manager: Manager) -> None:
        self._world, self._manager, self._port = world, manager, manager.port
        self._actors: list[carla.Actor | None] = []
        self._numbers: dict[int, int] = {}
        self._controllers: list[carla.Actor] = []
        self._braking: set[int] = set()

    def begin(self, setting: Setting) -> None:
        """Spawn the background of an episode. What finds no room is not there, and keeps its number."""
        if setting.models:
            manager = self._manager.needed()
            manager.set_random_device_seed(setting.seed)
            manager.set_global_distance_to_leading_vehicle(GAP_M)
            manager.global_percentage_speed_difference(100.0 * (1.0 - setting.speed_factor))
        for number, (model, (x, y, z, yaw)) in enumerate(zip(setting.models, setting.vehicles.tolist(), strict=True)):
            blueprint, _ = body_of(self._world, model, number)
            blueprint.set_attribute("role_name", "autopilot")
            actor = self._world.try_spawn_actor(blueprint, frame.transform(x, y, z + DROP_M, yaw))
            self._add(actor)
            if actor is not None:
                actor.set_autopilot(True, self._port)
        if setting.pedestrians:
            self._add_walkers(setting)

    def bodies(self) -> NDArray[np.float64]:
        """(M, 3) half length, half width and `ObjectKind` of each; a kind of 0 is not there."""
        rows = np.zeros((len(self._actors), 3))
        for row, actor in zip(rows, self._actors, strict=True):
            if actor is not None:
                box = actor.bounding_box.extent
                row[:] = box.x, box.y, ObjectKind.PEDESTRIAN if actor.type_id.startswith("walker.") else ObjectKind.VEHICLE
        return rows

    def move(self, orders: Orders) -> None:
        """Put vehicles elsewhere, let them change lane or brake; the rest is the Traffic Manager's."""
        for number, x, y, z, yaw in orders.moved.tolist():
            actor = self._actors[int(number)]
            if actor is not None:
                actor.set_transform(frame.transform(x, y, z + DROP_M, yaw))
                actor.set_target_velocity(carla.Vector3D())
        for number, to_the_right in orders.aside:
            if (actor := self._actors[number]) is not None:
                self._manager.needed().force_lane_change(actor, to_the_right)
        braking = {number: actor for number in orders.braking if (actor := self._actors[number]) is not None}
        freed = [actor for number in self._braking - braking.keys() if (actor := self._actors[number]) is not None]
        for actor in freed:
            actor.set_autopilot(True, self._port)
        for number, actor in braking.items():
            if number not in self._braking:
                actor.set_autopilot(False, self._port)
            actor.apply_control(carla.VehicleControl(brake=1.0))
        self._braking = set(braking)

    def look(self, snapshot: "carla.WorldSnapshot") -> NDArray[np.float64]:
        """(M, 6), see `messages.Seen.others`."""
        rows = np.zeros((len(self._actors), COLUMNS))
        for number, (row, actor) in enumerate(zip(rows, self._actors, strict=True)):
            found = None if actor is None else snapshot.find(actor.id)
            if found is None:
                # the Traffic Manager takes away what has not moved for long
                self._actors[number] = None
            else:
                x, y, z, yaw = frame.pose(found.get_transform())
                speed = found.get_velocity()
                row[:] = x, y, z, yaw, math.hypot(speed.x, speed.y), 1.0
        return rows

    def number_of(self, actor: int) -> int | None:
        """Who an actor of the server is."""
        return self._numbers.get(actor)

    def clear(self) -> list[int]:
        """Forget all; their actors, which are to be destroyed."""
        for controller in self._controllers:
            controller.stop()
        gone = [actor.id for actor in (*self._controllers, *self._actors) if actor is not None]
        self._actors, self._numbers, self._controllers, self._braking = [], {}, [], set()
        return gone

    def _add(self, actor: Any) -> None:
        if actor is not None:
            self._numbers[actor.id] = len(self._actors)
        self._actors.append(actor)

    def _add_walkers(self, setting: Setting) -> None:
        self._world.set_pedestrians_seed(setting.seed)
        self._world.set_pedestrians_cross_factor(CROSSING)
        x0, y0 = setting.ego[0], setting.ego[1]
        walkers = []
        for number in range(setting.pedestrians):
            for _ in range(TRIES):
                place = self._world.get_random_location_from_navigation()
                if place is None:
                    # a map without sidewalks has no pedestrians
                    return
                x, y, _, _ = frame.pose(carla.Transform(place))
                if math.hypot(x - x0, y - y0) > setting.around_m:
                    continue
                blueprint, _ = body_of(self._world, "walker.pedestrian.*", number)
                actor = self._world.try_spawn_actor(blueprint, carla.Transform(place))
                if actor is not None:
                    walkers.append(actor)
                    self._add(actor)
                    break
        if not walkers:
            return
        controls = find(self._world, "controller.ai.walker")
        for walker in walkers:
            self._controllers.append(self._world.spawn_actor(controls, carla.Transform(), attach_to=walker))
        self._manager.tick()
        for controller in self._controllers:
            controller.start()
            controller.go_to_location(self._world.get_random_location_from_navigation())
            controller.set_max_speed(WALK_MPS)
