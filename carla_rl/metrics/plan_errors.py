"""What is wrong with a plan beyond its distance from the expert's: across or along, the path or the pace, and Codevilla's relative error.

Plans are (B, H, 2) in metres, ego frame, WAYPOINT_S apart, starting at the ego. Pure functions of arrays.

* lateral, longitudinal: the error at equal times, split in the direction in which the expert's plan goes at that waypoint (where it stands,
  the last direction in which it went; at first the ego's heading). Means of magnitudes.
* fixed speed: both plans' *paths* driven at one speed, the expert's mean speed over its plan, so that only where they lead differs and not
  how fast; a path that is too short goes straight on. Samples whose expert stands have no path and are left out.
* TRE: thresholded relative error of steering, Codevilla et al. 2018 (arXiv 1809.04843): the share of samples whose steering differs from
the
  expert's by more than a tenth of the expert's. Steering is the curvature of the arc from the ego to the waypoint at 1 s; samples where
  either plan hardly moves have none.
"""

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from carla_rl.metrics.offline import OfflineMetrics, displacement
from carla_rl.types import WAYPOINT_S

Floats = NDArray[np.float64]

STANDS_M = 0.5
"""A plan that goes no farther than this (over its horizon, or to the waypoint aimed at) stands, m."""
STEP_M = 1e-3
"""A step of a plan shorter than this has no direction, m."""
TRE_SHARE = 0.1
AIM_S = 1.0
HORIZONS_S = (0.5, 1.0, 2.0)
"""Where the error by horizon is correlated with driving."""


@dataclass(frozen=True, slots=True)
class PlanErrors:
    """Means over the samples; None where no sample has one."""

    lateral: float
    """m."""
    longitudinal: float
    """m."""
    fixed_speed_ade: float | None
    """m."""
    fixed_speed_fde: float | None
    """m."""
    moving: int
    """Samples whose expert moves, of which the two above are means."""
    tre: float | None
    """0..1."""
    steering: int
    """Samples that the TRE counts."""

    def to_json(self) -> dict[str, Any]:
        """Plain JSON values."""
        return asdict(self)


def plan_errors(plan: NDArray[np.floating], expert: NDArray[np.floating]) -> PlanErrors:
    """The errors of B plans against the expert's, both (B, H, 2), B >= 1.

    Raises:
        ValueError: shapes that differ, no sample, or a value that is not finite.
    """
    if not np.isfinite(displacement(plan, expert)).all() or not len(plan):
        raise ValueError("no plan, or a waypoint that is not a finite number")
    mine, wanted = plan.astype(np.float64), expert.astype(np.float64)
    direction = _directions(wanted)
    error = mine - wanted
    along = (error * direction).sum(axis=-1)
    across = direction[..., 0] * error[..., 1] - direction[..., 1] * error[..., 0]
    moving, apart = _fixed_speed(mine, wanted)
    relative = _relative(mine, wanted)
    return PlanErrors(
        lateral=float(np.abs(across).mean()),
        longitudinal=float(np.abs(along).mean()),
        fixed_speed_ade=float(apart.mean()) if moving else None,
        fixed_speed_fde=float(apart[:, -1].mean()) if moving else None,
        moving=moving,
        tre=float((relative > TRE_SHARE).mean()) if len(relative) else None,
        steering=len(relative),
    )


def measures_of(metrics: OfflineMetrics, errors: PlanErrors) -> dict[str, float | None]:
    """All errors of plans by name: what is set against driving."""
    by_time = {error.t: error.error for error in metrics.by_horizon}
    return {
        "ade": metrics.ade,
        "fde": metrics.fde,
        "miss_rate": metrics.miss_rate,
        "heading_error": metrics.heading_error,
        **{f"error_{t:g}s": by_time.get(t) for t in HORIZONS_S},
        "lateral": errors.lateral,
        "longitudinal": errors.longitudinal,
        "fixed_speed_ade": errors.fixed_speed_ade,
        "fixed_speed_fde": errors.fixed_speed_fde,
        "tre": errors.tre,
    }


def _directions(plan: Floats) -> Floats:
    """(B, H, 2) unit vectors: where the plan goes at each waypoint."""
    steps = np.diff(plan, axis=1, prepend=0.0)
    length = np.hypot(steps[..., 0], steps[..., 1])
    found = np.zeros_like(steps)
    last = np.broadcast_to((1.0, 0.0), (len(plan), 2))
    for j in range(plan.shape[1]):
        goes = length[:, j] > STEP_M
        last = np.where(goes[:, None], steps[:, j] / np.where(goes, length[:, j], 1.0)[:, None], last)
        found[:, j] = last
    return found


def _fixed_speed(plan: Floats, expert: Floats) -> tuple[int, Floats]:
    """How many experts move, and the distances (M, H) of both paths at the same way travelled."""
    way = np.hypot(*np.moveaxis(np.diff(expert, axis=1, prepend=0.0), -1, 0)).sum(axis=1)
    rows = way > STANDS_M
    marks = way[rows, None] * (np.arange(plan.shape[1]) + 1) / plan.shape[1]
    apart = _along(plan[rows], marks) - _along(expert[rows], marks)
    return int(rows.sum()), np.hypot(apart[..., 0], apart[..., 1])


def _along(plan: Floats, marks: Floats) -> Floats:
    """Points (M, H, 2) of the paths of plans at the ways `marks` (M, H); beyond its end a path goes straight on."""
    points = np.concatenate((np.zeros((len(plan), 1, 2)), plan), axis=1)
    end = _directions(plan)[:, -1]
    way = np.concatenate((np.zeros((len(plan), 1)), np.cumsum(np.hypot(*np.moveaxis(np.diff(points, axis=1), -1, 0)), axis=1)), axis=1)
    # the step of the path on which each mark lies; those beyond the end lie on the last
    step = np.clip((way[:, None, :] <= marks[:, :, None]).sum(axis=-1) - 1, 0, plan.shape[1] - 1)
    rows = np.arange(len(plan))[:, None]
    length = way[rows, step + 1] - way[rows, step]
    part = np.clip((marks - way[rows, step]) / np.where(length > 0.0, length, 1.0), 0.0, 1.0)[..., None]
    beyond = np.maximum(marks - way[:, -1:], 0.0)[..., None]
    found: Floats = points[rows, step] + (points[rows, step + 1] - points[rows, step]) * part + beyond * end[:, None]
    return found


def _relative(plan: Floats, expert: Floats) -> Floats:
    """|difference of steering| over |the expert's|, of the samples that have steering; infinite where the expert steers exactly
    straight."""
    aim = min(round(AIM_S / WAYPOINT_S), plan.shape[1]) - 1
    a, b = plan[:, aim], expert[:, aim]
    square_a, square_b = (a**2).sum(axis=1), (b**2).sum(axis=1)
    rows = (square_a > STANDS_M**2) & (square_b > STANDS_M**2)
    curve_a, curve_b = 2.0 * a[rows, 1] / square_a[rows], 2.0 * b[rows, 1] / square_b[rows]
    difference = np.abs(curve_a - curve_b)
    straight = curve_b == 0.0
    found: Floats = np.where(straight, np.where(difference > 0.0, np.inf, 0.0), difference / np.where(straight, 1.0, np.abs(curve_b)))
    return found
