"""One tick of a world, and of many: the rule book's table of contents. Every env is advanced by one thread and reads no other env."""

import numpy as np
from numpy.typing import NDArray

from carla_rl.geometry import wrap
from carla_rl.types import TICK_S
from carla_rl.world import contact, playing
from carla_rl.world.compiled import inline_rule, kernel, rule
from carla_rl.world.following import DECIDE_TICKS
from carla_rl.world.judging import account, judge, locate
from carla_rl.world.observe import Told, tell_env
from carla_rl.world.slots import LOST_M, STUCK_TICKS
from carla_rl.world.state import Record, Role, Worlds
from carla_rl.world.town import Town
from toy_env import spawn, traffic, walkers
from toy_env.vehicle import VehicleParameters, bicycle, follow

TRAFFIC = int(Role.TRAFFIC)
WALKER = int(Role.WALKER)
GONE = int(Role.GONE)

RETRY_TICKS = 20
"""How often room is looked for again for an actor that found none."""
JAM_TICKS = 600
"""A vehicle that stands in a junction for 30 s is taken elsewhere: it is in a jam that rules do not solve."""


@inline_rule
def drive_ego(vehicle: VehicleParameters, world: Record, throttle: float, steer: float, brake: float) -> None:
    """Move the ego by one tick. A command beyond its range counts as its end."""
    press, release = vehicle.pedal_press_rate, vehicle.pedal_release_rate
    world.throttle = follow(world.throttle, min(max(throttle + world.noise_throttle, 0.0), 1.0), press, release)
    world.brake = follow(world.brake, min(max(brake, 0.0), 1.0), press, release)
    world.steer = follow(world.steer, min(max(steer + world.noise_steer, -1.0), 1.0), vehicle.steer_rate, vehicle.steer_return_rate)
    dx, dy, turn, speed = bicycle(vehicle, world.yaw, world.speed, world.throttle, world.steer, world.brake)
    world.x += dx
    world.y += dy
    world.yaw = wrap(world.yaw + turn)
    world.yaw_rate = turn / TICK_S
    world.speed = speed


@inline_rule
def is_lost(world: Record, me: Record) -> bool:
    """Whether a vehicle or walker should be put elsewhere: too far from the ego, or stuck."""
    dx, dy = me.x - world.x, me.y - world.y
    if dx * dx + dy * dy > LOST_M * LOST_M:
        return True
    if me.still_ticks > STUCK_TICKS:
        return True
    return bool(me.still_ticks > JAM_TICKS and me.entry >= 0 and me.entry_m < 0.0)


@inline_rule
def move_traffic(town: Town, world: Record, actors: Record) -> None:
    """Vehicles decide, then all move, so that the order of slots does not matter within a tick."""
    for k in range(world.vehicles):
        if actors[k].kind != 0 and (world.tick + k) % DECIDE_TICKS == 0:
            traffic.decide(town, world, actors, k)
    for k in range(world.vehicles):
        me = actors[k]
        if me.kind == 0:
            if (world.tick + k) % RETRY_TICKS == 0:
                spawn.spawn_vehicle(town, world, actors, k)
            continue
        contact.remember(world, me)
        if not contact.stands_hit(world, me) and me.kind != 0 and (not traffic.move(town, me) or is_lost(world, me)):
            spawn.spawn_vehicle(town, world, actors, k)


@rule
def move_walkers(town: Town, world: Record, actors: Record) -> None:
    """Pedestrians of the background walk; those that the ego has hit stay away."""
    for k in range(world.vehicles, world.vehicles + world.walkers):
        me = actors[k]
        if me.role == GONE:
            continue
        if me.kind == 0:
            if (world.tick + k) % RETRY_TICKS == 0:
                spawn.spawn_walker(town, world, actors, k)
            continue
        contact.remember(world, me)
        if not contact.stands_hit(world, me) and me.kind != 0:
            walkers.walk(town, world, actors, k)
            if is_lost(world, me):
                spawn.spawn_walker(town, world, actors, k)


@inline_rule
def tick_env(
    town: Town,
    vehicle: VehicleParameters,
    points: NDArray[np.void],
    marks: NDArray[np.void],
    worlds: Worlds,
    control: NDArray[np.float64],
    told: Told,
    env: int,
) -> None:
    """Advance one env by one tick, unless its episode has ended."""
    world, actors, events, counts = worlds.world[env], worlds.actors[env], worlds.events[env], worlds.counts[env]
    if not world.driving:
        return
    old_x, old_y, old_yaw, old_speed = world.x, world.y, world.yaw, world.speed
    world.may_touch = False
    move_traffic(town, world, actors)
    if world.walkers > 0:
        move_walkers(town, world, actors)
    if world.scripts > 0:
        playing.play(town, points, world, actors, worlds.scripts[env], worlds.parts[env], events, counts)
    drive_ego(vehicle, world, control[0, env], control[1, env], control[2, env])
    world.tick += 1
    contact.collide(world, actors, old_x, old_y, old_yaw, events, counts)
    account(world, old_x, old_y, old_speed)
    beyond_m = locate(town, points, marks, world)
    judge(town, points, world, actors, events, counts, beyond_m)
    tell_env(world, told, env)


@kernel
def tick(
    envs: NDArray[np.int64],
    town: Town,
    vehicle: VehicleParameters,
    points: NDArray[np.void],
    marks: NDArray[np.void],
    worlds: Worlds,
    control: NDArray[np.float64],
    told: Told,
) -> None:
    """Advance the given envs, all in one town, by one tick, unless their episode has ended, and tell of them.

    `control` (3, N): throttle, steer, brake.
    """
    for number in range(len(envs)):
        tick_env(town, vehicle, points, marks, worlds, control, told, envs[number])
