"""Lanes as paths: where a place on a lane is, which lane comes next, what stands in the way. Knows nothing of traffic rules.

Which successor an actor takes at the end of a lane is a function of its seed and the lane, so a path ahead need not be stored.
"""

import math

import numpy as np

from carla_rl.geometry import wrap
from carla_rl.world.compiled import inline_rule, rule
from carla_rl.world.rng import pick
from carla_rl.world.state import Record
from carla_rl.world.town import Town

CLEAR = 1.0e9
"""A gap where nothing stands in the way, m."""
SIDE_ROOM_M = 0.25
"""m kept to the side of things that are passed."""
BRIDGE_M = 3.0
"""Things whose heights differ by more are on different roads."""


@inline_rule
def next_lane(town: Town, seed: np.uint64, lane: int) -> int:
    """The lane that the actor with this seed takes at the end of `lane`, -1 where the road ends."""
    row = town.lanes[lane]
    if row.only >= 0:
        return int(row.only)
    first = row.succ_first
    count = row.succ_end - first
    if count == 0:
        return -1
    return int(town.table[first + pick(seed, lane, count)])


@rule
def nearest_sample(town: Town, x: float, y: float, z: float) -> int:
    """The sample of a driving or parking lane nearest to a point, -1 where there is none in its cell of the index.

    Samples more than BRIDGE_M above or below are not on the same road.
    """
    grid = town.grid[0]
    column = int((x - grid.cell_x0) // grid.cell_m)
    row = int((y - grid.cell_y0) // grid.cell_m)
    if column < 0 or row < 0 or column >= grid.cell_nx or row >= grid.cell_ny:
        return -1
    cell = grid.cell_first + row * grid.cell_nx + column
    best, chosen = 1.0e18, -1
    for place in range(town.table[cell], town.table[cell + 1]):
        k = town.table[place]
        sample = town.samples[k]
        dx, dy = sample.x - x, sample.y - y
        away = dx * dx + dy * dy
        if away < best and abs(sample.z - z) < BRIDGE_M:
            best, chosen = away, k
    return chosen


@inline_rule
def put(town: Town, actor: Record) -> None:
    """Set the pose of an actor from its lane, s and lateral; its heading becomes the lane's. Its sample becomes the one before it."""
    lane = town.lanes[actor.lane]
    k, first, last = actor.sample, lane.first, lane.last - 1
    while k < last and town.samples[k].next_s <= actor.s:
        k += 1
    while k > first and (k > last or town.samples[k].s > actor.s):
        k -= 1
    actor.sample = k
    sample = town.samples[k]
    past = actor.s - sample.s
    actor.x = sample.x + past * sample.x_slope
    actor.y = sample.y + past * sample.y_slope
    actor.z = sample.z
    actor.yaw = wrap(sample.yaw + past * sample.yaw_slope)
    if actor.lateral != 0.0:
        actor.x -= actor.lateral * math.sin(actor.yaw)
        actor.y += actor.lateral * math.cos(actor.yaw)


@rule
def gap_on_path(
    town: Town, me: Record, reach: float, x: float, y: float, yaw: float, half_length: float, half_width: float
) -> tuple[float, float]:
    """How far `me` can go before it touches a box: (gap from its front in m, cosine between the box's heading and the path there).

    (CLEAR, 0) if the box is not within `reach` m on its path. The path is the centre line of its lanes, as wide as itself.
    """
    lane, k, gone = me.lane, me.sample, -(me.s - town.samples[me.sample].s)
    far = half_length + half_width + me.half_width + 2.0
    while True:
        here = town.samples[k]
        dx, dy = x - here.x, y - here.y
        if dx * dx + dy * dy < far * far:
            c, s = math.cos(here.yaw), math.sin(here.yaw)
            ahead, aside = dx * c + dy * s, dy * c - dx * s
            cd = math.cos(yaw - here.yaw)
            sd = math.sqrt(max(0.0, 1.0 - cd * cd))
            along = half_length * abs(cd) + half_width * sd
            across = half_length * sd + half_width * abs(cd)
            if abs(aside) < across + me.half_width + SIDE_ROOM_M and ahead >= 0.0 - along and ahead <= along + 2.0 and gone + ahead > 0.0:
                return gone + ahead - along - me.half_length, cd
        k += 1
        if k >= town.lanes[lane].last:
            # the last sample of a lane is the first of the next
            gone_end = gone + town.lanes[lane].length - here.s
            lane = next_lane(town, me.seed, lane)
            if lane < 0:
                return CLEAR, 0.0
            k, gone = town.lanes[lane].first, gone_end
        else:
            gone += town.samples[k].s - here.s
        if gone > reach:
            return CLEAR, 0.0
