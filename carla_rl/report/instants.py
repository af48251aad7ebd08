"""A drive at any time: what a step log holds at its decisions, made smooth between them. Knows nothing of pictures."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from carla_rl.records.steps import StepLog

JUMP_M = 15.0
"""An actor that is farther away at the next decision was put elsewhere: it is not moved there."""

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Instant:
    """What there is at one time."""

    t: float
    decision: int
    """The decision in force."""
    x: float
    y: float
    yaw: float
    speed: float
    row: float
    """Place between the rows of the log: the decision and the share of it that is past."""
    actors: Floats
    """(A, 8), columns of `carla_rl.records.steps.ACTOR`, map frame."""
    lights: NDArray[np.int8]


class Instants:
    """Looks up instants of one log; lines up each decision's actors with the next one's once."""

    def __init__(self, log: StepLog) -> None:
        self._log = log
        self._yaw = np.unwrap(log.ego[:, 2].astype(np.float64))
        self._actors = log.actors.astype(np.float64)
        self._step = self._steps()

    @property
    def end(self) -> float:
        """s: when the episode ended."""
        return float(self._log.t[-1])

    def at(self, t: float) -> Instant:
        """The instant `t` s after the start, 0 <= t <= end."""
        log = self._log
        i = int(np.clip(np.searchsorted(log.t, t + 1e-6, side="right") - 1, 0, len(log.control) - 1))
        share = min(max((t - float(log.t[i])) / float(log.t[i + 1] - log.t[i]), 0.0), 1.0)
        ego = log.ego[i] * (1.0 - share) + log.ego[i + 1] * share
        part = slice(int(log.actor_start[i]), int(log.actor_start[i + 1]))
        actors = self._actors[part].copy()
        actors[:, 2:5] += share * self._step[part]
        yaw = float(self._yaw[i] * (1.0 - share) + self._yaw[i + 1] * share)
        return Instant(t, i, float(ego[0]), float(ego[1]), yaw, float(ego[3]), i + share, actors, log.lights[i])

    def _steps(self) -> Floats:
        """(A, 3) how each actor's x, y and yaw change until the next decision; zeros where it is gone then."""
        log, rows = self._log, self._actors
        decision = np.repeat(np.arange(len(log.control)), np.diff(log.actor_start))
        step = np.zeros((len(rows), 3))
        order = np.lexsort((decision, rows[:, 0]))
        here, following = order[:-1], order[1:]
        same = (rows[here, 0] == rows[following, 0]) & (decision[following] == decision[here] + 1)
        move = rows[following, 2:5] - rows[here, 2:5]
        same &= np.hypot(move[:, 0], move[:, 1]) < JUMP_M
        move[:, 2] = np.arctan2(np.sin(move[:, 2]), np.cos(move[:, 2]))
        step[here[same]] = move[same]
        return step
