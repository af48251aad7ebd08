"""Lanes as paths: where a place on a lane is, which lane comes next, what stands in the way. Knows nothing of traffic rules.

Which successor an actor takes at the end of a lane is a function of its seed and the lane, so a path ahead need not be stored.
"""

import math

import numpy as np

from carla_rl.geometry import wrap
from toy_env.compiled import compiled
from toy_env.rng import pick
from toy_env.state import Record
from toy_env.town import Town

CLEAR = 1.0e9
"""A gap where nothing stands in the way, m."""
SIDE_ROOM_M = 0.25
"""m kept to the side of things that are passed."""
BRIDGE_M = 3.0
"""Things whose heights differ by more are on different roads."""


@compiled
def next_lane(town: Town, seed: np.uint64, lane: int) -> int:
    """The lane that the actor with this seed takes at the end of `lane`, -1 where the road ends."""
    first = town.lanes[lane].succ_first
    count = town.lanes[lane].succ_end - first
    if count == 0:
        return -1
    if count == 1:
        return int(town.successors[first])
    return int(town.successors[first + pick(seed, lane, count)])


@compiled
def sample_before(town: Town, lane: int, sample: int, s: float) -> int:
    """The last sample of the lane at or before s that has one after it, searched from `sample`, one of the lane's."""
    first, last = town.lanes[lane].first, town.lanes[lane].last - 1
    while sample < last and town.samples[sample + 1].s <= s:
        sample += 1
    while sample > first and town.samples[sample].s > s:
        sample -= 1
    return int(max(min(sample, last), first))


@compiled
def nearest_sample(town: Town, x: float, y: float, z: float) -> int:
    """The sample of a driving or parking lane nearest to a point, -1 where there is none in its cell of the index.

    Samples more than BRIDGE_M above or below are not on the same road.
    """
    column = int((x - town.cell_x0) // town.cell_m)
    row = int((y - town.cell_y0) // town.cell_m)
    if column < 0 or row < 0 or column >= town.cell_nx or row >= town.cell_ny:
        return -1
    cell = row * town.cell_nx + column
    best, chosen = 1.0e18, -1
    for place in range(town.cell_start[cell], town.cell_start[cell + 1]):
        k = town.cell_sample[place]
        dx, dy = town.samples[k].x - x, town.samples[k].y - y
        away = dx * dx + dy * dy
        if away < best and abs(town.samples[k].z - z) < BRIDGE_M:
            best, chosen = away, k
    return chosen


@compiled
def nearest_on(town: Town, lane: int, x: float, y: float) -> int:
    """The sample of a lane nearest to a point."""
    best, chosen = 1.0e18, town.lanes[lane].first
    for k in range(town.lanes[lane].first, town.lanes[lane].last + 1):
        dx, dy = town.samples[k].x - x, town.samples[k].y - y
        if dx * dx + dy * dy < best:
            best, chosen = dx * dx + dy * dy, k
    return int(chosen)


@compiled
def put(town: Town, actor: Record) -> None:
    """Set the pose of an actor from its lane, s and lateral; its heading becomes the lane's."""
    k = sample_before(town, actor.lane, actor.sample, actor.s)
    actor.sample = k
    span = town.samples[k + 1].s - town.samples[k].s
    share = (actor.s - town.samples[k].s) / span if span > 0.0 else 0.0
    x = town.samples[k].x + share * (town.samples[k + 1].x - town.samples[k].x)
    y = town.samples[k].y + share * (town.samples[k + 1].y - town.samples[k].y)
    actor.z = town.samples[k].z + share * (town.samples[k + 1].z - town.samples[k].z)
    yaw = wrap(town.samples[k].yaw + share * wrap(town.samples[k + 1].yaw - town.samples[k].yaw))
    if actor.lateral != 0.0:
        x -= actor.lateral * math.sin(yaw)
        y += actor.lateral * math.cos(yaw)
    actor.x, actor.y, actor.yaw = x, y, yaw


@compiled
def gap_on_path(
    town: Town, me: Record, reach: float, x: float, y: float, yaw: float, half_length: float, half_width: float
) -> tuple[float, float]:
    """How far `me` can go before it touches a box: (gap from its front in m, cosine between the box's heading and the path there).

    (CLEAR, 0) if the box is not within `reach` m on its path. The path is the centre line of its lanes, as wide as itself.
    """
    lane, k, gone = me.lane, me.sample, -(me.s - town.samples[me.sample].s)
    while True:
        dx, dy = x - town.samples[k].x, y - town.samples[k].y
        far = half_length + half_width + me.half_width + 2.0
        if dx * dx + dy * dy < far * far:
            c, s = math.cos(town.samples[k].yaw), math.sin(town.samples[k].yaw)
            ahead, aside = dx * c + dy * s, dy * c - dx * s
            cd = math.cos(yaw - town.samples[k].yaw)
            sd = math.sqrt(max(0.0, 1.0 - cd * cd))
            along = half_length * abs(cd) + half_width * sd
            across = half_length * sd + half_width * abs(cd)
            if abs(aside) < across + me.half_width + SIDE_ROOM_M and ahead >= 0.0 - along and ahead <= along + 2.0 and gone + ahead > 0.0:
                return gone + ahead - along - me.half_length, cd
        k += 1
        if k >= town.lanes[lane].last:
            # the last sample of a lane is the first of the next
            gone_end = gone + town.lanes[lane].length - town.samples[k - 1].s
            lane = next_lane(town, me.seed, lane)
            if lane < 0:
                return CLEAR, 0.0
            k, gone = town.lanes[lane].first, gone_end
        else:
            gone += town.samples[k].s - town.samples[k - 1].s
        if gone > reach:
            return CLEAR, 0.0
