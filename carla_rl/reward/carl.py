"""The reward in the form of CaRL (Jaeger et al. 2025), the default.

Metres of route completion, scaled down by soft factors for driving that is not proper, a terminal cost for each ending that loses the
route, and a small cost of living so that standing still is never the best choice.
"""

from typing import Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from carla_rl.config import Config
from carla_rl.reward.terms import COLLISIONS, Terms, committed
from carla_rl.types import Bools, Ending, Infraction, Step

LATERAL_BOUND = 4.89
"""m/s^2: nuPlan's bound of comfortable lateral acceleration, either side."""
BRAKING_BOUND = -4.05
"""m/s^2: nuPlan's lower bound of comfortable longitudinal acceleration."""
THROTTLE_BOUND = 2.40
"""m/s^2: nuPlan's upper bound of comfortable longitudinal acceleration."""


class RewardConfig(Config):
    """Weights of the terms. Costs are given as positive numbers."""

    form: Literal["carl"] = "carl"
    progress_per_m: float = Field(default=0.05, gt=0, description="reward per metre of route completed")
    decision: float = Field(default=0.01, ge=0, description="cost of each decision: living is not free")
    outside_factor: float = Field(default=0.0, ge=0, le=1, description="what is left of the progress made outside the route's lanes")
    speeding_margin_mps: float = Field(default=2.5, gt=0, description="m/s over the speed limit at which progress earns nothing")
    discomfort_factor: float = Field(
        default=0.8, ge=0, le=1, description="what is left of the progress while beyond nuPlan's comfort bounds"
    )
    collision: float = Field(default=3.0, ge=0, description="cost of a collision with anything")
    red_light: float = Field(default=3.0, ge=0, description="cost of running a red light")
    stop_sign: float = Field(default=3.0, ge=0, description="cost of running a stop sign")
    deviation: float = Field(default=3.0, ge=0, description="cost of ending by leaving the route")
    blocked: float = Field(default=3.0, ge=0, description="cost of ending by standing still")


def carl_terms(before: Step, after: Step, config: RewardConfig) -> Terms:
    """Each (N,): `progress` is what the metres alone would earn, `outside_lanes`, `speeding` and `discomfort` what the soft factors took
    from it one after the other, the rest are costs (not positive)."""
    progress = config.progress_per_m * (after.facts.route_completion - before.facts.route_completion) * after.facts.route_length
    kept_inside = progress * (1.0 - (1.0 - config.outside_factor) * _outside(before, after))
    kept_slow = kept_inside * np.clip(1.0 - (after.ego.speed - after.facts.speed_limit) / config.speeding_margin_mps, 0.0, 1.0)
    kept = kept_slow * np.where(_uncomfortable(after), config.discomfort_factor, 1.0)
    return {
        "progress": progress,
        "outside_lanes": kept_inside - progress,
        "speeding": kept_slow - kept_inside,
        "discomfort": kept - kept_slow,
        "decision": np.full(len(progress), -config.decision),
        "collision": -config.collision * committed(before, after, *COLLISIONS),
        "red_light": -config.red_light * committed(before, after, Infraction.RED_LIGHT),
        "stop_sign": -config.stop_sign * committed(before, after, Infraction.STOP_SIGN),
        "deviation": -config.deviation * (after.ending == Ending.ROUTE_DEVIATION),
        "blocked": -config.blocked * (after.ending == Ending.VEHICLE_BLOCKED),
    }


def _outside(before: Step, after: Step) -> NDArray[np.float64]:
    """(N,) share of the route's metres of this decision that were outside its lanes, from the running share s = o / l of the episode.

    With p metres of route in the decision, the metres outside are s1 l1 - s0 (l1 - p) = (s1 - s0) l1 + s0 p. For l1, the metres of route
    since the start, stands what the ego drove: where the share only falls as l grows, the two terms cancel but for the small difference of
    the two lengths, and what was outside long ago costs nothing now.
    """
    share, metres = before.facts.outside_share, (after.facts.route_completion - before.facts.route_completion) * after.facts.route_length
    outside = (after.facts.outside_share - share) * after.facts.driven + share * metres
    return np.clip(np.divide(outside, metres, out=np.zeros_like(outside), where=metres > 0), 0.0, 1.0)


def _uncomfortable(after: Step) -> Bools:
    """(N,) whether the ego's acceleration is beyond nuPlan's comfort bounds."""
    lateral = np.abs(after.ego.speed * after.ego.yaw_rate)
    return (lateral > LATERAL_BOUND) | (after.ego.acceleration < BRAKING_BOUND) | (after.ego.acceleration > THROTTLE_BOUND)
