"""Runs on the straight line, small enough to work out by hand, for the tests of reports."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from metrics.drives import LineSimulator, StraightPolicy, episode, loop, rollout

from carla_rl.metrics.episode import EpisodeMeter
from carla_rl.records.run import PolicyRecord, RunDirectory, SuiteRecord, start_run
from carla_rl.records.steps import StepLog, StepLogger
from carla_rl.types import Infraction, SimulatorKind

Script = Mapping[str, Sequence[tuple[int, Infraction, float]]]
RED, HIT, OUT = Infraction.RED_LIGHT, Infraction.COLLISION_VEHICLE, Infraction.OUTSIDE_ROUTE_LANES


def make_run(
    out: Path,
    name: str,
    *,
    count: int = 4,
    script: Script | None = None,
    offset: float = 0.0,
    town: str = "Line",
    steps: bool = True,
    suite: str = "lines",
) -> Path:
    """Drive `count` episodes of 10 m and record them as `evaluate` does; the plan is `offset` m farther than SFT's, the expert's 0.1 m."""
    started = start_run(
        out,
        "evaluate",
        config={"suite": suite, "maps": []},
        simulator=LineSimulator(1).info,
        suite=SuiteRecord(name=suite, sha256="0" * 64 if suite == "lines" else None, split="evaluation"),
        policy=PolicyRecord(name=f"policy-{name}"),
        protocol={"controller": "default", "decision_ticks": 4},
        run_id=name,
    )
    meter, logger = EpisodeMeter(1, SimulatorKind.TOY), StepLogger(1)
    with RunDirectory(started) as run:
        episodes = [episode(f"line/{i}", seed=i, town=town) for i in range(count)]
        for decision in rollout(loop(episodes, script=script), StraightPolicy((offset, 0.0))):
            expert = decision.plan.waypoints + np.float32([0.1 - offset, 0.0])
            for log in logger.update(decision, reward=np.full(1, 0.5), expert=expert):
                if steps:
                    run.add_steps(log)
            for result in meter.update(decision, reward=np.full(1, 0.5), reference=expert):
                run.add(result)
    return started.path


def make_training(out: Path, name: str = "ppo", updates: int = 3) -> Path:
    """A training run's files with made-up numbers."""
    started = start_run(
        out,
        "ppo-delta",
        config={},
        simulator=LineSimulator(1).info,
        suite=SuiteRecord(name="lines-train", sha256=None, split="training"),
        policy=PolicyRecord(name="policy"),
        protocol={"controller": "default", "decision_ticks": 4},
        run_id=name,
    )
    rows = [{"decisions": 100 * (k + 1), "episodes/reward": float(k), "ppo/approx_kl": 0.01} for k in range(updates)]
    validation = [{"decisions": 0, "driving_score_mean": 50.0, "ade_mean": 0.5}]
    (started.path / "train_metrics.json").write_text(json.dumps({"run_id": name, "updates": rows, "validation": validation}))
    return started.path


def line_log(
    script: Sequence[tuple[int, Infraction, float]] = (), *, offset: float = 0.5, sft: bool = True, expert: bool = True
) -> StepLog:
    """The step log of one drive: 2 m/s, 25 decisions of 0.2 s, 10 m."""
    logger = StepLogger(1)
    for decision in rollout(loop([episode("line/0")], script={"line/0": script}), StraightPolicy((offset, 0.25), sft=sft)):
        plans = decision.plan.waypoints - np.float32([offset, 0.25])
        for log in logger.update(decision, expert=plans if expert else None):
            return log
    raise AssertionError("the drive did not end")
