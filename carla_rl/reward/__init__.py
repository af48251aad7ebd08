"""The reward: a weighted sum of the quantities that the metrics report, so that training and evaluation cannot disagree.

Pure functions of the facts before and after a decision, in a form chosen by name; knows no policy, no learner and no simulator.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import reduce
from typing import Annotated, Any

import numpy as np
from numpy.typing import NDArray
from pydantic import BeforeValidator

from carla_rl.reward.carl import RewardConfig, carl_terms
from carla_rl.reward.roach import RoachRewardConfig, roach_terms
from carla_rl.types import Bools, Step

__all__ = ["AnyReward", "RewardConfig", "RewardTerms", "RoachRewardConfig", "rewards"]


_FORMS: dict[str, type[RewardConfig] | type[RoachRewardConfig]] = {"carl": RewardConfig, "roach": RoachRewardConfig}


def _by_form(value: Any) -> Any:
    """A table as the configuration of the form that it names; CaRL's where it names none."""
    if not isinstance(value, dict):
        return value
    form = value.get("form", "carl")
    if not isinstance(form, str) or form not in _FORMS:
        raise ValueError(f"form is unknown; write one of {', '.join(_FORMS)}")
    return _FORMS[form].model_validate(value)


AnyReward = Annotated[RewardConfig | RoachRewardConfig, BeforeValidator(_by_form)]
"""A field of this type takes either table, told apart by `form`."""


@dataclass(frozen=True, slots=True)
class RewardTerms:
    """What each env earned in one decision."""

    total: NDArray[np.float32]
    """(N,), the sum of the terms; 0 where an env was not driving."""
    terms: Mapping[str, NDArray[np.float32]]
    """Each (N,); see the form's own function."""


def rewards(before: Step, after: Step, active: Bools, config: RewardConfig | RoachRewardConfig) -> RewardTerms:
    """The reward of one decision of N envs.

    Args:
        before: the state when the decision was made.
        after: the state when the next one is due, or at the ending.
        active: (N,) whether the env was driving.
        config: the form and its weights.
    """
    terms = carl_terms(before, after, config) if isinstance(config, RewardConfig) else roach_terms(before, after, config)
    masked = {name: np.where(active, term, 0.0).astype(np.float32) for name, term in terms.items()}
    # term after term: NumPy's sum over an axis adds up a single env in another order than several
    total: NDArray[np.float32] = reduce(np.add, masked.values())
    return RewardTerms(total=total, terms=masked)
