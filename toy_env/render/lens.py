"""What a camera's mount and intrinsics say about each row of its picture, worked out once a camera.

The camera does not roll and the ground is flat, so all of a row has one depth on the ground: the place seen moves along a straight line.
Plain NumPy over rows; knows nothing of towns.
"""

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from carla_rl.errors import UsageError
from carla_rl.types import CameraSpec
from toy_env.render.ground import COARSE, TEXEL_M

MAX_TAPS = 4
_FAR_M = 5000.0


class Lens(NamedTuple):
    """H rows; of a row of ground pixel j of W sees what is `ahead` m before the camera and (j + 0.5 - W / 2) * `step` m to its right."""

    shift: NDArray[np.int64]
    """(H,) log2 of the taps that are averaged; -1: sky."""
    level: NDArray[np.int64]
    """(H,) level of detail of the ground."""
    depth: NDArray[np.float64]
    """(H,) m along the optical axis."""
    ahead: NDArray[np.float64]
    """(H, MAX_TAPS) m."""
    step: NDArray[np.float64]
    """(H, MAX_TAPS) m a pixel."""
    blue: NDArray[np.float64]
    """(H,) for sky: 0 the colour of the horizon .. 1 that of the zenith."""


def focal_px(spec: CameraSpec) -> float:
    """Focal length in pixels: half the width over the tangent of half the horizontal field of view."""
    return 0.5 * spec.width / math.tan(0.5 * math.radians(spec.fov_deg))


def make_lens(spec: CameraSpec) -> Lens:
    """The rows of a camera.

    Where a pixel covers more ground along the view than across, up to MAX_TAPS taps along the view are averaged, and where those
    do not bridge it, coarser ground is taken (at most two levels: blurring across would hide the markings).

    Raises:
        UsageError: a camera without pixels, without a usable field of view, in the ground, or looking straight up or down.
    """
    _check(spec)
    focal = focal_px(spec)
    c, s = math.cos(spec.pitch), math.sin(spec.pitch)
    v = (np.arange(spec.height) + 0.5 - 0.5 * spec.height) / focal
    fall = v * c - s
    ground = fall * _FAR_M > spec.z
    safe = np.where(ground, fall, 1.0)
    depth = spec.z / safe
    along = spec.z * c / (safe * safe * focal)
    level = level_for(depth / focal)
    for _ in range(2):
        level = np.minimum(level + (along > 2.0 * MAX_TAPS * TEXEL_M * 2.0**level), COARSE)
    taps = np.clip(np.ceil(np.log2(along / (1.5 * TEXEL_M * 2.0**level))), 0.0, math.log2(MAX_TAPS))
    shift = np.where(ground, taps, -1.0).astype(np.int64)

    count = 2.0 ** np.maximum(shift, 0)[:, None]
    tap_v = v[:, None] + ((np.arange(MAX_TAPS) + 0.5) / count - 0.5) / focal
    tap_depth = spec.z / np.maximum(tap_v * c - s, spec.z / _FAR_M)
    blue = np.sqrt(np.clip(-1.4 * fall / np.sqrt(1.0 + v * v), 0.0, 1.0))
    return Lens(shift, level, depth, tap_depth * (c + tap_v * s), tap_depth / focal, blue)


def level_for(texel: NDArray[np.float64]) -> NDArray[np.int64]:
    """The level of the ground for pixels that cover `texel` metres of it; any shape."""
    finer = np.ceil(np.log2(np.maximum(texel / (1.5 * TEXEL_M), 1.0)))
    return np.minimum(finer, COARSE).astype(np.int64)


def _check(spec: CameraSpec) -> None:
    where = f"camera {spec.name!r}"
    if spec.width < 1 or spec.height < 1:
        raise UsageError(f"{where}: {spec.width} x {spec.height} pixels; give at least one each way")
    if not 1.0 <= spec.fov_deg <= 170.0:
        raise UsageError(f"{where}: fov_deg is {spec.fov_deg}; give 1 to 170 degrees")
    if not spec.z > 0.0:
        raise UsageError(f"{where}: z is {spec.z}; mount it above the ground")
    if not abs(spec.pitch) < 0.5 * math.pi:
        raise UsageError(f"{where}: pitch is {spec.pitch} rad; give less than a right angle up or down")
