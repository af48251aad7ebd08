"""`gap` and `suites`: results side by side, and what there is to drive on."""

from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from carla_rl import gap as closing
from carla_rl.build import Networks, map_folders
from carla_rl.cli import options
from carla_rl.cli.console import print_json, stdout
from carla_rl.cli.tables import by_type_table, gap_table
from carla_rl.records.reading import read_run
from carla_rl.scenario.suite import load_suite, shipped_suites


def gap(
    runs: Annotated[list[Path], typer.Argument(metavar="RL_RUN...", help="Evaluations of the refined policy, one a training seed.")],
    expert: Annotated[Path, typer.Option("--expert", metavar="RUN", help="Evaluation of the expert over the same suite.")],
    sft: Annotated[Path, typer.Option("--sft", metavar="RUN", help="Evaluation of the SFT model that was refined.")],
    seed: options.Seed = 0,
    json: options.Json = False,
) -> None:
    """How much of the gap in driving score between an SFT model and the expert a refinement closes, over training seeds and routes.

    1 is the expert's score, 0 is SFT's. The interval is a bootstrap over routes and seeds together.
    """
    found = closing.gap(read_run(expert), read_run(sft), [read_run(run) for run in runs], seed=seed)
    if json:
        print_json(found.to_json())
        return
    stdout.print(gap_table(found))
    stdout.print(by_type_table(found))


def suites(
    suite: Annotated[str | None, typer.Argument(metavar="[NAME|FILE]", help="Show the scenarios of this one.")] = None,
    routes: options.Routes = None,
    maps: options.Maps = None,
    json: options.Json = False,
) -> None:
    """List the suites that ship with the program, or the scenarios of one: town, route length, traffic, scripted actors."""
    names = (suite,) if suite else shipped_suites()
    loaded = [load_suite(name, Networks(map_folders(name, maps or ())), routes) for name in names]
    if json:
        print_json(
            [
                {"name": s.name, "split": s.split, "description": s.description, "sha256": s.sha256, "omitted": s.omitted}
                | {"scenarios": [scenario.model_dump(mode="json") for scenario in s.scenarios] if suite else len(s.scenarios)}
                for s in loaded
            ]
        )
        return
    if suite:
        table = Table("scenario", "town", "seed", "vehicles", "pedestrians", "scripted")
        for scenario in loaded[0].scenarios:
            scripted = ", ".join(actor.type for actor in scenario.actors)
            traffic = scenario.traffic
            table.add_row(
                scenario.scenario_id, scenario.town, str(scenario.seed), str(traffic.vehicles), str(traffic.pedestrians), scripted
            )
    else:
        table = Table("suite", "split", "scenarios", "towns", "what for")
        for item in loaded:
            towns = ", ".join(sorted({scenario.town for scenario in item.scenarios}))
            table.add_row(item.name, item.split, str(len(item.scenarios)), towns, item.description)
    stdout.print(table)
