"""Comfort by nuPlan's bounds, from an ego's speed, acceleration and yaw rate sampled at even times.

Six quantities, smoothed by a Savitzky-Golay filter (7 samples, order 2) as in Bench2Drive's `tools/efficiency_smoothness_benchmark.py`,
with two differences. The yaw acceleration is the derivative of the yaw rate: there it is the yaw rate itself, smoothed. And the samples
are those of the decisions, 0.2 s apart at the usual 4 ticks, where theirs are 0.1 s apart: the filter spans 1.4 s (nuPlan's own spans 1.5
s). Pure functions of arrays.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.signal import savgol_filter

Column = NDArray[np.float64]

WINDOW = 7
"""Samples of the filter."""
ORDER = 2
"""Of the filter's polynomial."""
CHUNK_S = 2.0
"""Bench2Drive judges chunks of 20 samples at 10 Hz."""
BOUNDS: Mapping[str, tuple[float, float]] = {
    "lon_accel": (-4.05, 2.40),
    "lat_accel": (-4.89, 4.89),
    "jerk": (-8.37, 8.37),
    "lon_jerk": (-4.13, 4.13),
    "yaw_accel": (-1.93, 1.93),
    "yaw_rate": (-0.95, 0.95),
}
"""nuPlan's: m/s^2, m/s^3, rad/s^2, rad/s. `jerk` is that of the magnitude of the acceleration."""


@dataclass(frozen=True, slots=True)
class ComfortFound:
    """What the bounds say of one drive."""

    worst: dict[str, float]
    """By quantity: the largest magnitude after smoothing."""
    outside: dict[str, float]
    """By quantity: share of the samples outside its bounds."""
    chunks: int
    """Chunks of CHUNK_S that were judged; a drive that is shorter is one."""
    comfortable: int
    """Chunks of which every sample of every quantity is within its bounds."""


def comfort(speed: Column, acceleration: Column, yaw_rate: Column, step_s: float) -> ComfortFound | None:
    """Judge one drive: (n,) m/s, m/s^2 along the heading, rad/s, every `step_s` s. None for fewer than ORDER + 1 samples.

    Raises:
        ValueError: shapes that differ, or a value that is not finite.
    """
    n = len(speed)
    if not (speed.shape == acceleration.shape == yaw_rate.shape == (n,)):
        raise ValueError(f"speed, acceleration and yaw rate have shapes {speed.shape}, {acceleration.shape} and {yaw_rate.shape}")
    if not all(np.isfinite(values).all() for values in (speed, acceleration, yaw_rate)):
        raise ValueError("speed, acceleration or yaw rate holds a value that is not a finite number")
    if n <= ORDER:
        return None
    found = quantities(speed, acceleration, yaw_rate, step_s)
    within = {name: (values > BOUNDS[name][0]) & (values < BOUNDS[name][1]) for name, values in found.items()}
    good = np.logical_and.reduce(list(within.values()))
    rows = max(round(CHUNK_S / step_s), 1)
    # as there, what is left over after the last whole chunk is not judged
    whole = good[: n // rows * rows].reshape(-1, rows).all(axis=1) if n >= rows else good.all()[None]
    return ComfortFound(
        worst={name: float(np.abs(values).max()) for name, values in found.items()},
        outside={name: float(np.count_nonzero(~inside) / n) for name, inside in within.items()},
        chunks=len(whole),
        comfortable=int(np.count_nonzero(whole)),
    )


def quantities(speed: Column, acceleration: Column, yaw_rate: Column, step_s: float) -> dict[str, Column]:
    """The six quantities of BOUNDS, smoothed, each (n,) with n > ORDER."""
    window = min(WINDOW, len(speed))
    # the filter is centred: an even window would shift by half a sample
    window -= 1 - window % 2

    def smooth(values: Column, derivative: int = 0) -> Column:
        order = min(ORDER, window - 1)
        return np.asarray(savgol_filter(values, window, order, deriv=derivative, delta=step_s), np.float64)

    lon, lat, turn = smooth(acceleration), smooth(speed * yaw_rate), smooth(yaw_rate)
    magnitude = smooth(np.hypot(acceleration, speed * yaw_rate))
    return {
        "lon_accel": lon,
        "lat_accel": lat,
        "jerk": smooth(magnitude, 1),
        "lon_jerk": smooth(lon, 1),
        "yaw_accel": smooth(turn, 1),
        "yaw_rate": turn,
    }
