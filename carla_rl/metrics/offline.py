"""Open-loop errors of plans against the expert's plans on recorded states.

Pure functions of arrays. Plans are (B, H, 2) in metres, ego frame, WAYPOINT_S apart; a mask (B, H) says where the expert's waypoint
is known.

* displacement: Euclidean distance of two waypoints of the same time.
* ADE: mean over the known waypoints of a sample, then over the samples that have one (not pooled: each sample counts the same).
* FDE: displacement at the last waypoint, mean over the samples where it is known.
* miss rate: share of those same samples whose final displacement is larger than MISS_M.
* heading error: angle between the last steps of the two plans, where both are longer than STILL_M (a standing ego has no heading).

Knows nothing of policies or files.
"""

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from carla_rl.metrics.summary import mean_std
from carla_rl.types import WAYPOINT_S

MISS_M = 2.0
"""A final displacement above this is a miss, in metres."""
STILL_M = 0.05
"""A step of a plan at or below this (0.5 m/s) gives no heading, in metres."""


@dataclass(frozen=True, slots=True)
class HorizonError:
    """The displacement at one waypoint."""

    t: float
    """s from now."""
    error: float | None
    """m, mean over the samples; None where no sample knows the waypoint."""
    count: int


@dataclass(frozen=True, slots=True)
class OfflineMetrics:
    """Errors with the counts that they are means of; None where there was nothing to take a mean of. Standard deviations use n - 1."""

    samples: int
    ade: float | None
    """m."""
    ade_std: float | None
    ade_count: int
    fde: float | None
    """m."""
    fde_std: float | None
    fde_count: int
    miss_rate: float | None
    """0..1, of `fde_count` samples."""
    miss_m: float
    heading_error: float | None
    """rad, mean of magnitudes."""
    heading_count: int
    by_horizon: tuple[HorizonError, ...]

    def to_json(self) -> dict[str, Any]:
        """Plain JSON values."""
        return asdict(self) | {"by_horizon": [asdict(error) for error in self.by_horizon]}


def displacement(plan: NDArray[np.floating], expert: NDArray[np.floating]) -> NDArray[np.float64]:
    """(B, H) distances in m.

    Raises:
        ValueError: shapes that differ or are not (B, H, 2).
    """
    if plan.shape != expert.shape or plan.ndim != 3 or plan.shape[-1] != 2:
        raise ValueError(f"plans of shapes {plan.shape} and {expert.shape}; both must be (B, H, 2)")
    difference = plan.astype(np.float64) - expert.astype(np.float64)
    return np.sqrt(difference[..., 0] ** 2 + difference[..., 1] ** 2)


def offline_metrics(
    plan: NDArray[np.floating], expert: NDArray[np.floating], valid: NDArray[np.bool_] | None = None, *, miss_m: float = MISS_M
) -> OfflineMetrics:
    """All errors of B plans. Values under a false `valid` are never read, whatever they hold.

    Raises:
        ValueError: wrong shapes, or a value that is not finite where `valid` is true.
    """
    valid = np.ones(plan.shape[:2], np.bool_) if valid is None else valid
    if valid.shape != plan.shape[:2]:
        raise ValueError(f"a mask of shape {valid.shape} for plans of shape {plan.shape}")
    distance = np.where(valid, displacement(plan, expert), 0.0)
    if not np.isfinite(distance).all():
        raise ValueError("a waypoint is not a finite number")
    known = valid.sum(axis=1)
    per_sample = distance.sum(axis=1)[known > 0] / known[known > 0]
    final = distance[valid[:, -1], -1]
    heading = _heading_errors(plan, expert, valid)
    (ade, ade_std), (fde, fde_std), (heading_error, _) = mean_std(per_sample), mean_std(final), mean_std(heading)
    return OfflineMetrics(
        samples=len(plan),
        ade=ade,
        ade_std=ade_std,
        ade_count=len(per_sample),
        fde=fde,
        fde_std=fde_std,
        fde_count=len(final),
        miss_rate=float(np.count_nonzero(final > miss_m) / len(final)) if len(final) else None,
        miss_m=miss_m,
        heading_error=heading_error,
        heading_count=len(heading),
        by_horizon=tuple(
            HorizonError(round((j + 1) * WAYPOINT_S, 9), mean_std(distance[valid[:, j], j])[0], int(valid[:, j].sum()))
            for j in range(plan.shape[1])
        ),
    )


def _heading_errors(plan: NDArray[np.floating], expert: NDArray[np.floating], valid: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Magnitudes of the angle between the last steps of the plans, of the samples where both have a heading, rad."""
    if plan.shape[1] < 2:
        return np.zeros(0)
    rows = valid[:, -1] & valid[:, -2]
    a = (plan[rows, -1] - plan[rows, -2]).astype(np.float64)
    b = (expert[rows, -1] - expert[rows, -2]).astype(np.float64)
    moves = (np.hypot(a[:, 0], a[:, 1]) > STILL_M) & (np.hypot(b[:, 0], b[:, 1]) > STILL_M)
    a, b = a[moves], b[moves]
    turn: NDArray[np.float64] = np.arctan2(a[:, 0] * b[:, 1] - a[:, 1] * b[:, 0], a[:, 0] * b[:, 0] + a[:, 1] * b[:, 1])
    return np.abs(turn)
