"""What a command changes of a suite: traffic and lights, and nothing else; the suite is another one then."""

import pytest

from carla_rl.build import Networks
from carla_rl.errors import UsageError
from carla_rl.scenario.suite import Suite, load_suite
from carla_rl.scenario.variation import Variation


@pytest.fixture(scope="module")
def suite() -> Suite:
    return load_suite("quick-eval", Networks(), "ring-eval-000,ring-eval-001")


def test_nothing_said_leaves_the_suite_as_it_is(suite: Suite) -> None:
    assert Variation().applied(suite) is suite


def test_no_traffic_leaves_all_else_as_it_is(suite: Suite) -> None:
    varied = Variation(vehicles=0, pedestrians=0).applied(suite)
    assert [scenario.traffic.vehicles for scenario in varied.scenarios] == [0, 0]
    speeds = [[scenario.traffic.speed_factor for scenario in one.scenarios] for one in (varied, suite)]
    assert speeds[0] == speeds[1]
    without = [
        scenario.model_copy(update={"traffic": was.traffic}) for scenario, was in zip(varied.scenarios, suite.scenarios, strict=True)
    ]
    assert tuple(without) == suite.scenarios
    assert varied.routes == suite.routes


def test_a_varied_suite_says_so_and_is_another(suite: Suite) -> None:
    varied = Variation(vehicles=3, lights="together").applied(suite)
    assert varied.name == "quick-eval (vehicles 3, lights together)"
    assert varied.sha256 != suite.sha256
    assert {scenario.lights for scenario in varied.scenarios} == {"together"}


def test_what_cannot_be_is_refused() -> None:
    with pytest.raises(UsageError, match=r"vehicles: Input should be less than or equal to 200"):
        Variation.checked({"vehicles": 201}, "the options")
