"""A world that somebody else runs, as the privileged facts of our contracts: for agents that drive inside the CARLA leaderboard.

The records are the mirror's, filled from the client's snapshot: all vehicles, pedestrians and props near the ego, the route, and the map's
own lights as they are now. Whether a stop at a sign is still owed follows from the drive so far, so every tick has to be looked at. Spawns
and moves nothing. Knows no policy.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import carla
import numpy as np
from numpy.typing import NDArray

from carla_rl.carla_sim import frame
from carla_rl.carla_sim.mirror import STRANGERS, after, prepare, take_background
from carla_rl.geometry import from_carla
from carla_rl.roads.network import RoadNetwork
from carla_rl.roads.tracing import Position, trace
from carla_rl.scenario.model import Episode, Scenario, Traffic
from carla_rl.types import SIGHT_M, TICK_S, Ego, LightState, Needs, ObjectKind, Observation
from carla_rl.world.compiled import Threads
from carla_rl.world.fleet import Fleet
from carla_rl.world.state import ACTOR, Role

VEHICLES, WALKERS = 96, 48
"""Vehicles and props, and pedestrians, that are looked at: the nearest."""
EVERY_M = 25.0
"""m between the places of a dense plan by which its route is traced."""
KINDS = {"vehicle": ObjectKind.VEHICLE, "walker": ObjectKind.PEDESTRIAN, "static": ObjectKind.STATIC}
STATES = {"Green": LightState.GREEN, "Yellow": LightState.YELLOW, "Red": LightState.RED}
LEVEL_M, SLOPE = 4.0, 0.1
"""What is so many m and so many a metre of distance higher or lower is elsewhere: on a bridge, or kept below the ground until a script
wants it, as ScenarioRunner does."""
DRIVEN_OVER = "static.prop.dirtdebris"
"""Props that lie on the road and stop nobody."""
NO_HITS = np.zeros((0, 2), np.int64)


class Observer:
    """One ego on one route.

    Args:
        world: the client's.
        ego: whose sight it is.
        network: the roads of the world's map.
        positions: (x, y, z) in m of the map frame, in driving order; see `positions_of`.
        needs: what `look` shows, but for cameras.

    Raises:
        UsageError: the positions are on no route of the network.
    """

    def __init__(
        self, world: "carla.World", ego: "carla.Vehicle", network: RoadNetwork, positions: Sequence[Position], needs: Needs
    ) -> None:
        self._world, self._ego = world, ego
        self._fleet = Fleet(1, needs, lambda town: network, Threads(1))
        traffic = Traffic(vehicles=VEHICLES, pedestrians=WALKERS)
        scenario = Scenario(scenario_id="leaderboard", town=network.town, positions=tuple(positions), traffic=traffic)
        route = trace(network, scenario.positions, "the leaderboard's route")
        box = ego.bounding_box.extent
        ((self._town, _),) = self._fleet.open(np.zeros(1, np.int64), [Episode(scenario, route)], (box.x, box.y))
        fleet = self._fleet
        prepare(self._town.town, fleet.routes.points, fleet.routes.marks, fleet.worlds, 0)
        fleet.worlds.world["begun"] = True
        self._strangers = np.zeros((1, STRANGERS), ACTOR)
        self._lights = {light.get_opendrive_id(): light for light in world.get_actors().filter("traffic.traffic_light*")}
        self._signals = [str(number) for number in network.roads.signal_id]
        self._bodies: dict[int, tuple[ObjectKind, Any]] = {}
        """By actor: its kind and its box; kind NONE is no body."""
        self._sirens: dict[int, Any] = {}
        """Vehicles that have one."""

    def look(self, images: Mapping[str, NDArray[np.uint8]]) -> tuple[Ego, Observation]:
        """The ego and what it sees in the client's last snapshot, which has to be of the tick after that of the last call.

        `images` are those of its cameras, by name, each (1, H, W, 3).
        """
        fleet, env = self._fleet, 0
        world = fleet.worlds.world[env]
        old = np.array([world["x"], world["y"], world["speed"]])
        self._take(self._world.get_snapshot())
        take_background(self._town.town, fleet.worlds, env)
        after(self._town.town, fleet.routes.points, fleet.routes.marks, fleet.worlds, self._strangers, env, old, NO_HITS)
        seen = fleet.observation(images)
        if seen.light is not None:
            self._see_light(world, seen.light[env])
        return fleet.step().ego, seen

    def _take(self, snapshot: "carla.WorldSnapshot") -> None:
        """Fill the records."""
        world, actors = self._fleet.worlds.world[:1], self._fleet.worlds.actors[0]
        me = snapshot.find(self._ego.id)
        x, y, z, yaw = frame.pose(me.get_transform())
        velocity = me.get_velocity()
        speed = math.hypot(velocity.x, velocity.y)
        world["acceleration"] = (speed - world["speed"]) / TICK_S
        world["x"], world["y"], world["yaw"], world["speed"] = x, y, yaw, speed
        world["yaw_rate"] = 0.0 - math.radians(me.get_angular_velocity().z)
        rows = self._rows(snapshot, x, y, z)
        walks = rows["kind"] == ObjectKind.PEDESTRIAN
        actors[:] = np.zeros((), ACTOR)
        for first, count, chosen in ((0, VEHICLES, rows[~walks]), (VEHICLES, WALKERS, rows[walks])):
            kept = chosen[:count]
            actors[first : first + len(kept)] = kept

    def _rows(self, snapshot: "carla.WorldSnapshot", x: float, y: float, z: float) -> NDArray[np.void]:
        """(K,) ACTOR of all bodies on the level of the ego but itself, the nearest first."""
        found = []
        for one in snapshot:
            body = self._body(one.id)
            if body is None:
                continue
            kind, box = body
            placed = one.get_transform()
            centre = placed.transform(carla.Location(box.location))
            east, north, yaw = from_carla(centre.x, centre.y, placed.rotation.yaw)
            if abs(placed.location.z - z) > LEVEL_M + SLOPE * math.hypot(east - x, north - y):
                continue
            velocity = one.get_velocity()
            speed = math.hypot(velocity.x, velocity.y)
            found.append((one.id, self._kind_now(one.id, kind), east, north, placed.location.z, yaw, speed, box.extent.x, box.extent.y))
        found.sort(key=lambda row: (math.hypot(row[2] - x, row[3] - y), row[0]))
        rows = np.zeros(len(found), ACTOR)
        for name, values in zip(
            ("id", "kind", "x", "y", "z", "yaw", "speed", "half_length", "half_width"), zip(*found, strict=True), strict=False
        ):
            rows[name] = values
        for name in ("entry", "stop_done", "stuck_tick"):
            rows[name] = -1
        rows["role"] = np.where(rows["kind"] == ObjectKind.PEDESTRIAN, Role.WALKER, Role.TRAFFIC)
        return rows

    def _body(self, number: int) -> tuple[ObjectKind, Any] | None:
        """Kind and box of an actor, asked for once; None for what is no body, and for the ego."""
        if number == self._ego.id:
            return None
        if number not in self._bodies:
            actor = self._world.get_actor(number)
            kind = None if actor is None else KINDS.get(actor.type_id.partition(".")[0])
            if actor is None:
                # it is asked for again: news of it has not come yet
                return None
            if kind is None or actor.type_id.startswith(DRIVEN_OVER):
                self._bodies[number] = ObjectKind.NONE, None
                return None
            if actor.attributes.get("base_type") == "bicycle":
                kind = ObjectKind.BICYCLE
            if actor.attributes.get("special_type") == "emergency":
                self._sirens[number] = actor
            self._bodies[number] = kind, actor.bounding_box
        kind, box = self._bodies[number]
        return None if kind is ObjectKind.NONE else (kind, box)

    def _kind_now(self, number: int, kind: ObjectKind) -> ObjectKind:
        """A vehicle with its siren on is an emergency vehicle."""
        if number in self._sirens and int(self._sirens[number].get_light_state()) & int(carla.VehicleLightState.Special1):
            return ObjectKind.EMERGENCY
        return kind

    def _see_light(self, world: Any, light: NDArray[np.float32]) -> None:
        """Put the state of the actor that stands for the light ahead in the place of the plan's."""
        marks = self._fleet.routes.marks
        for k in range(int(world["next_mark"]), int(world["mark_first"] + world["mark_count"])):
            if marks["s"][k] - world["s"] > SIGHT_M:
                return
            if marks["signal"][k] >= 0:
                actor = self._lights.get(self._signals[marks["signal"][k]])
                state = LightState.GREEN if actor is None else STATES.get(str(actor.get_state()), LightState.GREEN)
                light[1] = state
                return


def positions_of(plan: Sequence["carla.Transform"]) -> tuple[Position, ...]:
    """Places of a dense plan of the leaderboard by which `trace` finds its route: its ends, and one every 25 m, in the map frame."""
    points = [(*from_carla(place.location.x, place.location.y)[:2], place.location.z) for place in plan]
    kept = [points[0]]
    for point in points[1:-1]:
        if math.dist(point[:2], kept[-1][:2]) >= EVERY_M:
            kept.append(point)
    return (*kept, points[-1])
