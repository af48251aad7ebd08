"""What a correction should have been, and the loss that draws a delta head there, from the expert's plans on recorded frames.

For a frame with SFT's plan p and the expert's plan e, both (H, 2) m, and an action space whose K directions D (K, H, 2) are
`shift` + `gain` times p:

* the target y (K,) is the action whose correction comes nearest to e - p: the ridge solution of |y D - (e - p)|^2, cut to the bounds;
* y_hat (K,) is the mean that the head gives, sigma (K,) the standard deviation;
* delta_norm = (y - y_hat) / sigma, the normalised residual; before training y_hat is zero and it is SFT's own error in sigmas;
* NLL = sum over K of delta_norm^2 / 2 + log sigma + log(2 pi) / 2, in nats: y under N(y_hat, sigma^2);
* MSE = mean over H of |p + correction(y_hat) - e|^2, in m^2: of the plan as it would be driven, bounds included;
* KL = KL(N(y_hat, sigma^2) || N(0, sigma_0^2)), in nats: the pull to zero, that is to SFT. sigma_0 is the action's standard deviation
  before training and stays: measured in a learned sigma the pull would be strongest where the correction is surest.

Loss = nll NLL + mse MSE + kl KL, means over the frames. NLL and KL live in action units, where the policy's Gaussian lives: the waypoints
of a few coefficients have no density of their own.

Knows no data set, no optimiser and no SFT model.
"""

from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from carla_rl import gaussian
from carla_rl.policies.delta import Basis, DeltaConfig

RIDGE_M2 = 1e-3
"""Weight of |y|^2 in the fit, m^2 a unit: a direction that moves a plan by centimetres, as of a standing plan that is to be stretched, is
left alone, and the others lose less than a per cent."""
_TANH_REACH = 0.95
"""Share of the limit that a target may be at under `tanh`, which never gets to the limit itself."""


class Frames(NamedTuple):
    """B recorded frames as the loss needs them."""

    features: Tensor
    """(B, D): what the delta head sees."""
    plans: Tensor
    """(B, H, 2) m: SFT's."""
    experts: Tensor
    """(B, H, 2) m."""
    targets: Tensor
    """(B, K): y, in units."""

    def take(self, rows: NDArray[np.int64]) -> "Frames":
        """The frames of these rows."""
        return Frames(*(column[rows] for column in self))


class Terms(NamedTuple):
    """The parts of the loss, scalars."""

    nll: Tensor
    mse: Tensor
    kl: Tensor


def corrected(actions: Tensor, plans: Tensor, basis: Basis, config: DeltaConfig) -> Tensor:
    """`plans` (B, H, 2) with the corrections of `actions` (B, K), as `carla_rl.policies.delta.correction` has them, differentiable."""
    limit = config.limit
    kept = limit * torch.tanh(actions / limit) if config.bound == "tanh" else actions.clamp(-limit, limit)
    shift, gain = torch.from_numpy(basis.shift).to(plans), torch.from_numpy(basis.gain).to(plans)
    return plans + (kept @ shift.flatten(1)).reshape(plans.shape) + (kept @ gain)[..., None] * plans


def target_actions(plans: Tensor, experts: Tensor, basis: Basis, config: DeltaConfig) -> tuple[Tensor, Tensor]:
    """y (B, K), and the share (B,) of its coordinates that the bounds cut."""
    shift, gain = torch.from_numpy(basis.shift).double(), torch.from_numpy(basis.gain).double()
    matrix = (shift + gain[..., None] * plans.double()[:, None]).flatten(2)
    ridge = RIDGE_M2 * torch.eye(matrix.shape[1], dtype=matrix.dtype)
    right = matrix @ (experts - plans).double().flatten(1)[..., None]
    wanted = torch.linalg.solve(matrix @ matrix.mT + ridge, right).squeeze(-1)
    reach = config.limit * (_TANH_REACH if config.bound == "tanh" else 1.0)
    beyond = (wanted.abs() > reach).double().mean(-1)
    kept = wanted.clamp(-reach, reach)
    if config.bound == "tanh":
        kept = config.limit * torch.atanh(kept / config.limit)
    return kept.to(plans), beyond.to(plans)


def terms(mean: Tensor, log_std: Tensor, frames: Frames, basis: Basis, config: DeltaConfig, *, log_std_least: float) -> Terms:
    """The terms of the loss for `mean` (B, K) and `log_std`, (K,) or (B, K), of the action.

    Below `log_std_least` the NLL is mirrored, so that its gradient leads a surer `log_std` back up.
    """
    plans = corrected(mean, frames.plans, basis, config)
    start = torch.full((mean.shape[-1],), config.log_std)
    return Terms(
        nll=-gaussian.log_prob(frames.targets, mean, log_std_least + (log_std - log_std_least).abs()).mean(),
        mse=(plans - frames.experts).square().sum(-1).mean(),
        kl=gaussian.kl(mean, log_std, torch.zeros_like(start), start).mean(),
    )
