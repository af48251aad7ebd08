"""Methods of pedestrians."""

from carla_rl.geometry import from_carla
from toy_env.server.errors import Refused
from toy_env.server.layouts.table import Family
from toy_env.server.layouts.values import Transform, WalkerControl
from toy_env.server.methods.registry import Context, Fidelity, method
from toy_env.server.world.actors import Actor


def walker_of(context: Context, actor_id: int) -> Actor:
    """A pedestrian, also one that has just been destroyed. Raises Refused for anything else."""
    actor = context.world.remembered(actor_id)
    if actor.family is not Family.WALKER:
        raise Refused(f"actor {actor_id} is no pedestrian but a {actor.type_id}")
    return actor


@method("apply_control_to_walker", "int", "walker_control", fidelity=Fidelity.MODEL, note="they never jump")
def apply_control_to_walker(context: Context, actor_id: int, control: WalkerControl) -> None:
    """Walk in a direction at a speed, from the next tick on and until the next control."""
    actor = walker_of(context, actor_id)
    if actor.row < 0:
        return
    x, y, _ = from_carla(control.direction.x, control.direction.y)
    context.world.body(actor)["velocity"] = (control.speed * x, control.speed * y, 0.0)
    state = context.world.state(actor)
    state["direction"], state["speed"], state["jump"] = control.direction, control.speed, control.jump


def apply_walker_state(context: Context, actor_id: int, transform: Transform, speed: float) -> None:
    """Put a pedestrian where the crowd in the client has it."""
    actor = walker_of(context, actor_id)
    if actor.row < 0:
        return
    context.world.place(actor, transform)
    state = context.world.state(actor)
    state["speed"] = speed
