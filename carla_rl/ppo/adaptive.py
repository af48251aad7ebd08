"""What adapts itself from one update to the next: the delta head's learning rate, and the weight of the pull towards SFT.

Both are multiplied or divided by a step when what they steer is too large or too small; between the two they stay. Knows no network.
"""

from dataclasses import dataclass
from typing import Any

LR_STEP = 1.5
"""An adaptive learning rate moves by this factor when the KL is beyond twice or half of what is wanted (as in rsl_rl)."""
LR_FACTORS = (0.01, 10.0)
"""Least and largest share of the initial learning rate."""
PULL_STEP = 1.5
"""The pull's weight moves by this factor when the KL to SFT is beyond 1.5 times or two thirds of its target (as in PPO's adaptive KL)."""
PULLS = (1e-5, 1e3)
"""Least and largest weight that it adapts to."""


@dataclass(slots=True)
class AdaptiveRate:
    """A factor of the learning rate that holds the KL of an update near `target` nats."""

    target: float
    factor: float = 1.0

    def update(self, kl: float) -> None:
        """Take in the KL(old || new) at the end of an update."""
        if kl > 2.0 * self.target:
            self.factor = max(self.factor / LR_STEP, LR_FACTORS[0])
        elif kl < 0.5 * self.target:
            self.factor = min(self.factor * LR_STEP, LR_FACTORS[1])

    def state_dict(self) -> dict[str, Any]:
        """Everything needed to go on."""
        return {"factor": self.factor}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from `state_dict`'s result."""
        self.factor = state["factor"]


@dataclass(slots=True)
class Pull:
    """The weight of KL(policy || SFT): fixed, or adapted to hold that KL near `target` nats."""

    weight: float
    target: float | None

    def update(self, kl_to_sft: float) -> None:
        """Take in the mean KL to SFT of an update (Schulman et al. 2017, section 4)."""
        if self.target is None:
            return
        if kl_to_sft > 1.5 * self.target:
            self.weight = min(self.weight * PULL_STEP, PULLS[1])
        elif kl_to_sft < self.target / 1.5:
            self.weight = max(self.weight / PULL_STEP, PULLS[0])

    def state_dict(self) -> dict[str, Any]:
        """Everything needed to go on."""
        return {"weight": self.weight}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from `state_dict`'s result."""
        self.weight = state["weight"]
