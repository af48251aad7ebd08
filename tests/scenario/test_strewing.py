"""Strewn actors: where they may stand, on our own towns."""

from itertools import pairwise
from pathlib import Path

import pytest

from carla_rl.errors import UsageError
from carla_rl.scenario.casting import cast
from carla_rl.scenario.expansion import expand
from carla_rl.scenario.places import CLEAR_BEHIND_M
from carla_rl.scenario.suite_file import SuiteFile
from toy_env.towns import load_town

TYPES = ("BlockedIntersection", "HighwayCutIn", "ParkedObstacle", "PedestrianCrossing", "SignalizedJunctionLeftTurn")


def drawn(town: str, *, fitted: bool, per_km: float = 8.0, types: tuple[str, ...] = TYPES, count: int = 6):
    draw = {"town": town, "count": count, "seed": 2, "actors": [{"type": name, "per_km": per_km} for name in types], "fitted": fitted}
    file = SuiteFile.checked({"suite": {"name": "strewn", "split": "any"}, "draw": [draw]}, "here")
    return zip(*expand(file, load_town, Path("here")), strict=True)


@pytest.mark.parametrize("town", ["grid", "highway"])
def test_fitted_actors_can_be_played_one_after_the_other(town):
    types = set()
    for scenario, route in drawn(town, fitted=True):
        scripts = cast(load_town(town), route, scenario)
        assert [script.trigger_s for script in scripts] == sorted(script.trigger_s for script in scripts)
        for before, after in pairwise(scripts):
            assert after.trigger_s >= before.over_s + CLEAR_BEHIND_M - 1.0
        types |= {actor.type for actor in scenario.actors}
    # in town there are junctions, on the highway lanes beside one's own: what has no meaning somewhere is left out
    assert types >= ({"BlockedIntersection", "PedestrianCrossing"} if town == "grid" else {"ParkedObstacle"})
    assert not types & ({"HighwayCutIn"} if town == "grid" else {"SignalizedJunctionLeftTurn"})


def test_without_fitting_all_actors_that_have_room_are_there():
    free = sum(len(scenario.actors) for scenario, _ in drawn("grid", fitted=False))
    fitted = sum(len(scenario.actors) for scenario, _ in drawn("grid", fitted=True))
    assert free > fitted > 0


def test_a_fitted_obstacle_stands_where_there_is_a_lane_beside():
    """The highway's ramps have one lane: who meets an obstacle there waits for ever."""

    def ways_past(fitted: bool) -> set[bool]:
        drives = drawn("highway", fitted=fitted, types=("Accident", "ConstructionObstacle", "HazardAtSideLane", "ParkedObstacle"), count=24)
        return {script.passable for scenario, route in drives for script in cast(load_town("highway"), route, scenario)}

    assert ways_past(fitted=True) == {True}
    assert ways_past(fitted=False) == {True, False}


def test_names_count_by_type():
    for scenario, _ in drawn("grid", fitted=True, per_km=20.0):
        for actor in scenario.actors:
            kind, number = actor.name.rsplit("_", 1)
            assert kind == actor.type
            assert 1 <= int(number) <= len(scenario.actors)


@pytest.mark.parametrize(
    ("actor", "told"),
    [
        ({"type": "ParkedObstcale"}, "no script is known for"),
        ({"type": "ParkedObstacle", "parameters": {"distance": "far"}}, "distance must be a number"),
        ({"type": "ParkedObstacle", "parameters": {"direction": "lefft"}}, "direction must be one of"),
    ],
)
def test_a_mistake_is_no_place_without_a_meaning(actor, told):
    draw = {"town": "highway", "count": 2, "seed": 2, "fitted": True, "actors": [{"per_km": 10.0, **actor}]}
    file = SuiteFile.checked({"suite": {"name": "strewn", "split": "any"}, "draw": [draw]}, "here")
    with pytest.raises(UsageError, match=told):
        expand(file, load_town, Path("here"))
