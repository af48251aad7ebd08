"""`carla-rl bench server`: sizes that cannot be measured, one loop against a server, and the table for people."""

import io

import pytest
from rich.console import Console

from carla_rl.bench.server import ServerSizes, run_loop
from carla_rl.build import serving
from carla_rl.cli.tables_bench import server_tables
from carla_rl.errors import UsageError


@pytest.mark.parametrize("wrong", [{"ticks": 3}, {"loads": 0}, {"repetitions": 0}])
def test_sizes_that_measure_nothing(wrong: dict[str, int]) -> None:
    pytest.importorskip("carla")
    with pytest.raises(UsageError, match="or more"):
        ServerSizes(**wrong)


def test_a_loop_of_the_client() -> None:
    pytest.importorskip("carla")
    with serving("toy")("--map", "ring") as server:
        seconds = run_loop(server.port, "one_vehicle", rounds=10, repetitions=2)
    assert len(seconds) == 2
    assert min(seconds) > 0.0


def test_the_table() -> None:
    row = {"ticks_per_s": 7123.0, "lowest": 7000.0, "highest": 7200.0, "repetitions": 3}
    found = {
        "definition": "one tick",
        "town": "grid",
        "ticks": {"one_vehicle": row},
        "start": {"first_answer_s": 1.9, "lowest": 1.8, "highest": 2.0, "repetitions": 3},
        "loads": {"count": 10, "seconds_per_load": 0.05, "server_mib_before": 300.0, "server_mib_after": 301.0},
    }
    console = Console(file=io.StringIO(), width=100)
    for part in server_tables(found):
        console.print(part)
    text = console.file.getvalue()  # type: ignore[attr-defined]
    for word in ("one vehicle, ticks/s", "7.12 k", "load_world, s (10 loads)", "301", "before: 300"):
        assert word in text
