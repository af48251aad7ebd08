import json
from pathlib import Path

import pytest
from records.results_files import KINDS_1_0, PEDESTRIAN, RED, STATIC, STOP, VEHICLE, outside, record, slow, write

from carla_rl.errors import UsageError
from carla_rl.records.leaderboard_file import PROTOCOLS, read_leaderboard_file, recognise
from carla_rl.records.leaderboard_text import KINDS, infractions
from carla_rl.types import Ending, Infraction

TIMEOUT = "Agent timed out a scenario"
MIXED = {"collisions_vehicle": [VEHICLE], "outside_route_lanes": [outside(10.0)], "min_speed_infractions": [slow(80.0)]}
GOLDEN = {
    # by hand, from the formulas of each version (see docs/evaluation.md): 1.0, 2.0, 2.1, Bench2Drive
    "vehicle": ({"collisions_vehicle": [VEHICLE]}, 100, (60, 60, 58.823529, 60)),
    "pedestrian": ({"collisions_pedestrian": [PEDESTRIAN]}, 100, (50, 50, 50, 50)),
    "red": ({"red_light": [RED]}, 100, (70, 70, 71.428571, 70)),
    "static": ({"collisions_layout": [STATIC]}, 100, (65, 65, 62.5, 65)),
    "stop": ({"stop_infraction": [STOP]}, 100, (80, 80, 80, 80)),
    "timeout": ({"scenario_timeouts": [TIMEOUT]}, 100, (None, 70, 71.428571, 70)),
    "two and one": ({"collisions_vehicle": [VEHICLE] * 2, "red_light": [RED]}, 100, (25.2, 25.2, 35.714286, 25.2)),
    "outside": ({"outside_route_lanes": [outside(12.5)]}, 100, (87.5, 87.5, 87.5, 87.5)),
    "slow": ({"min_speed_infractions": [slow(50.0)] * 4}, 100, (None, 52.200625, 55.555556, 100)),
    "mixed": (MIXED, 60, (None, 30.456, 30.337079, 32.4)),
}


def test_every_infraction_has_a_name_in_the_files() -> None:
    assert set(KINDS.values()) == set(Infraction)
    assert len(KINDS) == len(Infraction)


@pytest.mark.parametrize("case", GOLDEN)
def test_scores_follow_from_the_sentences(case: str, tmp_path: Path) -> None:
    told, done, wanted = GOLDEN[case]
    status = "Completed" if done == 100 else "Failed - Agent got blocked"
    for protocol, score in zip(PROTOCOLS, wanted, strict=True):
        if score is None:
            continue
        kinds = KINDS_1_0 if protocol == "leaderboard-1.0" else tuple(KINDS)
        data = record(score, score / done, done=done, status=status, told=told, kinds=kinds)
        file = read_leaderboard_file(write(tmp_path / "results.json", data))
        assert file.routes[0].differs(protocol) is None
        assert recognise(file, protocol)[0] == protocol


def test_a_sentence_becomes_a_record() -> None:
    told = {
        "collisions_vehicle": [VEHICLE],
        "red_light": [RED],
        "outside_route_lanes": [outside(3.25)],
        "min_speed_infractions": [slow(80.0)],
        "route_timeout": ["Route timeout."],
    }
    hit, red, late, lane, timeout = infractions(told, "here")
    # CARLA's y points south, ours north
    assert (hit.kind, hit.x, hit.y, hit.other, hit.value, hit.time_s) == (Infraction.COLLISION_VEHICLE, 92.12, 3.5, 158, None, None)
    assert (red.x, red.y, red.other, red.value) == (330.5, -199.9, 1410, 0.0)
    assert (late.kind, late.value, late.x) == (Infraction.MIN_SPEED, 0.8, None)
    assert (lane.kind, lane.value, lane.y) == (Infraction.OUTSIDE_ROUTE_LANES, 0.0325, None)
    assert (timeout.kind, timeout.other) == (Infraction.ROUTE_TIMEOUT, -1)
    assert infractions({"collisions_layout": [STATIC]}, "here")[0].x == 1e-05


@pytest.mark.parametrize(
    ("told", "part"),
    [
        ({"min_speed_infractions": ["Average speed was low"]}, "no percentage"),
        ({"new_kind": []}, "unknown kind (new_kind)"),
    ],
)
def test_sentences_that_cannot_be_read(told: dict[str, list[str]], part: str) -> None:
    with pytest.raises(UsageError, match="here: ") as error:
        infractions(told, "here")
    assert part in str(error.value)


def test_the_version_is_recognised_by_proof(tmp_path: Path) -> None:
    path = tmp_path / "results.json"
    clean, vehicle = record(100, 1), {"collisions_vehicle": [VEHICLE]}
    slower = record(55.555556, 0.555556, route="2", told={"min_speed_infractions": [slow(50.0)] * 4})
    assert recognise(read_leaderboard_file(write(path, clean, slower)), None) == (
        "leaderboard-2.1",
        "protocol leaderboard-2.1: only its formula gives the scores, e.g. 55.5556 of RouteScenario_2_rep0",
    )
    old = record(60, 0.6, kinds=KINDS_1_0, told=vehicle)
    assert recognise(read_leaderboard_file(write(path, old)), None)[0] == "leaderboard-1.0"
    # the 2.0 and Bench2Drive differ in the minimum speed alone, but for the fields
    for data, told in ((record(60, 0.6, told=vehicle), "leaderboard-2.0 or bench2drive"), (clean, "leaderboard-2.1 or bench2drive")):
        with pytest.raises(UsageError, match=f"nothing in it tells.*{told}.*--protocol"):
            recognise(read_leaderboard_file(write(path, data)), None)
    theirs = record(100, 1, scenario_name="ParkedObstacle_1", save_name="x")
    assert recognise(read_leaderboard_file(write(path, theirs)), None)[0] == "bench2drive"
    with pytest.raises(UsageError, match="fields are those of bench2drive"):
        recognise(read_leaderboard_file(path), "leaderboard-2.1")
    with pytest.raises(UsageError, match=r"scores are those of leaderboard-2\.0 or bench2drive, not of leaderboard-2\.1"):
        recognise(read_leaderboard_file(write(path, record(60, 0.6, told=vehicle))), "leaderboard-2.1")
    with pytest.raises(UsageError, match=r"--protocol 2\.1: unknown"):
        recognise(read_leaderboard_file(path), "2.1")


def test_crashes_of_the_simulation_are_no_drives(tmp_path: Path) -> None:
    crashed = record(0, 1, route="2", done=0, status="Failed - Simulation crashed")
    begun = {"route_id": "RouteScenario_3_rep0", "status": "Started", "infractions": {}}
    agent = record(12, 1, route="4", done=12, status="Failed - Agent crashed")
    capped = record(40, 1, route="5", done=40, status="Failed - TickRuntime")
    file = read_leaderboard_file(write(tmp_path / "r.json", record(100, 1), crashed, begun, agent, capped, total=9))
    assert file.without_result == (("RouteScenario_2_rep0", "Failed - Simulation crashed"), ("RouteScenario_3_rep0", "Started"))
    assert [route.ending for route in file.routes] == [Ending.COMPLETED, Ending.AGENT_FAILED, Ending.ROUTE_TIMEOUT]
    assert file.missing == 4


BROKEN = {
    "not JSON": ("{", "is not JSON"),
    "no results": ("{}", "has no list _checkpoint.records"),
    "a list": ("[]", "expected an object"),
    "empty": ({"_checkpoint": {"records": []}}, "has no record"),
    "twice": ([record(100, 1), record(100, 1)], "RouteScenario_1_rep0 is in records 0 and 1"),
    "no id": ([{"status": "Completed"}], "record 0: has no route_id"),
    "no score": ([{key: value for key, value in record(100, 1).items() if key != "scores"}], "record 0: scores is missing"),
    "no repetition": ([record(100, 1) | {"route_id": "RouteScenario_1"}], "ends in _rep"),
    "counts": ([record(100, 1) | {"num_infractions": 2}], "num_infractions is 2, 0 are listed"),
    "not completed": ([record(100, 1, status="Failed - Agent got blocked")], "with score_route 100"),
    "not a score": ([record(101, 1)], "score_composed"),
}


@pytest.mark.parametrize("case", BROKEN)
def test_broken_files_are_one_sentence(case: str, tmp_path: Path) -> None:
    content, part = BROKEN[case]
    path = tmp_path / "results.json"
    if isinstance(content, list):
        write(path, *content)
    else:
        path.write_text(content if isinstance(content, str) else json.dumps(content))
    with pytest.raises(UsageError) as error:
        read_leaderboard_file(path)
    assert part in str(error.value)
    assert str(path) in str(error.value)
