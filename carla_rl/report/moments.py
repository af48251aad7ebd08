"""What a step log says beyond its rows: the score so far, the size of the correction, how far the plan is from the expert's, and what went
before each infraction. Pure readers of a `StepLog`.
"""

from collections import Counter, deque
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from carla_rl.metrics.scores import Drive, definition
from carla_rl.records.steps import StepLog
from carla_rl.types import TICK_S, WAYPOINT_S, Event, Infraction

BEFORE_S = 3.0
"""How far back from an infraction the correction is looked at."""
AHEAD_S = 1.0
"""Where on a plan the correction is told: this far into the future."""

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Before:
    """The BEFORE_S seconds before an infraction; the delta's part is None without an SFT plan."""

    speed: float
    """m/s at the infraction."""
    forward_m: float | None
    """Mean correction along the heading of the waypoint AHEAD_S ahead, m; positive: farther, which is faster."""
    left_m: float | None
    """Likewise across the heading, positive to the left."""


def seconds(event: Event) -> float:
    """s since the start."""
    return event.tick * TICK_S


def decision_at(log: StepLog, t: float) -> int:
    """The row of the last decision made at or before `t` s."""
    return int(np.clip(np.searchsorted(log.t[:-1], t + 1e-6, side="right") - 1, 0, len(log.control) - 1))


def scores_so_far(log: StepLog, score: str) -> Floats:
    """(T + 1,) driving score if the episode had ended at each row, by the definition `score`.

    Logs that lack the share outside the lanes take it from its infraction, from when it began.
    """
    formula = definition(score)
    out = np.empty(len(log.t))
    waiting = deque(sorted(log.events, key=seconds))
    counts: Counter[Infraction] = Counter()
    shares: tuple[float, ...] = ()
    known_outside = 0.0
    for row, t in enumerate(log.t.tolist()):
        while waiting and seconds(waiting[0]) <= t + 1e-6:
            event = waiting.popleft()
            counts[event.kind] += 1
            if event.kind is Infraction.MIN_SPEED:
                shares += (event.value,)
            elif event.kind is Infraction.OUTSIDE_ROUTE_LANES:
                known_outside = event.value
        outside = known_outside if log.outside_share is None else float(log.outside_share[row])
        completion = min(max(float(log.facts[row, 0]), 0.0), 1.0)
        out[row] = formula.score(Drive(completion, counts, outside, shares)).score_composed
    return out


def plan_errors(log: StepLog) -> Floats | None:
    """(T,) m: mean distance of the plan's waypoints from the expert's at the same state; None where the log lacks the expert's plans."""
    if log.expert_waypoints is None or log.expert_waypoints.shape != log.waypoints.shape:
        return None
    errors: Floats = np.linalg.norm(log.waypoints.astype(np.float64) - log.expert_waypoints, axis=-1).mean(axis=-1)
    return errors


def correction(log: StepLog) -> Floats | None:
    """(T, 2) m: how far the delta moves the waypoint AHEAD_S ahead, forward and to the left; None without an SFT plan."""
    if log.delta is None:
        return None
    at = min(round(AHEAD_S / WAYPOINT_S), log.delta.shape[1]) - 1
    return log.delta[:, at].astype(np.float64)


def before(log: StepLog, event: Event) -> Before:
    """What went before an infraction."""
    t = seconds(event)
    moved = correction(log)
    speed = float(log.ego[decision_at(log, t), 3])
    if moved is None:
        return Before(speed, None, None)
    rows = slice(decision_at(log, t - BEFORE_S), decision_at(log, t) + 1)
    forward, left = moved[rows].mean(axis=0).tolist()
    return Before(speed, forward, left)
