"""Parts on their paths: where they are, what is in their way, how they move. Knows neither when a script begins nor what it does else."""

import math

from carla_rl.geometry import to_local, wrap
from carla_rl.scenario.behaviours import arrival_speed, aside_at
from carla_rl.scenario.script import End, Law
from carla_rl.types import TICK_S
from carla_rl.world.compiled import rule
from carla_rl.world.following import DECIDE_TICKS, HARDEST_BRAKE, SCRIPT_BRAKE, SLOW_MPS, idm
from carla_rl.world.paths import BRIDGE_M, CLEAR, SIDE_ROOM_M
from carla_rl.world.scripted import State
from carla_rl.world.slots import NONE
from carla_rl.world.state import Record, Role

GONE = int(Role.GONE)
AWAY, DONE = int(State.AWAY), int(State.DONE)
KEEPS, FOLLOWS, PACED, LEADS, ARRIVES = int(Law.KEEPS), int(Law.FOLLOWS), int(Law.PACED), int(Law.LEADS), int(Law.ARRIVES)
END_STANDS, AGAIN = int(End.STANDS), int(End.AGAIN)
HEADWAY_S = 1.5
"""Of scripted vehicles that follow."""
EGO_AHEAD_S = 1.0
"""So far ahead scripted vehicles reckon with the ego's way, as CARLA's traffic manager stretches a vehicle's boundary by its speed."""
SAME_WAY = math.cos(math.radians(45.0))
"""An ego behind that drives in about the same direction follows."""
SYNC_ACCEL = 5.0
"""m/s^2 of who is to arrive with the ego."""
STUCK_TICKS = 200
"""A vehicle of a flow that has stood for 10 s is taken away: it and the ego wait for one another."""
SLOWEST_MPS = 3.0
"""Who has arrived with the ego goes on at least so fast."""


@rule
def place(points: Record, part: Record, me: Record) -> None:
    """Set the pose of a part's actor from its way along the path, `s`; `sample` is the path's point before it."""
    k, last = part.path + me.sample, part.path + part.path_points - 2
    while k < last and points[k + 1].s <= me.s:
        k += 1
    me.sample = k - part.path
    a, b = points[k], points[k + 1]
    share = min(max((me.s - a.s) / (b.s - a.s), 0.0), 1.0)
    yaw = a.yaw + share * wrap(b.yaw - a.yaw)
    me.lateral = aside_at(me.s, part.start_s, part.aside_m, part.aside, part.aside_to)
    me.x = a.x + share * (b.x - a.x) - me.lateral * math.sin(yaw)
    me.y = a.y + share * (b.y - a.y) + me.lateral * math.cos(yaw)
    me.z = a.z + share * (b.z - a.z)
    slope = aside_at(me.s + 0.5, part.start_s, part.aside_m, part.aside, part.aside_to) - me.lateral
    me.yaw = wrap(yaw + math.atan(2.0 * slope))


@rule
def gap_on_way(
    points: Record, part: Record, me: Record, reach: float, x: float, y: float, yaw: float, half_length: float, half_width: float
) -> tuple[float, float]:
    """How far a part's actor can go on its path before it touches a box: (gap from its front in m, cosine between the headings).

    (CLEAR, 0) if the box is not within `reach` m on its path.
    """
    k, last = part.path + me.sample, part.path + part.path_points - 1
    far = half_length + half_width + me.half_width + 2.0
    while k <= last and points[k].s - me.s <= reach:
        point = points[k]
        dx, dy = x - point.x, y - point.y
        if dx * dx + dy * dy < far * far:
            lateral = aside_at(point.s, part.start_s, part.aside_m, part.aside, part.aside_to)
            ahead, aside = dx * point.cos + dy * point.sin, dy * point.cos - dx * point.sin - lateral
            cd = math.cos(yaw - point.yaw)
            sd = math.sqrt(max(0.0, 1.0 - cd * cd))
            along, across = half_length * abs(cd) + half_width * sd, half_length * sd + half_width * abs(cd)
            gone = point.s - me.s
            if abs(aside) < across + me.half_width + SIDE_ROOM_M and -along <= ahead <= along + 2.0 and gone + ahead > 0.0:
                return gone + ahead - along - me.half_length, cd
        k += 1
    return CLEAR, 0.0


@rule
def follow(points: Record, world: Record, actors: Record, part: Record) -> None:
    """Set the acceleration of a part's actor behind what is on its path, the ego included."""
    me = actors[part.slot]
    cap = points[part.path + me.sample].speed_limit
    wish = min(part.speed, cap)
    pull = idm(me.speed, wish, CLEAR, 0.0, HEADWAY_S)
    reach = 10.0 + 3.0 * me.speed
    # the ego takes up what it drives over within a while, too; but nobody minds an ego that follows
    before, _ = to_local(world.x, world.y, me.x, me.y, me.yaw)
    if before > 0.0 or math.cos(world.yaw - me.yaw) < SAME_WAY:
        ahead = 0.5 * EGO_AHEAD_S * world.speed
        x, y = world.x + ahead * math.cos(world.yaw), world.y + ahead * math.sin(world.yaw)
        gap, along = gap_on_way(points, part, me, reach, x, y, world.yaw, world.half_length + ahead, world.half_width)
        if gap < CLEAR:
            pull = min(pull, idm(me.speed, wish, gap, max(0.0, world.speed * along), HEADWAY_S))
    for k in range(world.actors):
        other = actors[k]
        dx, dy = other.x - me.x, other.y - me.y
        if k == part.slot or other.kind == NONE or dx * dx + dy * dy > (reach + 5.0) * (reach + 5.0) or abs(other.z - me.z) > BRIDGE_M:
            continue
        gap, along = gap_on_way(points, part, me, reach, other.x, other.y, other.yaw, other.half_length, other.half_width)
        if gap < CLEAR:
            pull = min(pull, idm(me.speed, wish, gap, max(0.0, other.speed * along), HEADWAY_S))
    me.acceleration = pull


@rule
def move(points: Record, world: Record, actors: Record, script: Record, part: Record) -> None:
    """Drive or walk one tick along the path."""
    me = actors[part.slot]
    gone = world.tick - part.since
    if part.law == ARRIVES and me.s >= part.meet_s:
        part.law, part.speed = FOLLOWS, max(part.arrived_share * world.speed, SLOWEST_MPS)
    if part.law == ARRIVES:
        me.acceleration = (arrival_speed(part.meet_s - me.s, part.place_s - world.s, world.speed, part.speed) - me.speed) / TICK_S
        me.acceleration = min(max(me.acceleration, -HARDEST_BRAKE), SYNC_ACCEL)
    elif part.law == KEEPS and not script.touched:
        me.acceleration = (min(part.speed, points[part.path + me.sample].speed_limit) - me.speed) / TICK_S
    elif part.law == LEADS and part.brake_after_ticks <= gone < part.brake_after_ticks + part.brake_ticks:
        me.acceleration = -SCRIPT_BRAKE
    elif part.law == PACED:
        me.acceleration = 0.0
    elif (world.tick + part.slot) % DECIDE_TICKS == 0:
        follow(points, world, actors, part)
    after = max(me.speed + me.acceleration * TICK_S, 0.0)
    me.s += 0.5 * (me.speed + after) * TICK_S
    me.speed = after
    me.still_ticks = me.still_ticks + 1 if after < SLOW_MPS else 0
    if part.members != 0 and me.still_ticks > STUCK_TICKS:
        me.kind, me.role, part.state = NONE, GONE, AWAY
        return
    length = points[part.path + part.path_points - 1].s
    if me.s >= length:
        me.s = length
        if part.end == END_STANDS:
            part.state, me.speed, me.acceleration = DONE, 0.0, 0.0
        else:
            me.kind, me.role = NONE, GONE
            part.state = AWAY if part.end == AGAIN else DONE
            return
    place(points, part, me)
