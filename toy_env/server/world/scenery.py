"""What can be seen of the world, for cameras and rays alike: actors, buildings and what stands beside the roads, as boxes; and the ground.

The ground is a plane, or a relief on a map with slopes. Of two storeys who looks sees the ground of its own.
"""

import math
from functools import cached_property
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from carla_rl.geometry import to_carla
from carla_rl.roads.network import LaneKind, RoadNetwork
from toy_env.render.boxes import (
    BOX,
    BUILDING,
    NUMBER,
    OWNER,
    PART,
    TRAFFIC_LIGHT,
    TRAFFIC_SIGN,
    block_part,
    natural_half,
    place_parts,
    thing_parts,
)
from toy_env.render.ground import GroundMap
from toy_env.render.levels import heights
from toy_env.render.relief import LEVEL as LEVEL_GROUND
from toy_env.render.relief import Ground, Relief
from toy_env.render.shapes import Shape
from toy_env.render.surfaces import CAMERA, draw_surfaces
from toy_env.render.things import LEVEL, SHAPE, SIGNAL, YAW, X, Y, furniture
from toy_env.server.layouts.table import Family
from toy_env.server.layouts.values import Box, EnvironmentObject, Rotation, Transform, Vector
from toy_env.server.world.axes import axes
from toy_env.server.world.buildings import Building, buildings

if TYPE_CHECKING:
    from scipy.spatial import cKDTree

    from toy_env.server.world.actors import Actor
    from toy_env.server.world.world import World

REACH = 4
"""Tiles of painted ground around who looks: 128 m at least; beyond is grass."""
FIRST_NUMBER = 65535
"""What stands beside the roads is numbered from here downwards; actors have the lowest 16 bits of their ids."""
LAMPS = np.array([3, 2, 1, 0, 0], np.int8)
"""`LightState` of CARLA's states red, yellow, green, off, unknown."""
SHAPES = {
    "car": Shape.CAR,
    "van": Shape.CAR,
    "truck": Shape.TRUCK,
    "bus": Shape.TRUCK,
    "motorcycle": Shape.TWO_WHEELER,
    "bicycle": Shape.TWO_WHEELER,
}
PROP = (150, 120, 84)
CLOTHES = ((214, 64, 128), (70, 60, 170), (240, 150, 60), (240, 230, 90), (40, 160, 200), (150, 220, 120))
ROOF = (112.0, 110.0, 108.0)
"""RGB of the tops of buildings."""


class Surroundings:
    """What never changes of a map: kept with it.

    Args:
        network: of the map.
        built: whether there are buildings.
    """

    def __init__(self, network: RoadNetwork, built: bool = True) -> None:
        self._network, self._built = network, built
        roads = network.roads
        driving = (roads.kind == LaneKind.DRIVING)[roads.sample_lane]
        self._road = np.stack((roads.x, roads.y, roads.z), axis=-1)[driving].astype(np.float64)
        self._level = float(self._road[0, 2]) if len(self._road) else 0.0
        self._asked: tuple[tuple[float, float, float], float] = ((math.nan,) * 3, 0.0)
        """The place whose ground was asked for last, and its height: each picture asks twice, and a camera that stands again and again."""
        self._even = bool(np.ptp(self._road[:, 2]) < 0.05) if len(self._road) else True

    @cached_property
    def ground(self) -> GroundMap:
        """Made when first looked at."""
        return GroundMap(self._network)

    @cached_property
    def objects(self) -> tuple[EnvironmentObject, ...]:
        """Signals and signs, then buildings."""
        things = [self._object(k, row) for k, row in enumerate(self._things)]
        return (*things, *(_house(k, one) for k, one in enumerate(self._buildings, start=len(things))))

    @cached_property
    def parts(self) -> NDArray[np.float64]:
        """(n, PART) of `objects`, those of buildings first; the owner is the object's place in them."""
        shapes = [Shape(int(row[SHAPE])) for row in self._things]
        made = [
            block_part((one.half_length, one.half_width, 0.5 * (one.top - one.bottom)), one.paint, ROOF, BUILDING, FIRST_NUMBER - k, k)
            for k, one in enumerate(self._buildings, start=len(shapes))
        ]
        made += [
            thing_parts(shape, natural_half(shape), (0.0, 0.0, natural_half(shape)[2]), (0, 0, 0), 0, FIRST_NUMBER - k, k)
            for k, shape in enumerate(shapes)
        ]
        return np.concatenate(made) if made else np.zeros((0, PART))

    @cached_property
    def building_numbers(self) -> frozenset[int]:
        """The numbers of the buildings."""
        return frozenset(one.id for one in self.objects if one.tag == BUILDING)

    @cached_property
    def poses(self) -> NDArray[np.float32]:
        """(n, 6) of `objects`, as in the states of actors."""
        rows = [(*one.transform.location, *one.transform.rotation) for one in self.objects]
        return np.array(rows, np.float32).reshape(-1, 6)

    @cached_property
    def signals(self) -> dict[int, int]:
        """The place in `objects` of each signal, by its id in OpenDRIVE."""
        ids = self._network.roads.signal_id
        return {int(ids[int(row[SIGNAL])]): k for k, row in enumerate(self._things) if row[SIGNAL] >= 0.0}

    def ground_z(self, x: float, y: float, z: float) -> float:
        """Height in m of the road nearest to a place of the map frame."""
        if self._even:
            return self._level
        place, height = self._asked
        if place != (x, y, z):
            height = float(self._road[int(self._tree.query((x, y, z))[1]), 2])
            self._asked = (x, y, z), height
        return height

    def ground_at(self, x: float, y: float, z: float) -> tuple[float, Relief]:
        """The same, and the ground around it."""
        level = self.ground_z(x, y, z)
        return level, LEVEL_GROUND if self._even else self._ground.around(x, y, level)

    def height(self, x: float, y: float, yaw: float) -> float:
        """Height in m of the road that fits a place and a heading (map frame) best: for who does not know on which storey it is."""
        if self._even:
            return self._level
        found = float(heights(self._network, *(np.array([value]) for value in (x, y, yaw)))[0])
        return self.ground_z(x, y, self._level) if math.isnan(found) else found

    @cached_property
    def _tree(self) -> "cKDTree":
        from scipy.spatial import cKDTree  # see `relief`

        return cKDTree(self._road)

    @cached_property
    def _ground(self) -> Ground:
        return Ground(self._network)

    @cached_property
    def _buildings(self) -> list[Building]:
        return buildings(self._network) if self._built else []

    @cached_property
    def _things(self) -> NDArray[np.float64]:
        return furniture(self._network).things

    def _object(self, k: int, row: NDArray[np.float64]) -> EnvironmentObject:
        shape = Shape(int(row[SHAPE]))
        x, y, yaw = to_carla(float(row[X]), float(row[Y]), float(row[YAW]))
        transform = Transform(Vector(x, y, float(row[LEVEL])), Rotation(0.0, yaw, 0.0))
        height, wide = natural_half(shape)[2], 0.34 if shape is Shape.SIGNAL else 0.5
        box = Box(Vector(x, y, float(row[LEVEL]) + height), Vector(0.25, wide, height), transform.rotation)
        tag = TRAFFIC_LIGHT if shape is Shape.SIGNAL else TRAFFIC_SIGN
        return EnvironmentObject(transform, box, FIRST_NUMBER - k, f"{shape.name.lower()}_{k}", tag)


def _house(k: int, one: Building) -> EnvironmentObject:
    """The k-th object, a building."""
    x, y, yaw = to_carla(one.x, one.y, one.yaw)
    half = Vector(one.half_length, one.half_width, 0.5 * (one.top - one.bottom))
    transform = Transform(Vector(x, y, one.bottom), Rotation(0.0, yaw, 0.0))
    box = Box(Vector(x, y, one.bottom + half.z), half, transform.rotation)
    return EnvironmentObject(transform, box, FIRST_NUMBER - k, f"building_{k}", BUILDING)


class Seen(NamedTuple):
    """What a camera sees: see `surfaces`."""

    inverse: NDArray[np.float32]
    face: NDArray[np.int32]
    camera: NDArray[np.float64]


class Scenery:
    """What can be seen of one episode."""

    def __init__(self, surroundings: Surroundings) -> None:
        self.surroundings = surroundings
        self.hidden: set[int] = set()
        """Numbers of objects that clients have switched off."""
        self.owners: list[Actor | None] = []
        """Whose a box is, by its owner; None: an object beside the road."""
        self.ids = np.zeros(1, np.uint32)
        """(n + 1,) ids of `owners`, 0 for what is no actor; the last is 0."""
        self._looks: dict[int, NDArray[np.float64]] = {}
        self._key: tuple[object, ...] = ()
        self._parts = np.zeros((0, PART))
        self._frame = -1
        self._boxes = np.zeros((0, BOX))
        self._still = 0
        """Boxes that never move: they come first and are placed once."""
        self._views: dict[tuple[object, ...], Seen] = {}
        self._lamps = np.zeros(0, np.int8)
        self._lit = np.zeros((0, 2), np.int64)
        """Owner and row of the lights that are drawn."""

    def boxes(self, world: "World", afresh: bool = False) -> NDArray[np.float64]:
        """(n, BOX) of all that stands now; worked out once a frame, unless it is wanted `afresh`. It holds until the next time."""
        if world.frame == self._frame and not afresh:
            return self._boxes
        self._frame = world.frame
        self._views.clear()
        key = (*world.actors, *self.hidden)
        if key != self._key:
            self._key = key
            self._gather(world)
        poses = np.concatenate((self.surroundings.poses, world.bodies.states["transform"].astype(np.float32)))
        if len(self._lit):
            states = world.bodies.states.view(world.layouts.states[Family.LIGHT])["state"][self._lit[:, 1]]
            self._lamps[self._lit[:, 0]] = LAMPS[np.minimum(states, len(LAMPS) - 1)]
        place_parts(self._parts[self._still :], poses, self._lamps, self._boxes[self._still :])
        return self._boxes

    def view(self, world: "World", transform: Transform, width: int, height: int, fov: float) -> Seen:
        """What a camera sees in this frame; worked out once for cameras that look alike."""
        boxes = self.boxes(world)
        key = (transform, width, height, fov)
        if key not in self._views:
            camera = np.zeros(CAMERA)
            turned = axes(transform.rotation) * np.array([[1.0], [-1.0], [1.0]])
            x, y, z = transform.location
            camera[:3], camera[3:12] = (x, -y, z), turned.T.reshape(-1)
            camera[12] = 0.5 * width / math.tan(0.5 * math.radians(fov))
            camera[13], relief = self.surroundings.ground_at(x, -y, z)
            inverse, face = np.empty((height, width), np.float32), np.empty((height, width), np.int32)
            draw_surfaces(inverse, face, camera, boxes, *relief)
            self._views[key] = Seen(inverse, face, camera)
        return self._views[key]

    def painted(self, camera_place: NDArray[np.float64]) -> tuple[NDArray[np.int32], NDArray[np.float64]]:
        """The window of painted ground around a place (x, y, z; map frame) and its corner, as from `GroundMap.windows`."""
        x, y, z = (float(value) for value in camera_place[:3])
        return self.surroundings.ground.window(x, y, self.surroundings.ground_z(x, y, z), REACH)

    def _gather(self, world: "World") -> None:
        """All parts of the world as it is peopled now."""
        objects, houses = self.surroundings.objects, self.surroundings.building_numbers
        fixed = self.surroundings.parts.copy()
        if self.hidden:
            fixed = fixed[~np.isin(fixed[:, NUMBER], list(self.hidden))]
        self._still = len(houses - self.hidden)
        self.owners = [*(None for _ in objects), *world]
        self._lamps = np.zeros(len(self.owners), np.int8)
        gathered, lit = [fixed], []
        for actor in world:
            if actor.family is Family.LIGHT:
                lit += self._light(world, actor, fixed)
            elif actor.family is not Family.SIGN and actor.info.box.extent.z > 0.0:
                parts = self._looks.get(actor.id)
                if parts is None:
                    parts = self._looks[actor.id] = look(actor)
                parts[:, OWNER] = len(objects) + actor.row
                gathered.append(parts)
        for number in self._looks.keys() - world.actors.keys():
            del self._looks[number]
        self._lit = np.array(lit, np.int64).reshape(-1, 2)
        self._parts = np.concatenate(gathered)
        self.ids = np.array([*(0 if owner is None else owner.id for owner in self.owners), 0], np.uint32)
        self._boxes = np.empty((len(self._parts), BOX))
        place_parts(self._parts[: self._still], self.surroundings.poses, self._lamps, self._boxes[: self._still])

    def _light(self, world: "World", actor: "Actor", fixed: NDArray[np.float64]) -> list[tuple[int, int]]:
        """A traffic light that is an actor is drawn by the signal of its id, which shines as it says: owner and row, if there is one."""
        text = bytes(world.state(actor)["sign_id"]).rstrip(b"\0").decode("ascii", "replace")
        place = self.surroundings.signals.get(int(text)) if text.isdigit() else None
        if place is None:
            return []
        self.owners[place] = actor
        fixed[fixed[:, OWNER] == place, NUMBER] = actor.id
        return [(place, actor.row)]


def look(actor: "Actor") -> NDArray[np.float64]:
    """(n, PART) of an actor with a body, in its own frame."""
    half, centre = actor.info.box.extent, actor.info.box.location
    tags = actor.info.semantic_tags
    base = actor.attributes.get("base_type", "")
    if actor.family is Family.WALKER:
        shape, paint = Shape.PEDESTRIAN, CLOTHES[actor.id % len(CLOTHES)]
    elif actor.family is Family.VEHICLE:
        shape, paint = SHAPES.get(base, Shape.CAR), colour_of(actor.attributes.get("color", ""))
    else:
        shape, paint = Shape.STATIC, PROP
    return thing_parts(shape, (half.x, half.y, half.z), (centre.x, -centre.y, centre.z), paint, tags[0] if tags else 0, actor.id, 0)


def colour_of(text: str) -> tuple[int, int, int]:
    """RGB of an attribute like "255,0,0"; grey where it is none."""
    numbers = [int(item) for item in text.split(",") if item.strip().isdigit()]
    return (min(numbers[0], 255), min(numbers[1], 255), min(numbers[2], 255)) if len(numbers) == 3 else (128, 128, 128)
