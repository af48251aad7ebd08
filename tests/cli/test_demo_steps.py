from pathlib import Path

from carla_rl.cli.commands_demo import QUICK, REPORT, _story


def test_the_demo_ends_with_a_report_of_its_runs(tmp_path: Path) -> None:
    steps = list(_story(QUICK, tmp_path, 0))
    names = [Path(argument).name for argument in steps[-1].arguments]
    assert names == ["report", "drive-sft", "drive-rl", "drive-expert", "ppo", "--out", REPORT]
    made = [step.arguments[step.arguments.index("--run-id") + 1] for step in steps if "--run-id" in step.arguments]
    assert set(names[1:5]) == set(made)
