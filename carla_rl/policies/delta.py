"""The correction of a frozen plan: which corrections there are, and the two heads that learn them.

An action is K numbers near one; the action space maps them linearly to (H, 2) metres and bounds them. Knows no SFT model and no PPO.
"""

from typing import Annotated, Literal, cast

import numba
import numpy as np
from numpy.typing import NDArray
from pydantic import Field
from torch import Tensor, nn

from carla_rl.config import Config
from carla_rl.policies.networks import mlp
from carla_rl.types import WAYPOINT_S

LONGEST_HIDDEN = 512
"""Micro-batches of wider layers are split among torch's threads, which could change bits with their number."""

_UNIT_HORIZON_S = 2.0


class DeltaConfig(Config):
    """How large and of which form a correction may be, and what the heads look at."""

    space: Literal["basis", "full"] = Field(default="basis", description="four smooth coefficients, or every coordinate on its own")
    speed_unit: float = Field(default=4.0, gt=0, description="m/s by which one longitudinal unit moves the plan's mean speed")
    lateral_unit: float = Field(default=1.0, gt=0, description="m by which one lateral unit moves the plan's end, for a plan of 2 s")
    limit: float = Field(default=4.0, gt=0, le=100, description="actions are clipped to +-limit units; 4 stops a plan at 16 m/s")
    inputs: tuple[Literal["z", "waypoints", "context"], ...] = Field(
        default=("z", "waypoints", "context"),
        min_length=1,
        description="what the heads see: the encoder's z, the SFT plan, the declared context",
    )
    hidden: tuple[Annotated[int, Field(ge=1)], ...] = Field(
        default=(128, 128), min_length=1, description="units of each hidden layer, both heads"
    )
    log_std: float = Field(default=-1.0, ge=-5, le=1, description="log standard deviation of the action before training, in units")
    learn_log_std: bool = Field(default=False, description="make it a parameter; else it stays outside the optimiser")


def action_basis(config: DeltaConfig, horizon: int) -> NDArray[np.float32]:
    """(K, H, 2) m: the plan's change by one unit of each coordinate of the action.

    `basis`: with t in (0, 1] over the horizon, x by speed_unit's distance times t (faster) and .75 t(t - 1) (later),
    y by lateral_unit times t (to the left) and .8 t(t - 1) (bending). `full`: K = 2H, x and y of each waypoint in turn, growing with t.
    The units follow the plan's duration, so that they mean the same speeds for any horizon.
    """
    t = np.arange(1, horizon + 1) / horizon
    duration = horizon * WAYPOINT_S
    x_unit = config.speed_unit * duration
    y_unit = config.lateral_unit * duration / _UNIT_HORIZON_S
    if config.space == "full":
        full = np.zeros((horizon, 2, horizon, 2))
        for h in range(horizon):
            full[h, 0, h, 0] = x_unit * t[h]
            full[h, 1, h, 1] = y_unit * t[h]
        return full.reshape(2 * horizon, horizon, 2).astype(np.float32)
    basis = np.zeros((4, horizon, 2))
    basis[0, :, 0] = x_unit * t
    basis[1, :, 0] = x_unit * 0.75 * t * (t - 1.0)
    basis[2, :, 1] = y_unit * t
    basis[3, :, 1] = y_unit * 0.8 * t * (t - 1.0)
    return basis.astype(np.float32)


@numba.njit(cache=True)
def correction(action: NDArray[np.float32], basis: NDArray[np.float32], limit: float) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Deltas (N, H, 2) m of actions (N, K), each coordinate clipped to +-limit; and the share (N,) of coordinates that the clip cut."""
    n, k = action.shape
    h = basis.shape[1]
    delta = np.zeros((n, h, 2), np.float32)
    cut = np.zeros(n, np.float32)
    for i in range(n):
        for c in range(k):
            a = min(max(action[i, c], np.float32(-limit)), np.float32(limit))
            if a != action[i, c]:
                cut[i] += np.float32(1.0 / k)
            if a == 0.0:
                continue
            for j in range(h):
                delta[i, j, 0] += a * basis[c, j, 0]
                delta[i, j, 1] += a * basis[c, j, 1]
    return delta, cut


class DeltaWaypointHead(nn.Module):
    """Features (B, D) -> mean of the action (B, K); exactly zero before training."""

    def __init__(self, inputs: int, hidden: tuple[int, ...], actions: int) -> None:
        super().__init__()
        self.net = mlp((inputs, *hidden, actions), nn.SiLU)
        nn.init.zeros_(cast(nn.Linear, self.net[-1]).weight)
        nn.init.zeros_(cast(nn.Linear, self.net[-1]).bias)

    def forward(self, features: Tensor) -> Tensor:
        """Mean of the action (B, K) in units."""
        return cast(Tensor, self.net(features))


class ValueHead(nn.Module):
    """Features (B, D) -> value (B,)."""

    def __init__(self, inputs: int, hidden: tuple[int, ...]) -> None:
        super().__init__()
        self.net = mlp((inputs, *hidden, 1), nn.SiLU)

    def forward(self, features: Tensor) -> Tensor:
        """Values (B,)."""
        return cast(Tensor, self.net(features)).squeeze(-1)
