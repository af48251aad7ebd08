"""`import-results`: what the official evaluators measured, as a run of ours."""

from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape

from carla_rl.cli import options
from carla_rl.cli.console import print_json, stderr, stdout
from carla_rl.cli.tables import evaluation_table, infraction_lines
from carla_rl.errors import UsageError
from carla_rl.records.importing import NOT_TOLD, Source, disagreements, lacking, route_file, write_run
from carla_rl.records.leaderboard_file import PROTOCOLS, read_leaderboard_file, recognise
from carla_rl.types import SimulatorKind

SHOWN = 5


def import_results(
    results: Annotated[Path, typer.Argument(metavar="FILE", help="simulation_results.json of the CARLA leaderboard or Bench2Drive.")],
    simulator: Annotated[
        SimulatorKind,
        typer.Option("--simulator", help="What it was driven on: carla, or toy-server for `carla-rl serve`. The file does not say."),
    ],
    suite: Annotated[
        Path | None,
        typer.Option("--suite", metavar="FILE.xml", help="The routes that were driven: for towns, scenario types, pairing."),
    ] = None,
    routes: options.Routes = None,
    protocol: Annotated[
        str | None, typer.Option("--protocol", help=f"{', '.join(PROTOCOLS)}; recognised from the file where that can be proved.")
    ] = None,
    policy: Annotated[str | None, typer.Option("--policy", metavar="NAME", help="What drove; the file's name if left out.")] = None,
    version: Annotated[str, typer.Option("--simulator-version", help="Of what it was driven on, e.g. 0.9.15.")] = NOT_TOLD,
    partial: Annotated[
        bool, typer.Option("--partial", help="Import a file that lacks results (crashes, missing routes), as an unfinished run.")
    ] = False,
    out: options.Out = Path("out"),
    run_id: options.RunId = None,
    json: options.Json = False,
) -> None:
    """Make a run directory of an official evaluator's results, for `compare`, `scores`, `runs` and `report`.

    A crashed simulation is no failure of the agent: its route has no result. Scores are computed again from the infractions, and where the
    file's are others, that is said.

    carla-rl import-results simulation_results.json --simulator carla --suite longest6_v2.xml --simulator-version 0.9.15
    """
    if simulator is SimulatorKind.TOY:
        raise UsageError("--simulator toy: the evaluators drive through CARLA's client; write carla, or toy-server for carla-rl serve")
    if suite is None and routes is not None:
        raise UsageError(f"--routes {routes}: of which file? Give --suite, too")
    file = read_leaderboard_file(results)
    if not file.routes:
        raise UsageError(
            f"{results}: no route has a result, {file.without_result[0][0]} is {file.without_result[0][1]!r}; drive them again"
        )
    name, proof = recognise(file, protocol)
    source = Source(file, name, route_file(suite, routes) if suite else None, policy or results.stem, simulator, version)
    if (lack := lacking(source)) and not partial:
        raise UsageError(
            f"{results}: no result of {_some(lack)}; drive them again (the evaluator's --resume), "
            "or give --partial to import the others as an unfinished run"
        )
    metrics, path = write_run(source, out, run_id)
    warnings = [*disagreements(source), *([f"unfinished: no result of {_some(lack)}"] if lack else ())]
    if json:
        names = ("run_id", "simulator", "suite", "policy", "protocol", "complete", "summary")
        print_json({"path": str(path), "proof": proof, "warnings": warnings, **{name: metrics[name] for name in names}})
        return
    for sentence in warnings:
        stderr.print(f"[yellow]{escape(sentence)}[/]", highlight=False, soft_wrap=True)
    stdout.print(evaluation_table(f"{metrics['policy']['name']} on {metrics['suite']['name']}, {metrics['protocol']['score']}", metrics))
    for line in (*infraction_lines(metrics), escape(proof)):
        stdout.print(line, highlight=False, soft_wrap=True)
    stdout.print(f"[dim]written to {escape(str(path))}[/]", highlight=False, soft_wrap=True)


def _some(items: tuple[str, ...]) -> str:
    shown = ", ".join(items[:SHOWN])
    return shown if len(items) <= SHOWN else f"{shown} and {len(items) - SHOWN} more"
