"""`carla-rl bench server`: sizes that cannot be measured, one loop against a server, and the table for people."""

import io
from typing import Any

import pytest
from rich.console import Console

from carla_rl.bench.server import ServerSizes, run_loop, run_soak
from carla_rl.build import serving
from carla_rl.cli.tables_bench import server_tables
from carla_rl.errors import UsageError


@pytest.mark.parametrize("wrong", [{"ticks": 3}, {"loads": 0}, {"repetitions": 0}, {"soak_minutes": -1.0}])
def test_sizes_that_measure_nothing(wrong: dict[str, Any]) -> None:
    pytest.importorskip("carla")
    with pytest.raises(UsageError, match="or more"):
        ServerSizes(**wrong)


def test_a_loop_of_the_client() -> None:
    pytest.importorskip("carla")
    with serving("toy")("--map", "ring") as server:
        seconds = run_loop(server.port, "one_vehicle", rounds=10, repetitions=2)
    assert len(seconds) == 2
    assert min(seconds) > 0.0


def test_a_soak_is_the_same_twice() -> None:
    """Cars under the Traffic Manager move, keep to the road and to red lights, and go the same ways with the same seed."""
    pytest.importorskip("carla")
    with serving("toy")("--map", "grid") as server:
        found = [run_soak(server.port, vehicles=15, ticks=200, seed=seed) for seed in (1, 1, 2)]
    assert found[0]["digest"] == found[1]["digest"] != found[2]["digest"]
    assert found[0]["vehicles"] == 15
    assert found[0]["mean_speed_mps"] > 2.0
    assert (found[0]["off_road_share"], found[0]["over_red"], found[0]["stuck"]) == (0.0, 0, 0)


def test_the_table() -> None:
    row = {"ticks_per_s": 7123.0, "lowest": 7000.0, "highest": 7200.0, "repetitions": 3}
    found = {
        "definition": "one tick",
        "town": "grid",
        "ticks": {"one_vehicle": row},
        "sensors": {"camera": row},
        "start": {"first_answer_s": 1.9, "lowest": 1.8, "highest": 2.0, "repetitions": 3},
        "loads": {"count": 10, "seconds_per_load": 0.05, "server_mib_before": 300.0, "server_mib_after": 301.0},
        "soak": {
            **{"vehicles": 50, "ticks": 12000, "ticks_per_s": 112.7, "mean_speed_mps": 4.65, "off_road_share": 0.0, "over_red": 0},
            **{"stuck": 0, "hits": 3, "same_again": True},
        },
    }
    console = Console(file=io.StringIO(), width=100)
    for part in server_tables(found):
        console.print(part)
    text = console.file.getvalue()  # type: ignore[attr-defined]
    told = ("one vehicle, ticks/s", "7.12 k", "load_world, s (10 loads)", "301", "before: 300")
    for word in (*told, "camera, a second", "touches 3", "the same when"):
        assert word in text
