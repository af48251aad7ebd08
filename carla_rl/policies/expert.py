"""The rule-based expert: plans the same waypoints as a learned policy, from ground-truth objects, lights, limits, the route and its room.

A pure function of the observation, without memory, so that it can be asked what it would do in states that another policy reached.
Knows no simulator; the rules are in `expert_path` (where), `expert_passing` (where else), `expert_forecast` (who else) and `expert_motion`
(how fast).
"""

import math
from typing import NamedTuple

import numba
import numpy as np
from numpy.typing import NDArray

from carla_rl.compiled import rule
from carla_rl.policies.expert_forecast import Others, Seen, X, Y, empty_others, empty_seen, foresee, survey
from carla_rl.policies.expert_motion import BRAKE, CANDIDATES, TICKS, choose, first_meeting, move, speed_profile, stop_line
from carla_rl.policies.expert_numbers import ExpertConfig, Numbers
from carla_rl.policies.expert_passing import (
    GREEN,
    LEFT,
    OUT_SHARE,
    Obstacle,
    find_obstacle,
    has_room,
    is_open,
    is_pressed,
    queue_end,
    swerve_for_others,
    swerve_past,
    wait_before,
)
from carla_rl.policies.expert_path import ROWS, Path, Swerve, build_path, ego_offset, empty_path, lay_route, pose_at, row_at
from carla_rl.types import HORIZON, Bools, Needs, Observation, Plan

OBJECTS, SIGHT_M = 48, 120.0
"""Objects that the expert looks at, and how far: who comes at 50 km/h is there 5 s after the ego has seen it from behind an obstacle,"""
NEAR_M = 60.0
"""but those farther away than this matter as oncoming traffic only."""
YIELD_SHARE = 0.5
"""Of its speed, while an emergency vehicle passes."""
BEGUN_M = 0.7
"""The ego has set off to pass when it is so much nearer than where it would wait."""
ON_EDGE_M = 0.4
"""So far over the edge of its lanes it is not in the way of oncoming traffic."""
STANDS_MPS = 0.5
RESERVE_S = (1.0, 0.2)
"""s of the oncoming traffic's speed that are kept: before the ego has swung out, and after."""


class Scratch(NamedTuple):
    """What the kernel works on, one env after the other."""

    line: Path
    path: Path
    seen: Seen
    others: Others
    top: NDArray[np.float64]
    """(ROWS,)"""
    motion: NDArray[np.float64]
    """(TICKS + 1, 2)"""


class Expert:
    """`carla_rl.interfaces.Policy` without memory; privileged, as its needs declare."""

    name = "expert"
    needs = Needs(route=True, objects=OBJECTS, objects_m=SIGHT_M, lights=True, speed_limit=True, room=True)
    horizon = HORIZON

    def __init__(self, config: ExpertConfig | None = None):
        """`config` None takes the numbers as they stand in `ExpertConfig`."""
        self.config = config or ExpertConfig()

    def reset(self, envs: Bools) -> None:
        """Nothing to forget."""

    def plan(self, observation: Observation) -> Plan:
        """(N, HORIZON, 2) waypoints along the route or beside it.

        Raises:
            ValueError: the observation lacks something that `needs` declares.
        """
        o = observation
        if o.route is None or o.objects is None or o.light is None or o.stop_sign is None or o.speed_limit is None or o.room is None:
            raise ValueError("the expert needs route, room, objects, lights and speed limit; the observation lacks one of them")
        waypoints = np.empty((len(o), self.horizon, 2), np.float32)
        rows = o.objects.shape[1]
        scratch = Scratch(empty_path(), empty_path(), empty_seen(rows), empty_others(rows), np.empty(ROWS), np.empty((TICKS + 1, 2)))
        numbers = self.config.numbers()
        _plan_all(o.speed, o.yaw_rate, o.route, o.room, o.objects, o.light, o.stop_sign, o.speed_limit, numbers, scratch, waypoints)
        return Plan(waypoints=waypoints)


@numba.njit(cache=True, error_model="numpy", _nrt=False, no_cfunc_wrapper=True)
def _plan_all(
    speed: NDArray[np.float32],
    yaw_rate: NDArray[np.float32],
    route: NDArray[np.float32],
    room: NDArray[np.float32],
    objects: NDArray[np.float32],
    light: NDArray[np.float32],
    stop_sign: NDArray[np.float32],
    speed_limit: NDArray[np.float32],
    k: Numbers,
    scratch: Scratch,
    waypoints: NDArray[np.float32],
) -> None:
    for i in range(speed.shape[0]):
        # one type, so that nothing is compiled for two
        v, turning, limit = np.float64(speed[i]), np.float64(yaw_rate[i]), np.float64(speed_limit[i])
        lay_route(route[i], scratch.line)
        survey(objects[i], scratch.line, scratch.seen)
        near = 0
        while near < objects.shape[1] and objects[i, near, X] ** 2 + objects[i, near, Y] ** 2 <= NEAR_M * NEAR_M:
            near += 1
        stop = stop_line(light[i], stop_sign[i], v, k)
        _drive(v, turning, limit, stop, room[i], objects[i, :near], objects[i], light[i], k, scratch)
        row = 0
        for j in range(waypoints.shape[1]):
            row = row_at(scratch.path, scratch.motion[j + 1, 0], row)
            x, y, _ = pose_at(scratch.path, scratch.motion[j + 1, 0], row)
            waypoints[i, j, 0], waypoints[i, j, 1] = x, y


@numba.njit(inline="always")
def _drive(
    speed: float,
    yaw_rate: float,
    limit: float,
    stop: float,
    room: NDArray[np.float32],
    objects: NDArray[np.float32],
    sight: NDArray[np.float32],
    light: NDArray[np.float32],
    k: Numbers,
    scratch: Scratch,
) -> None:
    """Set path and motion of one env: past the obstacle ahead where that is free, else behind it; without one on the route's line."""
    fast = limit * (1.0 if is_pressed(objects, scratch.seen, limit * k.limit_factor, k) else k.limit_factor)
    obstacle = find_obstacle(objects, scratch.seen, light, k)
    least = math.inf
    if obstacle.first < math.inf and fast > obstacle.speed:
        here = ego_offset(scratch.line)
        near_left = abs(obstacle.left) <= abs(obstacle.right) if abs(here) < OUT_SHARE else here > 0.0
        for attempt in range(3):
            # either side among the ego's lanes, the shorter way first, then the oncoming lanes
            oncoming = attempt == 2
            to_left = oncoming or (attempt == 0) == near_left
            swerve = swerve_past(obstacle, to_left, speed, limit if oncoming else fast, k)
            if not has_room(room, swerve, oncoming, k):
                continue
            least = min(least, abs(swerve.aside))
            if _pass(speed, yaw_rate, limit, stop, oncoming, obstacle, swerve, room, objects, sight, light, k, scratch):
                return
        if least == math.inf:
            least = k.half_width + obstacle.gap + min(abs(obstacle.left), abs(obstacle.right))
    yields, swerve = swerve_for_others(sight, scratch.seen, room, speed, k)
    if obstacle.first < math.inf:
        swerve = Swerve(0.0, 0.0, 0.0, 0.0, 0.0)
        if obstacle.speed < STANDS_MPS and least < math.inf:
            end = queue_end(objects, scratch.seen, obstacle.first, k)
            if end < obstacle.first:
                least = max(least, 2.0 * k.half_width + k.pass_gap)
            stop = min(stop, max(end - k.half_length - wait_before(least, k), 0.0))
    elif yields:
        fast *= YIELD_SHARE
    _stay(speed, yaw_rate, fast, stop, swerve, objects, k, scratch)


@rule
def _stay(
    speed: float, yaw_rate: float, fast: float, stop: float, swerve: Swerve, objects: NDArray[np.float32], k: Numbers, scratch: Scratch
) -> None:
    """Set path and motion behind all that is ahead, beside the route's line if nobody is there, else on it."""
    chosen = CANDIDATES
    while chosen >= BRAKE:
        build_path(scratch.line, speed, yaw_rate, swerve, k, scratch.path)
        speed_profile(scratch.path, fast, k, scratch.top)
        crossing, leaders = foresee(objects, scratch.seen, scratch.line, scratch.path, speed, False, 0.0, k, scratch.others)
        chosen = choose(scratch.path, scratch.top, speed, stop, scratch.others, crossing, leaders, k.accel, k, scratch.motion)
        if swerve.aside == 0.0:
            return
        swerve = Swerve(0.0, 0.0, 0.0, 0.0, 0.0)


@numba.njit(inline="always")
def _pass(
    speed: float,
    yaw_rate: float,
    limit: float,
    stop: float,
    oncoming: bool,
    obstacle: Obstacle,
    swerve: Swerve,
    room: NDArray[np.float32],
    objects: NDArray[np.float32],
    sight: NDArray[np.float32],
    light: NDArray[np.float32],
    k: Numbers,
    scratch: Scratch,
) -> bool:
    """Set path and motion past the obstacle. False where that is not free and the ego can still stay behind it.

    An ego that has left the place where it would wait goes on, or stands until the oncoming lane is free again as long as it is not on it.
    """
    path, top, others, motion = scratch.path, scratch.top, scratch.others, scratch.motion
    here, gap = ego_offset(scratch.line), obstacle.first - k.half_length
    out = here / swerve.aside > OUT_SHARE
    beside = out and gap < 1.0 + speed * speed / (2.0 * k.hard_brake)
    begun = beside or (here / swerve.aside > 0.0 and obstacle.speed < STANDS_MPS and 0.0 < gap < wait_before(swerve.aside, k) - BEGUN_M)
    if not begun and light[1] > GREEN and light[0] < swerve.until + k.half_length:
        return False
    accel, fast = (k.pass_accel, limit) if oncoming else (k.accel, limit * k.limit_factor)
    build_path(scratch.line, speed, yaw_rate, swerve, k, path)
    speed_profile(path, fast, k, top)
    crossing, leaders = foresee(objects, scratch.seen, scratch.line, path, speed, True, 0.0 if begun else k.fixed_gap, k, others)
    move(path, top, speed, stop, math.inf, 0.0, accel, others, leaders, k, motion)
    free = first_meeting(path, motion, others, crossing, k)[0] < 0
    free = free and is_open(sight, scratch.seen, swerve, motion, others, leaders, limit, RESERVE_S[1] if out else RESERVE_S[0], k)
    if begun and not free:
        # the front's left corner reaches farthest
        reach = abs(here) + k.half_width + k.half_length * abs(math.sin(scratch.line.yaw[0]))
        if oncoming and not beside and reach < room[0, LEFT] + ON_EDGE_M:
            stop = 0.0
        choose(path, top, speed, stop, others, crossing, leaders, accel, k, motion)
    return free or begun
