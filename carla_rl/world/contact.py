"""Collisions: what happens when the ego and an actor touch, and which touches count. Knows nothing of roads.

Nothing passes through the ego, nor the ego through anything. Who moved into the other goes back to where it was a tick ago and stands;
the ego may still turn away if that frees it. An actor that has touched the ego stands still, and is taken away CLEAR_TICKS after the
first touch, so that a touch never holds the ego for ever.
Between two ticks no box overlaps the ego's: both old places are free of each other, so taking moves back restores that.
"""

import math

import numpy as np

from carla_rl.geometry import boxes_overlap
from carla_rl.types import TICK_S, Infraction, ObjectKind
from carla_rl.world.compiled import inline_rule, rule
from carla_rl.world.events import record
from carla_rl.world.state import Record, Role

CLEAR_TICKS = 100
"""5 s."""
SAME_TICKS = int(5.0 / TICK_S)
SAME_M = 5.0
"""CollisionTest: a touch of the actor of the last counted one within 5 s of it, or of anybody before the ego has gone 5 m away from where
that was, is the same collision."""
TICK_WAY_M = 6.0
"""What the ego and an actor go together in a tick at most: 120 m/s."""
STILL_MPS = 0.1
"""A touch while the ego stands is not its collision."""

PEDESTRIAN = int(ObjectKind.PEDESTRIAN)
STATIC = int(ObjectKind.STATIC)
NONE = int(ObjectKind.NONE)
GONE = int(Role.GONE)
TRAFFIC = int(Role.TRAFFIC)
COLLISION_PEDESTRIAN = np.int64(Infraction.COLLISION_PEDESTRIAN)
COLLISION_VEHICLE = np.int64(Infraction.COLLISION_VEHICLE)
COLLISION_STATIC = np.int64(Infraction.COLLISION_STATIC)


@inline_rule
def reach_m(world: Record, me: Record) -> float:
    """The ego and an actor whose centres are farther apart than this in x or in y do not touch, m."""
    return float(world.half_length + world.half_width + me.half_length + me.half_width)


@inline_rule
def remember(world: Record, me: Record) -> None:
    """Keep an actor's place before it moves, if it is so near the ego that they may touch."""
    near_m = reach_m(world, me) + TICK_WAY_M
    if abs(me.x - world.x) > near_m or abs(me.y - world.y) > near_m:
        return
    world.may_touch = True
    me.old_x, me.old_y, me.old_yaw = me.x, me.y, me.yaw
    me.old_lane, me.old_sample, me.old_s, me.old_lateral = me.lane, me.sample, me.s, me.lateral


@rule
def take_back(me: Record) -> None:
    """Put an actor where it was a tick ago; it stands."""
    me.x, me.y, me.yaw = me.old_x, me.old_y, me.old_yaw
    me.lane, me.sample, me.s, me.lateral = me.old_lane, me.old_sample, me.old_s, me.old_lateral
    me.speed, me.acceleration = 0.0, 0.0


@inline_rule
def touches(world: Record, me: Record, x: float, y: float, yaw: float) -> bool:
    """Whether the ego overlaps an actor that stands at a pose."""
    reach = reach_m(world, me)
    if abs(x - world.x) > reach or abs(y - world.y) > reach:
        return False
    return bool(boxes_overlap(world.x, world.y, world.yaw, world.half_length, world.half_width, x, y, yaw, me.half_length, me.half_width))


@inline_rule
def forget_hit(world: Record) -> None:
    """Once a tick: the actor of the last counted collision is a new one after SAME_TICKS, its place once the ego has left it."""
    if world.hit_near and math.hypot(world.x - world.hit_x, world.y - world.hit_y) > SAME_M:
        world.hit_near = False
    if world.hit_id >= 0 and world.tick - world.hit_tick > SAME_TICKS:
        world.hit_id = -1


@rule
def count(world: Record, me: Record, ego_speed: float, events: Record, counts: Record) -> None:
    """Record a touch as a collision unless it belongs to an earlier one or the ego stood (`ego_speed` m/s before the contact)."""
    if ego_speed < STILL_MPS:
        return
    if me.id == world.hit_id or world.hit_near:
        return
    world.hit_id, world.hit_tick, world.hit_x, world.hit_y, world.hit_near = me.id, world.tick, world.x, world.y, True
    kind = COLLISION_VEHICLE
    if me.kind == PEDESTRIAN:
        kind = COLLISION_PEDESTRIAN
    elif me.kind == STATIC:
        kind = COLLISION_STATIC
    turn = me.yaw - world.yaw
    closing = math.hypot(ego_speed - me.speed * math.cos(turn), me.speed * math.sin(turn))
    record(world, events, counts, kind, me.id, closing)


@rule
def lie(world: Record, me: Record) -> None:
    """From now on an actor stands because it has touched the ego, unless it does so already."""
    if me.stuck_tick < 0:
        me.stuck_tick = world.lie_tick = world.tick


@rule
def run_in(world: Record, actors: Record, me: Record) -> None:
    """Who minds nobody, and drives into an actor that lies against the ego, lies there, too."""
    if world.lie_tick < 0 or world.tick - world.lie_tick > CLEAR_TICKS:
        return
    for k in range(world.actors):
        other = actors[k]
        lies = other.kind != NONE and other.stuck_tick >= 0 and other.id != me.id
        if lies and boxes_overlap(
            other.x, other.y, other.yaw, other.half_length, other.half_width, me.x, me.y, me.yaw, me.half_length, me.half_width
        ):
            lie(world, me)
            me.speed, me.acceleration = 0.0, 0.0


@inline_rule
def collide(world: Record, actors: Record, old_x: float, old_y: float, old_yaw: float, events: Record, counts: Record) -> None:
    """Find what touches the ego after all have moved, count it, and take back the moves that led there."""
    forget_hit(world)
    if not world.may_touch:
        return
    ego_speed = world.speed
    touched, driven_in = False, False
    for k in range(world.actors):
        me = actors[k]
        if me.kind != NONE and touches(world, me, me.x, me.y, me.yaw):
            count(world, me, ego_speed, events, counts)
            lie(world, me)
            touched, driven_in = True, driven_in or touches(world, me, me.old_x, me.old_y, me.old_yaw)
    if not touched:
        return
    if driven_in:
        world.x, world.y, world.yaw = old_x, old_y, old_yaw
        world.speed, world.yaw_rate = 0.0, 0.0
    for k in range(world.actors):
        me = actors[k]
        if me.kind != NONE and touches(world, me, me.x, me.y, me.yaw):
            if me.stuck_tick < 0:
                count(world, me, ego_speed, events, counts)
            lie(world, me)
            take_back(me)


@inline_rule
def stands_hit(world: Record, me: Record) -> bool:
    """Whether an actor stands because the ego has touched it. After CLEAR_TICKS it is taken away: traffic comes back elsewhere."""
    if me.stuck_tick < 0:
        return False
    if world.tick - me.stuck_tick >= CLEAR_TICKS:
        me.kind, me.stuck_tick = NONE, -1
        if me.role != TRAFFIC:
            me.role = GONE
        return False
    me.speed, me.acceleration = 0.0, 0.0
    return True
