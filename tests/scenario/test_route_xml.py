import math
from pathlib import Path

import pytest

from carla_rl.errors import UsageError
from carla_rl.scenario.model import Rules, Weather
from carla_rl.scenario.route_xml import read_routes, route_id

SHARED = Path(__file__).parents[2] / "../shared/routes"

V2 = """<?xml version="1.0" encoding="utf-8"?>
<routes>
  <route id="24" town="Town12">
    <weathers>
      <weather route_percentage="100" cloudiness="90" sun_altitude_angle="-10" odd="1"/>
      <weather route_percentage="0" cloudiness="5" sun_altitude_angle="45" wetness="12.5"/>
    </weathers>
    <waypoints>
      <position x="983.5" y="-5377.8" z="371.3"/>
      <position x="981.5" y="5361.2"/>
    </waypoints>
    <scenarios>
      <scenario name="ConstructionObstacle_1" type="ConstructionObstacle">
        <trigger_point x="980.0" y="-5000.0" z="370.0" yaw="270"/>
        <distance value="50"/>
        <direction value="right"/>
        <frequency from="20" to="40"/>
        <start_actor_flow x="10" y="20" z="1"/>
      </scenario>
    </scenarios>
  </route>
</routes>
"""
V1 = """<routes><route id="7" town="Town02">
  <waypoint x="1" y="2" z="3" pitch="0" yaw="90" roll="0"/><waypoint x="4" y="-5" z="0" pitch="360" yaw="90" roll="0"/>
  <weather id="CloudyDawn" cloudiness="80" fog_falloff="0.2"/>
</route></routes>"""


def write(tmp_path: Path, text: str | bytes) -> Path:
    path = tmp_path / "routes.xml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def test_dialect_of_leaderboard_2(tmp_path: Path) -> None:
    (scenario,), notes = read_routes(write(tmp_path, V2))
    assert scenario.scenario_id == "RouteScenario_24"
    assert route_id(scenario.scenario_id) == "24"
    assert scenario.town == "Town12"
    assert scenario.positions == ((983.5, 5377.8, 371.3), (981.5, -5361.2, 0.0))
    # the keyframe at 0 %, although it comes second
    assert scenario.weather == Weather(cloudiness=5, sun_altitude_angle=45, wetness=12.5)
    assert scenario.rules == Rules()
    (actor,) = scenario.actors
    assert (actor.name, actor.type) == ("ConstructionObstacle_1", "ConstructionObstacle")
    assert (actor.x, actor.y) == (980.0, 5000.0)
    assert actor.yaw == pytest.approx(math.pi / 2)  # CARLA's 270 degrees clockwise is north
    assert actor.parameters == {
        "distance": 50.0,
        "direction": "right",
        "frequency.from": 20.0,
        "frequency.to": 40.0,
        "start_actor_flow.x": 10.0,
        "start_actor_flow.y": -20.0,
        "start_actor_flow.z": 1.0,
    }
    assert "changes along the route" in notes["RouteScenario_24"][0]


def test_weather_attributes_that_are_not_carlas_are_noted(tmp_path: Path) -> None:
    text = V2.replace('wetness="12.5"', 'wetness="12.5" haze="1"')
    assert any("haze" in note for note in read_routes(write(tmp_path, text))[1]["RouteScenario_24"])


def test_dialect_of_leaderboard_1(tmp_path: Path) -> None:
    (scenario,), notes = read_routes(write(tmp_path, V1))
    assert scenario.scenario_id == "RouteScenario_7"
    assert scenario.positions == ((1.0, -2.0, 3.0), (4.0, 5.0, 0.0))
    assert scenario.weather == Weather(cloudiness=80, fog_falloff=0.2)
    assert scenario.actors == ()
    assert "JSON" in notes["RouteScenario_7"][0]


def test_a_route_without_weather_has_the_leaderboards(tmp_path: Path) -> None:
    text = V1.replace('<weather id="CloudyDawn" cloudiness="80" fog_falloff="0.2"/>', "")
    (scenario,), _ = read_routes(write(tmp_path, text))
    assert (scenario.weather.cloudiness, scenario.weather.sun_altitude_angle) == (50.0, 70.0)


BAD = {
    "cut off": (V1[:-20], "not well-formed", "routes.xml"),
    "empty": ("", "not well-formed", "routes.xml"),
    "other root": ("<suite/>", "<suite>", "<routes>"),
    "no routes": ("<routes></routes>", "no <route>", "routes.xml"),
    "no id": (V1.replace(' id="7"', ""), "route number 1", "has no id"),
    "no town": (V1.replace(' town="Town02"', ""), "route 7", "has no town"),
    "one waypoint": (V1.replace('<waypoint x="4" y="-5" z="0" pitch="360" yaw="90" roll="0"/>', ""), "route 7", "1 waypoint(s)"),
    "no waypoints": ('<routes><route id="7" town="a"/></routes>', "route 7", "0 waypoint(s)"),
    "same place": (V1.replace('x="4" y="-5" z="0"', 'x="1" y="2" z="3"'), "route 7", "same place"),
    "no x": (V1.replace('x="4" ', ""), "route 7", "<waypoint> has no x"),
    "no number": (V1.replace('x="4"', 'x="four"'), "route 7", "x='four'"),
    "nan": (V1.replace('x="4"', 'x="nan"'), "route 7", "x='nan'"),
    "infinite": (V2.replace('yaw="270"', 'yaw="inf"'), "scenario ConstructionObstacle_1", "yaw='inf'"),
    "twice": (V1.replace("</routes>", V1.removeprefix("<routes>")), "route 7", "more than once"),
    "weather out of range": (V1.replace('cloudiness="80"', 'cloudiness="180"'), "route 7: <weather>", "cloudiness"),
    "no trigger": (V2.replace('<trigger_point x="980.0" y="-5000.0" z="370.0" yaw="270"/>', ""), "route 24", "<trigger_point"),
    "no type": (V2.replace(' type="ConstructionObstacle"', ""), "route 24", "has no type"),
    "nested parameter": (V2.replace('<distance value="50"/>', "<distance><a/></distance>"), "route 24", "<distance>"),
}


@pytest.mark.parametrize("name", BAD)
def test_a_bad_file_is_told_in_one_sentence(tmp_path: Path, name: str) -> None:
    text, *expected = BAD[name]
    with pytest.raises(UsageError) as failure:
        read_routes(write(tmp_path, text))
    for part in ("routes.xml", *expected):
        assert part in str(failure.value)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
def test_a_document_type_is_refused_before_anything_expands(tmp_path: Path, encoding: str) -> None:
    entities = "".join(
        f'<!ENTITY e{i} "{"&e" + str(i - 1) + ";" if i else "ha"}{"&e" + str(i - 1) + ";" if i else "ha"}">' for i in range(40)
    )
    text = f"<!DOCTYPE routes [{entities}]><routes>&e39;</routes>"
    with pytest.raises(UsageError, match="document type"):
        read_routes(write(tmp_path, text.encode(encoding)))


def test_unreadable_files(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cannot read"):
        read_routes(tmp_path / "absent.xml")
    with pytest.raises(UsageError, match="not well-formed"):
        read_routes(write(tmp_path, b"\x00\x01\x02"))
    with pytest.raises(UsageError, match="not well-formed"):
        read_routes(write(tmp_path, b'<?xml version="1.0" encoding="klingon"?><routes/>'))


@pytest.mark.skipif(not SHARED.is_dir(), reason="../shared/routes is not there")
def test_both_dialects_of_longest6_are_the_same_routes() -> None:
    first, first_notes = read_routes(SHARED / "longest6_v1.xml")
    second, second_notes = read_routes(SHARED / "longest6_v2.xml")
    assert len(first) == len(second) == 36
    assert [scenario.scenario_id for scenario in second[:3]] == ["RouteScenario_5", "RouteScenario_33", "RouteScenario_4"]
    by_id = {scenario.scenario_id: scenario for scenario in second}
    for scenario in first:
        twin = by_id[scenario.scenario_id]
        assert (twin.town, twin.seed, len(twin.positions)) == (scenario.town, scenario.seed, len(scenario.positions))
        assert twin.positions == scenario.positions
    assert len(first_notes) == 36
    assert second_notes == {}
    assert sum(len(scenario.actors) for scenario in second) == 429
