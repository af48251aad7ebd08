"""The lights: every junction's cycle, a function of the tick alone. Knows nothing of who looks at them."""

import numpy as np

from carla_rl.types import LightState
from toy_env.compiled import compiled
from toy_env.rng import pick
from toy_env.town import Town

GREEN_TICKS = 200
"""10 s."""
YELLOW_TICKS = 60
"""3 s."""
ALL_RED_TICKS = 40
"""2 s."""
PHASE_TICKS = GREEN_TICKS + YELLOW_TICKS + ALL_RED_TICKS

GREEN = int(LightState.GREEN)
YELLOW = int(LightState.YELLOW)
RED = int(LightState.RED)
LIGHTS_STREAM = np.uint64(0x11687)


@compiled
def phase_state(tick: int, phase: int, phases: int) -> int:
    """`LightState` of a signal of `phase` at `tick` of its junction's cycle of `phases` phases."""
    into = tick % (phases * PHASE_TICKS) - phase * PHASE_TICKS
    if into < 0 or into >= GREEN_TICKS + YELLOW_TICKS:
        return RED
    return GREEN if into < GREEN_TICKS else YELLOW


@compiled
def light_state(town: Town, signal: int, seed: np.uint64, tick: int) -> int:
    """`LightState` of a signal at a tick of the episode with this seed: each junction's cycle starts somewhere else."""
    light = town.signals[signal]
    offset = pick(seed ^ LIGHTS_STREAM, light.junction, light.phases * PHASE_TICKS)
    return int(phase_state(tick + offset, light.phase, light.phases))
