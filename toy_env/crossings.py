"""Red lights and stop signs: what happens when the ego passes a stop line. Knows nothing of collisions.

Criteria RunningRedLightTest and RunningStopTest of `srunner/scenariomanager/scenarioatomics/atomic_criteria.py`. A stop line here is the end of the
last lane before a junction (`approach`), as wide as 1.2 times the lane.
"""

import math

from numba import njit

from carla_rl.geometry import to_local, wrap
from carla_rl.roads.network import Right
from carla_rl.types import Infraction
from toy_env.events import record
from toy_env.signals import RED, light_state
from toy_env.state import Record
from toy_env.town import Town

STOP = int(Right.STOP)
RED_LIGHT = int(Infraction.RED_LIGHT)
STOP_SIGN = int(Infraction.STOP_SIGN)

TAIL_SHARE = 0.8
"""The tail begins at this share of the half length behind the centre and ends TAIL_M behind the bumper."""
TAIL_M = 1.0
LINE_SHARE = 1.2
STOP_NEAR_M = 4.0
STOPPED_MPS = 0.1


@njit(cache=True)
def entered_lane(town: Town, world: Record) -> int:
    """The junction lane that the ego enters from its approach: the route's, else the one under it, else the first; -1 where there is none."""
    first, last = town.lanes[world.approach].succ_first, town.lanes[world.approach].succ_end
    chosen = -1
    for k in range(first, last):
        lane = town.successors[k]
        if lane == world.entry:
            return int(lane)
        if chosen < 0 or lane == world.lane:
            chosen = lane
    return chosen


@njit(cache=True)
def tail_crosses(world: Record, x: float, y: float, yaw: float, half_line: float) -> bool:
    """Whether the segment behind the ego's centre cuts the line at (x, y) across `yaw`, `half_line` m to either side."""
    near = TAIL_SHARE * world.half_length
    far = world.half_length + TAIL_M
    c, s = math.cos(world.yaw), math.sin(world.yaw)
    near_along, near_aside = to_local(world.x - near * c, world.y - near * s, x, y, yaw)
    far_along, far_aside = to_local(world.x - far * c, world.y - far * s, x, y, yaw)
    if near_along < 0.0 or far_along >= 0.0:
        return False
    share = near_along / (near_along - far_along)
    return bool(abs(near_aside + share * (far_aside - near_aside)) <= half_line)


@njit(cache=True)
def pass_lines(town: Town, world: Record, events: Record, counts: Record) -> None:
    """Note a stop at a stop sign; record a stop sign or a red light that is run in this tick."""
    if world.approach < 0:
        return
    entered = entered_lane(town, world)
    if entered < 0:
        return
    signal = town.lanes[entered].signal
    if signal < 0 and town.lanes[entered].entry != STOP:
        return
    end = town.lanes[world.approach].last
    x, y, yaw = town.samples[end].x, town.samples[end].y, town.samples[end].yaw
    if abs(wrap(world.yaw - yaw)) >= 0.5 * math.pi:
        return
    half_line = LINE_SHARE * town.samples[end].half_width
    if signal >= 0:
        if signal != world.red_light and tail_crosses(world, x, y, yaw, half_line):
            if light_state(town, signal, world.seed, world.tick) == RED:
                world.red_light = signal
                record(world, events, counts, RED_LIGHT, signal, 0.0)
        return
    along, aside = to_local(world.x, world.y, x, y, yaw)
    if abs(aside) > half_line:
        return
    if along < 0.0:
        if world.speed < STOPPED_MPS and along + world.half_length > -STOP_NEAR_M:
            world.stop_done = True
    elif along < 2.0 and not world.stop_done:
        # one infraction a line
        world.stop_done = True
        record(world, events, counts, STOP_SIGN, entered, 0.0)
