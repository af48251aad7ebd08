import pytest

from carla_rl.errors import UsageError
from carla_rl.scenario.model import Scenario
from carla_rl.scenario.selection import select

ENDS = ((0.0, 0.0, 0.0), (1.0, 0.0, 0.0))


def scenario(name: str, town: str = "grid") -> Scenario:
    return Scenario(scenario_id=name, town=town, positions=ENDS)


ROUTES = [scenario(f"RouteScenario_{n}", town) for n, town in ((5, "Town01"), (33, "Town06"), (0, "Town01"), (3, "Town02"), (1, "Town02"))]
OURS = [scenario(f"{town}-eval-{n:03d}", town) for town in ("ring", "grid") for n in range(3)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("5", [5]),
        ("0-3", [0, 3, 1]),  # ids, in file order; 2 is not in the file
        ("33,0-1,5", [5, 33, 0, 1]),
        ("0-3, 1", [0, 3, 1]),
        ("Town02", [3, 1]),
        ("Town06,Town01", [5, 33, 0]),
        ("RouteScenario_33", [33]),
    ],
)
def test_numbers_are_route_ids_in_a_route_file(text: str, expected: list[int]) -> None:
    assert [item.scenario_id for item in select(ROUTES, text)] == [f"RouteScenario_{n}" for n in expected]


@pytest.mark.parametrize(
    ("text", "expected"),
    [("0", [0]), ("0-2,4", [0, 1, 2, 4]), ("grid-eval-001", [4]), ("ring", [0, 1, 2]), ("5,grid-eval-000,0", [0, 3, 5])],
)
def test_numbers_are_indices_elsewhere(text: str, expected: list[int]) -> None:
    assert select(OURS, text) == tuple(OURS[index] for index in expected)


@pytest.mark.parametrize("text", ["7", "0-7", "3-0", "Town03", "x", "-1", "0--3"])
def test_what_is_not_there_is_refused_with_what_is(text: str) -> None:
    with pytest.raises(UsageError) as failure:
        select(ROUTES, text, "r.xml")
    assert f"{text!r} is nothing that r.xml has; it has routes 0-1, 3, 5, 33; towns Town01, Town02, Town06" in str(failure.value)


def test_the_inventory_of_a_suite_names_ids() -> None:
    with pytest.raises(UsageError, match=r"it has routes 0-5; ids ring-eval-000, .*; towns grid, ring"):
        select(OURS, "roundabout")


@pytest.mark.parametrize("text", ["", "0,", ",", " "])
def test_empty_items_are_refused(text: str) -> None:
    with pytest.raises(UsageError, match="empty item"):
        select(OURS, text)


def test_ids_that_are_no_numbers() -> None:
    with pytest.raises(UsageError, match="routes a_1; towns grid"):
        select([scenario("RouteScenario_a_1")], "1")
    assert select([scenario("RouteScenario_a_1")], "a_1")
