"""Vehicles that follow lanes: what they decide and how they move. Knows neither where they come from nor what a collision is.

The law of following is that of `carla_rl.world.following`. A vehicle decides every DECIDE_TICKS, each at its own tick.
"""

import math

from carla_rl.types import TICK_S, ObjectKind
from carla_rl.world.compiled import inline_rule
from carla_rl.world.following import DECIDE_TICKS, HARDEST_BRAKE, IDM_ACCEL, IDM_BRAKE, IDM_ROOM_M, SCRIPT_BRAKE, SLOW_MPS, idm
from carla_rl.world.paths import BRIDGE_M, CLEAR, SIDE_ROOM_M, gap_on_path, next_lane, put
from carla_rl.world.state import Record, Role
from carla_rl.world.town import BEND_BRAKE, STRAY_M, Town
from toy_env.junctions import must_wait

PEDESTRIAN_ROOM_M = 1.5
"""m kept before pedestrians on top of IDM_ROOM_M."""
CATCH_UP_S = 0.4
"""A vehicle that is too fast for the road ahead gets down to its wish in about this time,"""
LEAD_S = 0.5
"""and so it begins this much earlier."""
STOP_LINE_M = 1.0
"""m before the stop line at which vehicles come to rest."""

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


@inline_rule
def look_ahead(town: Town, world: Record, me: Record, reach: float) -> tuple[float, int, float, int, float]:
    """What the path itself asks, and where it leads: (speed in m/s, next lane or -1, m from the centre to its start, the lane after, m).

    The speed is the lane's limit as this driver takes it, lowered in time for bends and lower limits within `reach` m.
    Sets the junction ahead.
    """
    factor = world.speed_factor * me.eagerness
    lane, k, lead = me.lane, me.sample, LEAD_S * me.speed
    here, sight = town.lanes[lane], town.outlook[k]
    junction = here.junction
    me.entry, me.entry_m = -1, CLEAR
    if junction >= 0:
        me.entry, me.entry_m = lane, -me.s
    limit = here.speed_limit * factor
    square = min(limit * limit, sight.bend_square)
    while k < here.last and sight.s < me.s + lead:
        k += 1
        sight = town.outlook[k]
        square = min(square, sight.bend_square + 2.0 * BEND_BRAKE * max(sight.s - me.s - lead, 0.0))
    following, following_m, third, third_m = -1, CLEAR, -1, CLEAR
    gone = here.length - me.s
    while gone <= reach:
        lane = next_lane(town, me.seed, lane)
        if lane < 0:
            break
        if following < 0:
            following, following_m = lane, gone
        elif third < 0:
            third, third_m = lane, gone
        ahead = town.lanes[lane]
        if me.entry < 0 and ahead.junction >= 0 and ahead.junction != junction:
            me.entry, me.entry_m = lane, gone
        limit = ahead.speed_limit * factor
        square = min(square, min(limit * limit, ahead.bend_square) + 2.0 * BEND_BRAKE * max(gone - lead, 0.0))
        gone += ahead.length
        junction = ahead.junction
    return math.sqrt(square), following, following_m, third, third_m


@inline_rule
def gap_to(
    town: Town,
    me: Record,
    reach: float,
    straight_m: float,
    x: float,
    y: float,
    yaw: float,
    half_length: float,
    half_width: float,
) -> tuple[float, float]:
    """As `gap_on_path`, for a box on the way ahead: the lane is straight for `straight_m` m, and what is beside that is not on the path."""
    c, s = math.cos(me.yaw), math.sin(me.yaw)
    ahead, aside = (x - me.x) * c + (y - me.y) * s, (y - me.y) * c - (x - me.x) * s
    if ahead < -1.0:
        return CLEAR, 0.0
    cd = math.cos(yaw - me.yaw)
    sd = math.sqrt(max(0.0, 1.0 - cd * cd))
    along, across = half_length * abs(cd) + half_width * sd, half_length * sd + half_width * abs(cd)
    if ahead + along < straight_m and abs(aside + me.lateral) > across + me.half_width + SIDE_ROOM_M + STRAY_M:
        return CLEAR, 0.0
    gap, turned = gap_on_path(town, me, reach, x, y, yaw, half_length, half_width)
    return gap, turned


@inline_rule
def decide(town: Town, world: Record, actors: Record, j: int) -> None:
    """Set the acceleration of vehicle j from all that it sees."""
    me = actors[j]
    if me.brake_until > world.tick:
        me.acceleration = -SCRIPT_BRAKE
        return
    reach = 10.0 + 3.0 * me.speed
    wish, following, following_m, third, third_m = look_ahead(town, world, me, max(reach, 30.0))
    pull = idm(me.speed, wish, CLEAR, 0.0, world.headway_s)
    if me.speed > wish:
        # the law alone lags behind a wish that falls towards a bend
        pull = min(pull, max((wish - me.speed) / CATCH_UP_S, -HARDEST_BRAKE))
    junction = town.lanes[me.entry].junction if me.entry >= 0 else -2
    sight = town.outlook[me.sample]
    straight_m = sight.straight_m - (me.s - sight.s)
    far = (reach + 3.0) * (reach + 3.0)
    dx, dy = world.x - me.x, world.y - me.y
    if dx * dx + dy * dy <= far and abs(world.z - me.z) <= BRIDGE_M:
        gap, along = gap_to(town, me, reach, straight_m, world.x, world.y, world.yaw, world.half_length, world.half_width)
        if gap < CLEAR:
            pull = min(pull, idm(me.speed, wish, gap, max(0.0, world.speed * along), world.headway_s))
    for k in range(world.actors):
        other = actors[k]
        dx, dy = other.x - me.x, other.y - me.y
        if k == j or other.kind == 0 or dx * dx + dy * dy > far or abs(other.z - me.z) > BRIDGE_M:
            continue
        gap, along = CLEAR, 1.0
        # other traffic is on the path, or on a lane that crosses it in a junction, or of no concern
        if other.role != TRAFFIC or (junction >= 0 and other.lane != me.lane and town.lanes[other.lane].junction == junction):
            gap, along = gap_to(town, me, reach, straight_m, other.x, other.y, other.yaw, other.half_length, other.half_width)
            if other.kind == PEDESTRIAN:
                gap -= PEDESTRIAN_ROOM_M
        elif other.lane == me.lane and other.s > me.s:
            gap = other.s - me.s - other.half_length - me.half_length
        elif other.lane == following:
            gap = following_m + other.s - other.half_length - me.half_length
        elif other.lane == third:
            gap = third_m + other.s - other.half_length - me.half_length
        if gap < reach:
            pull = min(pull, idm(me.speed, wish, gap, max(0.0, other.speed * along), world.headway_s))
    if must_wait(town, world, actors, j):
        line = me.entry_m - me.half_length - STOP_LINE_M + IDM_ROOM_M
        pull = min(pull, idm(me.speed, wish, line, 0.0, world.headway_s))
    me.acceleration = pull


@inline_rule
def move(town: Town, me: Record) -> bool:
    """Drive one tick along the lanes. False where the road has ended."""
    after = max(me.speed + me.acceleration * TICK_S, 0.0)
    way = 0.5 * (me.speed + after) * TICK_S
    me.s += way
    # others compare their distances with it before it decides again
    me.entry_m -= way
    me.speed = after
    me.still_ticks = me.still_ticks + 1 if after < SLOW_MPS else 0
    lane: int = me.lane
    while me.s >= town.lanes[lane].length:
        following = next_lane(town, me.seed, lane)
        if following < 0:
            return False
        me.s -= town.lanes[lane].length
        lane = following
        me.lane, me.sample = lane, town.lanes[lane].first
    put(town, me)
    return True
