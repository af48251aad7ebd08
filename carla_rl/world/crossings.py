"""Red lights and stop signs: what happens when the ego passes a stop line. Knows nothing of collisions.

Criteria RunningRedLightTest and RunningStopTest of `srunner/scenariomanager/scenarioatomics/atomic_criteria.py`.
A stop line here is the end of the last lane before a junction (`approach`), as wide as 1.2 times the lane.
"""

import math

import numpy as np

from carla_rl.geometry import to_local, wrap
from carla_rl.roads.network import Right
from carla_rl.types import Infraction
from carla_rl.world.compiled import inline_rule, rule
from carla_rl.world.events import record
from carla_rl.world.signals import RED, light_state
from carla_rl.world.state import Record
from carla_rl.world.town import Town

STOP = int(Right.STOP)
RED_LIGHT = np.int64(Infraction.RED_LIGHT)
STOP_SIGN = np.int64(Infraction.STOP_SIGN)

TAIL_SHARE = 0.8
"""The tail begins at this share of the half length behind the centre and ends TAIL_M behind the bumper."""
TAIL_M = 1.0
LINE_SHARE = 1.2
LINE_NEAR_M = 15.0
"""Lines farther from the ego's centre are not looked at."""
PASSED_M = 2.0
"""m behind the line within which passing it is noticed."""
STOP_NEAR_M = 4.0
STOPPED_MPS = 0.1


@inline_rule
def entered_lane(town: Town, world: Record) -> int:
    """The lane that the ego enters from its approach: the route's, else the one under it, else the first; -1 where there is none."""
    first, last = town.lanes[world.approach].succ_first, town.lanes[world.approach].succ_end
    chosen = -1
    for k in range(first, last):
        lane = town.table[k]
        if lane == world.entry:
            return int(lane)
        if chosen < 0 or lane == world.lane:
            chosen = lane
    return chosen


@rule
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


@rule
def pass_light(town: Town, world: Record, signal: int, line: Record, events: Record, counts: Record) -> None:
    """RunningRedLightTest: record a red light when the ego's tail crosses its line. The light that was run last is not counted again."""
    if signal == world.red_light or not tail_crosses(world, line.x, line.y, line.yaw, LINE_SHARE * line.half_width):
        return
    if light_state(town, world, signal) == RED:
        world.red_light = signal
        record(world, events, counts, RED_LIGHT, signal, 0.0)


@rule
def pass_sign(world: Record, entered: int, line: Record, events: Record, counts: Record) -> None:
    """RunningStopTest: note a halt with the front within 4 m before the line; record a line that the ego's centre passes without one."""
    along, aside = to_local(world.x, world.y, line.x, line.y, line.yaw)
    if abs(aside) > LINE_SHARE * line.half_width:
        return
    if along < 0.0:
        if world.speed < STOPPED_MPS and along + world.half_length > -STOP_NEAR_M:
            world.stop_done = True
    elif along < PASSED_M and not world.stop_done:
        # one infraction a line
        world.stop_done = True
        record(world, events, counts, STOP_SIGN, entered, 0.0)


@inline_rule
def pass_lines(town: Town, world: Record, events: Record, counts: Record) -> None:
    """Judge the stop line at the end of the ego's approach, if the ego is near it and heads across it."""
    if world.approach < 0:
        return
    line = town.samples[town.lanes[world.approach].last]
    dx, dy = world.x - line.x, world.y - line.y
    if dx * dx + dy * dy > LINE_NEAR_M * LINE_NEAR_M or abs(wrap(world.yaw - line.yaw)) >= 0.5 * math.pi:
        return
    entered = entered_lane(town, world)
    if entered < 0:
        return
    if town.lanes[entered].signal >= 0:
        pass_light(town, world, town.lanes[entered].signal, line, events, counts)
    elif town.lanes[entered].entry == STOP:
        pass_sign(world, entered, line, events, counts)
