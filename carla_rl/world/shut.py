"""Junctions that a script has shut: who of the background stays out. Knows nothing of how a vehicle stops."""

from carla_rl.world.compiled import rule
from carla_rl.world.state import Record
from carla_rl.world.town import Town

SAME_PLACE_M = 1.0
"""Lanes into a junction that begin within this come from the same lane."""
COMMITTED_M = 0.5
"""Who has its front so far over the line drives on."""
LOOK_M = 8.0
"""m before the line from which a standing vehicle stays out; a moving one from its stopping distance on top."""


@rule
def is_before_ego(town: Town, world: Record, me: Record) -> bool:
    """Whether `me` stands between the ego and the junction that both come to, from the same side: it has to make way, shut or not."""
    if world.entry < 0 or me.entry_m > world.entry_m:
        return False
    mine, its = town.samples[town.lanes[me.entry].first], town.samples[town.lanes[world.entry].first]
    dx, dy = mine.x - its.x, mine.y - its.y
    return bool(dx * dx + dy * dy < SAME_PLACE_M * SAME_PLACE_M)


@rule
def keeps_out(town: Town, world: Record, me: Record) -> bool:
    """Whether `me`, whose place before the junction is known, has to stay before one that is shut, and is near enough to stop now."""
    if world.shut_junction < 0 or me.entry < 0 or town.lanes[me.entry].junction != world.shut_junction:
        return False
    line_m = me.entry_m - me.half_length
    if line_m < -COMMITTED_M or line_m > LOOK_M + me.speed * me.speed / 4.0:
        return False
    return not is_before_ego(town, world, me)
