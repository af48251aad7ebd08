"""The golden vectors are worked out from the published formulas (scoring-and-controllers.md, section 1.1)."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from carla_rl.errors import UsageError
from carla_rl.metrics.scores import DEFINITIONS, Drive, definition, is_success, normalised_driving_score, status
from carla_rl.types import Ending, Infraction

I = Infraction  # noqa: E741
GOLDEN = [
    (Drive(1.0), (100, 100, 100, 100)),
    (Drive(1.0, {I.COLLISION_VEHICLE: 1}), (60, 60, 58.824, 60)),
    (Drive(1.0, {I.COLLISION_PEDESTRIAN: 1}), (50, 50, 50, 50)),
    (Drive(1.0, {I.RED_LIGHT: 1}), (70, 70, 71.429, 70)),
    (Drive(1.0, {I.COLLISION_STATIC: 1}), (65, 65, 62.5, 65)),
    (Drive(1.0, {I.STOP_SIGN: 1}), (80, 80, 80, 80)),
    (Drive(1.0, {I.SCENARIO_TIMEOUT: 1}), (100, 70, 71.429, 70)),
    (Drive(1.0, {I.COLLISION_VEHICLE: 2, I.RED_LIGHT: 1}), (25.2, 25.2, 35.714, 25.2)),
    (Drive(1.0, {I.OUTSIDE_ROUTE_LANES: 1}, outside_share=0.125), (87.5, 87.5, 87.5, 87.5)),
    (Drive(1.0, {I.MIN_SPEED: 4}, min_speed_shares=(0.5,) * 4), (100, 52.201, 55.556, 100)),
    (
        Drive(0.6, {I.COLLISION_VEHICLE: 1, I.OUTSIDE_ROUTE_LANES: 1, I.MIN_SPEED: 1}, outside_share=0.1, min_speed_shares=(0.8,)),
        (32.4, 30.456, 30.337, 32.4),
    ),
    (Drive(1.0, {I.COLLISION_VEHICLE: 5}), (7.776, 7.776, 22.222, 7.776)),
]


@pytest.mark.parametrize(("drive", "expected"), GOLDEN)
def test_golden_vectors(drive: Drive, expected: tuple[float, ...]) -> None:
    names = ("leaderboard_1.0", "leaderboard_2.0", "leaderboard_2.1", "bench2drive")
    assert [definition(n).score(drive).score_composed for n in names] == [pytest.approx(value, abs=5e-4) for value in expected]


def test_the_three_numbers_of_one_route() -> None:
    score = definition("leaderboard_2.0").score(Drive(0.5, {I.COLLISION_VEHICLE: 1, I.RED_LIGHT: 1}))
    assert (score.score_route, score.score_penalty, score.score_composed) == (50.0, pytest.approx(0.42), pytest.approx(21.0))


@given(
    completion=st.floats(0, 1),
    outside=st.floats(0, 1),
    counts=st.dictionaries(st.sampled_from(Infraction), st.integers(0, 20)),
    speeds=st.lists(st.floats(0, 3), max_size=4),
    extra=st.sampled_from(Infraction),
    name=st.sampled_from(sorted(DEFINITIONS)),
)
def test_a_score_stays_in_range_and_never_rises_with_an_infraction(
    completion: float, outside: float, counts: dict[Infraction, int], speeds: list[float], extra: Infraction, name: str
) -> None:
    score = DEFINITIONS[name].score(Drive(completion, counts, outside, tuple(speeds)))
    assert 0.0 <= score.score_composed <= 100.0
    assert 0.0 <= score.score_penalty <= 1.0
    more = DEFINITIONS[name].score(Drive(completion, {**counts, extra: counts.get(extra, 0) + 1}, outside, tuple(speeds)))
    assert more.score_composed <= score.score_composed


@pytest.mark.parametrize(
    "facts",
    [(1.2,), (float("nan"),), (-0.1,), (1.0, {I.RED_LIGHT: -1}), (1.0, {}, 1.5), (1.0, {}, float("nan")), (1.0, {}, 0.0, (-0.1,))],
)
def test_impossible_facts_are_refused(facts: tuple[Any, ...]) -> None:
    with pytest.raises(ValueError):
        Drive(*facts)


@pytest.mark.parametrize("name", DEFINITIONS)
def test_the_order_of_the_facts_and_zeros_among_them_change_no_bit(name: str) -> None:
    counts = {I.STOP_SIGN: 3, I.COLLISION_STATIC: 1, I.RED_LIGHT: 2, I.COLLISION_PEDESTRIAN: 1, I.YIELD_EMERGENCY: 2}
    every = {kind: counts.get(kind, 0) for kind in reversed(Infraction)}
    one, other = Drive(0.7, counts, 0.013), Drive(0.7, every, 0.013)
    assert DEFINITIONS[name].score(one) == DEFINITIONS[name].score(other)
    assert normalised_driving_score(one, 400.0) == normalised_driving_score(other, 400.0)


def test_an_unknown_definition_names_the_known_ones() -> None:
    with pytest.raises(UsageError, match=r"leaderboard_2\.1"):
        definition("leaderboard_3.0")


def test_status_words() -> None:
    assert status(Ending.COMPLETED, 0) == "Perfect"
    assert status(Ending.COMPLETED, 1) == "Completed"
    assert status(Ending.VEHICLE_BLOCKED, 3) == "Failed - Agent got blocked"
    assert status(Ending.ROUTE_TIMEOUT, 0) == "Failed - Agent timed out"
    assert status(Ending.ROUTE_DEVIATION, 0) == "Failed - Agent deviated from the route"
    assert status(Ending.INFRACTION, 1).startswith("Ended")
    with pytest.raises(ValueError):
        status(Ending.NONE, 0)


def test_success_forgives_minimum_speed_only() -> None:
    assert is_success(Ending.COMPLETED, {I.MIN_SPEED: 2})
    assert not is_success(Ending.COMPLETED, {I.STOP_SIGN: 1})
    assert not is_success(Ending.VEHICLE_BLOCKED, {})
