"""The lights: every junction's cycle, a function of the tick, and what a script makes of it. Knows nothing of who looks at them."""

import numpy as np

from carla_rl.types import LightState
from carla_rl.world.compiled import inline_rule
from carla_rl.world.rng import pick
from carla_rl.world.state import Record
from carla_rl.world.town import Town

GREEN_TICKS = 200
"""10 s."""
YELLOW_TICKS = 60
"""3 s."""
ALL_RED_TICKS = 40
"""2 s."""
PHASE_TICKS = GREEN_TICKS + YELLOW_TICKS + ALL_RED_TICKS
TOGETHER_TICKS = 15
"""How far lights that begin together are when an episode begins: the official leaderboard 2.1 ticks its world so often from the moment when
it has reset all lights to its agent's first step (counted in its calls to a server, 2026-11-22)."""

GREEN = int(LightState.GREEN)
YELLOW = int(LightState.YELLOW)
RED = int(LightState.RED)
LIGHTS_STREAM = np.uint64(0x11687)


@inline_rule
def phase_state(tick: int, phase: int, phases: int) -> int:
    """`LightState` of a signal of `phase` at `tick` of its junction's cycle of `phases` phases."""
    into = tick % (phases * PHASE_TICKS) - phase * PHASE_TICKS
    if into < 0 or into >= GREEN_TICKS + YELLOW_TICKS:
        return RED
    return GREEN if into < GREEN_TICKS else YELLOW


@inline_rule
def light_state(town: Town, world: Record, signal: int) -> int:
    """`LightState` of a signal in this world now, by its junction's cycle, unless a script holds it."""
    light = town.signals[signal]
    if light.junction == world.lights_junction:
        greens = world.lights_first if world.tick < world.lights_tick else world.lights_then
        return GREEN if (greens >> light.phase) & 1 else RED
    offset = TOGETHER_TICKS if world.lights_together else pick(world.seed ^ LIGHTS_STREAM, light.junction, light.phases * PHASE_TICKS)
    return int(phase_state(world.tick + offset, light.phase, light.phases))
