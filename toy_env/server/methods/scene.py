"""Methods that ask what is where: rays through the world, and the objects of the map that are no actors."""

import math
from typing import Any

import numpy as np

from toy_env.render.rays import NOTHING_HIT
from toy_env.server.errors import Refused
from toy_env.server.layouts.values import Box, EnvironmentObject, LabelledPoint, Rotation, Transform, Vector
from toy_env.server.methods.registry import Context, Fidelity, method
from toy_env.server.sensors.rays import shoot
from toy_env.server.world.actors import Actor
from toy_env.server.world.axes import axes
from toy_env.server.world.world import World

ANY_TAG = 255
MOST_HITS = 64
FARTHEST_M = 1.0e5
PAST_M = 1e-3
"""A ray goes on so far behind what it has hit."""


@method("cast_ray", "vector", "vector", gives="[labelled_point]", fidelity=Fidelity.MODEL, note="against the boxes that cameras see")
def cast_ray(context: Context, start: Vector, end: Vector) -> tuple[LabelledPoint, ...]:
    """All that lies on the way from one place to another, the nearest first."""
    way = np.subtract(end, start)
    length = float(np.linalg.norm(way))
    if not length < FARTHEST_M:
        raise Refused(f"cast_ray: {length:g} m is too far; give two places at most {FARTHEST_M:g} m apart")
    points: list[LabelledPoint] = []
    done = 0.0
    while length - done > PAST_M and len(points) < MOST_HITS:
        place = Vector(*(np.add(start, way / length * done).tolist()))
        hit = first_hit(context.world, place, way / length, length - done, afresh=not points)
        if hit is None:
            break
        points.append(hit)
        done = float(np.linalg.norm(np.subtract(hit.location, start))) + PAST_M
    return tuple(points)


@method("project_point", "vector", "vector", "float", gives="any", fidelity=Fidelity.MODEL, note="against the boxes that cameras see")
def project_point(context: Context, start: Vector, direction: Vector, distance: float) -> Any:
    """The first thing in a direction within a distance, and whether there is one."""
    length = math.hypot(*direction)
    hit = (
        first_hit(context.world, start, np.divide(direction, length), distance, afresh=True)
        if 0.0 < length < FARTHEST_M and distance > 0.0
        else None
    )
    return hit is not None, context.layouts.values.labelled_point.encode(hit or LabelledPoint(Vector(), 0))


def first_hit(world: World, start: Vector, direction: Any, limit: float, afresh: bool) -> LabelledPoint | None:
    """The first thing along a direction (unit vector); None where there is none within `limit` m."""
    hits = shoot(world, Transform(start, Rotation()), np.asarray(direction, np.float64)[None], limit, afresh)
    if hits.face[0] == NOTHING_HIT:
        return None
    place = np.add(start, np.multiply(direction, hits.distance[0]))
    return LabelledPoint(Vector(*place.tolist()), int(hits.labels()[0][0, 0]))


@method(
    "get_all_level_BBs",
    "int",
    gives="[box]",
    fidelity=Fidelity.MODEL,
    note="buildings, signals, signs and vehicles",
)
def get_all_level_boxes(context: Context, tag: int) -> tuple[Box, ...]:
    """Boxes in the world's frame of all things of a tag."""
    world = context.world
    actors = [_box_of(world, actor) for actor in world if _is(actor, tag)]
    return (*(one.box for one in _objects(world, tag)), *actors)


@method(
    "get_environment_objects",
    "int",
    gives="[environment_object]",
    fidelity=Fidelity.MODEL,
    note="buildings, signals and signs: there are no plants",
)
def get_environment_objects(context: Context, tag: int) -> tuple[EnvironmentObject, ...]:
    """The objects of the map of a tag."""
    return tuple(_objects(context.world, tag))


@method("enable_environment_objects", "[int]", "bool", note="sensors do not see what is switched off")
def enable_environment_objects(context: Context, numbers: tuple[int, ...], enabled: bool) -> None:
    """Show or hide objects of the map."""
    hidden = context.world.scenery.hidden
    known = {one.id for one in context.world.map.surroundings.objects}
    if enabled:
        hidden.difference_update(numbers)
    else:
        hidden.update(known.intersection(numbers))


@method("get_names_of_all_objects", gives="[str]", fidelity=Fidelity.MODEL, note="buildings, signals and signs")
def get_names_of_all_objects(context: Context) -> tuple[str, ...]:
    """The names of the objects of the map."""
    return tuple(one.name for one in context.world.map.surroundings.objects)


def _objects(world: World, tag: int) -> list[EnvironmentObject]:
    return [one for one in world.map.surroundings.objects if tag in (one.tag, ANY_TAG)]


def _is(actor: Actor, tag: int) -> bool:
    """Whether an actor is one of the level's things: CARLA counts the vehicles that stand there."""
    tags = actor.info.semantic_tags
    return actor.type_id.startswith("vehicle.") and bool(tags) and tag in (tags[0], ANY_TAG)


def _box_of(world: World, actor: Actor) -> Box:
    """The box of an actor in the world's frame."""
    location, rotation = world.transform(actor)
    box = actor.info.box
    centre = np.add(location, axes(rotation) @ np.array(box.location))
    return Box(Vector(*centre.tolist()), box.extent, rotation, actor.id)
