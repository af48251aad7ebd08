from pathlib import Path

import pytest

from carla_rl.errors import UsageError
from carla_rl.scenario.suite_file import read_suite_file
from carla_rl.types import Infraction

HEAD = '[suite]\nname = "s"\nsplit = "any"\n'
WRITTEN = HEAD + '[[scenario]]\nid = "a"\ntown = "grid"\npositions = [[0, 0], [10, 0, 1]]\n'
DRAWN = HEAD + '[[draw]]\ntown = "grid"\ncount = 2\nseed = 1\n'


def read(tmp_path: Path, text: str) -> object:
    path = tmp_path / "s.toml"
    path.write_text(text, encoding="utf-8")
    return read_suite_file(path)


def test_names_stand_for_weather_and_infractions(tmp_path: Path) -> None:
    path = tmp_path / "s.toml"
    path.write_text(WRITTEN + 'weather = "WetSunset"\nrules = { ends_on = ["collision_vehicle", "RED_LIGHT"] }\n', encoding="utf-8")
    (entry,) = read_suite_file(path).scenario
    assert entry.positions == ((0.0, 0.0, 0.0), (10.0, 0.0, 1.0))
    assert entry.weather is not None
    assert (entry.weather.precipitation_deposits, entry.weather.sun_altitude_angle) == (50.0, 15.0)
    assert entry.rules is not None
    assert entry.rules.ends_on == (Infraction.COLLISION_VEHICLE, Infraction.RED_LIGHT)
    assert entry.rules.model_dump(mode="json")["ends_on"] == ["collision_vehicle", "red_light"]
    assert type(entry.rules).model_validate_json(entry.rules.model_dump_json()) == entry.rules


BAD = {
    "syntax": (HEAD + "[[scenario]]\nid = \n", "not valid TOML", "line 5"),
    "no head": ("scenario = []\n", "suite is missing"),
    "empty": (HEAD, "the suite is empty", "[[draw]]"),
    "split": (HEAD.replace("any", "test"), "suite.split", "'training'", "'test'"),
    "name": (HEAD.replace('"s"', '"my suite"'), "suite.name", "my suite"),
    "misspelt field": (WRITTEN + "sed = 3\n", "scenario.0.sed is not a known field"),
    "missing field": (WRITTEN.replace('town = "grid"\n', ""), "scenario.0.town is missing; add it"),
    "one position": (WRITTEN.replace(", [10, 0, 1]", ""), "scenario.0.positions", "at least 2"),
    "flat positions": (WRITTEN.replace("[[0, 0], [10, 0, 1]]", "[0, 0]"), "scenario.0.positions.0"),
    "nan": (WRITTEN.replace("[0, 0]", "[nan, 0]"), "scenario.0.positions.0.0", "finite"),
    "weather": (WRITTEN + 'weather = "Sunny"\n', "scenario.0.weather", "'Sunny'", "ClearNoon"),
    "infraction": (WRITTEN + 'rules = { ends_on = ["speeding"] }\n', "scenario.0.rules.ends_on.0", "collision_vehicle"),
    "negative seed": (WRITTEN + "seed = -1\n", "scenario.0.seed", "-1"),
    "twice": (WRITTEN + WRITTEN.removeprefix(HEAD), "'a'", "more than once"),
    "leaderboard id": (WRITTEN.replace('"a"', '"RouteScenario_1"'), "scenario.0.id", "RouteScenario_"),
    "number as id": (WRITTEN.replace('"a"', '"12"'), "scenario.0.id"),
    "two triggers": (
        WRITTEN + '[[scenario.actors]]\ntype = "T"\nat_m = 1\nx = 1\ny = 1\n',
        "scenario.0.actors.0",
        "either at_m, or x and y",
    ),
    "no trigger": (WRITTEN + '[[scenario.actors]]\ntype = "T"\n', "scenario.0.actors.0", "either at_m, or x and y"),
    "half a trigger": (WRITTEN + '[[scenario.actors]]\ntype = "T"\nat_m = 3\nyaw = 1\n', "scenario.0.actors.0", "either at_m"),
    "lengths": (DRAWN + "length_m = [400, 200]\n", "draw.0.length_m", "smaller one first"),
    "count": (DRAWN.replace("count = 2", "count = 0"), "draw.0.count"),
    "range backwards": (DRAWN + "traffic = { vehicles = [9, 2] }\n", "draw.0.traffic", "backwards"),
    "range too wide": (DRAWN + "traffic = { vehicles = [9, 900] }\n", "draw.0.traffic", "200"),
    "fraction of a car": (DRAWN + "traffic = { vehicles = 1.5 }\n", "draw.0.traffic.vehicles"),
    "density": (DRAWN + 'actors = [{ type = "T", per_km = 0 }]\n', "draw.0.actors.0.per_km"),
    "part": (DRAWN.replace("any", "training") + 'part = "evaluation"\n', "draw.0.part", "'training'"),
}


@pytest.mark.parametrize("name", BAD)
def test_a_bad_file_is_told_with_file_and_field(tmp_path: Path, name: str) -> None:
    text, *expected = BAD[name]
    with pytest.raises(UsageError) as failure:
        read(tmp_path, text)
    for part in ("s.toml", *expected):
        assert part in str(failure.value)


def test_unreadable_files(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cannot read"):
        read_suite_file(tmp_path / "absent.toml")
    (tmp_path / "s.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(UsageError, match="UTF-8"):
        read_suite_file(tmp_path / "s.toml")
