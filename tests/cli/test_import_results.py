"""`carla-rl import-results`, and what the other commands make of the runs that it writes."""

import json
from pathlib import Path

import jsonschema
import pytest
from records.results_files import RED, VEHICLE, outside, record, slow, write

from carla_rl.cli.app import run
from carla_rl.records.reading import read_run
from carla_rl.scenario.model import drive_seed
from carla_rl.scenario.route_xml import read_routes
from carla_rl.schemas import load_schema

ROUTES = """<routes>
  <route id="1" town="Town01"><waypoints><position x="0" y="0" z="0"/><position x="9" y="5" z="0"/></waypoints><scenarios>
    <scenario name="A_1" type="ParkingExit"><trigger_point x="0" y="0" z="0" yaw="0"/></scenario>
  </scenarios></route>
  <route id="2" town="Town02"><waypoints><position x="0" y="0" z="0"/><position x="9" y="5" z="0"/></waypoints></route>
</routes>"""
FIRST = record(58.823529, 0.588235, told={"collisions_vehicle": [VEHICLE]})
SECOND = record(
    30.0, 0.5, route="2", done=60, status="Failed - Agent timed out", told={"red_light": [RED], "route_timeout": ["Route timeout."]}
)
SECOND_2_1 = SECOND | {"scores": {"score_route": 60, "score_penalty": 0.714286, "score_composed": 42.857143}}


def imported(tmp_path: Path, name: str, *records: object, more: tuple[str, ...] = (), total: int | None = None) -> Path:
    file = write(tmp_path / f"{name}.json", *records, total=total)
    arguments = ["import-results", str(file), "--simulator", "carla", "--out", str(tmp_path / "out"), "--run-id", name, *more]
    assert run(arguments) == 0
    return tmp_path / "out" / name


@pytest.fixture
def suite(tmp_path: Path) -> Path:
    path = tmp_path / "two.xml"
    path.write_text(ROUTES)
    return path


def test_an_imported_run_is_a_run(tmp_path: Path, suite: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = imported(tmp_path, "a", FIRST, SECOND_2_1, more=("--suite", str(suite)))
    metrics = json.loads((path / "metrics.json").read_text())
    jsonschema.validate(metrics, load_schema("metrics"))
    told = capsys.readouterr()
    assert "only its formula gives the scores" in told.out
    assert told.err == ""
    assert metrics["complete"] is True
    assert metrics["summary"]["driving_score_mean"] == pytest.approx((100 / 1.7 + 60 / 1.4) / 2)
    assert metrics["fingerprint"]["conditions"]["protocol.evaluator"] == "official leaderboard-2.1"
    first, second = metrics["scenarios"]
    assert {first[name] for name in ("ade", "fde", "steps", "final_dist", "comfort", "return", "driven_m")} == {None}
    assert (first["town"], first["scripted"], first["route_length_m"], first["duration_s"]) == ("Town01", ["ParkingExit"], 873.21, 61.5)
    assert first["seed"] == drive_seed(read_routes(suite)[0][0], 0)
    assert first["raw"]["imported"]["infractions"] == {"collisions_vehicle": [VEHICLE]}
    assert first["infractions"] == [{"kind": "collision_vehicle", "time_s": None, "x": 92.12, "y": 3.5, "other": 158, "value": None}]
    assert (second["status"], second["ending"], second["success"]) == ("Failed - Agent timed out", "route_timeout", False)
    assert read_run(path).complete


def test_the_commands_take_it(tmp_path: Path, suite: Path, capsys: pytest.CaptureFixture[str]) -> None:
    a = imported(tmp_path, "a", FIRST, SECOND_2_1, more=("--suite", str(suite)))
    b = imported(tmp_path, "b", record(100, 1, status="Perfect"), SECOND_2_1, more=("--suite", str(suite), "--protocol", "leaderboard-2.1"))
    capsys.readouterr()
    assert run(["compare", str(a), str(b), "--score", "leaderboard_2.1", "--json"]) == 0
    row = json.loads(capsys.readouterr().out)["measures"][0]
    assert (row["name"], row["difference"]) == ("driving_score", pytest.approx((100 - 100 / 1.7) / 2))
    for command in (
        ["scores", str(a), str(b)],
        ["runs", str(tmp_path / "out")],
        ["report", str(a), str(b), "--out", str(tmp_path / "r.html")],
    ):
        assert run(command) == 0
    assert "broken" not in capsys.readouterr().out
    old = imported(tmp_path, "c", record(100, 1), SECOND, more=("--protocol", "leaderboard-2.0"))
    assert run(["compare", str(a), str(old)]) == 2
    assert "protocol.evaluator differs" in capsys.readouterr().err


def test_bench2drive_names_town_and_scenario(tmp_path: Path) -> None:
    theirs = record(
        100, 1, route="1773", town_name="Town12", scenario_name="ParkedObstacle_1", told={"min_speed_infractions": [slow(189.0)]}
    )
    metrics = json.loads((imported(tmp_path, "a", theirs) / "metrics.json").read_text())
    (episode,) = metrics["scenarios"]
    assert (episode["town"], episode["scripted"], episode["seed"], episode["success"]) == ("Town12", ["ParkedObstacle"], None, True)
    assert metrics["summary"]["abilities"]["overtaking"]["success_rate"] == 1.0


def test_scores_that_do_not_follow_are_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    imported(
        tmp_path, "a", FIRST | {"scores": FIRST["scores"] | {"score_composed": 61.0}}, SECOND_2_1, more=("--protocol", "leaderboard-2.1")
    )
    assert (
        "RouteScenario_1_rep0: the file's driving score is 61, its infractions give 58.8235 by leaderboard_2.1" in capsys.readouterr().err
    )
    # what is lost by the two decimals of the sentence is no disagreement
    imported(tmp_path, "b", record(87.504, 0.87504, told={"outside_route_lanes": [outside(12.5)]}), more=("--protocol", "leaderboard-2.1"))
    assert capsys.readouterr().err == ""


def test_what_has_no_result_is_refused_or_marked(tmp_path: Path, suite: Path, capsys: pytest.CaptureFixture[str]) -> None:
    crashed = record(0, 1, route="2", done=0, status="Failed - Simulation crashed")
    file = write(tmp_path / "a.json", FIRST, crashed, total=3)
    command = ["import-results", str(file), "--simulator", "carla", "--out", str(tmp_path / "out"), "--run-id", "a"]
    assert run(command) == 2
    told = capsys.readouterr().err
    assert "RouteScenario_2_rep0 (Failed - Simulation crashed), 1 drives that have no record" in told
    assert run([*command, "--partial"]) == 0
    found = read_run(tmp_path / "out" / "a")
    assert not found.complete
    metrics = json.loads((found.path / "metrics.json").read_text())
    jsonschema.validate(metrics, load_schema("metrics"))
    assert metrics["quarantined"] == {"RouteScenario_2#0": ["Failed - Simulation crashed"]}
    assert [episode.scenario_id for episode in found.episodes] == ["RouteScenario_1"]
    short = write(tmp_path / "b.json", FIRST)
    assert run(["import-results", str(short), "--simulator", "carla", "--suite", str(suite)]) == 2
    assert "RouteScenario_2 (no record)" in capsys.readouterr().err
    alone = write(tmp_path / "c.json", crashed)
    assert run(["import-results", str(alone), "--simulator", "carla", "--partial"]) == 2
    assert "no route has a result" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("more", "part"),
    [
        (("--routes", "1"), "Give --suite"),
        (("--suite", "two.xml"), "RouteScenario_9 is no route of"),
        (("--protocol", "x"), "--protocol x: unknown"),
        (("--simulator", "toy"), "toy-server for carla-rl serve"),
    ],
)
def test_bad_usage(more: tuple[str, ...], part: str, tmp_path: Path, suite: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = write(tmp_path / "a.json", FIRST | {"route_id": "RouteScenario_9_rep0"})
    options = [str(suite) if item == "two.xml" else item for item in more]
    assert run(["import-results", str(file), "--simulator", "carla", "--partial", *options]) == 2
    told = capsys.readouterr().err
    assert part in told
    assert "Traceback" not in told
