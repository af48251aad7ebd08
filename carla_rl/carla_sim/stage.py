"""What an episode puts on the server's map: the ego with its sensors, background traffic, puppets of scripts, lights. One town, one client.

Everything that it spawns it takes away again. Where a puppet goes is the harness's business; what a background vehicle does is the Traffic
Manager's. Knows no route and no rule.
"""

import math
from collections.abc import Iterable
from typing import Any

import carla
import numpy as np
from numpy.typing import NDArray

from carla_rl.carla_sim import frame
from carla_rl.carla_sim.crowd import Crowd
from carla_rl.carla_sim.manager import Manager
from carla_rl.carla_sim.messages import HIT_BACKGROUND, HIT_PUPPET, HIT_SCENERY, Orders, Seen, Setting
from carla_rl.carla_sim.puppets import Puppets
from carla_rl.carla_sim.remote import WorldLost
from carla_rl.carla_sim.sensors import PICTURE_S, Bumper, Camera, find
from carla_rl.types import CameraSpec, LightState, ObjectKind

EGO = "vehicle.lincoln.mkz_2020"
"""The leaderboard's."""
DROP_M = (0.3, 0.8, 1.5, 3.0)
"""m above the road at which the ego is put down; higher where there is no room."""
SETTLE_TICKS = (3, 60)
"""At least and at most so many ticks until the ego stands on its wheels."""
RELEASE_TICKS = 4
"""The brake comes up again before the first tick: an episode begins at rest with no pedal pressed."""
STANDS_MPS = 0.05
LIGHTS = {LightState.GREEN: "Green", LightState.YELLOW: "Yellow", LightState.RED: "Red"}
KINDS = {
    "walker": ObjectKind.PEDESTRIAN,
    "vehicle": ObjectKind.VEHICLE,
    "static": ObjectKind.STATIC,
    "traffic": ObjectKind.STATIC,
}


class Stage:
    """The map of a session, and what is on it."""

    def __init__(self, client: "carla.Client", world: "carla.World", manager: Manager, timeout_s: float) -> None:
        self._client, self._world, self._manager = client, world, manager
        self._picture_s = min(PICTURE_S, timeout_s)
        manager.tick()
        self._lights = {light.get_opendrive_id(): light for light in world.get_actors().filter("traffic.traffic_light*")}
        for light in self._lights.values():
            # one is enough for all on a server that freezes its whole map; each for itself where it does not
            light.freeze(True)
        self._crowd = Crowd(world, manager)
        self._puppets = Puppets(client, world)
        self._ego: carla.Vehicle | None = None
        self._cameras: list[Camera] = []
        self._bumper: Bumper | None = None

    def layout(self) -> dict[str, Any]:
        """What of the map the harness needs: (P, 4) spawn points, and the OpenDRIVE ids of the lights."""
        points = [frame.pose(point) for point in self._world.get_map().get_spawn_points()]
        return {"spawn_points": np.array(points, np.float64).reshape(-1, 4), "lights": sorted(self._lights)}

    def begin(self, setting: Setting, orders: Orders) -> tuple[dict[str, Any], Seen]:
        """Set up an episode, let the ego come to rest, and say what is there: half sizes of it, and (M, 3) sizes and kinds of the rest.

        Raises:
            WorldLost: the ego found no room, or does not come to rest.
        """
        self.clear()
        self._world.set_weather(carla.WeatherParameters(**setting.weather))
        self._ego = self._put_ego(setting.ego)
        self._bumper = Bumper(self._world, self._ego)
        for camera in setting.cameras:
            self._cameras.append(Camera(self._world, self._ego, CameraSpec(**camera), self._picture_s))
        # what has been spawned has no pose before the first tick
        self._manager.tick()
        self._crowd.begin(setting)
        seen = self._settle(orders)
        box = self._ego.bounding_box.extent
        return {"ego": [box.x, box.y], "background": self._crowd.bodies()}, seen

    def tick(self, orders: Orders, *, pictures: bool = True) -> Seen:
        """Carry orders out, advance the server by one tick and look; cameras too, if `pictures` are wanted.

        Raises:
            WorldLost: a camera's picture did not come.
            RuntimeError: the server does not answer.
        """
        ego = self._driven
        throttle, steer, brake = orders.control
        # CARLA's wheel turns right with a positive steer
        ego.apply_control(carla.VehicleControl(throttle=throttle, steer=0.0 - steer, brake=brake))
        for number, state in orders.lights:
            self._lights[str(number)].set_state(getattr(carla.TrafficLightState, LIGHTS[LightState(state)]))
        self._puppets.move(orders)
        self._crowd.move(orders)
        number = self._manager.tick()
        return self._look(number, pictures)

    def clear(self) -> None:
        """Take everything away that an episode put here."""
        sensors = [camera.actor for camera in self._cameras] + ([self._bumper.actor] if self._bumper else [])
        for sensor in sensors:
            sensor.stop()
        gone = [actor.id for actor in (*sensors, *([self._ego] if self._ego else []))]
        self._cameras, self._bumper, self._ego = [], None, None
        gone += self._puppets.clear() + self._crowd.clear()
        if gone:
            # without a tick: this call keeps Python's lock while it waits, which the sensors' threads need to let the tick happen
            self._client.apply_batch_sync([carla.command.DestroyActor(actor) for actor in gone], False)

    def release(self) -> None:
        """Let the map's own cycles go on."""
        for light in self._lights.values():
            light.freeze(False)

    @property
    def _driven(self) -> "carla.Vehicle":
        if self._ego is None:
            raise RuntimeError("a tick before an episode was begun")
        return self._ego

    def _put_ego(self, pose: tuple[float, float, float, float]) -> "carla.Vehicle":
        blueprint = find(self._world, EGO)
        blueprint.set_attribute("role_name", "hero")
        x, y, z, yaw = pose
        for above in DROP_M:
            actor = self._world.try_spawn_actor(blueprint, frame.transform(x, y, z + above, yaw))
            if actor is not None:
                return actor
        raise WorldLost(f"there is no room for the ego at x = {x:.1f} m, y = {y:.1f} m of the map frame: something stands there")

    def _settle(self, orders: Orders) -> Seen:
        """Tick until the ego stands. The orders are carried out before the first tick."""
        least, most = SETTLE_TICKS
        for number in range(most):
            # the first pictures of a camera may never come, or late
            seen = self.tick(orders, pictures=False)
            orders = Orders()
            down = self._driven.get_velocity().z
            if number + 1 >= least and abs(down) < STANDS_MPS and seen.ego[4] < STANDS_MPS:
                for left in reversed(range(RELEASE_TICKS)):
                    seen = self.tick(Orders((0.0, 0.0, 0.0)), pictures=left == 0)
                if self._bumper:
                    # touching down is no collision
                    self._bumper.touched()
                return Seen(seen.ego, seen.others, np.zeros((0, 3), np.int64), seen.images)
        raise WorldLost(f"the ego did not come to rest within {most} ticks of its start", server=False)

    def _look(self, number: int, pictures: bool) -> Seen:
        """The world of a frame."""
        snapshot = self._world.get_snapshot()
        if snapshot.frame != number:
            snapshot = self._world.wait_for_tick() if snapshot.frame < number else snapshot
        actor = snapshot.find(self._driven.id)
        if actor is None:
            raise WorldLost("the ego is gone from the server")
        x, y, z, yaw = frame.pose(actor.get_transform())
        east = actor.get_velocity()
        ego = np.array([x, y, z, yaw, math.hypot(east.x, east.y), 0.0 - math.radians(actor.get_angular_velocity().z)])
        images = {camera.spec.name: camera.picture(number) for camera in self._cameras if pictures}
        return Seen(ego, self._crowd.look(snapshot), self._hits(), images)

    def _hits(self) -> NDArray[np.int64]:
        touched: Iterable[tuple[int, str]] = self._bumper.touched() if self._bumper else ()
        rows = []
        for actor, name in touched:
            kind = KINDS.get(name.partition(".")[0])
            if kind is None or "sidewalk" in name:
                # what the leaderboard's CollisionTest does not count
                continue
            if (number := self._crowd.number_of(actor)) is not None:
                rows.append((HIT_BACKGROUND, number, kind))
            elif (slot := self._puppets.slot_of(actor)) is not None:
                rows.append((HIT_PUPPET, slot, kind))
            else:
                rows.append((HIT_SCENERY, actor, kind))
        return np.array(rows, np.int64).reshape(-1, 3)
