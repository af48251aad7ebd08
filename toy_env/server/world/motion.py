"""One tick of everything that moves: a kernel over the rows of `toy_env.server.world.bodies`.

Vehicles move by `toy_env.vehicle`, as the ego of the simulator does; who drives into something goes back to where it was a tick ago and
stands, as there. Other laws of motion are branches of `move`. Knows nothing of ids, sensors or clients.
"""

import math
from enum import IntEnum

import numpy as np
from numpy.typing import NDArray

from carla_rl.geometry import boxes_overlap, wrap
from carla_rl.world.compiled import inline_rule, kernel, rule
from carla_rl.world.paths import nearest_sample
from carla_rl.world.state import Record
from carla_rl.world.town import Town
from toy_env.vehicle import VehicleParameters, arc, follow, pull


class Mover(IntEnum):
    """Who moves a row."""

    NOBODY = 0
    """It is where it was put."""
    VEHICLE = 1
    WALKER = 2
    CHILD = 3
    """It is attached to its parent."""
    OTHER = 4
    """Somebody writes its row and its state before the kernel: see `toy_env.server.world.world.Part`."""
    GUIDED = 5
    """Likewise, but its height and its tilt are those of the road."""


VEHICLE, WALKER, CHILD, GUIDED = int(Mover.VEHICLE), int(Mover.WALKER), int(Mover.CHILD), int(Mover.GUIDED)
GRAVITY = 9.81
"""m/s^2."""
LANE_SPEED_KMH = 3.6
STEEPEST = 0.3
"""Wheels that are on the road stay on it where it falls less than this: a car does not take off at every crest."""
PASSES = 4
"""Times that touches are looked for again after cars have been put back; what still touches then stays."""


@inline_rule
def press_pedals(vehicle: VehicleParameters, me: Record, state: Record, dt: float) -> None:
    """Let pedals and wheel follow the control in the state, or the speed control."""
    throttle, brake = float(state.throttle), float(state.brake)
    if me.speed_control:
        wish = (me.target_speed - me.speed) / dt
        if me.target_acceleration > 0.0:
            wish = min(max(wish, -me.target_acceleration), me.target_acceleration)
        wish += vehicle.drag * me.speed
        throttle = min(max(wish / vehicle.throttle_accel, 0.0), 1.0)
        brake = min(max(-wish / vehicle.brake_accel, 0.0), 1.0)
    if state.hand_brake:
        brake = 1.0
    if state.manual_gear_shift and state.gear == 0:
        throttle = 0.0
    me.throttle = follow(me.throttle, min(max(throttle, 0.0), 1.0), vehicle.pedal_press_rate, vehicle.pedal_release_rate, dt)
    me.brake = follow(me.brake, min(max(brake, 0.0), 1.0), vehicle.pedal_press_rate, vehicle.pedal_release_rate, dt)
    me.steer = follow(me.steer, min(max(-float(state.steer), -1.0), 1.0), vehicle.steer_rate, vehicle.steer_return_rate, dt)


@inline_rule
def drive(vehicle: VehicleParameters, me: Record, state: Record, dt: float) -> None:
    """A vehicle's tick on the ground."""
    press_pedals(vehicle, me, state, dt)
    backwards = state.reverse or (state.manual_gear_shift and state.gear < 0)
    if me.speed < 0.0 or (me.speed == 0.0 and backwards):
        throttle = me.throttle if backwards else -me.throttle
        way, after = pull(vehicle, -me.speed, throttle, me.brake, dt)
        way, after = -way, -after
    else:
        throttle = -me.throttle if backwards else me.throttle
        way, after = pull(vehicle, me.speed, throttle, me.brake, dt)
    dx, dy, turn = arc(vehicle, me.yaw, abs(me.speed), me.steer, way)
    me.x += dx
    me.y += dy
    me.yaw = wrap(me.yaw + turn)
    me.yaw_rate = turn / dt
    me.speed = after


@inline_rule
def move(vehicle: VehicleParameters, me: Record, state: Record, dt: float) -> None:
    """Move a row in the plane by a tick."""
    if me.steady or me.mover == WALKER:
        me.x += me.velocity[0] * dt
        me.y += me.velocity[1] * dt
        if me.mover == VEHICLE:
            me.speed = me.velocity[0] * math.cos(me.yaw) + me.velocity[1] * math.sin(me.yaw)
        elif me.velocity[0] != 0.0 or me.velocity[1] != 0.0:
            me.yaw = math.atan2(me.velocity[1], me.velocity[0])
        me.yaw_rate = wrap(me.yaw - me.old_yaw) / dt
        return
    drive(vehicle, me, state, dt)


@inline_rule
def height_at(town: Town, sample: int, x: float, y: float) -> tuple[float, float]:
    """Height in m of the road at a place near one of its samples, and how it rises along the lane."""
    here = town.samples[sample]
    past = (x - here.x) * math.cos(here.yaw) + (y - here.y) * math.sin(here.yaw)
    lane, other = town.lanes[here.lane], sample + (1 if past > 0.0 else -1)
    if other < lane.first or other > lane.last:
        other = 2 * sample - other
    if other < lane.first or other > lane.last:
        return float(here.z), 0.0
    beside = town.samples[other]
    rise = float(beside.z - here.z) / (beside.s - here.s)
    return float(here.z) + rise * past, rise


@inline_rule
def lean(me: Record, state: Record, rise: float, lane_yaw: float) -> None:
    """Tilt a state as the road does that rises so along its lane: pitch is positive with the nose up, roll with the right side down."""
    turn = me.yaw - lane_yaw
    state.transform[3] = math.degrees(math.atan(rise * math.cos(turn)))
    state.transform[5] = math.degrees(math.atan(-rise * math.sin(turn)))


@inline_rule
def settle(town: Town, me: Record, state: Record, dt: float) -> None:
    """Bring a row down to the road, and note the lane under it."""
    sample = nearest_sample(town, me.x, me.y, me.z)
    me.lane = -1
    if sample < 0:
        # beside all roads the ground is where the row last stood
        me.fall = 0.0
        return
    ground, rise = height_at(town, sample, me.x, me.y)
    me.lane = town.samples[sample].lane
    if me.mover == VEHICLE:
        state.speed_limit = LANE_SPEED_KMH * town.lanes[me.lane].speed_limit
    if not me.falls:
        return
    if me.mover == WALKER:
        ground += me.half_height
    if me.z > ground + (1e-3 if me.fall > 0.0 else 1e-3 + STEEPEST * abs(me.speed) * dt):
        me.fall += GRAVITY * dt
        me.z = max(me.z - me.fall * dt, ground)
    else:
        me.z = ground
    if me.z <= ground:
        me.fall = 0.0
        if me.mover == VEHICLE:
            lean(me, state, rise, town.samples[sample].yaw)


@inline_rule
def stand(town: Town, me: Record, state: Record) -> None:
    """Put a row that is moved by somebody else onto the road. What is on the ground with the bottom of its box stands on it."""
    sample = nearest_sample(town, me.x, me.y, me.z)
    if sample >= 0:
        ground, rise = height_at(town, sample, me.x, me.y)
        me.z = ground + me.half_height - me.box_z
        state.transform[2] = me.z
        if me.box_z > 0.0:
            lean(me, state, rise, town.samples[sample].yaw)


@inline_rule
def touch(a: Record, ax: float, ay: float, az: float, ayaw: float, b: Record, bx: float, by: float, bz: float, byaw: float) -> bool:
    """Whether the boxes of two rows overlap at the given poses."""
    if abs(az + a.box_z - bz - b.box_z) >= a.half_height + b.half_height:
        return False
    ca, sa, cb, sb = math.cos(ayaw), math.sin(ayaw), math.cos(byaw), math.sin(byaw)
    ax, ay = ax + a.box_x * ca - a.box_y * sa, ay + a.box_x * sa + a.box_y * ca
    bx, by = bx + b.box_x * cb - b.box_y * sb, by + b.box_x * sb + b.box_y * cb
    return bool(boxes_overlap(ax, ay, ayaw, a.half_length, a.half_width, bx, by, byaw, b.half_length, b.half_width))


@inline_rule
def near(a: Record, b: Record) -> bool:
    """Whether two rows are so near that they may touch."""
    reach = a.half_length + a.half_width + b.half_length + b.half_width + abs(a.box_x) + abs(b.box_x) + abs(a.box_y) + abs(b.box_y)
    return bool(abs(a.x - b.x) < reach and abs(a.y - b.y) < reach)


@rule
def take_back(me: Record) -> None:
    """Put a row where it was a tick ago; it stands."""
    me.x, me.y, me.z, me.yaw = me.old_x, me.old_y, me.old_z, me.old_yaw
    me.speed, me.yaw_rate = 0.0, 0.0
    if me.mover == VEHICLE:
        me.velocity[0], me.velocity[1], me.velocity[2] = 0.0, 0.0, 0.0


@inline_rule
def speed_of(me: Record) -> tuple[float, float]:
    """(vx, vy) m/s in the map frame."""
    if me.mover == WALKER or me.steady:
        return me.velocity[0], me.velocity[1]
    return me.speed * math.cos(me.yaw), me.speed * math.sin(me.yaw)


@inline_rule
def part_two(a: Record, b: Record, dt: float) -> bool:
    """Take back the moves of two rows that touch, of those who moved into the other; False where they already touched before."""
    if touch(a, a.old_x, a.old_y, a.old_z, a.old_yaw, b, b.old_x, b.old_y, b.old_z, b.old_yaw):
        return False
    a_drove = touch(a, a.x, a.y, a.z, a.yaw, b, b.old_x, b.old_y, b.old_z, b.old_yaw)
    b_drove = touch(a, a.old_x, a.old_y, a.old_z, a.old_yaw, b, b.x, b.y, b.z, b.yaw)
    if a_drove or not b_drove:
        take_back(a)
    if b_drove or not a_drove:
        take_back(b)
    return True


@rule
def collide(bodies: Record, count: int, hits: Record, dt: float) -> int:
    """Let nothing drive through anything; the touches of the tick are written to `hits`, how many is returned."""
    told = 0
    for turn in range(PASSES):
        again = False
        for i in range(count):
            a = bodies[i]
            if not a.solid:
                continue
            for j in range(i):
                b = bodies[j]
                moved = a.mover == VEHICLE or a.mover == WALKER or b.mover == VEHICLE or b.mover == WALKER
                if not b.solid or not moved or not near(a, b) or not touch(a, a.x, a.y, a.z, a.yaw, b, b.x, b.y, b.z, b.yaw):
                    continue
                if turn == 0 and told < len(hits):
                    ax, ay = speed_of(a)
                    bx, by = speed_of(b)
                    hits[told].row, hits[told].other = i, j
                    hits[told].closing_x, hits[told].closing_y = ax - bx, ay - by
                    told += 1
                again = part_two(a, b, dt) or again
        if not again:
            break
    return told


@inline_rule
def publish(me: Record, state: Record, dt: float) -> None:
    """Write a row's motion into its state, in CARLA's frame and units; a pose only where it has changed, so that others stay literal."""
    if me.x != me.old_x or me.y != me.old_y or me.z != me.old_z:
        state.transform[0], state.transform[1], state.transform[2] = me.x, -me.y, me.z
    if me.yaw != me.old_yaw:
        state.transform[4] = -math.degrees(me.yaw)
    vx, vy = speed_of(me)
    vz = 0.0 if me.placed else (me.z - me.old_z) / dt
    state.velocity[0], state.velocity[1], state.velocity[2] = vx, -vy, vz
    state.angular_velocity[2] = -math.degrees(me.yaw_rate)
    state.acceleration[0] = (vx - me.old_velocity[0]) / dt
    state.acceleration[1] = -(vy - me.old_velocity[1]) / dt
    state.acceleration[2] = (vz - me.old_velocity[2]) / dt
    me.old_velocity[0], me.old_velocity[1], me.old_velocity[2] = vx, vy, vz


@rule
def attach(me: Record, state: Record, parent: Record) -> None:
    """Put a child where its parent carries it. Rotations are composed as matrices of CARLA's frame (yaw, then pitch, then roll)."""
    px, py, pz = float(parent.transform[0]), float(parent.transform[1]), float(parent.transform[2])
    pitch, yaw, roll = math.radians(parent.transform[3]), math.radians(parent.transform[4]), math.radians(parent.transform[5])
    cp, sp, cy, sy, cr, sr = math.cos(pitch), math.sin(pitch), math.cos(yaw), math.sin(yaw), math.cos(roll), math.sin(roll)
    # columns: forward, right, up of the parent
    fx, fy, fz = cp * cy, cp * sy, sp
    rx, ry, rz = cy * sp * sr - sy * cr, sy * sp * sr + cy * cr, -cp * sr
    ux, uy, uz = -cy * sp * cr - sy * sr, -sy * sp * cr + cy * sr, cp * cr
    x, y, z = me.relative[0], me.relative[1], me.relative[2]
    state.transform[0] = px + fx * x + rx * y + ux * z
    state.transform[1] = py + fy * x + ry * y + uy * z
    state.transform[2] = pz + fz * x + rz * y + uz * z
    if pitch == 0.0 and roll == 0.0:
        turned = parent.transform[4] + me.relative[4]
        if turned > 180.0:
            turned -= 360.0
        elif turned < -180.0:
            turned += 360.0
        state.transform[3], state.transform[4], state.transform[5] = me.relative[3], turned, me.relative[5]
    else:
        a, b, c = math.radians(me.relative[3]), math.radians(me.relative[4]), math.radians(me.relative[5])
        ca, sa, cb, sb, cc, sc = math.cos(a), math.sin(a), math.cos(b), math.sin(b), math.cos(c), math.sin(c)
        forward = (ca * cb, ca * sb, sa)
        right_z, up_z = -ca * sc, ca * cc
        right = (cb * sa * sc - sb * cc, sb * sa * sc + cb * cc, right_z)
        up = (-cb * sa * cc - sb * sc, -sb * sa * cc + cb * sc, up_z)
        wx = fx * forward[0] + rx * forward[1] + ux * forward[2]
        wy = fy * forward[0] + ry * forward[1] + uy * forward[2]
        wz = fz * forward[0] + rz * forward[1] + uz * forward[2]
        state.transform[3] = math.degrees(math.asin(min(max(wz, -1.0), 1.0)))
        state.transform[4] = math.degrees(math.atan2(wy, wx))
        side = fz * right[0] + rz * right[1] + uz * right[2]
        above = fz * up[0] + rz * up[1] + uz * up[2]
        state.transform[5] = math.degrees(math.atan2(-side, above))
    for k in range(3):
        state.velocity[k] = parent.velocity[k]
        state.angular_velocity[k] = parent.angular_velocity[k]
        state.acceleration[k] = parent.acceleration[k]


@kernel
def advance(
    town: Town, vehicle: VehicleParameters, bodies: NDArray[np.void], states: NDArray[np.void], hits: NDArray[np.void], dt: float
) -> int:
    """Advance all rows by `dt` s and write their states. Returns how many touches there were; they are in `hits`."""
    count = len(bodies)
    for i in range(count):
        me, state = bodies[i], states[i]
        if not me.placed:
            me.old_x, me.old_y, me.old_z, me.old_yaw = me.x, me.y, me.z, me.yaw
        if me.mover == VEHICLE or me.mover == WALKER:
            move(vehicle, me, state, dt)
            settle(town, me, state, dt)
        elif me.mover == GUIDED:
            stand(town, me, state)
    told = collide(bodies, count, hits, dt)
    for i in range(count):
        me, state = bodies[i], states[i]
        if me.mover == CHILD and me.parent >= 0:
            attach(me, state, states[me.parent])
        elif me.mover == VEHICLE or me.mover == WALKER:
            publish(me, state, dt)
            if not me.held_control:
                state.throttle, state.steer, state.brake = 0.0, 0.0, 0.0
                state.hand_brake, state.reverse = 0, 0
        me.placed, me.new = False, False
    return told
