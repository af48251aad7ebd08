"""What the expert leaves its route's line for: an obstacle that it passes, oncoming traffic on its lane, an emergency vehicle behind it.

Without memory: once the ego is beside the line, being there is what tells it to go on. Scalar numba code for one env, ego frame.
Knows the route, the room beside it and where the objects are on it.
"""

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from carla_rl.compiled import rule
from carla_rl.policies.expert_forecast import ALIGNED, BICYCLE, KIND, PEDESTRIAN, SPEED, Others, Seen
from carla_rl.policies.expert_motion import TICKS
from carla_rl.policies.expert_numbers import Numbers
from carla_rl.policies.expert_path import Swerve, swerve_length
from carla_rl.types import ROUTE_POINTS, ROUTE_SPACING_M, WAYPOINT_S, LightState, ObjectKind, RoomColumn

STATIC, EMERGENCY = int(ObjectKind.STATIC), int(ObjectKind.EMERGENCY)
RIGHT, LEFT, ONCOMING = int(RoomColumn.RIGHT), int(RoomColumn.LEFT), int(RoomColumn.ONCOMING)
GREEN = int(LightState.GREEN)
STILL_MPS = 0.1
QUEUE_M = 9.0
"""Who stands so near behind an obstacle waits for it."""
QUEUE_MPS = 4.0
CREEP_MPS = 1.0
RIDER_MPS = 5.0
"""A bicycle that is slower is passed."""
FASTER_MPS = 2.0
"""The ego has to be so much faster than what it passes."""
JUNCTION_M = 9.0
"""A swerve may end so deep in a junction."""
FARTHEST_M = 90.0
"""A swerve ends within the table of the path."""
ONCOMING_M = 45.0
"""and is so long at most on the oncoming lane: the ego sees 60 m of it."""
SWING_MPS = 4.0
"""The ego waits as far before an obstacle as it needs to swing out at this speed: nearer it would turn more sharply, so more slowly."""
ENTER_SHARE = 0.4
"""The ego reaches the lane beside when it has done so much of the way on which it swings out."""
OUT_SHARE = 0.3
"""The ego has swung out when it has done so much of the way to the side."""
YIELD_BEHIND_M, YIELD_AHEAD_M = 100.0, 6.0
"""An emergency vehicle is let by from so far behind the ego until it is so far ahead."""
YIELD_ASIDE_M = 3.5
PRESSING_M, PRESSING_MPS = 40.0, 0.5
"""Who comes from behind, so near and so much faster, may not slow down for the ego: it drives at the limit."""
NUDGE_GAP_M = 0.6
"""m that the ego likes to have beside oncoming vehicles, within its lane."""
NUDGE_M = 0.6
NUDGE_SIGHT_M = 50.0


class Obstacle(NamedTuple):
    """What stands in the ego's way, or rides there slowly, and is to be passed in one go; m along the route and to its left."""

    first: float
    """Its near end; inf where there is none."""
    last: float
    right: float
    left: float
    speed: float
    gap: float
    """m to keep to the side."""


@rule
def find_obstacle(objects: NDArray[np.float32], seen: Seen, light: NDArray[np.float32], k: Numbers) -> Obstacle:
    """The obstacle nearest ahead, or beside the ego; marks its parts as `seen.passed`.

    Parts are what never moves, bicycles along the road, vehicles that stand beside the middle of the lane: parked. And vehicles that stand
    right behind such a thing, unless a light holds them. Any other vehicle that stands may go on at any time: the ego waits behind it.
    """
    count = objects.shape[0]
    for m in range(count):
        kind, speed = objects[m, KIND], objects[m, SPEED]
        seen.passed[m] = False
        if kind == 0 or kind == PEDESTRIAN or abs(seen.d[m]) - seen.across[m] > k.half_width + k.lead_margin:
            continue
        if seen.s[m] + seen.along[m] < -k.half_length - k.clear_gap:
            continue
        if kind == STATIC:
            seen.passed[m] = True
        elif kind == BICYCLE:
            seen.passed[m] = speed < RIDER_MPS and abs(seen.turn[m]) < ALIGNED
        else:
            seen.passed[m] = speed < STILL_MPS and abs(seen.turn[m]) < ALIGNED and abs(seen.d[m]) > k.aside_least
    first = math.inf
    for _ in range(3):
        for m in range(count):
            if seen.passed[m] or objects[m, KIND] == 0 or objects[m, KIND] == PEDESTRIAN or objects[m, SPEED] > STILL_MPS:
                continue
            if abs(seen.d[m]) > k.aside_least or abs(seen.turn[m]) > ALIGNED or seen.s[m] + seen.along[m] < -k.half_length - k.clear_gap:
                continue
            for f in range(count):
                behind = seen.s[f] - seen.along[f] - seen.s[m] - seen.along[m]
                held = light[1] > GREEN and seen.s[m] < light[0] < seen.s[f]
                if seen.passed[f] and objects[f, SPEED] < STILL_MPS and 0.0 < behind < QUEUE_M and not held:
                    seen.passed[m] = True
    for m in range(count):
        if seen.passed[m]:
            first = min(first, seen.s[m] - seen.along[m])
    last, right, left, fastest, gap = first, math.inf, -math.inf, 0.0, k.pass_gap
    for _ in range(count if first < math.inf else 0):
        before = last
        for m in range(count):
            if seen.passed[m] and seen.s[m] - seen.along[m] < before + k.chain:
                last = max(last, seen.s[m] + seen.along[m])
                right, left = min(right, seen.d[m] - seen.across[m]), max(left, seen.d[m] + seen.across[m])
                fastest = max(fastest, objects[m, SPEED])
                if objects[m, KIND] == BICYCLE:
                    gap = k.rider_gap
        if last == before:
            break
    for m in range(count):
        seen.passed[m] = seen.passed[m] and seen.s[m] - seen.along[m] < last
    return Obstacle(first, last, right, left, fastest, gap)


@rule
def wait_before(aside: float, k: Numbers) -> float:
    """m between the ego's front and an obstacle behind which it waits: room to swing out."""
    return k.wait_gap + swerve_length(aside, SWING_MPS, k)


@rule
def queue_end(objects: NDArray[np.float32], seen: Seen, first: float, k: Numbers) -> float:
    """m to the near end of what drives up to the obstacle that begins at `first`: it will stop there."""
    end = first
    for m in range(objects.shape[0]):
        if objects[m, KIND] == 0 or objects[m, KIND] == PEDESTRIAN or objects[m, SPEED] > QUEUE_MPS or abs(seen.turn[m]) > ALIGNED:
            continue
        if abs(seen.d[m]) - seen.across[m] < k.half_width and seen.s[m] > k.half_length and seen.s[m] < first:
            end = min(end, seen.s[m] - seen.along[m])
    return end


@rule
def swerve_past(obstacle: Obstacle, to_left: bool, speed: float, fast: float, k: Numbers) -> Swerve:
    """The swerve that passes the obstacle on one side at up to `fast` m/s. One that moves is met farther on."""
    aside = obstacle.left + k.half_width + obstacle.gap if to_left else obstacle.right - k.half_width - obstacle.gap
    ahead, beyond = obstacle.first - k.half_length - k.fixed_gap, obstacle.last + k.half_length + k.clear_gap
    faster = max(fast - obstacle.speed, FASTER_MPS)
    out = ahead + max(ahead, 0.0) / faster * obstacle.speed
    until = beyond + max(beyond, 0.0) / faster * obstacle.speed
    back = swerve_length(aside, max(speed, 0.7 * fast), k)
    return Swerve(aside, out - swerve_length(aside, max(speed, SWING_MPS), k), out, until, until + back)


@rule
def has_room(room: NDArray[np.float32], swerve: Swerve, oncoming: bool, k: Numbers) -> bool:
    """Whether the road is wide enough, with or without the oncoming lanes.

    Where it gets narrow close to the end of the obstacle a junction begins, and there is room in it.
    """
    if swerve.until > FARTHEST_M or (oncoming and swerve.until - max(swerve.out, 0.0) > ONCOMING_M):
        return False
    need = abs(swerve.aside) + k.half_width + k.edge_gap
    side = RIGHT if swerve.aside < 0.0 else (ONCOMING if oncoming else LEFT)
    for i in range(max(int(swerve.out / ROUTE_SPACING_M), 0), min(int(swerve.until / ROUTE_SPACING_M) + 2, ROUTE_POINTS)):
        if room[i, side] < need and i * ROUTE_SPACING_M < swerve.until - JUNCTION_M:
            return False
    return room[max(int(swerve.out / ROUTE_SPACING_M), 0), side] >= need or swerve.out < 0.0


@rule
def is_open(
    objects: NDArray[np.float32],
    seen: Seen,
    swerve: Swerve,
    motion: NDArray[np.float64],
    others: Others,
    leaders: int,
    limit: float,
    reserve_s: float,
    k: Numbers,
) -> bool:
    """Whether the ego, driving `motion`, is past the obstacle before oncoming traffic is there, and nobody stands in its way.

    Oncoming traffic may gather speed up to the `limit`, m/s; `reserve_s` s more of its way are kept. Who is not in sight does not count.
    """
    for m in range(leaders):
        # who drives up to the obstacle ahead of the ego will stop there
        slow = QUEUE_MPS if others.lead[m, 0] < swerve.until else CREEP_MPS
        if others.lead[m, 1] < slow and others.lead[m, 0] < swerve.until + 2.0 * k.half_length:
            return False
    begins = max(swerve.begins, 0.0)
    enter_s, clear_s = begins + ENTER_SHARE * max(swerve.out - begins, 0.0), 0.5 * (swerve.until + swerve.ends)
    enter, clear = _time_to(motion, enter_s), _time_to(motion, clear_s)
    for m in range(objects.shape[0]):
        speed = objects[m, SPEED]
        if objects[m, KIND] == 0 or objects[m, KIND] == PEDESTRIAN or speed < STILL_MPS or math.cos(seen.turn[m]) > -0.7:
            continue
        if abs(seen.d[m] - swerve.aside) > seen.across[m] + k.half_width + k.lead_margin:
            continue
        # it is by before the ego is on its lane; whether they touch has been looked at
        if seen.s[m] + seen.along[m] - speed * enter < enter_s + k.half_length:
            continue
        if seen.s[m] - seen.along[m] - _oncoming_way(speed, limit, clear + reserve_s, k) > clear_s + k.half_length + 1.0:
            continue
        return False
    return True


@rule
def _oncoming_way(speed: float, limit: float, time_s: float, k: Numbers) -> float:
    """m that a vehicle drives in a time that gathers speed up to the limit."""
    gain = max(limit - speed, 0.0)
    speeding = min(time_s, gain / k.oncoming_accel)
    return speed * time_s + k.oncoming_accel * speeding * (time_s - 0.5 * speeding)


@rule
def _time_to(motion: NDArray[np.float64], s: float) -> float:
    """s until the motion is s m along the path; at its last speed beyond its end."""
    for j in range(TICKS + 1):
        if motion[j, 0] >= s:
            return j * WAYPOINT_S
    return float(TICKS * WAYPOINT_S + (s - motion[TICKS, 0]) / max(motion[TICKS, 1], 0.5))


@rule
def is_pressed(objects: NDArray[np.float32], seen: Seen, fast: float, k: Numbers) -> bool:
    """Whether somebody comes from behind on the ego's lane, close and faster than `fast` m/s."""
    for m in range(objects.shape[0]):
        if objects[m, KIND] == 0 or objects[m, SPEED] < fast + PRESSING_MPS or abs(seen.turn[m]) > ALIGNED:
            continue
        if -PRESSING_M < seen.s[m] < -k.half_length and abs(seen.d[m]) < seen.across[m] + k.half_width:
            return True
    return False


@rule
def swerve_for_others(objects: NDArray[np.float32], seen: Seen, room: NDArray[np.float32], speed: float, k: Numbers) -> tuple[bool, Swerve]:
    """Whether an emergency vehicle comes from behind, and the swerve that makes way: for it onto a lane to the right, else to the left, for
    oncoming vehicles that use a part of the ego's lane within the lane."""
    aside, yields = 0.0, False
    right, left = room[0, RIGHT], room[0, LEFT]
    for i in range(1, 20):
        right, left = min(right, room[i, RIGHT]), min(left, room[i, LEFT])
    spare, other = right - k.half_width - k.edge_gap, left - k.half_width - k.edge_gap
    for m in range(objects.shape[0]):
        siren = objects[m, KIND] == EMERGENCY and objects[m, SPEED] > 1.0 and max(spare, other) > 0.7 * YIELD_ASIDE_M
        behind = abs(seen.turn[m]) < ALIGNED and -YIELD_BEHIND_M < seen.s[m] < YIELD_AHEAD_M + seen.along[m]
        # the line is straight behind the ego, the road need not be: in an even bend half of the turn tells how far it has bent away
        bend = 0.5 * seen.turn[m] * min(seen.s[m], 0.0)
        if siren and behind and abs(seen.d[m] - bend) < YIELD_ASIDE_M:
            yields, aside = True, -min(YIELD_ASIDE_M, spare) if spare > 0.7 * YIELD_ASIDE_M else min(YIELD_ASIDE_M, other)
    if not yields:
        for m in range(objects.shape[0]):
            if objects[m, KIND] == 0 or objects[m, KIND] == PEDESTRIAN or objects[m, SPEED] < 1.0 or math.cos(seen.turn[m]) > -0.7:
                continue
            near = seen.d[m] - seen.across[m] - k.half_width
            if seen.d[m] > 0.0 and -k.half_width < near < NUDGE_GAP_M and -k.half_length < seen.s[m] < NUDGE_SIGHT_M:
                aside = min(aside, max(near - NUDGE_GAP_M, -NUDGE_M, -max(spare, 0.0)))
    return yields, Swerve(aside, 0.0, swerve_length(aside, max(speed, 2.0), k), 2.0 * FARTHEST_M, 3.0 * FARTHEST_M)
