"""Methods of traffic lights. Where an episode of a suite is played, its own programme rules and what is set here is gone a tick later."""

from toy_env.server.errors import Refused
from toy_env.server.layouts.values import Box
from toy_env.server.methods.registry import Context, Fidelity, method
from toy_env.server.world.programme import GREEN, RED, STAGES, UNKNOWN, YELLOW


def light_of(context: Context, actor_id: int) -> int:
    """The number of a light. Raises Refused for any other actor."""
    light = context.lights.light(actor_id)
    if light is None:
        raise Refused(f"actor {actor_id} is no traffic light of this map")
    return light


@method("set_traffic_light_state", "int", "int", note="until its controller goes on to its next stage; freeze the lights to keep it")
def set_traffic_light_state(context: Context, actor_id: int, state: int) -> None:
    """Show a state: 0 red, 1 yellow, 2 green, 3 off, 4 unknown."""
    light = light_of(context, actor_id)
    if not 0 <= state <= UNKNOWN:
        raise Refused(f"there is no state {state} of a traffic light")
    context.lights.programme.set_state(light, state)


def _set_time(context: Context, actor_id: int, stage: int, seconds: float) -> None:
    light = light_of(context, actor_id)
    if seconds < 0.0:
        raise Refused(f"a light cannot take {seconds:g} s")
    context.lights.programme.set_time(light, STAGES.index(stage), seconds)


@method("set_traffic_light_green_time", "int", "float")
def set_traffic_light_green_time(context: Context, actor_id: int, seconds: float) -> None:
    """How long the lights of this one's phase are green, from now on."""
    _set_time(context, actor_id, GREEN, seconds)


@method("set_traffic_light_yellow_time", "int", "float")
def set_traffic_light_yellow_time(context: Context, actor_id: int, seconds: float) -> None:
    """How long they are yellow."""
    _set_time(context, actor_id, YELLOW, seconds)


@method("set_traffic_light_red_time", "int", "float")
def set_traffic_light_red_time(context: Context, actor_id: int, seconds: float) -> None:
    """How long all lights of the junction are red after that."""
    _set_time(context, actor_id, RED, seconds)


@method("freeze_traffic_light", "int", "bool")
def freeze_traffic_light(context: Context, actor_id: int, frozen: bool) -> None:
    """Stop or go on: all lights of the junction."""
    context.lights.programme.freeze(frozen, light_of(context, actor_id))


@method("freeze_all_traffic_lights", "bool")
def freeze_all_traffic_lights(context: Context, frozen: bool) -> None:
    """Stop or go on."""
    context.lights.programme.freeze(frozen)


@method("reset_all_traffic_lights")
def reset_all_traffic_lights(context: Context) -> None:
    """Begin all cycles anew."""
    context.lights.programme.reset()


@method("reset_traffic_light_group", "int")
def reset_traffic_light_group(context: Context, actor_id: int) -> None:
    """Begin the cycle of one junction anew."""
    programme = context.lights.programme
    programme.reset({programme.junctions[light_of(context, actor_id)]})


@method("get_group_traffic_lights", "int", gives="[int]")
def get_group_traffic_lights(context: Context, actor_id: int) -> tuple[int, ...]:
    """The lights of the same junction, this one among them."""
    lights = context.lights
    return tuple(lights.actors[light].id for light in lights.programme.group(light_of(context, actor_id)))


@method("get_light_boxes", "int", gives="[box]", fidelity=Fidelity.MODEL, note="one box for all lamps of a light")
def get_light_boxes(context: Context, actor_id: int) -> tuple[Box, ...]:
    """The boxes of the lamps, in the frame of the world."""
    return (context.lights.box(light_of(context, actor_id)),)
