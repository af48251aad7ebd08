"""Methods of all actors: their lives, where they are, and forces."""

import math

from carla_rl.geometry import from_carla
from toy_env.server.errors import Refused
from toy_env.server.layouts.table import Family
from toy_env.server.layouts.values import ActorInfo, Box, Description, Transform, Vector
from toy_env.server.methods.registry import Context, Fidelity, method
from toy_env.server.sensors import SENSORS, provides
from toy_env.server.world.actors import Actor
from toy_env.server.world.motion import Mover


@method("spawn_actor", "description", "transform", gives="actor")
def spawn_actor(context: Context, description: Description, transform: Transform) -> ActorInfo:
    """Spawn an actor."""
    return spawn(context, description, transform, None).info


@method(
    "spawn_actor_with_parent",
    "description",
    "transform",
    "int",
    "int",
    "str",
    gives="actor",
    note="every attachment is rigid; sockets are not known",
)
def spawn_actor_with_parent(
    context: Context, description: Description, transform: Transform, parent: int, attachment: int, socket: str = ""
) -> ActorInfo:
    """Spawn an actor that is attached to another."""
    return spawn(context, description, transform, parent).info


def spawn(context: Context, description: Description, transform: Transform, parent: int | None) -> Actor:
    """Spawn. Raises Refused: no such blueprint or parent, no room, a sensor that is not provided, or its attributes are nonsense."""
    if description.id.startswith("sensor.") and not provides(description.id):
        raise Refused(f"{description.id} is not provided by the toy server of carla-rl; docs/server.md lists what is")
    world = context.world
    actor = world.spawn(description, transform, None if parent is None else world.actor(parent))
    if actor.type_id in SENSORS:
        try:
            SENSORS[actor.type_id](actor, context.layouts, world.seed)
        except Refused:
            world.destroy(actor)
            raise
    return actor


@method("destroy_actor", "int", gives="bool")
def destroy_actor(context: Context, actor_id: int) -> bool:
    """Destroy an actor; False where it is not there. Lights and signs belong to the map and stay."""
    actor = context.world.actors.get(actor_id)
    if actor is None or actor.family in (Family.LIGHT, Family.SIGN):
        return False
    context.world.destroy(actor)
    return True


@method("get_actors_by_id", "[int]", gives="[actor]")
def get_actors_by_id(context: Context, ids: tuple[int, ...]) -> tuple[ActorInfo, ...]:
    """The actors of these ids that exist."""
    actors = context.world.actors
    return tuple(actors[one].info for one in ids if one in actors)


@method("get_actor_bounding_box", "int", gives="box")
def get_actor_bounding_box(context: Context, actor_id: int) -> Box:
    """The actor's box in its own frame; still known when the actor has just been destroyed."""
    return context.world.remembered(actor_id).info.box


@method("set_actor_transform", "int", "transform")
def set_actor_transform(context: Context, actor_id: int, transform: Transform) -> None:
    """Put an actor somewhere."""
    context.world.place(context.world.actor(actor_id), transform)


@method("set_actor_location", "int", "vector")
def set_actor_location(context: Context, actor_id: int, location: Vector) -> None:
    """Put an actor somewhere and leave its rotation."""
    actor = context.world.actor(actor_id)
    context.world.place(actor, context.world.transform(actor)._replace(location=location))


@method("set_actor_target_velocity", "int", "vector", fidelity=Fidelity.MODEL, note="vehicles keep the part of it along their heading")
def set_actor_target_velocity(context: Context, actor_id: int, velocity: Vector) -> None:
    """Set the velocity of this moment."""
    actor = context.world.actor(actor_id)
    body = context.world.body(actor)
    x, y, _ = from_carla(velocity.x, velocity.y)
    if body["mover"] == Mover.VEHICLE:
        body["speed"] = x * math.cos(body["yaw"]) + y * math.sin(body["yaw"])
    elif body["mover"] == Mover.WALKER:
        body["velocity"] = (x, y, velocity.z)


@method("set_actor_target_angular_velocity", "int", "vector", fidelity=Fidelity.IGNORED)
def set_actor_target_angular_velocity(context: Context, actor_id: int, velocity: Vector) -> None:
    """Set the angular velocity of this moment: a car that rolls on its wheels has none of its own."""
    context.world.actor(actor_id)


@method("enable_actor_constant_velocity", "int", "vector", fidelity=Fidelity.MODEL)
def enable_actor_constant_velocity(context: Context, actor_id: int, velocity: Vector) -> None:
    """Let an actor go on with a velocity, given in its own frame, whatever its control says."""
    body = context.world.body(context.world.actor(actor_id))
    ahead, left = velocity.x, -velocity.y
    c, s = math.cos(body["yaw"]), math.sin(body["yaw"])
    body["velocity"], body["steady"] = (ahead * c - left * s, ahead * s + left * c, 0.0), True


@method("disable_actor_constant_velocity", "int")
def disable_actor_constant_velocity(context: Context, actor_id: int) -> None:
    """End it."""
    body = context.world.body(context.world.actor(actor_id))
    body["steady"] = False


@method("add_actor_impulse", "int", "vector", fidelity=Fidelity.MODEL, note="along the heading of a vehicle")
def add_actor_impulse(context: Context, actor_id: int, impulse: Vector) -> None:
    """Push an actor: kg m/s."""
    push(context, actor_id, impulse, 1.0)


@method("add_actor_force", "int", "vector", fidelity=Fidelity.MODEL, note="along the heading of a vehicle, for one tick")
def add_actor_force(context: Context, actor_id: int, force: Vector) -> None:
    """Push an actor: N, for one tick."""
    push(context, actor_id, force, context.world.dt)


@method("add_actor_impulse_at_location", "int", "vector", "vector", fidelity=Fidelity.MODEL, note="along the heading; nothing turns")
def add_actor_impulse_at_location(context: Context, actor_id: int, impulse: Vector, location: Vector) -> None:
    """Push an actor at a place: kg m/s."""
    push(context, actor_id, impulse, 1.0)


@method("add_actor_force_at_location", "int", "vector", "vector", fidelity=Fidelity.MODEL, note="along the heading; nothing turns")
def add_actor_force_at_location(context: Context, actor_id: int, force: Vector, location: Vector) -> None:
    """Push an actor at a place: N, for one tick."""
    push(context, actor_id, force, context.world.dt)


@method("add_actor_angular_impulse", "int", "vector", fidelity=Fidelity.IGNORED)
@method("add_actor_torque", "int", "vector", fidelity=Fidelity.IGNORED)
def turn(context: Context, actor_id: int, torque: Vector) -> None:
    """Turn an actor by a torque: the wheels hold it."""
    context.world.actor(actor_id)


def push(context: Context, actor_id: int, vector: Vector, seconds: float) -> None:
    """Change a vehicle's speed by a force in N over some seconds."""
    body = context.world.body(context.world.actor(actor_id))
    if body["mover"] == Mover.VEHICLE and body["mass"] > 0.0:
        x, y, _ = from_carla(vector.x, vector.y)
        body["speed"] += seconds * (x * math.cos(body["yaw"]) + y * math.sin(body["yaw"])) / body["mass"]


@method("set_actor_simulate_physics", "int", "bool")
def set_actor_simulate_physics(context: Context, actor_id: int, enabled: bool) -> None:
    """Let an actor be moved by the world, or only by clients."""
    actor = context.world.actor(actor_id)
    body = context.world.body(actor)
    if actor.parent is None and body["mass"] > 0.0:
        mover = Mover.WALKER if actor.type_id.startswith("walker.") else Mover.VEHICLE
        body["mover"], body["speed"], body["fall"] = mover if enabled else Mover.NOBODY, 0.0, 0.0
        state = context.world.state(actor)
        state["velocity"], state["angular_velocity"], state["acceleration"] = 0.0, 0.0, 0.0


@method("set_actor_collisions", "int", "bool")
def set_actor_collisions(context: Context, actor_id: int, enabled: bool) -> None:
    """Let others collide with an actor, or pass through it."""
    actor = context.world.actor(actor_id)
    context.world.body(actor)["solid"] = enabled and actor.info.box.extent.x > 0.0


@method("set_actor_enable_gravity", "int", "bool")
def set_actor_enable_gravity(context: Context, actor_id: int, enabled: bool) -> None:
    """Let an actor fall to the ground, or keep its height."""
    context.world.body(context.world.actor(actor_id))["falls"] = enabled


@method("set_actor_dead", "int", fidelity=Fidelity.IGNORED)
def set_actor_dead(context: Context, actor_id: int) -> None:
    """Mark an actor as dead."""
    context.world.actor(actor_id)
