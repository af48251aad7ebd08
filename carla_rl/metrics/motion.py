"""How an ego moved over a whole drive: comfort, time to collision, speeding, keeping to line and direction, pace beside the traffic.

Pure function of the arrays of a step log (one row a decision). Knows no file and no score.
"""

import numpy as np
from numpy.typing import NDArray

from carla_rl.metrics.collision_time import SHORT_S, collision_times
from carla_rl.metrics.comfort import BOUNDS, comfort
from carla_rl.metrics.result import Motion
from carla_rl.types import ObjectKind

Floats = NDArray[np.float64]

OFF_CENTRE_M = 0.5
"""NAVSIM's lane keeping: farther than this from the line is off it."""
QUARTERS = 4
"""Checkpoints of the leaderboard's MinimumSpeedRouteTest."""
MOVED_MPS = 0.1
"""A vehicle that is never faster is parked and no traffic."""
DIRECTION_S = 1.0
"""nuPlan's `driving_direction_compliance` adds up what was driven in so long."""


def measure_motion(
    t: Floats, ego: Floats, facts: Floats, start: NDArray[np.integer], actors: Floats, lanes: Floats | None = None
) -> Motion:
    """Measure a drive of T decisions.

    `t` (T + 1,) s; `ego` (T + 1, 6) x, y, yaw, speed, yaw rate, acceleration; `facts` (T + 1, 3) route completion, signed distance from
    the route, speed limit; `actors` (A, 8) id, kind, x, y, yaw, speed, half length, half width, those of decision i being rows start[i] to
    start[i + 1]; `lanes` (T, 4) as of `against`. Map frame; m, rad, s.

    Raises:
        ValueError: no decision, or times that do not rise.
    """
    gaps = np.diff(t)
    if not len(gaps) or not (gaps > 0.0).all():
        raise ValueError("a drive needs at least one decision, and times that rise")
    step_s = round(float(gaps[0]), 6)
    # an ending in the middle of a decision comes early: the filter needs even times
    rows = len(t) if np.isclose(gaps[-1], gaps[0], rtol=1e-3) else len(t) - 1
    found = comfort(ego[:rows, 3], ego[:rows, 5], ego[:rows, 4], step_s)
    others = np.flatnonzero(actors[:, 1] != ObjectKind.NONE)
    times = collision_times(ego[:-1, :4], start, actors[:, 2:]) if len(others) else np.zeros(0)
    owner = np.repeat(np.arange(len(gaps)), np.diff(start))
    excess = np.maximum(ego[:-1, 3] - facts[:-1, 2], 0.0)
    return Motion(
        step_s=step_s,
        chunks=found.chunks if found else 0,
        comfortable_chunks=found.comfortable if found else 0,
        comfort_worst=found.worst if found else dict.fromkeys(BOUNDS, 0.0),
        comfort_outside=found.outside if found else dict.fromkeys(BOUNDS, 0.0),
        min_ttc_s=float(times.min()) if len(times) and np.isfinite(times.min()) else None,
        ttc_short_share=len(np.unique(owner[times < SHORT_S])) / len(gaps) if len(times) else 0.0,
        overspeed_mps=float((excess * gaps).sum() / gaps.sum()),
        off_centre_s=longest(np.abs(facts[:-1, 1]) > OFF_CENTRE_M, gaps),
        traffic_speed_shares=_pace(ego[:-1, 3], facts[:-1, 0], owner, actors),
        against_m=None if lanes is None else against(ego[:-1, :2], facts[:-1, 1], lanes, step_s),
    )


def against(places: Floats, lateral: Floats, lanes: Floats, step_s: float) -> float:
    """The most that was driven against the direction of the lane within DIRECTION_S, m; 0 where the ego never did.

    `places` (T, 2) m, map frame; `lateral` (T,) m left of the route's line; `lanes` (T, 4): how far, in m across from that line, the lanes
    of the ego's direction reach to its right and to its left and the oncoming lanes to its left, and the line's heading in rad. After
    nuPlan's `driving_direction_compliance`: the sum of the progress along the lane that the ego is on, backwards below zero; a change
    between the directions adds nothing, nor does what lies beyond all these lanes. nuPlan's sum spans one sample more than the second.
    """
    right, left, oncoming, heading = lanes.T
    side = np.where((-right <= lateral) & (lateral <= left), 1.0, np.where((left < lateral) & (lateral <= oncoming), -1.0, 0.0))
    way = np.diff(places, axis=0)
    along = way[:, 0] * np.cos(heading[:-1]) + way[:, 1] * np.sin(heading[:-1])
    driven = np.concatenate(([0.0], np.cumsum(np.where(side[1:] == side[:-1], along * side[:-1], 0.0))))
    rows = max(round(DIRECTION_S / step_s), 1)
    before = np.concatenate((np.zeros(rows), driven))[: len(driven)]
    return max(0.0, float((before - driven).max()))


def longest(inside: NDArray[np.bool_], seconds: Floats) -> float:
    """The longest time in one piece during which `inside` (T,) holds; `seconds` (T,) is how long each instant lasts."""
    best = run = 0.0
    for holds, lasts in zip(inside, seconds, strict=True):
        run = run + float(lasts) if holds else 0.0
        best = max(best, run)
    return best


def _pace(speed: Floats, completion: Floats, owner: NDArray[np.integer], actors: Floats) -> tuple[float, ...]:
    """The ego's mean speed over the traffic's, in each quarter of the route that has moving traffic."""
    vehicle = (actors[:, 1] == ObjectKind.VEHICLE) | (actors[:, 1] == ObjectKind.EMERGENCY)
    moved = np.unique(actors[vehicle & (actors[:, 5] > MOVED_MPS), 0])
    traffic = vehicle & np.isin(actors[:, 0], moved)
    quarter = np.minimum((completion * QUARTERS).astype(np.int64), QUARTERS - 1)
    shares = []
    for q in range(QUARTERS):
        mine, theirs = speed[quarter == q], actors[traffic & (quarter[owner] == q), 5]
        if len(mine) and len(theirs) and theirs.mean() > 0.0:
            shares.append(float(mine.mean() / theirs.mean()))
    return tuple(shares)
