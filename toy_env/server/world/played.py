"""An episode of a suite in the served world: the simulator's own kernel plays it, the client drives its ego, the *hero*.

The same episode and the same controls give the same trajectories as in the simulator, since it is the simulator: what is here only turns
its scene into actors. The hero waits at the start of its route with the role name `hero`. A tick is always TICK_S.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from carla_rl.geometry import to_carla
from carla_rl.scenario.model import Episode
from carla_rl.types import TICK_S, Control, Event, Infraction, Needs, ObjectKind
from toy_env.server.layouts.values import AttributeValue, Description, Rotation, Transform, Vector
from toy_env.server.world.actors import Actor
from toy_env.server.world.motion import Mover
from toy_env.server.world.world import Hit, World
from toy_env.simulator import ToySimulator

HERO = "vehicle.lincoln.mkz_2020"
HERO_SCENE_ID = -1
CARS = ("vehicle.mini.cooper_s", "vehicle.nissan.micra", "vehicle.tesla.model3", "vehicle.lincoln.mkz_2017")
LOOKS = {
    ObjectKind.PEDESTRIAN: "walker.pedestrian.0001",
    ObjectKind.STATIC: "static.prop.streetbarrier",
    ObjectKind.BICYCLE: "vehicle.diamondback.century",
    ObjectKind.EMERGENCY: "vehicle.ford.ambulance",
}
COLLISIONS = (Infraction.COLLISION_PEDESTRIAN, Infraction.COLLISION_VEHICLE, Infraction.COLLISION_STATIC)
TRUCK_HALF_M = 3.0
MOTORBIKE_HALF_M = 1.3


class Played:
    """A part of the world. `choose` an episode before the world is loaded; without one nothing is played.

    Args:
        simulator: with one env, on the towns of the server.
    """

    def __init__(self, simulator: ToySimulator) -> None:
        self.simulator = simulator
        self.episode: Episode | None = None
        self._actors: dict[int, Actor] = {}
        self._lights: NDArray[np.int8] | None = None
        self._events = 0
        """Infractions of the episode that have been looked at."""
        self._touched: list[Event] = []
        """Collisions of this tick."""

    def lights(self) -> NDArray[np.int8] | None:
        """The states (`LightState`) of the town's signals in the episode that is played; None where there is none."""
        return self._lights if self.episode is not None else None

    def choose(self, episode: Episode | None) -> None:
        """What is played from the next load on."""
        self.episode = episode

    def begin(self, world: World) -> None:
        """See `Part.begin`."""
        self._actors.clear()
        self._touched, self._events = [], 0
        if self.episode is None:
            world.forced_dt = None
            return
        world.forced_dt = TICK_S
        step = self.simulator.reset(np.array([0]), [self.episode])
        self._show(world, step.ego)

    def before(self, world: World) -> None:
        """See `Part.before`: the simulator's tick, under the control that the hero's state holds."""
        hero = self._actors.get(HERO_SCENE_ID)
        if self.episode is None or hero is None:
            return
        state = world.state(hero)
        brake = 1.0 if state["hand_brake"] else float(state["brake"])
        step = self.simulator.step(Control(np.array([float(state["throttle"])]), np.array([-float(state["steer"])]), np.array([brake])))
        events = self.simulator.events(0)
        self._touched = [event for event in events[self._events :] if event.kind in COLLISIONS]
        self._events = len(events)
        self._show(world, step.ego)

    def after(self, world: World) -> None:
        """See `Part.after`: tell the sensors of the hero's collisions, as the episode counts them."""
        for event in self._touched:
            hero, other = self._actors.get(HERO_SCENE_ID), self._actors.get(event.other)
            if hero is not None and other is not None:
                yaw = np.radians(world.transform(hero).rotation.yaw)
                world.hits.append(Hit(hero, other, Vector(event.value * float(np.cos(yaw)), event.value * float(np.sin(yaw)), 0.0)))
        self._touched = []

    def _show(self, world: World, ego: Any) -> None:
        """Bring the actors to where the simulator has them; come and go as its own do."""
        seen = {HERO_SCENE_ID}
        self._put(
            world, HERO_SCENE_ID, HERO, float(ego.x[0]), float(ego.y[0]), float(ego.yaw[0]), float(ego.speed[0]), float(ego.yaw_rate[0])
        )
        scene = self.simulator.scene()
        self._lights = scene.lights[0]
        for number, kind, x, y, yaw, speed, half_length, _ in scene.actors[0].tolist():
            if int(kind) != ObjectKind.NONE:
                seen.add(int(number))
                self._put(world, int(number), _look(ObjectKind(int(kind)), half_length, int(number)), x, y, yaw, speed, 0.0)
        for number in self._actors.keys() - seen:
            gone = self._actors.pop(number)
            if gone.row >= 0:
                world.destroy(gone)

    def _put(self, world: World, number: int, look: str, x: float, y: float, yaw: float, speed: float, yaw_rate: float) -> None:
        east, south, degrees = to_carla(x, y, yaw)
        actor = self._actors.get(number)
        if actor is None or actor.row < 0:
            transform = Transform(Vector(east, south, world.map.surroundings.height(x, y, yaw)), Rotation(0.0, degrees, 0.0))
            role = "hero" if number == HERO_SCENE_ID else "scenario"
            description = Description(0, look, (AttributeValue("role_name", 4, role),))
            actor = self._actors[number] = world.add(description, transform, world.catalogue.by_id[look])
            world.body(actor)["mover"] = Mover.GUIDED
        else:
            (_, _, height), (pitch, _, roll) = world.transform(actor)
            world.place(actor, Transform(Vector(east, south, height), Rotation(pitch, degrees, roll)))
        state, body = world.state(actor), world.body(actor)
        before = state["velocity"].copy()
        state["velocity"] = (speed * np.cos(yaw), -speed * np.sin(yaw), 0.0)
        state["angular_velocity"] = (0.0, 0.0, -np.degrees(yaw_rate))
        state["acceleration"] = (state["velocity"] - before) / TICK_S
        body["speed"] = speed


def _look(kind: ObjectKind, half_length: float, number: int) -> str:
    """The blueprint whose size comes near that of an object of the simulator."""
    if kind in LOOKS:
        return LOOKS[kind]
    if half_length > TRUCK_HALF_M:
        return "vehicle.carlamotors.carlacola"
    if half_length < MOTORBIKE_HALF_M:
        return "vehicle.vespa.zx125"
    return CARS[number % len(CARS)]


def make_played(networks: Any) -> Played:
    """A part that plays on the towns that `networks` gives by name."""
    return Played(ToySimulator(1, Needs(), networks, threads=1))
