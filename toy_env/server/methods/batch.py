"""The batch: many commands in one call, each with a result of its own."""

from collections.abc import Callable
from typing import Any

from toy_env.server.errors import Malformed, Refused
from toy_env.server.layouts.codec import Kind
from toy_env.server.methods import actors, lights, vehicles, walkers
from toy_env.server.methods.registry import Context, method

FUTURE_ACTOR = 0
"""The id with which a command after a spawn means the new actor."""
DEEPEST = 8
"""Spawns in what is done after a spawn, and so on."""


def _ignored(context: Context, *arguments: Any) -> None:
    """What changes nothing."""


def _lights(context: Context, actor_id: int, lights: int) -> None:
    vehicles.set_vehicle_light_state(context, actor_id, (lights,))


def _destroy(context: Context, actor_id: int) -> None:
    if not actors.destroy_actor(context, actor_id):
        raise Refused(f"unable to destroy actor: actor {actor_id} is not there or belongs to the map")


RUN: dict[str, Callable[..., Any]] = {
    "destroy": _destroy,
    "control": vehicles.apply_control_to_vehicle,
    "ackermann": vehicles.apply_ackermann_control_to_vehicle,
    "walker_control": walkers.apply_control_to_walker,
    "physics": vehicles.apply_physics_control,
    "transform": actors.set_actor_transform,
    "walker_state": walkers.apply_walker_state,
    "target_velocity": actors.set_actor_target_velocity,
    "target_angular_velocity": actors.set_actor_target_angular_velocity,
    "impulse": actors.add_actor_impulse,
    "force": actors.add_actor_force,
    "angular_impulse": actors.turn,
    "torque": actors.turn,
    "simulate_physics": actors.set_actor_simulate_physics,
    "enable_gravity": actors.set_actor_enable_gravity,
    "autopilot": vehicles.set_actor_autopilot,
    "telemetry_shown": vehicles.show_vehicle_debug_telemetry,
    "vehicle_lights": _lights,
    "location": actors.set_actor_location,
    "console": _ignored,
    "light_state": lights.set_traffic_light_state,
}
"""What a command does, by its name in the table of layouts; spawning stands below."""


@method("apply_batch", "any", "bool", gives="any", bare=True, note="console commands change nothing")
def apply_batch(context: Context, commands: Any, do_tick: bool) -> list[Any]:
    """Run commands in their order, then tick if that is wanted; the id of each command's actor, or why it failed."""
    if commands.__class__ is not tuple:
        raise Malformed("an array of commands is needed")
    results = [_answer(context, command) for command in commands]
    if do_tick and context.world.settings.synchronous_mode:
        context.tick()
    return results


def _answer(context: Context, command: Any) -> Any:
    """One command's result as the client reads it."""
    try:
        return ((1, run(context, command, FUTURE_ACTOR, 0)),)
    except Refused as refused:
        return ((0, (str(refused),)),)


def run(context: Context, command: Any, future: int, depth: int) -> int:
    """Run one command and what follows it; the id of its actor.

    Raises:
        Malformed: no command.
        Refused: a field is not what it has to be; it cannot be done.
    """
    name, fields = _decoded(context, command, depth)
    if name == "spawn":
        description, transform, parent, *_, then = fields
        if parent is not None:
            parent = parent or future
        actor_id = actors.spawn(context, description, transform, parent).id
        for follower in then:
            run(context, follower, actor_id, depth + 1)
        return actor_id
    if name not in RUN:
        raise Refused(f"the command {name} is not provided by the toy server of carla-rl")
    if name == "console":
        return 0
    actor_id = fields[0] if fields[0] != FUTURE_ACTOR else future
    RUN[name](context, actor_id, *fields[1:])
    return int(actor_id)


def _decoded(context: Context, command: Any, depth: int) -> tuple[str, list[Any]]:
    """Name and fields of `[[index, fields]]`."""
    if command.__class__ is not tuple or len(command) != 1 or command[0].__class__ is not tuple or len(command[0]) != 2:
        raise Malformed("a command is [[number, fields]]")
    number, body = command[0]
    known: tuple[str, tuple[Kind, ...]] | None = context.layouts.commands.get(number) if number.__class__ is int else None
    if known is None:
        raise Malformed(f"there is no command {number!r}")
    name, kinds = known
    if body.__class__ is not tuple or len(body) != len(kinds):
        raise Malformed(f"the command {name} has {len(kinds)} fields")
    try:
        fields = [kind.decode(value) for kind, value in zip(kinds, body, strict=True)]
    except Malformed as error:
        # this command alone fails: a Traffic Manager whose whole batch does takes the client's process down
        raise Refused(f"{name}: {error}") from None
    if name == "spawn" and (fields[-1].__class__ is not tuple or depth >= DEEPEST):
        raise Malformed("what is done after a spawn is an array of commands, not too deep")
    return name, fields
