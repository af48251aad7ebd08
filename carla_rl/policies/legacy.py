"""Drives checkpoints of the earlier delta trainer: an SFT model plus an MLP with Tanh from z to a delta of every waypoint.

Such deltas are not bounded by their design; they are clipped to 24 m ahead or back and 6 m to either side.
"""

import numpy as np
from torch import nn

from carla_rl.checkpoint import LegacyState
from carla_rl.errors import UsageError
from carla_rl.policies.networks import by_rows, load_checked, mlp, mlp_sizes
from carla_rl.policies.sft import FrozenSft
from carla_rl.types import Bools, Observation, Plan

BOUNDS_M = np.array((24.0, 6.0), np.float32)
"""Largest correction of x and of y, in metres."""


class LegacyDelta:
    """waypoints = SFT + clipped delta_head(z)."""

    def __init__(self, sft: FrozenSft, state: LegacyState) -> None:
        """Join an SFT model with the heads of a file.

        Raises:
            UsageError: the head does not fit z or the horizon of the SFT model, or a tensor is missing or of a wrong shape.
        """
        source = state.source
        sizes = mlp_sizes(state.delta_head, "delta_head", source, "net.")
        if sizes[0] != sft.out_dim:
            raise UsageError(f"{source}: its delta head takes z of size {sizes[0]}, the SFT model gives {sft.out_dim}; give its own SFT")
        if sizes[-1] != 2 * sft.horizon:
            raise UsageError(
                f"{source}: its delta head corrects {sizes[-1] / 2:g} waypoints, the SFT model plans {sft.horizon}; give its own SFT"
            )
        self._net = mlp(sizes, nn.Tanh)
        head = nn.ModuleDict({"net": self._net})
        load_checked(head, state.delta_head, "delta_head", source)
        head.eval().requires_grad_(False)
        self.sft = sft
        self.name = f"sft-{sft.state.architecture}+legacy-delta"
        self.needs = sft.needs
        self.horizon = sft.horizon

    def reset(self, envs: Bools) -> None:
        """Nothing to forget: the policy has no memory."""

    def plan(self, observation: Observation) -> Plan:
        """Plans of N envs; extras hold `delta` (N, H, 2)."""
        seen = self.sft.see(observation)
        delta = np.clip(by_rows(self._net, seen.z).reshape(seen.waypoints.shape), -BOUNDS_M, BOUNDS_M)
        return Plan(seen.waypoints + delta, seen.waypoints, {"delta": delta})
