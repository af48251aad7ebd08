from pathlib import Path

import pytest

from carla_rl.cli.app import run
from carla_rl.cli.commands_demo import ON_CARLA, QUICK, REPORT, _story


def test_the_demo_ends_with_a_report_of_its_runs(tmp_path: Path) -> None:
    steps = list(_story(QUICK, tmp_path, 0, ("--simulator", "toy")))
    names = [Path(argument).name for argument in steps[-1].arguments]
    assert names == ["report", "drive-sft", "drive-rl", "drive-expert", "ppo", "--out", REPORT]
    made = [step.arguments[step.arguments.index("--run-id") + 1] for step in steps if "--run-id" in step.arguments]
    assert set(names[1:5]) == set(made)


def test_on_carla_every_drive_gets_the_servers_and_what_is_recorded_does_not(tmp_path: Path) -> None:
    servers = ("--simulator", "carla", "--servers", "2", "--toy-server")
    for step in _story(ON_CARLA, tmp_path, 0, servers):
        told = step.arguments
        if told[0] in ("evaluate", "train"):
            at = told.index("--simulator")
            assert told[at : at + len(servers)] == servers
        else:
            assert "--toy-server" not in told


def test_servers_without_carla_are_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["demo", "--quick", "--toy-server"]) == 2
    assert "add --simulator carla, or leave them out" in " ".join(capsys.readouterr().err.split())
