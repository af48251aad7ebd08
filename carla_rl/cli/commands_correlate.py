"""`correlate`: does the error of a plan tell how a policy drives? Over the checkpoints of a ladder, or any runs."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import numpy as np
import torch
import typer
from numpy.typing import NDArray
from rich.markup import escape

from carla_rl.build import make_policy
from carla_rl.cli import options
from carla_rl.cli.console import print_json, progress, stderr, stdout
from carla_rl.cli.setup import digest
from carla_rl.cli.tables_correlate import correlation_lines, correlation_table, disagreement_lines, panels, points_table
from carla_rl.compare import check_evaluation, differing_conditions
from carla_rl.correlate import Checkpoint, Study
from carla_rl.correlate import correlate as study_of
from carla_rl.errors import UsageError
from carla_rl.ladder import FILE, HELD_OUT, read_ladder
from carla_rl.metrics.offline import offline_metrics
from carla_rl.metrics.plan_errors import measures_of, plan_errors
from carla_rl.metrics.scores import DEFAULT_SCORE
from carla_rl.offline import plans_of
from carla_rl.records.atomic import make_folder, write_bytes, write_json
from carla_rl.records.dataset import Samples, load_samples
from carla_rl.records.reading import Run, read_run
from carla_rl.records.steps import read_plans
from carla_rl.scatter import draw_scatter
from carla_rl.types import Needs

JSON_FILE, PICTURE = "correlation.json", "correlation.png"


@dataclass(frozen=True)
class _Given:
    """One checkpoint to look at."""

    name: str
    kind: str
    run: Run
    checkpoint: Path


def correlate(
    runs: Annotated[
        list[Path], typer.Argument(metavar="LADDER|RUN...", help="A folder of `ladder`, or several runs of `evaluate` with step logs.")
    ],
    episodes: Annotated[
        str | None,
        typer.Option("--episodes", metavar="GLOB", help="Recorded episodes to measure plans on; a ladder has its own.", show_default=False),
    ] = None,
    out: Annotated[
        Path | None, typer.Option("--out", metavar="DIR", help="Gets correlation.json and correlation.png; the ladder itself without it.")
    ] = None,
    score: Annotated[str, typer.Option("--score", help="Definition of the driving score.")] = DEFAULT_SCORE,
    force: Annotated[
        bool, typer.Option("--force", help="Go on although the runs' fingerprints differ; the differences are shown.")
    ] = False,
    seed: options.Seed = 0,
    threads: options.Threads = 1,
    json: options.Json = False,
) -> None:
    """Does ADE predict the driving score? Correlations over checkpoints, pairs in the wrong order, scatter plots.

    Errors of plans are measured on states that the expert visited (recorded episodes) and on those that each policy visited itself, where
    the expert was asked again. Negative coefficients are what one hopes for: less error, better driving.
    """
    torch.set_num_threads(threads)
    given, pattern, folder = _given(runs, episodes, out)
    first = given[0].run
    for one in given:
        check_evaluation(one.run)
        if (differ := differing_conditions(first, one.run)) and not force:
            raise UsageError(
                f"{first.run_id} and {one.run.run_id} do not belong in one study: {'; '.join(differ)}; give --force to do it all the same"
            )
        for note in (*one.run.notes, *differ):
            stderr.print(f"[yellow]{escape(note)}[/]", highlight=False)
    found = study_of(
        _measured(given, pattern), simulator=first.simulator.kind, suite=first.suite.name, held_out=pattern, score=score, seed=seed
    )
    make_folder(folder)
    write_json(folder / JSON_FILE, found.to_json())
    names = [(point.name, point.kind) for point in found.points]
    write_bytes(folder / PICTURE, draw_scatter(_title(found), panels(found), names))
    if json:
        print_json({"path": str(folder), **found.to_json()})
        return
    stdout.print(points_table(found))
    stdout.print(correlation_table(found))
    for line in (*correlation_lines(found), *disagreement_lines(found)):
        stdout.print(line, highlight=False, soft_wrap=True)
    stdout.print(f"[dim]written to {escape(str(folder / JSON_FILE))} and {PICTURE}[/]", highlight=False, soft_wrap=True)


def _title(found: Study) -> str:
    driven = f"{len(found.points)} checkpoints, {found.episodes} episodes of {found.suite}"
    return f"Errors of plans against driving: {driven}, simulator: {found.simulator}"


def _given(paths: Sequence[Path], episodes: str | None, out: Path | None) -> tuple[list[_Given], str, Path]:
    """The checkpoints, the recorded episodes and where results go.

    Raises:
        UsageError: a ladder beside runs, nothing to measure on, a ladder without a finished rung.
    """
    ladders = [path for path in paths if (path / FILE).is_file()]
    if ladders and len(paths) > 1:
        raise UsageError(f"{ladders[0]}: is a ladder, and other folders are given beside it; give one ladder alone, or runs")
    if ladders:
        folder = ladders[0]
        _, rungs = read_ladder(folder)
        there = [rung for rung in rungs if (folder / rung.run / "metrics.json").is_file()]
        if len(there) < len(rungs):
            stderr.print(f"[yellow]{folder}: {len(rungs) - len(there)} of {len(rungs)} rungs are not there yet; go on with ladder[/]")
        found = [_Given(rung.name, rung.kind, read_run(folder / rung.run), folder / rung.checkpoint) for rung in there]
        if not found:
            raise UsageError(f"{folder}: no rung of the ladder was driven yet; go on with carla-rl ladder")
        return found, episodes or str(folder / HELD_OUT), out or folder
    if episodes is None:
        raise UsageError("--episodes is missing: recorded episodes to measure the plans of these runs on, e.g. 'held-out/*/episode.json'")
    if out is None:
        raise UsageError("--out is missing: a folder for correlation.json and correlation.png")
    found = []
    for path in paths:
        run = read_run(path)
        if run.policy.checkpoint is None:
            raise UsageError(f"{path}: {run.policy.name} has no checkpoint whose plans could be measured; give runs of checkpoints")
        found.append(_Given(run.run_id, "rl" if run.policy.name.endswith("+delta") else "sft", run, Path(run.policy.checkpoint)))
    return found, episodes, out


def _measured(given: Sequence[_Given], pattern: str) -> list[Checkpoint]:
    """The errors of every checkpoint's plans, with a progress bar."""
    found = []
    recorded: dict[tuple[Needs, int], Samples] = {}
    with progress() as bar:
        task = bar.add_task("measuring plans", total=len(given), note="")
        for one in given:
            errors = (_expert_states(one, pattern, recorded), _own_states(one.run))
            found.append(Checkpoint(one.name, one.kind, one.run.run_id, one.run.episodes, *errors))
            bar.update(task, advance=1, note=one.name)
    return found


def _expert_states(one: _Given, pattern: str, recorded: dict[tuple[Needs, int], Samples]) -> dict[str, float | None]:
    """Errors on recorded frames, which are read once for all policies that see the same.

    Raises:
        UsageError: the checkpoint is gone, or is not the one that drove.
    """
    if not one.checkpoint.is_file():
        raise UsageError(f"{one.checkpoint}: no such file, but run {one.run.run_id} drove it; start in the folder where it was driven")
    if one.run.policy.sha256 is not None and digest(one.checkpoint) != one.run.policy.sha256:
        raise UsageError(f"{one.checkpoint}: is not what run {one.run.run_id} drove, it was changed since; evaluate it again")
    policy = make_policy(None, one.checkpoint, None)
    kind = (policy.needs, policy.horizon)
    if kind not in recorded:
        recorded[kind] = load_samples(pattern, *kind)
    samples = recorded[kind]
    plans = plans_of(policy, samples)[0]
    return measures_of(offline_metrics(plans, samples.waypoints), plan_errors(plans, samples.waypoints))


def _own_states(run: Run) -> dict[str, float | None]:
    """Errors at the states that the policy visited, from the step logs; empty where the expert was not asked or nothing was kept.

    Raises:
        UsageError: a step log is missing or broken although others are there.
    """
    logs = {episode.episode_id: run.steps_path(episode.episode_id) for episode in run.episodes}
    if not any(path.exists() for path in logs.values()):
        stderr.print(f"[yellow]{run.run_id}: no step logs; nothing is known of the states that it visited[/]", highlight=False)
        return {}
    plans: list[NDArray[np.float32]] = []
    experts: list[NDArray[np.float32]] = []
    for episode_id, path in logs.items():
        plan, expert = read_plans(path, episode_id)
        if expert is None:
            stderr.print(
                f"[yellow]{run.run_id}: its step logs hold no expert's plans of its horizon; evaluate it again to have them[/]",
                highlight=False,
            )
            return {}
        if plans and plan.shape[1:] != plans[0].shape[1:]:
            raise UsageError(
                f"{path}: has plans of {plan.shape[1]} waypoints, others of run {run.run_id} have {plans[0].shape[1]}; files were mixed"
            )
        plans.append(plan)
        experts.append(expert)
    mine, wanted = np.concatenate(plans), np.concatenate(experts)
    return measures_of(offline_metrics(mine, wanted), plan_errors(mine, wanted))
