"""Methods of vehicles."""

import math
from typing import Any

from toy_env.server.errors import Refused
from toy_env.server.layouts.table import Family
from toy_env.server.layouts.values import AckermannControl, AckermannSettings, PhysicsControl, VehicleControl
from toy_env.server.methods.registry import Context, Fidelity, method
from toy_env.server.world.actors import Actor
from toy_env.server.world.physics import default_physics
from toy_env.vehicle import VehicleModel

FULL_WHEEL_RAD = VehicleModel().steer_gain
"""Angle of the model's wheels at full steer."""
WHEELS = 4


def vehicle_of(context: Context, actor_id: int) -> Actor:
    """A vehicle, also one that has just been destroyed. Raises Refused for anything else."""
    actor = context.world.remembered(actor_id)
    if actor.family is not Family.VEHICLE:
        raise Refused(f"actor {actor_id} is no vehicle but a {actor.type_id}")
    return actor


@method("apply_control_to_vehicle", "int", "control")
def apply_control_to_vehicle(context: Context, actor_id: int, control: VehicleControl) -> None:
    """Pedals and wheel, from the next tick on."""
    actor = vehicle_of(context, actor_id)
    if actor.row >= 0:
        context.world.control(actor, control)


@method("apply_ackermann_control_to_vehicle", "int", "ackermann", fidelity=Fidelity.MODEL, note="steer speed and jerk change nothing")
def apply_ackermann_control_to_vehicle(context: Context, actor_id: int, control: AckermannControl) -> None:
    """Hold a speed and a steering angle, from the next tick on and until the next control."""
    actor = vehicle_of(context, actor_id)
    if actor.row < 0:
        return
    steer = min(max(control.steer / FULL_WHEEL_RAD, -1.0), 1.0)
    context.world.control(actor, VehicleControl(steer=steer, reverse=control.speed < 0.0))
    body = context.world.body(actor)
    body["speed_control"], body["target_speed"], body["target_acceleration"] = True, abs(control.speed), abs(control.acceleration)


@method("get_ackermann_controller_settings", "int", gives="ackermann_settings")
def get_ackermann_controller_settings(context: Context, actor_id: int) -> AckermannSettings:
    """The gains of the speed control."""
    return vehicle_of(context, actor_id).ackermann


@method("apply_ackermann_controller_settings", "int", "ackermann_settings", fidelity=Fidelity.STORED)
def apply_ackermann_controller_settings(context: Context, actor_id: int, settings: AckermannSettings) -> None:
    """Set them."""
    vehicle_of(context, actor_id).ackermann = settings


@method("get_physics_control", "int", gives="physics")
def get_physics_control(context: Context, actor_id: int) -> PhysicsControl:
    """The vehicle's physics."""
    return physics_of(context, vehicle_of(context, actor_id))


@method("apply_physics_control", "int", "physics", fidelity=Fidelity.STORED, note="but the mass, which impulses see")
def apply_physics_control(context: Context, actor_id: int, physics: PhysicsControl) -> None:
    """Set it."""
    actor = vehicle_of(context, actor_id)
    actor.physics = physics
    if actor.row >= 0:
        context.world.body(actor)["mass"] = max(physics.mass, 1.0)


def physics_of(context: Context, actor: Actor) -> PhysicsControl:
    """As a client has set it, else that of the blueprint."""
    if actor.physics is None:
        mass = context.world.catalogue.by_id[actor.type_id].mass
        return default_physics(mass, actor.info.box, int(actor.attributes["number_of_wheels"]))
    return actor.physics


@method("get_vehicle_light_state", "int", gives="any")
def get_vehicle_light_state(context: Context, actor_id: int) -> Any:
    """The lights that are on."""
    return (vehicle_of(context, actor_id).lights,)


@method("set_vehicle_light_state", "int", "[int]")
def set_vehicle_light_state(context: Context, actor_id: int, lights: tuple[int, ...]) -> None:
    """Switch a vehicle's lights."""
    vehicle_of(context, actor_id).lights = lights[0] if lights else 0


@method("get_vehicle_light_states", gives="any")
def get_vehicle_light_states(context: Context) -> Any:
    """The lights of all vehicles."""
    return [(actor.id, actor.lights) for actor in context.world if actor.family is Family.VEHICLE]


@method("get_telemetry_data", "int", gives="any", fidelity=Fidelity.MODEL, note="there is no engine: its speed is 0, gear 1")
def get_telemetry_data(context: Context, actor_id: int) -> Any:
    """Speed, pedals and wheels as they are now."""
    actor = vehicle_of(context, actor_id)
    if actor.row < 0:
        return 0.0, 0.0, 0.0, 0.0, 0.0, 0, 0.0, ()
    body = context.world.body(actor)
    wheel = (0.0,) * 11
    pedals = (float(body["speed"]), -float(body["steer"]), float(body["throttle"]), float(body["brake"]))
    return (*pedals, 0.0, 1, 0.0, [wheel] * WHEELS)


@method("get_wheel_steer_angle", "int", "int", gives="float", fidelity=Fidelity.MODEL)
def get_wheel_steer_angle(context: Context, actor_id: int, wheel: int) -> float:
    """Degrees by which a front wheel is turned, positive to the right."""
    actor = vehicle_of(context, actor_id)
    if actor.row < 0 or wheel not in (0, 1):
        return 0.0
    return -math.degrees(FULL_WHEEL_RAD * float(context.world.body(actor)["steer"]))


@method("set_actor_autopilot", "int", "bool", fidelity=Fidelity.IGNORED, note="the traffic manager in the client drives")
def set_actor_autopilot(context: Context, actor_id: int, enabled: bool) -> None:
    """Let the server drive a vehicle."""
    vehicle_of(context, actor_id)


@method("open_vehicle_door", "int", "int", fidelity=Fidelity.IGNORED)
@method("close_vehicle_door", "int", "int", fidelity=Fidelity.IGNORED)
def move_door(context: Context, actor_id: int, door: int) -> None:
    """Open or close a door: nothing sees it."""
    vehicle_of(context, actor_id)


@method("show_vehicle_debug_telemetry", "int", "bool", fidelity=Fidelity.IGNORED)
def show_vehicle_debug_telemetry(context: Context, actor_id: int, enabled: bool) -> None:
    """Show telemetry on the server's screen: there is none."""
    vehicle_of(context, actor_id)
