"""The world that clients share: one episode on one map, its actors, its clock. Knows no sockets and no order of bytes but that of a state.

What lives in the world beside the actors that clients spawn (lights, a recorder, an episode that is played) is a `Part`.
"""

import itertools
import math
import time
from collections.abc import Iterator
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from carla_rl.geometry import boxes_overlap, from_carla
from carla_rl.world.compiled import Bound
from toy_env.server.blueprints import FLOAT, INT, Blueprint, Catalogue
from toy_env.server.errors import Refused
from toy_env.server.layouts import Layouts
from toy_env.server.layouts.table import Family
from toy_env.server.layouts.values import ActorInfo, Box, Description, EpisodeSettings, Rotation, Transform, Vector, VehicleControl, Weather
from toy_env.server.maps import Map
from toy_env.server.world.actors import Actor, family_of, semantic_tags
from toy_env.server.world.bodies import Bodies
from toy_env.server.world.motion import Mover, advance
from toy_env.server.world.scenery import Scenery
from toy_env.vehicle import VehicleModel

FREE_DT_S = 0.02
"""Seconds that a tick takes in asynchronous mode without a fixed time step."""
LONGEST_STEP_S = 0.1
"""A longer tick moves everything in equal parts: what is fast would otherwise pass through what is short."""
GRAVES = 4096
"""Destroyed actors that are remembered."""
NOWHERE = (0.0,) * 6
"""Where the sensor of the world's state is."""
ACTIVE = 1
MAP_CHANGED = 1


class Hit(NamedTuple):
    """A touch of two actors: by how many m/s (CARLA's frame) the first went into the second."""

    actor: Actor
    other: Actor
    closing: Vector


class Part(Protocol):
    """Something that acts in every tick beside the actors."""

    def begin(self, world: "World") -> None:
        """A new episode has begun, its map is loaded; spawn here what belongs to it."""

    def before(self, world: "World") -> None:
        """Before everything moves: write rows that are `Mover.OTHER` here, and lights."""

    def after(self, world: "World") -> None:
        """Everything has moved; the frame is over."""


class World:
    """See the module.

    Args:
        layouts: of the client's version.
        catalogue: what can be spawned.
        loaded: the map of the first episode.
        seed: of the noise of sensors and of all else that draws numbers.
        parts: in the order in which they act.
    """

    def __init__(self, layouts: Layouts, catalogue: Catalogue, loaded: Map, seed: int = 0, parts: tuple[Part, ...] = ()) -> None:
        self.layouts, self.catalogue, self.seed, self.parts = layouts, catalogue, seed, parts
        self.settings, self.weather = EpisodeSettings(), Weather()
        self.gravity = 9.81
        self.forced_dt: float | None = None
        """Seconds that every tick takes, whatever the settings say; a part sets it."""
        self.frame, self.episode = 0, 0
        self.hits: list[Hit] = []
        self._ids, self._streams = itertools.count(1), itertools.count(2)
        self._rows: list[Actor] = []
        self.bodies = Bodies(layouts.states[Family.VEHICLE], layouts.sensor_header.size + layouts.state_header.size)
        self._advance = Bound(advance)
        self._vehicle = VehicleModel().parameters
        self.load(loaded)

    def load(self, loaded: Map, keep_settings: bool = False) -> None:
        """Begin a new episode on a map: everybody is gone, ids and frames go on."""
        self.map = loaded
        self.episode += 1
        self.frame += 1
        self.elapsed, self.dt = 0.0, 0.0
        if not keep_settings:
            self.settings = EpisodeSettings()
        self.weather = Weather()
        self.bodies.clear()
        for actor in self._rows:
            actor.row = -1
        self._rows.clear()
        self.actors: dict[int, Actor] = {}
        self.graveyard: dict[int, Actor] = {}
        """Who has been destroyed in this episode: clients still ask for them for a moment."""
        self.sensors: dict[int, Actor] = {}
        """By stream."""
        self.hits = []
        self.scenery = Scenery(loaded.surroundings)
        self.fresh = True
        """Nobody has been told yet that the map has changed."""
        self.spectator = self.add(Description(0, "spectator"), Transform())
        for part in self.parts:
            part.begin(self)

    # actors

    def __iter__(self) -> Iterator[Actor]:
        return iter(tuple(self._rows))

    def actor(self, actor_id: int) -> Actor:
        """Raises Refused for one that does not exist."""
        actor = self.actors.get(actor_id)
        if actor is None:
            raise Refused(f"actor not found: there is no actor {actor_id}")
        return actor

    def remembered(self, actor_id: int) -> Actor:
        """An actor that exists or has existed in this episode. Raises Refused for any other."""
        return self.graveyard.get(actor_id) or self.actor(actor_id)

    def body(self, actor: Actor) -> Any:
        """The actor's row of BODY; writing a field writes the world."""
        return self.bodies.bodies[actor.row]

    def state(self, actor: Actor) -> Any:
        """The actor's state, as its family has it; likewise."""
        states: NDArray[np.void] = self.bodies.states.view(self.layouts.states[actor.family])
        return states[actor.row]

    def spawn(self, description: Description, transform: Transform, parent: Actor | None = None) -> Actor:
        """Spawn from a blueprint; `transform` is relative to a parent.

        Raises:
            Refused: no such blueprint, an attribute that is no number, or no room.
        """
        blueprint = self.catalogue.by_id.get(description.id)
        if blueprint is None:
            raise Refused(f"invalid actor description: there is no blueprint {description.id!r}")
        check_attributes(blueprint, description)
        if parent is None and blueprint.mass > 0.0 and not self._has_room(blueprint.box, transform):
            raise Refused("Spawn failed because of collision at spawn position")
        return self.add(description, transform, blueprint, parent)

    def add(
        self,
        description: Description,
        transform: Transform,
        blueprint: Blueprint | None = None,
        parent: Actor | None = None,
        box: Box | None = None,
    ) -> Actor:
        """As `spawn`, without looking for room, and also for what is no blueprint; `box` of what has none (of a light: its trigger)."""
        number = next(self._ids)
        stream = next(self._streams) if description.id.startswith("sensor.") else 0
        box = (blueprint.box if blueprint else box or Box())._replace(actor_id=number)
        token = self.token_of(stream) if stream else b""
        info = ActorInfo(number, parent.id if parent else 0, description, box, semantic_tags(blueprint, description.id), token)
        attributes = {item.id: item.value for item in blueprint.definition.attributes} if blueprint else {}
        attributes |= {item.id: item.value for item in description.attributes}
        actor = Actor(info, family_of(description.id), self.bodies.add(), attributes, parent, stream=stream)
        self._rows.append(actor)
        self.actors[number] = actor
        if stream:
            self.sensors[stream] = actor
        self._set_up(actor, blueprint, transform)
        return actor

    def token_of(self, stream: int) -> bytes:
        """24 bytes that name a stream in an actor's description; the client asks for the real token before it subscribes."""
        return stream.to_bytes(4, "little") + bytes(2) + bytes([1]) + bytes(17)

    def destroy(self, actor: Actor) -> None:
        """Take an actor out of the world; its children stay, unattached, as in CARLA."""
        self.bodies.remove(actor.row)
        del self._rows[actor.row]
        for later in self._rows[actor.row :]:
            later.row -= 1
        actor.row = -1
        del self.actors[actor.id]
        self.sensors.pop(actor.stream, None)
        self.graveyard[actor.id] = actor
        while len(self.graveyard) > GRAVES:
            del self.graveyard[next(iter(self.graveyard))]
        if actor.parent is not None and actor in actor.parent.children:
            actor.parent.children.remove(actor)

    def place(self, actor: Actor, transform: Transform) -> None:
        """Put an actor somewhere (a child: in the frame of its parent) from the next tick on."""
        body, state = self.body(actor), self.state(actor)
        (x, y, z), (pitch, yaw, roll) = transform
        if body["mover"] == Mover.CHILD:
            body["relative"] = (x, y, z, pitch, yaw, roll)
            return
        body["x"], body["y"], body["yaw"] = from_carla(x, y, yaw)
        body["z"] = z
        for name in ("x", "y", "z", "yaw"):
            body[f"old_{name}"] = body[name]
        body["fall"], body["placed"] = 0.0, True
        state["transform"] = (x, y, z, pitch, yaw, roll)

    def transform(self, actor: Actor) -> Transform:
        """Where an actor is, in CARLA's frame."""
        x, y, z, pitch, yaw, roll = (float(number) for number in self.state(actor)["transform"])
        return Transform(Vector(x, y, z), Rotation(pitch, yaw, roll))

    def control(self, actor: Actor, control: VehicleControl) -> None:
        """Hand a control to a vehicle: it holds until the next one, unless its `sticky_control` is false."""
        layouts, bodies = self.layouts, self.bodies
        layouts.control.pack_into(bodies.buffer, actor.row * bodies.state_bytes + layouts.control_offset, *control)
        self.bodies.bodies[actor.row]["speed_control"] = False

    # time

    def tick(self) -> int:
        """Advance the world by one frame; its number."""
        self.dt = self.forced_dt or self.settings.fixed_delta_seconds or FREE_DT_S
        for part in self.parts:
            part.before(self)
        self.hits = []
        parts = math.ceil(self.dt / LONGEST_STEP_S) if self.dt > LONGEST_STEP_S else 1
        for _ in range(parts):
            self._move(self.dt / parts)
        self.frame += 1
        self.elapsed += self.dt
        for part in self.parts:
            part.after(self)
        return self.frame

    def _move(self, dt: float) -> None:
        """Let everything move by `dt` s, and keep who touched whom."""
        bodies = self.bodies
        arguments = (self.map.town, self._vehicle, bodies.bodies, bodies.states, bodies.hits, dt)
        told: Any = self._advance.entry(arguments)(*arguments)
        if told:
            rows = self._rows
            self.hits += [Hit(rows[row], rows[other], Vector(x, -y, 0.0)) for row, other, x, y in bodies.hits[:told].tolist()]

    def message(self) -> memoryview:
        """The state of the world as the client reads it; the next change of the world changes it, too."""
        layouts, message = self.layouts, self.bodies.message
        flags = MAP_CHANGED if self.fresh else 0
        layouts.sensor_header.pack_into(message, 0, layouts.sensor_types["world"], self.frame, self.elapsed, *NOWHERE)
        layouts.state_header.pack_into(message, layouts.sensor_header.size, self.episode, time.monotonic(), self.dt, 0, 0, 0, flags)
        return message

    def header(self, sensor_type: int, actor: Actor) -> bytes:
        """What stands before all data of a sensor."""
        pose = self.state(actor)["transform"].tolist()
        return self.layouts.sensor_header.pack(sensor_type, self.frame, self.elapsed, *pose)

    def _set_up(self, actor: Actor, blueprint: Blueprint | None, transform: Transform) -> None:
        """Fill the rows of a new actor. Its pose is unknown to clients until the next tick, as in CARLA."""
        body, state = self.body(actor), self.state(actor)
        state["id"], state["actor_state"] = actor.id, ACTIVE
        body["new"], body["held_control"] = True, actor.attributes.get("sticky_control", "true").lower() != "false"
        if actor.parent is not None:
            body["mover"], body["parent"] = Mover.CHILD, actor.parent.row
            actor.parent.children.append(actor)
        elif actor.family is Family.VEHICLE:
            body["mover"], body["falls"], body["drives"] = Mover.VEHICLE, True, True
            state["light_state"] = 2
        elif actor.family is Family.WALKER:
            body["mover"], body["falls"] = Mover.WALKER, True
        if blueprint is not None:
            centre, half = blueprint.box.location, blueprint.box.extent
            body["half_length"], body["half_width"], body["half_height"] = half
            body["box_x"], body["box_y"], body["box_z"] = centre.x, -centre.y, centre.z
            body["mass"] = blueprint.mass
            body["solid"] = half.x > 0.0 and actor.parent is None and half.z > 0.1
        self.place(actor, transform)

    def _has_room(self, box: Box, transform: Transform) -> bool:
        """Whether a box can be put somewhere without touching what is solid."""
        bodies = self.bodies.bodies
        solid = bodies[bodies["solid"]]
        if not len(solid):
            return True
        x, y, yaw = from_carla(transform.location.x, transform.location.y, transform.rotation.yaw)
        z = transform.location.z + box.location.z
        for other in solid:
            if abs(z - other["z"] - other["box_z"]) >= box.extent.z + other["half_height"]:
                continue
            reach = math.hypot(box.extent.x, box.extent.y) + math.hypot(other["half_length"], other["half_width"])
            if math.hypot(x - other["x"], y - other["y"]) < reach and _overlap(x, y, yaw, box, other):
                return False
        return True


def check_attributes(blueprint: Blueprint, description: Description) -> None:
    """Raise Refused where an attribute that is a number in the blueprint holds none: sensors read them later without a look."""
    numeric = {item.id for item in blueprint.definition.attributes if item.type in (INT, FLOAT)}
    for item in description.attributes:
        if item.id in numeric:
            try:
                finite = math.isfinite(float(item.value))
            except ValueError:
                finite = False
            if not finite:
                raise Refused(f"{description.id}: the attribute {item.id} must be a number (found {item.value!r})")


def _overlap(x: float, y: float, yaw: float, box: Box, other: Any) -> bool:
    return bool(
        boxes_overlap(
            x, y, yaw, box.extent.x, box.extent.y, other["x"], other["y"], other["yaw"], other["half_length"], other["half_width"]
        )
    )
