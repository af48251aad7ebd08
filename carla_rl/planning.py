"""One image through a checkpoint, without any simulator: the quickest look at what a model does."""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from carla_rl.errors import UsageError
from carla_rl.policies.images import read_image
from carla_rl.policies.loading import load_policy
from carla_rl.types import ROUTE_POINTS, ROUTE_SPACING_M, Observation


def plan_image(checkpoint: str | Path, image: str | Path, *, sft: str | Path | None = None, speed: float = 0.0) -> dict[str, Any]:
    """The plan of a checkpoint for one image of its first camera; other cameras count as missing.

    An image tells neither speed nor route. A delta head that reads them is told `speed` (m/s), no turning, and a route straight ahead;
    the SFT plan of an image model depends on the image alone.

    Returns:
        `policy`, `checkpoint`; as H pairs [x, y] in metres (ego frame) `sft_waypoints`, `delta` (None without a delta head), `waypoints`.

    Raises:
        UsageError: the checkpoint cannot be loaded or takes no image, the image cannot be read, or the speed is no speed.
    """
    policy = load_policy(checkpoint, sft=sft)
    if not policy.needs.cameras:
        raise UsageError(f"{checkpoint}: a {policy.sft.state.architecture} model takes no image; give a tiny_multicam checkpoint")
    if not 0.0 <= speed < 100.0:
        raise UsageError(f"speed: {speed} m/s is no speed of a car; write a number from 0 to 100")
    pixels = read_image(Path(image))
    ahead = np.stack((np.arange(ROUTE_POINTS) * ROUTE_SPACING_M, np.zeros(ROUTE_POINTS)), axis=-1)
    plan = policy.plan(
        Observation(
            speed=np.array([speed], np.float32),
            yaw_rate=np.zeros(1, np.float32),
            route=ahead[None].astype(np.float32),
            images={policy.needs.cameras[0].name: pixels[None]},
        )
    )
    delta = plan.extras.get("delta")
    return {
        "policy": policy.name,
        "checkpoint": str(checkpoint),
        "sft_waypoints": _pairs(plan.waypoints if plan.sft_waypoints is None else plan.sft_waypoints),
        "delta": None if delta is None else _pairs(delta),
        "waypoints": _pairs(plan.waypoints),
    }


def _pairs(waypoints: NDArray[np.float32]) -> list[list[float]]:
    return [[float(x), float(y)] for x, y in waypoints[0]]
