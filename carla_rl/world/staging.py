"""What scripts do to the world beside their parts: lights, junctions, background traffic, the ego's controls. Knows no scenario type."""

import math

import numpy as np

from carla_rl.geometry import to_local
from carla_rl.scenario.behaviours import control_noise, leads
from carla_rl.types import TICK_S
from carla_rl.world.compiled import rule
from carla_rl.world.contact import remember
from carla_rl.world.paths import BRIDGE_M, CLEAR, SIDE_ROOM_M, put
from carla_rl.world.rng import mix, uniform
from carla_rl.world.scripted import NOISE, Phase, State
from carla_rl.world.slots import NONE, TRAFFIC, fresh, has_room, send_away
from carla_rl.world.state import Record, Role
from carla_rl.world.town import Town
from carla_rl.world.ways import GONE, place

SCRIPTED = int(Role.SCRIPTED)
PLAYING, OVER = int(Phase.PLAYING), int(Phase.OVER)
AWAY, STANDS, DONE = int(State.AWAY), int(State.STANDS), int(State.DONE)

APPEAR_ROOM_M = 6.0
"""Between the ego and who appears at the trigger."""
CLOSE_ROOM_M = 0.5
"""Between the ego and what was there before it came, or appears at its cue."""
PUSH_M = 2.0
"""Background traffic nearer than this to who appears is put elsewhere."""
WAY_M = 3.0
"""Background traffic nearer than this to the way of who keeps its speed is put elsewhere."""
LANE_HALF_M = 1.75
HOP_BEHIND_M = 45.0
"""Traffic changes over from so far before an obstacle,"""
HOP_ROOM_M = 6.0
"""with so much room around it on the other lane; another half second of its speed is kept to the ego."""
HOP_MPS = 1.2
"""m/s to the side: 3 s for a lane."""
NOISE_STREAM = np.uint64(0xC0117)


@rule
def appear(points: Record, world: Record, actors: Record, part: Record, s: float, room_m: float) -> bool:
    """Put a part's actor on its path at s if the ego leaves room; background traffic that stands there is put elsewhere."""
    me = actors[part.slot]
    me.kind = NONE
    me.half_length, me.half_width = part.half_length, part.half_width
    me.s, me.sample, me.lane = s, 0, -1
    place(points, part, me)
    ahead, aside = to_local(me.x, me.y, world.x, world.y, world.yaw)
    if room_m == CLOSE_ROOM_M:
        # beside the road or the ego's way counts as free
        if abs(ahead) < me.half_length + world.half_length + room_m and abs(aside) < me.half_width + world.half_width + room_m:
            return False
    elif math.sqrt(ahead * ahead + aside * aside) < me.half_length + world.half_length + room_m:
        return False
    fresh(world, me)
    me.kind, me.role = part.kind, SCRIPTED
    me.speed, me.acceleration = 0.0, 0.0
    remember(world, me)
    for k in range(world.vehicles):
        other = actors[k]
        dx, dy = other.x - me.x, other.y - me.y
        reach = me.half_length + other.half_length + PUSH_M
        if other.kind != NONE and dx * dx + dy * dy < reach * reach and abs(other.z - me.z) < BRIDGE_M:
            _, across = to_local(other.x, other.y, me.x, me.y, me.yaw)
            if abs(across) < me.half_width + other.half_length + SIDE_ROOM_M:
                send_away(actors[k])
    part.state = STANDS
    return True


@rule
def disturb(world: Record, part: Record, row: int) -> None:
    """Add a place's noise to the ego's controls of this tick, if it is there."""
    dx, dy = world.x - part.x, world.y - part.y
    if dx * dx + dy * dy <= part.speed * part.speed:
        seed = mix(world.seed ^ NOISE_STREAM, row)
        at = 4 * world.tick + 2
        world.noise_throttle += control_noise(
            part.throttle_mean, part.throttle_deviation, uniform(seed, 0), uniform(seed, at), uniform(seed, at + 1)
        )
        world.noise_steer += control_noise(
            part.steer_mean, part.steer_deviation, uniform(seed, 1), uniform(seed, at + 2), uniform(seed, at + 3)
        )


@rule
def clear_way(points: Record, world: Record, actors: Record, part: Record) -> None:
    """Put background traffic elsewhere that is on the way of who keeps its speed."""
    for j in range(world.vehicles):
        other = actors[j]
        if other.kind == NONE:
            continue
        for k in range(part.path, part.path + part.path_points):
            dx, dy = other.x - points[k].x, other.y - points[k].y
            if dx * dx + dy * dy < WAY_M * WAY_M and abs(other.z - points[k].z) < BRIDGE_M:
                send_away(other)
                break


@rule
def begin(town: Town, world: Record, actors: Record, script: Record) -> None:
    """The trigger: hold lights, shut and empty the junction, let the leader brake."""
    script.phase, script.begun = PLAYING, world.tick
    if script.lights_junction >= 0:
        world.lights_junction = script.lights_junction
        world.lights_first, world.lights_then = script.lights_first, script.lights_then
        world.lights_tick = world.tick + script.red_ticks
    if script.junction >= 0:
        world.shut_junction = script.junction
    world.oncoming = world.oncoming or script.oncoming
    best, leader = CLEAR, -1
    for k in range(world.vehicles):
        me = actors[k]
        if me.kind == NONE:
            continue
        ahead, aside = to_local(me.x, me.y, world.x, world.y, world.yaw)
        if leads(ahead, aside, LANE_HALF_M) and ahead < best and math.cos(me.yaw - world.yaw) > 0.7:
            best, leader = ahead, k
        if script.junction >= 0 and (
            town.lanes[me.lane].junction == script.junction
            or (me.lane == world.lane and ahead > 0.0 and me.entry >= 0 and town.lanes[me.entry].junction == script.junction)
        ):
            send_away(actors[k])
    script.led = leader >= 0
    if leader >= 0 and script.brake_ticks > 0:
        actors[leader].brake_until = world.tick + script.brake_ticks


@rule
def finish(world: Record, actors: Record, script: Record, parts: Record) -> None:
    """The end of a script: its actors go, lights and junction are free again."""
    script.phase = OVER
    for row in range(script.part_first, script.part_end):
        part = parts[row]
        if part.law != NOISE and part.state != AWAY:
            actors[part.slot].kind, actors[part.slot].role = NONE, GONE
        part.state = DONE
    if script.lights_junction >= 0 and world.lights_junction == script.lights_junction:
        world.lights_junction = -1
    if script.junction >= 0 and world.shut_junction == script.junction:
        world.shut_junction = -1
    if script.oncoming:
        world.oncoming = False


@rule
def change_over(town: Town, world: Record, actors: Record, script: Record) -> None:
    """Let background traffic behind a shut lane change to the one beside it where that is free."""
    for k in range(world.vehicles):
        me = actors[k]
        before = script.blocked_s - me.s
        if me.kind == NONE or me.lane != script.blocked_lane or not me.half_length < before < HOP_BEHIND_M or me.lateral != 0.0:
            continue
        s = script.beside_s - before
        if s < 0.0:
            continue
        old_x, old_y, old_s, old_sample = me.x, me.y, me.s, me.sample
        me.lane, me.s, me.sample = script.beside, s, town.lanes[script.beside].first
        put(town, me)
        ahead, aside = to_local(world.x, world.y, me.x, me.y, me.yaw)
        room = me.half_length + world.half_length + HOP_ROOM_M + 0.5 * max(me.speed, world.speed)
        if has_room(world, actors, k, HOP_ROOM_M) and not (abs(ahead) < room and abs(aside) < 2.0 * LANE_HALF_M - 1.0):
            ahead, me.lateral = to_local(old_x, old_y, me.x, me.y, me.yaw)
        else:
            me.lane, me.s, me.sample = script.blocked_lane, old_s, old_sample
        put(town, me)


@rule
def straighten(world: Record, actors: Record) -> None:
    """Bring traffic that has changed over to the middle of its new lane, by one tick."""
    step = HOP_MPS * TICK_S
    for k in range(world.vehicles):
        me = actors[k]
        if me.lateral != 0.0 and me.role == TRAFFIC:
            me.lateral = me.lateral - step if me.lateral > step else (me.lateral + step if me.lateral < -step else 0.0)
