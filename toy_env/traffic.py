"""Vehicles that follow lanes: what they decide and how they move. Knows neither where they come from nor what a collision is.

The law of following is the Intelligent Driver Model (Treiber, Hennecke and Helbing 2000). A vehicle decides every DECIDE_TICKS,
each at its own tick, and keeps its acceleration in between: its reaction time.
"""

import math

from carla_rl.types import TICK_S, ObjectKind
from toy_env.compiled import compiled
from toy_env.junctions import must_wait
from toy_env.paths import BRIDGE_M, CLEAR, gap_on_path, next_lane, put
from toy_env.state import Record, Role
from toy_env.town import Town

IDM_ACCEL = 2.0
"""m/s^2."""
IDM_BRAKE = 2.5
"""m/s^2, comfortable."""
IDM_ROOM_M = 2.0
"""m between bumpers at rest."""
HARDEST_BRAKE = 8.0
"""m/s^2."""
PEDESTRIAN_ROOM_M = 1.5
"""m kept before pedestrians on top of IDM_ROOM_M."""
DECIDE_TICKS = 4
CATCH_UP_S = 0.4
"""A vehicle that is too fast for the road ahead gets down to its wish in about this time,"""
LEAD_S = 0.5
"""and so it begins this much earlier."""
STOP_LINE_M = 1.0
"""m before the stop line at which vehicles come to rest."""
SLOW_MPS = 0.1
SCRIPT_BRAKE = 6.0
"""m/s^2 of a vehicle that a script lets brake hard."""

PARAMETERS = {
    "law": "IDM",
    "accel": IDM_ACCEL,
    "brake": IDM_BRAKE,
    "room_m": IDM_ROOM_M,
    "hardest_brake": HARDEST_BRAKE,
    "decide_ticks": DECIDE_TICKS,
}
"""What changes the numbers, for records."""

PEDESTRIAN = int(ObjectKind.PEDESTRIAN)
TRAFFIC = int(Role.TRAFFIC)


@compiled
def idm(speed: float, wish: float, gap: float, lead_speed: float, headway: float) -> float:
    """Acceleration in m/s^2 of a vehicle that wishes to go `wish` m/s and follows something `gap` m ahead of its bumper."""
    ratio = speed / max(wish, 0.5)
    ratio *= ratio
    free = 1.0 - ratio * ratio
    if gap >= CLEAR:
        return max(IDM_ACCEL * free, -HARDEST_BRAKE)
    keep = IDM_ROOM_M + max(0.0, speed * headway + speed * (speed - lead_speed) / (2.0 * math.sqrt(IDM_ACCEL * IDM_BRAKE)))
    near = keep / max(gap, 0.1)
    return max(IDM_ACCEL * (free - near * near), -HARDEST_BRAKE)


@compiled
def look_ahead(town: Town, world: Record, me: Record, reach: float) -> tuple[float, int, float]:
    """What the path itself asks: (speed in m/s, junction lane around or ahead or -1, m from the centre to its start).

    The speed is the lane's limit as this driver takes it, lowered in time for bends and lower limits within `reach` m.
    """
    factor = world.speed_factor * me.eagerness
    lane, k = me.lane, me.sample
    entry, entry_m = -1, CLEAR
    if town.lanes[lane].junction >= 0:
        entry, entry_m = lane, -me.s
    limit = town.lanes[lane].speed_limit * factor
    square = limit * limit
    offset = -me.s
    while True:
        gone = offset + town.samples[k].s
        cap = min(limit, town.samples[k].bend_speed)
        square = min(square, cap * cap + 2.0 * IDM_BRAKE * max(gone - LEAD_S * me.speed, 0.0))
        k += 1
        if k <= town.lanes[lane].last:
            if gone > reach:
                break
            continue
        offset += town.lanes[lane].length
        before, lane = lane, next_lane(town, me.seed, lane)
        if lane < 0 or offset > reach:
            break
        if entry < 0 and town.lanes[lane].junction >= 0 and town.lanes[lane].junction != town.lanes[before].junction:
            entry, entry_m = lane, offset
        limit = town.lanes[lane].speed_limit * factor
        k = town.lanes[lane].first
    return math.sqrt(square), entry, entry_m


@compiled
def gap_to_vehicle(town: Town, me: Record, other: Record, following: int, reach: float) -> tuple[float, float]:
    """As `gap_on_path`, read off the lanes where both are on the same or the next one."""
    if other.role == TRAFFIC:
        if other.lane == me.lane:
            if other.s <= me.s:
                return CLEAR, 0.0
            return other.s - me.s - other.half_length - me.half_length, 1.0
        if other.lane == following:
            return town.lanes[me.lane].length - me.s + other.s - other.half_length - me.half_length, 1.0
    gap, along = gap_on_path(town, me, reach, other.x, other.y, other.yaw, other.half_length, other.half_width)
    return gap, along


@compiled
def decide(town: Town, world: Record, actors: Record, j: int) -> None:
    """Set the acceleration of vehicle j from all that it sees."""
    me = actors[j]
    if me.brake_until > world.tick:
        me.acceleration = -SCRIPT_BRAKE
        return
    reach = 10.0 + 3.0 * me.speed
    wish, me.entry, me.entry_m = look_ahead(town, world, me, max(reach, 30.0))
    pull = idm(me.speed, wish, CLEAR, 0.0, world.headway_s)
    if me.speed > wish:
        # the law alone lags behind a wish that falls towards a bend
        pull = min(pull, max((wish - me.speed) / CATCH_UP_S, -HARDEST_BRAKE))
    following = next_lane(town, me.seed, me.lane)
    c, s = math.cos(me.yaw), math.sin(me.yaw)
    far = (reach + 3.0) * (reach + 3.0)
    for k in range(-1, world.actors):
        if k == j:
            continue
        if k < 0:
            x, y, z, speed = world.x, world.y, world.z, world.speed
        else:
            if actors[k].kind == 0:
                continue
            x, y, z, speed = actors[k].x, actors[k].y, actors[k].z, actors[k].speed
        dx, dy = x - me.x, y - me.y
        if dx * dx + dy * dy > far or dx * c + dy * s < -1.0 or abs(z - me.z) > BRIDGE_M:
            continue
        room = 0.0
        if k < 0:
            gap, along = gap_on_path(town, me, reach, x, y, world.yaw, world.half_length, world.half_width)
        else:
            gap, along = gap_to_vehicle(town, me, actors[k], following, reach)
            if actors[k].kind == PEDESTRIAN:
                room = PEDESTRIAN_ROOM_M
        if gap < CLEAR:
            pull = min(pull, idm(me.speed, wish, gap - room, max(0.0, speed * along), world.headway_s))
    if must_wait(town, world, actors, j):
        line = me.entry_m - me.half_length - STOP_LINE_M + IDM_ROOM_M
        pull = min(pull, idm(me.speed, wish, line, 0.0, world.headway_s))
    me.acceleration = pull


@compiled
def move(town: Town, me: Record) -> bool:
    """Drive one tick along the lanes. False where the road has ended."""
    after = max(me.speed + me.acceleration * TICK_S, 0.0)
    way = 0.5 * (me.speed + after) * TICK_S
    me.s += way
    # others compare their distances with it before it decides again
    me.entry_m -= way
    me.speed = after
    me.still_ticks = me.still_ticks + 1 if after < SLOW_MPS else 0
    while me.s >= town.lanes[me.lane].length:
        lane = next_lane(town, me.seed, me.lane)
        if lane < 0:
            return False
        me.s -= town.lanes[me.lane].length
        me.lane = lane
        me.sample = town.lanes[lane].first
    put(town, me)
    return True
