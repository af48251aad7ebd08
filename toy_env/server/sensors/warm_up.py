"""Compiles what sensors need, so that no client waits for it in the middle of a tick."""

from typing import TYPE_CHECKING

from carla_rl.world.compiled import is_on_disk
from toy_env.render.boxes import place_parts
from toy_env.render.developing import develop_colours, develop_depth, develop_labels
from toy_env.render.labelled_rays import label
from toy_env.render.rays import cast, collect
from toy_env.render.surfaces import draw_surfaces
from toy_env.server.layouts.values import AttributeValue, Description, Transform
from toy_env.server.sensors import SENSORS

if TYPE_CHECKING:
    from toy_env.server.world.world import World

KERNELS = (place_parts, draw_surfaces, develop_colours, develop_depth, develop_labels, cast, collect, label)
SMALL = {"image_size_x": "8", "image_size_y": "8", "points_per_second": "640", "channels": "2"}


def is_warm() -> bool:
    """Whether all kernels of sensors have been compiled before on this machine."""
    return all(is_on_disk(kernel) for kernel in KERNELS)


def warm_up(world: "World") -> None:
    """Measure once with every sensor; they stay in the world."""
    car = world.add(Description(0, "vehicle.lincoln.mkz_2020"), Transform(), world.catalogue.by_id["vehicle.lincoln.mkz_2020"])
    for name in SENSORS:
        blueprint = world.catalogue.by_id[name]
        there = {item.id for item in blueprint.definition.attributes}
        attributes = tuple(AttributeValue(key, 4, value) for key, value in SMALL.items() if key in there)
        world.add(Description(0, name, attributes), Transform(), blueprint, car)
    world.tick()
    for actor in tuple(world.sensors.values()):
        for _ in SENSORS[actor.type_id](actor, world.layouts, 0).measure(world):
            pass
