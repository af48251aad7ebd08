"""The programme of the traffic lights, by the rules of CARLA's server (`TrafficLightController.cpp`, `TrafficLightGroup.cpp` of 0.9.16).

A *controller* is one phase of one junction. The controllers of a junction take turns: the one whose turn it is goes through green, yellow
and red, the others wait where they are. A stage is over when it has lasted as long as is set at that moment. What is set of a single light
holds until its controller's next stage. The default times are those of the simulator (`carla_rl.world.signals`). Knows no actors.
"""

import random
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from carla_rl.types import TICK_S
from carla_rl.world.compiled import Bound, kernel
from carla_rl.world.signals import ALL_RED_TICKS, GREEN_TICKS, YELLOW_TICKS

RED, YELLOW, GREEN, OFF, UNKNOWN = range(5)
"""As CARLA numbers the states of a light."""
STAGES = (GREEN, YELLOW, RED)
LAST = len(STAGES) - 1
EARLY_S = 1e-6
"""A stage is over when it is so little before its end: sums of time steps are not exact."""

Key = tuple[int, int]
"""A controller: junction, phase."""


class Times(NamedTuple):
    """Seconds of the stages of a controller; the order is that of STAGES."""

    green: float = GREEN_TICKS * TICK_S
    yellow: float = YELLOW_TICKS * TICK_S
    red: float = ALL_RED_TICKS * TICK_S


@kernel
def pass_time(runs: NDArray[np.bool_], ends: NDArray[np.float64], elapsed: NDArray[np.float64], dt: float) -> bool:
    """Let time pass for the lights for which it does; whether a stage of one is over. Nearly all ticks end here."""
    over = False
    for i in range(len(runs)):
        if runs[i]:
            elapsed[i] += dt
            over = over or elapsed[i] >= ends[i]
    return over


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
        """(T,) s that the light's controller has been in its stage; 0 while it waits for its turn."""
        self.frozen = np.zeros(len(self.junctions), np.bool_)
        """(T,) whether time stands still at the light's junction."""
        keys = list(zip(self.junctions, self.phases, strict=True))
        self.times = {key: Times() for key in keys}
        """Of each controller: (junction, phase)."""
        self.changed = True
        """Times have changed since somebody has set this to False."""
        self._members = {key: np.flatnonzero([own == key for own in keys]) for key in self.times}
        self._keys = {junction: [item for item in self._members.items() if item[0][0] == junction] for junction in self.junctions}
        self._turn: dict[int, int] = {}
        """By junction: the phase whose turn it is."""
        self._stage = dict.fromkeys(self.times, LAST)
        self._runs = np.zeros(len(self.junctions), np.bool_)
        """(T,) whether time passes for the light: its controller has the turn and is not frozen."""
        self._ends = np.zeros(len(self.junctions))
        """(T,) s of `elapsed` at which the stage of such a light is over."""
        self._pass = Bound(pass_time)
        for junction in sorted(set(self.junctions)):
            self._begin(junction, 0)
            self._skip(junction, random.Random(f"{seed} {junction}").uniform(0.0, self.cycle(junction)))

    def cycle(self, junction: int) -> float:
        """Seconds of a whole cycle."""
        return sum(sum(times) for key, times in self.times.items() if key[0] == junction)

    def group(self, light: int) -> list[int]:
        """All lights of the junction of a light."""
        return [i for i, junction in enumerate(self.junctions) if junction == self.junctions[light]]

    def advance(self, dt: float) -> None:
        """Let time pass; a controller goes on by one stage at most."""
        arguments = (self._runs, self._ends, self.elapsed, dt)
        if self._pass.entry(arguments)(*arguments):
            over = np.flatnonzero(self._runs & (self.elapsed >= self._ends))
            for junction in sorted({self.junctions[light] for light in over}):
                self._next(junction, self._turn[junction])

    def freeze(self, frozen: bool, light: int | None = None) -> None:
        """Let time stand still, or go on, at the junction of a light, or everywhere."""
        self.frozen[slice(None) if light is None else self.group(light)] = frozen
        for junction in self._turn:
            self._plan(junction)

    def set_state(self, light: int, state: int) -> None:
        """A light's state until its controller's next stage; the programme's time goes on as it was."""
        self.states[light] = state

    def set_time(self, light: int, stage: int, seconds: float) -> None:
        """How long a stage of the light's controller takes, the present one included."""
        key = (self.junctions[light], self.phases[light])
        self.times[key] = Times(*(seconds if number == stage else value for number, value in enumerate(self.times[key])))
        self.changed = True
        self._plan(key[0])

    def reset(self, junctions: set[int] | None = None) -> None:
        """Begin the cycles anew, with the times that are set; of some junctions only, if wanted."""
        for junction in self._turn:
            if junctions is None or junction in junctions:
                for key in self.times:
                    if key[0] == junction:
                        self._show(key, LAST)
                self._begin(junction, 0)

    def _skip(self, junction: int, seconds: float) -> None:
        """Begin so far into the cycle."""
        while seconds >= (left := self.times[key := (junction, self._turn[junction])][self._stage[key]]):
            seconds -= left
            self._next(*key)
        self.elapsed[self._members[key]] = seconds

    def _next(self, junction: int, phase: int) -> None:
        key = (junction, phase)
        if self._stage[key] < LAST:
            self._show(key, self._stage[key] + 1)
        else:
            self.elapsed[self._members[key]] = 0.0
            self._begin(junction, phase + 1 if (junction, phase + 1) in self.times else 0)

    def _begin(self, junction: int, phase: int) -> None:
        self._turn[junction] = phase
        self._show((junction, phase), 0)

    def _show(self, key: Key, stage: int) -> None:
        """Put a controller at the beginning of a stage, and its lights with it."""
        self._stage[key] = stage
        lights = self._members[key]
        self.states[lights], self.elapsed[lights] = STAGES[stage], 0.0
        self._plan(key[0])

    def _plan(self, junction: int) -> None:
        """Note for whom time passes at a junction, and until when: so that a tick without a change costs next to nothing."""
        for key, lights in self._keys[junction]:
            self._runs[lights] = key[1] == self._turn.get(junction) and not self.frozen[lights[0]]
            self._ends[lights] = self.times[key][self._stage[key]] - EARLY_S
