import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose
from ppo.fakes import step

from carla_rl.config import Config
from carla_rl.errors import UsageError
from carla_rl.reward import AnyReward, RewardConfig, RoachRewardConfig, rewards
from carla_rl.types import Ending, Infraction

CONFIG = RewardConfig()


def counts(*kinds: Infraction) -> np.ndarray:
    """(1, I) one infraction of each kind."""
    out = np.zeros((1, len(Infraction)), np.int64)
    for kind in kinds:
        out[0, kind] += 1
    return out


def one(before: dict | None = None, **after):
    """Terms of one env driving from `before` to `after`."""
    earned = rewards(step(1, **(before or {})), step(1, **after), np.ones(1, np.bool_), CONFIG)
    return float(earned.total[0]), {name: round(float(term[0]), 6) for name, term in earned.terms.items() if term[0] != 0}


def test_two_metres_of_a_hundred():
    total, terms = one({"route_completion": [0.5], "driven": [50.0]}, route_completion=[0.52], driven=[52.0], speed=[10.0])
    assert terms == {"progress": 0.1, "decision": -0.01}
    assert total == pytest.approx(0.09)


def test_standing_still_costs():
    assert one() == (pytest.approx(-0.01), {"decision": -0.01})


def test_progress_outside_the_lanes_is_worth_nothing():
    # 50 m with 10 % outside is 5 m; 52 m with 7/52 outside is 7 m: both metres of the decision were outside.
    before = {"route_completion": [0.5], "driven": [50.0], "outside_share": [0.1]}
    total, terms = one(before, route_completion=[0.52], driven=[52.0], outside_share=[7.0 / 52.0])
    assert terms == {"progress": 0.1, "outside_lanes": -0.1, "decision": -0.01}
    assert total == pytest.approx(-0.01, abs=1e-6)


def test_back_inside_what_was_outside_before_costs_nothing():
    """20 m of 40 m of route outside; the next 2 m are inside. The ego drove 43 m for the 40 and now 2.4 m for the 2: share times odometer
    would rise by .12 m, and 5 % of the progress would be lost for nothing."""
    before = {"route_completion": [0.4], "driven": [43.0], "outside_share": [20 / 40]}
    _, terms = one(before, route_completion=[0.42], driven=[45.4], outside_share=[20 / 42])
    assert terms == {"progress": 0.1, "decision": -0.01}


def test_half_the_margin_over_the_limit_halves_the_progress():
    _, terms = one(route_completion=[0.02], driven=[2.0], speed=[11.25])
    assert terms == {"progress": 0.1, "speeding": -0.05, "decision": -0.01}


def test_factors_multiply_one_after_the_other():
    # Half outside (.5), half the margin (.5), braking beyond 4.05 m/s^2 (.8): .1 -> .05 -> .025 -> .02
    _, terms = one(route_completion=[0.02], driven=[2.0], outside_share=[0.5], speed=[11.25], acceleration=[-5.0])
    assert terms == {"progress": 0.1, "outside_lanes": -0.05, "speeding": -0.025, "discomfort": -0.005, "decision": -0.01}


@pytest.mark.parametrize(
    ("state", "hard"),
    [
        ({"acceleration": [2.4]}, False),
        ({"acceleration": [2.41]}, True),
        ({"acceleration": [-4.05]}, False),
        ({"acceleration": [-4.06]}, True),
        ({"speed": [10.0], "yaw_rate": [0.48]}, False),
        ({"speed": [10.0], "yaw_rate": [-0.49]}, True),
    ],
)
def test_comfort_bounds(state, hard):
    _, terms = one(route_completion=[0.02], driven=[2.0], **state)
    assert ("discomfort" in terms) is hard


@pytest.mark.parametrize(
    ("kinds", "terms"),
    [
        ((Infraction.COLLISION_PEDESTRIAN,), {"collision": -3.0}),
        ((Infraction.COLLISION_VEHICLE, Infraction.COLLISION_STATIC), {"collision": -3.0}),
        ((Infraction.RED_LIGHT,), {"red_light": -3.0}),
        ((Infraction.STOP_SIGN,), {"stop_sign": -3.0}),
        ((Infraction.COLLISION_VEHICLE, Infraction.RED_LIGHT), {"collision": -3.0, "red_light": -3.0}),
    ],
)
def test_infractions_cost_when_they_are_committed_and_only_then(kinds, terms):
    assert one(infractions=counts(*kinds))[1] == terms | {"decision": -0.01}
    assert one({"infractions": counts(*kinds)}, infractions=counts(*kinds))[1] == {"decision": -0.01}


@pytest.mark.parametrize(
    ("ending", "terms"),
    [
        (Ending.COMPLETED, {}),
        (Ending.ROUTE_TIMEOUT, {}),
        (Ending.ROUTE_DEVIATION, {"deviation": -3.0}),
        (Ending.VEHICLE_BLOCKED, {"blocked": -3.0}),
    ],
)
def test_endings(ending, terms):
    assert one(ending=np.array([ending], np.int8))[1] == terms | {"decision": -0.01}


def test_an_idle_env_earns_nothing():
    earned = rewards(step(2), step(2, route_completion=[0.1, 0.1]), np.array([True, False]), CONFIG)
    assert_allclose(earned.total, [0.49, 0.0], atol=1e-6)
    assert all(term[1] == 0 for term in earned.terms.values())


@settings(deadline=None)
@given(
    progress=st.floats(0, 0.1),
    driven=st.floats(0, 20),
    outside=st.floats(0, 1),
    speed=st.floats(0, 30),
    acceleration=st.floats(-9, 9),
    yaw_rate=st.floats(-2, 2),
    kind=st.sampled_from(list(Infraction)),
)
def test_the_total_is_the_sum_of_its_terms_and_never_more_than_progress(progress, driven, outside, speed, acceleration, yaw_rate, kind):
    state = {"speed": [speed], "acceleration": [acceleration], "yaw_rate": [yaw_rate], "outside_share": [outside], "driven": [driven]}
    earned = rewards(step(1), step(1, route_completion=[progress], infractions=counts(kind), **state), np.ones(1, np.bool_), CONFIG)
    assert earned.total[0] == pytest.approx(sum(float(term[0]) for term in earned.terms.values()), abs=1e-5)
    assert -1e-6 - 3.01 <= earned.total[0] <= earned.terms["progress"][0]


def test_a_negative_weight_is_refused_in_one_sentence():
    with pytest.raises(UsageError, match=r"train\.toml: collision: .*greater than or equal to 0"):
        RewardConfig.checked({"collision": -1}, "train.toml")


ROACH = RoachRewardConfig()


def roach(before: dict | None = None, **after):
    """As `one`, in Roach's form."""
    earned = rewards(step(1, **(before or {})), step(1, **after), np.ones(1, np.bool_), ROACH)
    return float(earned.total[0]), {name: round(float(term[0]), 6) for name, term in earned.terms.items() if term[0] != 0}


def test_roach_by_hand():
    # 8 of 10 m/s on the line; then 12 m/s, half a metre beside it and .2 rad off
    assert roach(speed=[8.0]) == (pytest.approx(0.8), {"speed": 0.8})
    total, terms = roach(speed=[12.0], lateral=[-0.5], heading_error=[0.2])
    assert terms == {"speed": 0.8, "lateral": -0.25, "heading": -0.2}
    assert total == pytest.approx(0.35)


def test_roach_charges_an_infraction_by_its_speed():
    _, terms = roach(speed=[5.0], infractions=counts(Infraction.COLLISION_VEHICLE), ending=[Ending.INFRACTION])
    assert terms == {"speed": 0.5, "collision": -6.0}
    assert roach(ending=[Ending.VEHICLE_BLOCKED]) == (-1.0, {"blocked": -1.0})


def test_standing_still_earns_nothing_in_roachs_form():
    assert roach() == (0.0, {})


class Holder(Config):
    reward: AnyReward = RewardConfig()


def test_the_form_is_chosen_by_name():
    assert Holder.checked({}, "x").reward == CONFIG
    assert Holder.checked({"reward": {"collision": 2.0}}, "x").reward == RewardConfig(collision=2.0)
    assert Holder.checked({"reward": {"form": "roach", "speed": 2.0}}, "x").reward == RoachRewardConfig(speed=2.0)
    with pytest.raises(UsageError, match="x: reward: form is unknown; write one of carl, roach"):
        Holder.checked({"reward": {"form": "dense"}}, "x")
    with pytest.raises(UsageError, match="x: reward: form is unknown"):
        Holder.checked({"reward": {"form": ["roach"]}}, "x")
    with pytest.raises(UsageError, match=r"x: reward\.lateral_per_m is not a known field"):
        Holder.checked({"reward": {"lateral_per_m": 1.0}}, "x")
