"""The programme of the traffic lights: each junction goes through its phases, each phase is green, then yellow, then all is red.

The default times are those of the simulator (`carla_rl.world.signals`). A *controller* is one phase of one junction, as in CARLA.
Knows no actors.
"""

import math
import random
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from carla_rl.types import TICK_S
from carla_rl.world.signals import ALL_RED_TICKS, GREEN_TICKS, YELLOW_TICKS

RED, YELLOW, GREEN, OFF, UNKNOWN = range(5)
"""As CARLA numbers the states of a light."""
STAGES = (GREEN, YELLOW, RED)
EARLY_S = 1e-6
"""A stage is over when it is so little before its end: sums of time steps are not exact."""


class Times(NamedTuple):
    """Seconds of the stages of a controller; the order is that of STAGES."""

    green: float = GREEN_TICKS * TICK_S
    yellow: float = YELLOW_TICKS * TICK_S
    red: float = ALL_RED_TICKS * TICK_S


class Programme:
    """The lights of a map.

    Args:
        junctions: (T,) of each light.
        phases: (T,) likewise, from 0 without gaps.
        seed: where each junction starts in its cycle.
    """

    def __init__(self, junctions: NDArray[np.integer], phases: NDArray[np.integer], seed: int) -> None:
        self.junctions, self.phases = junctions.tolist(), phases.tolist()
        self.states = np.full(len(self.junctions), RED, np.uint8)
        """(T,)"""
        self.elapsed = np.zeros(len(self.junctions))
        """(T,) s that each has been in its state."""
        self.frozen = False
        self.times = {key: Times() for key in zip(self.junctions, self.phases, strict=True)}
        """Of each controller: (junction, phase)."""
        self.changed = True
        """Times have changed since somebody has set this to False."""
        self._members = {
            key: [i for i, own in enumerate(zip(self.junctions, self.phases, strict=True)) if own == key] for key in self.times
        }
        self._now: dict[int, tuple[int, int, float]] = {}
        """By junction: phase, stage, seconds left of it, less those in `_passed`."""
        self._passed, self._soonest = 0.0, 0.0
        for junction in sorted(set(self.junctions)):
            self._now[junction] = (0, 0, self.times[junction, 0].green)
            draw = random.Random(f"{seed} {junction}")
            self._show(junction)
            self._pass(junction, draw.uniform(0.0, self.cycle(junction)))

    def cycle(self, junction: int) -> float:
        """Seconds of a whole cycle."""
        return sum(sum(times) for key, times in self.times.items() if key[0] == junction)

    def group(self, light: int) -> list[int]:
        """All lights of the junction of a light."""
        return [i for i, junction in enumerate(self.junctions) if junction == self.junctions[light]]

    def advance(self, dt: float) -> None:
        """Let time pass."""
        if self.frozen:
            return
        self.elapsed += dt
        self._passed += dt
        if self._soonest - self._passed <= EARLY_S:
            self._catch_up()

    def set_state(self, light: int, state: int) -> None:
        """A light's state until its junction goes on to the next stage."""
        self.states[light], self.elapsed[light] = state, 0.0

    def set_time(self, light: int, stage: int, seconds: float) -> None:
        """How long a stage of the light's controller takes, from the next time on."""
        key = (self.junctions[light], self.phases[light])
        self.times[key] = Times(*(seconds if number == stage else value for number, value in enumerate(self.times[key])))
        self.changed = True

    def reset(self, junctions: set[int] | None = None) -> None:
        """Begin the cycles anew, with the times that are set; of some junctions only, if wanted."""
        self._catch_up()
        for junction in self._now:
            if junctions is None or junction in junctions:
                self._now[junction] = (0, 0, self.times[junction, 0].green)
                self._show(junction)
        self._soonest = min((left for _, _, left in self._now.values()), default=math.inf)

    def _catch_up(self) -> None:
        """Let the time that has passed pass at every junction."""
        for junction in self._now:
            self._pass(junction, self._passed)
        self._passed = 0.0
        self._soonest = min((left for _, _, left in self._now.values()), default=math.inf)

    def _pass(self, junction: int, seconds: float) -> None:
        """Let time pass at one junction; a cycle without any time in it stays where it is."""
        phase, stage, left = self._now[junction]
        if self.cycle(junction) <= EARLY_S:
            return
        while seconds >= left - EARLY_S:
            seconds = max(seconds - left, 0.0)
            stage += 1
            if stage == len(STAGES):
                phase, stage = (phase + 1) % (1 + max(own for at, own in self.times if at == junction)), 0
            left = self.times[junction, phase][stage]
            self._now[junction] = (phase, stage, left)
            self._show(junction)
        self._now[junction] = (phase, stage, left - seconds)

    def _show(self, junction: int) -> None:
        """Write the junction's states; those that change have been so for 0 s."""
        phase, stage, _ = self._now[junction]
        for (at, own), lights in self._members.items():
            if at == junction:
                state = STAGES[stage] if own == phase else RED
                for light in lights:
                    if self.states[light] != state:
                        self.states[light], self.elapsed[light] = state, 0.0
