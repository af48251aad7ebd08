import functools
import itertools
from pathlib import Path

import pytest

from carla_rl.errors import UsageError
from carla_rl.roads.tracing import route_key, trace
from carla_rl.scenario.model import Scenario
from carla_rl.scenario.parts import belongs
from carla_rl.scenario.suite import Suite, load_suite, overlap, shipped_suites
from carla_rl.types import Infraction
from toy_env.towns import load_town

networks = functools.cache(load_town)
shipped = functools.cache(lambda name: load_suite(name, networks))

SUITE = """
[suite]
name = "mine"
split = "validation"
weather = "WetNoon"
traffic = { vehicles = 5, speed_factor = 0.7 }
rules = { time_limit_s = 60, ends_on = ["red_light"] }

[[scenario]]
id = "by-hand"
town = "grid"
positions = [[20, 88.2], [150, 88.2], [191.8, 180]]
traffic = { vehicles = 9 }
weather = { wetness = 40 }
rules = { blocked_after_s = 30 }
actors = [{ type = "HardBreakRoute", at_m = 100 }, { type = "ControlLoss", name = "loss", x = 50, y = 88.2 }]

[[draw]]
town = "roundabout"
count = 6
seed = 9
length_m = [150, 300]
traffic = { vehicles = [3, 7], headway_s = [1.0, 2.0] }
weather = ["ClearNoon", "CloudyNoon"]
actors = [{ type = "HardBreakRoute", per_km = 5.0, parameters = { distance = 20 } }, { type = "DynamicObjectCrossing", per_km = 5.0 }]
"""


def load(tmp_path: Path, text: str, routes: str | None = None) -> Suite:
    path = tmp_path / "mine.toml"
    path.write_text(text, encoding="utf-8")
    return load_suite(path, networks, routes)


def test_written_scenarios_inherit_field_by_field(tmp_path: Path) -> None:
    scenario = load(tmp_path, SUITE).scenarios[0]
    assert scenario.scenario_id == "by-hand"
    assert (scenario.traffic.vehicles, scenario.traffic.speed_factor) == (9, 0.7)
    # CARLA's WetNoon has precipitation_deposits 50 and wetness 0
    assert (scenario.weather.precipitation_deposits, scenario.weather.wetness) == (50.0, 40.0)
    assert (scenario.rules.time_limit_s, scenario.rules.blocked_after_s) == (60.0, 30.0)
    assert scenario.rules.ends_on == (Infraction.RED_LIGHT,)
    assert scenario.seed % 10 in (6, 7)
    brake, loss = scenario.actors
    # 20 m + 100 m along a street that runs east
    assert (brake.name, brake.type) == ("HardBreakRoute_1", "HardBreakRoute")
    assert (brake.x, brake.y, brake.yaw) == pytest.approx((120.0, 88.25, 0.0), abs=0.1)
    assert (loss.name, loss.x, loss.y) == ("loss", 50.0, 88.2)
    assert loss.yaw == pytest.approx(0.0, abs=1e-6)


def test_drawn_scenarios_are_what_was_asked_for(tmp_path: Path) -> None:
    suite = load(tmp_path, SUITE)
    drawn = suite.scenarios[1:]
    assert [scenario.scenario_id for scenario in drawn] == [f"roundabout-val-{n:03d}" for n in range(6)]
    for scenario, key in zip(drawn, suite.keys[1:], strict=True):
        route = trace(networks("roundabout"), scenario.positions, "")
        assert route_key(route) == key
        assert 150 <= route.length <= 300
        assert belongs(key, "validation")
        assert scenario.seed % 10 in (6, 7)
        assert 3 <= scenario.traffic.vehicles <= 7
        assert 1.0 <= scenario.traffic.headway_s <= 2.0
        assert scenario.traffic.speed_factor == 0.7
        assert scenario.weather.cloudiness in (5.0, 60.0)
        assert scenario.rules == drawn[0].rules
    assert len({scenario.seed for scenario in suite.scenarios}) == len(set(suite.keys)) == 7
    assert len({scenario.traffic for scenario in drawn}) > 1
    actors = [actor for scenario in drawn for actor in scenario.actors]
    assert {actor.type: actor.parameters for actor in actors} == {"DynamicObjectCrossing": {}, "HardBreakRoute": {"distance": 20.0}}


def test_the_same_file_gives_the_same_suite_and_any_change_another_digest(tmp_path: Path) -> None:
    suite = load(tmp_path, SUITE)
    again = load(tmp_path, "# a comment\n" + SUITE.replace('"mine"', '"mine"  '))
    assert again.scenarios == suite.scenarios
    assert again.sha256 == suite.sha256
    assert load(tmp_path, SUITE.replace("seed = 9", "seed = 10")).sha256 != suite.sha256
    assert load(tmp_path, SUITE.replace("vehicles = 9", "vehicles = 8")).sha256 != suite.sha256
    for scenario in suite.scenarios:
        assert Scenario.model_validate_json(scenario.model_dump_json()) == scenario


def test_another_table_leaves_the_other_draws_alone(tmp_path: Path) -> None:
    more = SUITE + '\n[[draw]]\ntown = "roundabout"\ncount = 2\nseed = 4\nlength_m = [150, 300]\n'
    suite = load(tmp_path, more)
    assert suite.scenarios[:7] == load(tmp_path, SUITE).scenarios
    assert [scenario.scenario_id for scenario in suite.scenarios[7:]] == ["roundabout-val-006", "roundabout-val-007"]
    assert len(set(suite.keys)) == 9


def test_a_selection_is_what_the_suite_then_holds(tmp_path: Path) -> None:
    suite = load(tmp_path, SUITE)
    some = load(tmp_path, SUITE, "by-hand,3-4")
    assert some.scenarios == (suite.scenarios[0], *suite.scenarios[3:5])
    assert some.keys == (suite.keys[0], *suite.keys[3:5])
    assert some.sha256 != suite.sha256


RING = '[suite]\nname = "r"\nsplit = "validation"\n[[draw]]\ntown = "ring"\ncount = 4000\nseed = 1\nlength_m = [150, 160]\n'
BAD = {
    "town": (SUITE.replace('town = "grid"', 'town = "gird"'), "scenario by-hand", "gird"),
    "drawn town": (SUITE.replace('town = "roundabout"', 'town = "Town99"'), "draw Town99-val", "no town is called 'Town99'"),
    "off the road": (SUITE.replace("[20, 88.2]", "[20, 60]"), "scenario by-hand", "position 1"),
    "past the end": (SUITE.replace("at_m = 100", "at_m = 1000"), "scenario by-hand", "actors.0.at_m is 1000", "the route is"),
    "exhausted": (RING, "scenario ring-val-", "found no further validation route of 150 to 160 m in ring", "lower count"),
    "taken": (SUITE.replace("by-hand", "roundabout-val-002"), "'roundabout-val-002'", "prefix"),
}


@pytest.mark.parametrize("name", BAD)
def test_what_cannot_be_expanded_is_told(tmp_path: Path, name: str) -> None:
    text, *expected = BAD[name]
    with pytest.raises(UsageError) as failure:
        load(tmp_path, text)
    for part in ("mine.toml", *expected):
        assert part in str(failure.value)


def test_references_that_lead_nowhere(tmp_path: Path) -> None:
    for reference in ("nowhere", str(tmp_path / "absent.toml"), str(tmp_path), "absent.xml", "train.json"):
        with pytest.raises(UsageError, match=r"shipped suites: evaluation, example, .*train"):
            load_suite(reference, networks)


SIZES = {
    "train": 192,
    "validation": 64,
    "evaluation": 128,
    "quick-train": 48,
    "quick-eval": 24,
    "example": 5,
    "scripted": 30,
    "study-train": 192,
    "study-validation": 64,
    "study-test": 124,
    "study-train-2": 352,
    "study-test-2": 124,
    "study-test-3": 124,
    "study-test-4": 124,
}


def test_all_suites_are_shipped() -> None:
    assert shipped_suites() == tuple(sorted(SIZES))


@pytest.mark.parametrize("name", SIZES)
def test_shipped_suites_are_whole(name: str) -> None:
    suite = shipped(name)
    assert suite.name == name
    assert suite.description
    assert len(suite.scenarios) == len({scenario.scenario_id for scenario in suite.scenarios}) == SIZES[name]
    assert len({scenario.seed for scenario in suite.scenarios}) == SIZES[name]
    for scenario in suite.scenarios:
        assert bool(scenario.rules.ends_on) == (suite.split == "training")
        assert scenario.rules.time_limit_s is not None or name == "scripted"
    if suite.split != "any":
        assert {scenario.town for scenario in suite.scenarios} == {"ring", "grid", "roundabout", "highway"}
        types = {actor.type for scenario in suite.scenarios for actor in scenario.actors}
        assert len(types) > 15 if name.startswith("study") else types == {"DynamicObjectCrossing", "HardBreakRoute"}
        assert all(belongs(key, suite.split) for key in suite.keys)
        assert len(set(suite.keys)) == SIZES[name]


def test_suites_of_different_splits_share_neither_routes_nor_seeds() -> None:
    suites = [shipped(name) for name in SIZES if name not in ("example", "scripted")]
    for a, b in itertools.combinations(suites, 2):
        assert a.split == b.split or overlap(a, b) == ()
    same = shipped("quick-eval")
    assert len(overlap(same, same)) == 48
    assert overlap(same, same)[0].startswith("ring-eval-000 of quick-eval and ring-eval-000 of quick-eval drive the same route of ring")
