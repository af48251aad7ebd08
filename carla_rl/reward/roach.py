"""The reward in the form of Roach (Zhang et al. 2021): dense, for keeping a speed and the route's line, with a terminal cost.

Two things are not Roach's. Its target speed falls towards lights and other road users, whose distances the facts do not hold: here the
target is the speed limit. And it charges for jerky steering, which a state does not show.
"""

from typing import Literal

import numpy as np
from pydantic import Field

from carla_rl.config import Config
from carla_rl.reward.terms import COLLISIONS, Terms, committed
from carla_rl.types import Ending, Infraction, Step


class RoachRewardConfig(Config):
    """Weights of the terms, a decision each. Costs are given as positive numbers; the defaults are Roach's."""

    form: Literal["roach"] = "roach"
    speed: float = Field(default=1.0, gt=0, description="reward of driving at the speed limit; falls to 0 at rest and at twice the limit")
    lateral_per_m: float = Field(default=0.5, ge=0, description="cost per metre beside the route's line")
    heading_per_rad: float = Field(default=1.0, ge=0, description="cost per radian between the headings of ego and route")
    terminal: float = Field(default=1.0, ge=0, description="cost of a collision, a red light, a stop sign, leaving the route, blocking")
    terminal_per_mps: float = Field(default=1.0, ge=0, description="cost per m/s on top, where it was an infraction in motion")


def roach_terms(before: Step, after: Step, config: RoachRewardConfig) -> Terms:
    """Each (N,): `speed` is what is earned, the rest are costs (not positive)."""
    # an env that rests has no limit
    speed, limit = after.ego.speed, np.maximum(after.facts.speed_limit, 0.1)
    moving = config.terminal + config.terminal_per_mps * speed
    return {
        "speed": config.speed * np.maximum(1.0 - np.abs(speed - limit) / limit, 0.0),
        "lateral": -config.lateral_per_m * np.abs(after.facts.lateral),
        "heading": -config.heading_per_rad * np.abs(after.facts.heading_error),
        "collision": -moving * committed(before, after, *COLLISIONS),
        "red_light": -moving * committed(before, after, Infraction.RED_LIGHT),
        "stop_sign": -moving * committed(before, after, Infraction.STOP_SIGN),
        "deviation": -config.terminal * (after.ending == Ending.ROUTE_DEVIATION),
        "blocked": -config.terminal * (after.ending == Ending.VEHICLE_BLOCKED),
    }
