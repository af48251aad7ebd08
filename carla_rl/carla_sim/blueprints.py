"""Which of CARLA's blueprints stands for what: the cars of the background, and what scripts ask for. Knows nothing of where they go."""

import math

import carla

from carla_rl.carla_sim.remote import Refused
from carla_rl.carla_sim.sensors import find

WALKER_M = 0.93
"""m of a pedestrian's origin above the ground."""
STAND_INS = {"vehicle door": ("static.prop.warningconstruction", 0.5 * math.pi)}
"""What is no actor in CARLA, by what stands there instead and by how much it is turned, rad. A board as wide as an open door."""


def body_of(world: "carla.World", model: str, number: int) -> tuple["carla.ActorBlueprint", float]:
    """The blueprint of a model, and by how many rad it is turned; of a pattern such as `walker.pedestrian.*` the `number`-th that fits.

    Raises:
        Refused: the server does not have it.
    """
    name, turn = STAND_INS.get(model, (model, 0.0))
    if "*" in name:
        fitting = sorted(world.get_blueprint_library().filter(name), key=lambda found: str(found.id))
        if not fitting:
            raise Refused(f"the server has no blueprint {name}; its assets are not those of CARLA 0.9.16")
        blueprint = fitting[number % len(fitting)]
    else:
        blueprint = find(world, name)
    if blueprint.has_attribute("is_invincible"):
        blueprint.set_attribute("is_invincible", "false")
    if blueprint.has_attribute("role_name"):
        blueprint.set_attribute("role_name", "scenario")
    return blueprint, turn
