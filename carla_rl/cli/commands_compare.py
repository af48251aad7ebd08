"""`compare` and `scores`: runs set against each other, and one run by every definition of the score."""

from pathlib import Path
from typing import Annotated, Any

import typer
from rich.markup import escape

from carla_rl import compare as comparison
from carla_rl.cli import options
from carla_rl.cli.console import print_json, stderr, stdout
from carla_rl.cli.tables_compare import abilities_table, comparison_lines, comparison_table, gate_lines, scores_table
from carla_rl.errors import RunFailure, UsageError
from carla_rl.gate import Judged, judge, read_requirement
from carla_rl.metrics.comparison import Comparison
from carla_rl.metrics.paired import CONFIDENCE
from carla_rl.metrics.summary import abilities, by_type, intervals
from carla_rl.metrics.summary import scores as every_score
from carla_rl.records.measured import with_motion
from carla_rl.records.reading import Run, read_run


def compare(
    runs: Annotated[list[Path], typer.Argument(metavar="RUN_A RUN_B [RUN_C...]", help="Run directories of `evaluate`; A is the baseline.")],
    require: Annotated[
        list[str] | None,
        typer.Option(
            "--require",
            metavar="'MEASURE >= NUMBER'",
            help="Exit with 1 unless the interval of the difference keeps this: its lower end for >= and >, its upper end for <= and <. "
            "May be repeated.",
        ),
    ] = None,
    score: Annotated[str | None, typer.Option("--score", help="Definition of the driving score; A's own if left out.")] = None,
    confidence: Annotated[float, typer.Option("--confidence", min=0.5, max=0.999, help="Of the intervals.")] = CONFIDENCE,
    resolve: Annotated[
        list[float] | None,
        typer.Option(
            "--resolve", metavar="POINTS", help="Say how many seeds would resolve this difference in driving score; may be repeated."
        ),
    ] = None,
    everything: Annotated[bool, typer.Option("--all", help="Show every measure.")] = False,
    force: options.Force = False,
    seed: options.Seed = 0,
    json: options.Json = False,
) -> None:
    """Set evaluations against the first one, episode by episode: intervals, permutation test, wins and losses, seeds needed.

    Pairs are drives of the same scenario with the same seed. Runs whose fingerprints differ (simulator, suite, protocol, code) are refused
    without --force. As a gate for CI:

    carla-rl compare out/SFT out/RL --require "driving_score >= -2" --require "collisions_per_km <= 0"
    """
    if len(runs) < 2:
        raise UsageError(f"{runs[0]}: one run alone; give a second one to compare it with, or see carla-rl scores")
    wanted = [read_requirement(text) for text in require or ()]
    baseline, *others = (with_motion(read_run(path)) for path in runs)
    found = comparison.compare_all(
        baseline, others, score=score, force=force, seed=seed, confidence=confidence, resolve=tuple(resolve or comparison.RESOLVE)
    )
    judged = [row for item in found for row in judge(wanted, item)]
    if json:
        _print_json(found, judged)
    else:
        for item in found:
            _show(item, everything)
        for line in gate_lines(judged):
            stdout.print(line, highlight=False, soft_wrap=True)
    if broken := [row for row in judged if not row.holds]:
        raise RunFailure(f"{len(broken)} of {len(judged)} requirements do not hold")


def scores(
    runs: Annotated[list[Path], typer.Argument(metavar="RUN...", help="Run directories of `evaluate`.")],
    force: options.Force = False,
    json: options.Json = False,
) -> None:
    """Every definition of the score side by side, from the same raw facts: leaderboard 1.0 to 2.1, Bench2Drive, normalised, nuPlan- and
    NAVSIM-like; efficiency, comfort, time to collision; success by ability and by scenario type.
    """
    read = [with_motion(read_run(path)) for path in runs]
    for i, run in enumerate(read):
        comparison.check_evaluation(run)
        if any(run.path.resolve() == other.path.resolve() for other in read[:i]):
            raise UsageError(f"{run.path}: is given twice; give each run once")
        if (differ := comparison.differing_conditions(read[0], run)) and not force:
            raise UsageError(
                f"{read[0].run_id} and {run.run_id} do not belong in one table: {'; '.join(differ)}; give --force to show them all the same"
            )
        for note in (*run.notes, *differ):
            stderr.print(f"[yellow]{escape(note)}[/]", highlight=False)
    found = [_scores(run) for run in read]
    if json:
        print_json(found)
        return
    stdout.print(scores_table(found))
    if any(row["num_episodes"] for run in found for name, row in run["abilities"].items() if name != "mean"):
        stdout.print(abilities_table(found))


def _scores(run: Run) -> dict[str, Any]:
    episodes = run.episodes
    return {
        "run_id": run.run_id,
        "policy": run.policy.name,
        "simulator": run.simulator.kind,
        "num_episodes": len(episodes),
        "scores": every_score(episodes),
        "intervals": intervals(episodes),
        "abilities": abilities(episodes),
        "by_type": by_type(episodes),
    }


def _print_json(found: tuple[Comparison, ...], judged: list[Judged]) -> None:
    """Two runs are one object, as ever; more are a list of comparisons with the first."""
    gate = {"requirements": [row.to_json() for row in judged], "holds": all(row.holds for row in judged)}
    if len(found) == 1:
        print_json({**found[0].to_json(), "gate": gate})
    else:
        print_json({"comparisons": [item.to_json() for item in found], "gate": gate})


def _show(item: Comparison, everything: bool) -> None:
    for warning in item.warnings:
        stderr.print(f"[yellow]{escape(warning)}[/]", highlight=False)
    if item.only_a or item.only_b:
        stderr.print(f"[yellow]left out: {len(item.only_a)} episodes only in A, {len(item.only_b)} only in B[/]")
    stdout.print(comparison_table(item, everything=everything, width=stdout.width))
    for line in comparison_lines(item):
        stdout.print(line, highlight=False, soft_wrap=True)
