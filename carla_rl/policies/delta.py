"""The correction of a frozen plan: which corrections there are, and the two heads that learn them.

An action is K numbers near one; the action space bounds them and maps them to (H, 2) metres. Knows no SFT model and no PPO.
"""

import math
from typing import Annotated, Literal, NamedTuple, cast

import numba
import numpy as np
from numpy.typing import NDArray
from pydantic import Field
from torch import Tensor, nn

from carla_rl.config import Config
from carla_rl.gaussian import LOG_STD_RANGE
from carla_rl.policies.networks import mlp
from carla_rl.types import WAYPOINT_S

LONGEST_HIDDEN = 512
"""Micro-batches of wider layers are split among torch's threads, which could change bits with their number."""

_UNIT_HORIZON_S = 2.0


class DeltaConfig(Config):
    """How large and of which form a correction may be, and what the heads look at."""

    space: Literal["basis", "full", "stretch"] = Field(
        default="basis", description="four smooth coefficients, every coordinate on its own, or the plan stretched along itself"
    )
    bound: Literal["clip", "tanh"] = Field(
        default="clip", description="how actions are kept within +-limit: cut off, or limit tanh(a / limit)"
    )
    speed_unit: float = Field(default=4.0, gt=0, description="m/s by which one longitudinal unit moves the plan's mean speed")
    stretch_unit: float = Field(default=0.25, gt=0, le=1, description="share by which one unit stretches the plan, in the space stretch")
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
    sigma: Literal["schedule", "global", "state"] = Field(
        default="schedule",
        description="the action's standard deviation: PPO's schedule, one learned number a coordinate, or a learned function of the state",
    )
    log_std: float = Field(
        default=-1.0, ge=LOG_STD_RANGE[0], le=LOG_STD_RANGE[1], description="log standard deviation of the action before training, in units"
    )
    critic_facts: bool = Field(default=False, description="let the value head, which does not drive, see the truth about the episode, too")


class Basis(NamedTuple):
    """What one unit of each of the K coordinates of an action does to a plan: `shift` + `gain` times the plan."""

    shift: NDArray[np.float32]
    """(K, H, 2) m."""
    gain: NDArray[np.float32]
    """(K, H), shares of the plan's own waypoints; zeros but in the space `stretch`."""


def action_basis(config: DeltaConfig, horizon: int) -> Basis:
    """The action space as numbers.

    `basis`: with t in (0, 1] over the horizon, x by speed_unit's distance times t (faster) and .75 t(t - 1) (later),
    y by lateral_unit times t (to the left) and .8 t(t - 1) (bending). `full`: K = 2H, x and y of each waypoint in turn, growing with t.
    `stretch`: waypoints times 1 + stretch_unit (faster) and 1 + stretch_unit (t - 1) (later), y as in `basis`; a plan that stands stays.
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
        shift = full.reshape(2 * horizon, horizon, 2).astype(np.float32)
        return Basis(shift, np.zeros(shift.shape[:2], np.float32))
    shift, gain = np.zeros((4, horizon, 2), np.float32), np.zeros((4, horizon), np.float32)
    if config.space == "stretch":
        gain[0] = config.stretch_unit
        gain[1] = config.stretch_unit * (t - 1.0)
    else:
        shift[0, :, 0] = x_unit * t
        shift[1, :, 0] = x_unit * 0.75 * t * (t - 1.0)
    shift[2, :, 1] = y_unit * t
    shift[3, :, 1] = y_unit * 0.8 * t * (t - 1.0)
    return Basis(shift, gain)


@numba.njit(cache=True)
def correction(
    action: NDArray[np.float32], plan: NDArray[np.float32], shift: NDArray[np.float32], gain: NDArray[np.float32], limit: float, tanh: bool
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Deltas (N, H, 2) m of actions (N, K) to plans (N, H, 2), and the share (N,) of coordinates beyond +-limit, within which all are kept.

    With `tanh` a coordinate a counts as limit tanh(a / limit), else as what is left of it within the limit.
    """
    n, k = action.shape
    h = shift.shape[1]
    delta = np.zeros((n, h, 2), np.float32)
    beyond = np.zeros(n, np.float32)
    for i in range(n):
        for c in range(k):
            a = action[i, c]
            if abs(a) > limit:
                beyond[i] += np.float32(1.0 / k)
            a = np.float32(limit * math.tanh(a / limit)) if tanh else min(max(a, np.float32(-limit)), np.float32(limit))
            if a == 0.0:
                continue
            for j in range(h):
                delta[i, j, 0] += a * (shift[c, j, 0] + gain[c, j] * plan[i, j, 0])
                delta[i, j, 1] += a * (shift[c, j, 1] + gain[c, j] * plan[i, j, 1])
    return delta, beyond


class DeltaWaypointHead(nn.Module):
    """Features (B, D) -> what parametrises the action: its mean (B, K), in the sigma `state` followed by K changes of its log standard
    deviation; exactly zero before training."""

    def __init__(self, inputs: int, hidden: tuple[int, ...], outputs: int) -> None:
        super().__init__()
        self.net = mlp((inputs, *hidden, outputs), nn.SiLU)
        nn.init.zeros_(cast(nn.Linear, self.net[-1]).weight)
        nn.init.zeros_(cast(nn.Linear, self.net[-1]).bias)

    def forward(self, features: Tensor) -> Tensor:
        """Mean of the action, and the changes of its log standard deviation where the head gives them, in units."""
        return cast(Tensor, self.net(features))


class ValueHead(nn.Module):
    """Features, with the facts for the critic where it sees them, (B, D + P) -> value (B,)."""

    def __init__(self, inputs: int, hidden: tuple[int, ...]) -> None:
        super().__init__()
        self.net = mlp((inputs, *hidden, 1), nn.SiLU)

    def forward(self, features: Tensor) -> Tensor:
        """Values (B,)."""
        return cast(Tensor, self.net(features)).squeeze(-1)
