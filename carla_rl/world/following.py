"""How a vehicle follows what is ahead of it: the Intelligent Driver Model (Treiber, Hennecke and Helbing 2000). Knows no roads."""

import math

from carla_rl.world.compiled import inline_rule
from carla_rl.world.paths import CLEAR

IDM_ACCEL = 2.0
"""m/s^2."""
IDM_BRAKE = 2.5
"""m/s^2, comfortable."""
IDM_ROOM_M = 2.0
"""m between bumpers at rest."""
HARDEST_BRAKE = 8.0
"""m/s^2."""
DECIDE_TICKS = 4
"""A vehicle decides every so many ticks and keeps its acceleration in between: its reaction time."""
SLOW_MPS = 0.1
SCRIPT_BRAKE = 6.0
"""m/s^2 of a vehicle that a script lets brake hard."""


@inline_rule
def idm(speed: float, wish: float, gap: float, lead_speed: float, headway: float) -> float:
    """Acceleration in m/s^2 of a vehicle that wishes to go `wish` m/s and follows something `gap` m ahead of its bumper."""
    ratio = speed / max(wish, 0.5)
    ratio *= ratio
    free = 1.0 - ratio * ratio
    if gap >= CLEAR:
        return max(IDM_ACCEL * free, -HARDEST_BRAKE)
    keep = IDM_ROOM_M + max(0.0, speed * headway + speed * (speed - lead_speed) / (2.0 * math.sqrt(IDM_ACCEL * IDM_BRAKE)))
    near = keep / max(gap, 0.1)
    return max(IDM_ACCEL * (free - near * near), -HARDEST_BRAKE)
