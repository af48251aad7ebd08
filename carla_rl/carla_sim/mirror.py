"""A server's world in the records that all simulators share: what scripts do before a tick, what the criteria say after it.

The rules are those of `carla_rl.world`; here is only what is different where somebody else moves the ego and the background: where they are
is told, collisions are reported by CARLA's sensor, and the background is on the lane nearest to it. Knows no client.
"""

import numpy as np
from numpy.typing import NDArray

from carla_rl.carla_sim.messages import HIT_BACKGROUND, HIT_PUPPET
from carla_rl.world.compiled import kernel, rule
from carla_rl.world.contact import count, forget_hit, lie, take_back, touches
from carla_rl.world.following import SLOW_MPS
from carla_rl.world.judging import account, judge, locate
from carla_rl.world.opening import put_ego
from carla_rl.world.paths import nearest_sample
from carla_rl.world.playing import play
from carla_rl.world.progress import NEAR_JUNCTION_M
from carla_rl.world.rng import mix
from carla_rl.world.shut import keeps_out
from carla_rl.world.slots import NONE
from carla_rl.world.state import Record, Role, Worlds
from carla_rl.world.town import Town

BACKGROUND = HIT_BACKGROUND
PUPPET = HIT_PUPPET
SCRIPTED = int(Role.SCRIPTED)
STRANGERS = 32
"""Rows for what touched the ego and has no slot; beyond so many in an episode they are shared."""


@rule
def place_on_lane(town: Town, me: Record) -> None:
    """Set the lane of a background vehicle from where it is, and the junction lane ahead of it or around it. Off the lanes all stays."""
    k = nearest_sample(town, me.x, me.y, me.z)
    if k < 0:
        return
    lane = town.samples[k].lane
    me.lane, me.sample, me.s = lane, k, town.samples[k].s
    me.lateral = 0.0
    me.entry, me.entry_m = -1, 0.0
    if town.lanes[lane].junction >= 0:
        me.entry, me.entry_m = lane, -me.s
        return
    left = town.lanes[lane].length - me.s
    if left < NEAR_JUNCTION_M and town.lanes[lane].succ_end > town.lanes[lane].succ_first:
        following = town.table[town.lanes[lane].succ_first]
        if town.lanes[following].junction >= 0:
            me.entry, me.entry_m = following, left


@rule
def stop_touching(world: Record, actors: Record) -> None:
    """Let puppets that have come into the ego stand where they were a tick ago."""
    for k in range(world.vehicles + world.walkers, world.actors):
        me = actors[k]
        if me.kind != NONE and me.role == SCRIPTED and touches(world, me, me.x, me.y, me.yaw):
            lie(world, me)
            take_back(me)


@kernel
def prepare(town: Town, points: NDArray[np.void], marks: NDArray[np.void], worlds: Worlds, env: int) -> None:
    """Begin the episode of an env whose world record and scripts have been filled in: the ego on its route, what scripts show at once."""
    world, actors = worlds.world[env], worlds.actors[env]
    worlds.counts[env, :] = 0
    for k in range(len(actors)):
        actors[k].kind, actors[k].role = NONE, 0
        actors[k].seed, actors[k].draws = mix(world.seed, k), 0
    put_ego(points, world)
    locate(town, points, marks, world)
    play(town, points, world, actors, worlds.scripts[env], worlds.parts[env], worlds.events[env], worlds.counts[env])


@kernel
def take_background(town: Town, worlds: Worlds, env: int) -> None:
    """Bring lanes and standing times of the background up to where it has been told to be."""
    world, actors = worlds.world[env], worlds.actors[env]
    for k in range(world.vehicles + world.walkers):
        me = actors[k]
        if me.kind == NONE:
            continue
        me.still_ticks = me.still_ticks + 1 if me.speed < SLOW_MPS else 0
        if k < world.vehicles:
            place_on_lane(town, me)


@kernel
def before(town: Town, points: NDArray[np.void], worlds: Worlds, env: int) -> None:
    """What scripts do in the tick to come. Background vehicles that have to go leave an empty slot, those that must stop are held."""
    world, actors = worlds.world[env], worlds.actors[env]
    play(town, points, world, actors, worlds.scripts[env], worlds.parts[env], worlds.events[env], worlds.counts[env])
    for k in range(world.vehicles):
        actors[k].held = actors[k].kind != NONE and keeps_out(town, world, actors[k])


@kernel
def after(
    town: Town,
    points: NDArray[np.void],
    marks: NDArray[np.void],
    worlds: Worlds,
    strangers: NDArray[np.void],
    env: int,
    old: NDArray[np.float64],
    hits: NDArray[np.int64],
) -> None:
    """Judge a tick. `old` (3,): x, y and speed of the ego before it; `hits` (K, 2): whose and which row touched the ego."""
    world, actors, events, counts = worlds.world[env], worlds.actors[env], worlds.events[env], worlds.counts[env]
    world.tick += 1
    forget_hit(world)
    speed = max(old[2], world.speed)
    for number in range(len(hits)):
        row = hits[number, 1]
        if hits[number, 0] == BACKGROUND or hits[number, 0] == PUPPET:
            count(world, actors[row], speed, events, counts)
        else:
            count(world, strangers[env, row], speed, events, counts)
    stop_touching(world, actors)
    account(world, old[0], old[1], old[2])
    beyond_m = locate(town, points, marks, world)
    judge(town, points, world, actors, events, counts, beyond_m)
