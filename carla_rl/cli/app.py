"""`carla-rl`: the commands."""

from collections.abc import Sequence
from typing import Annotated

import typer

import carla_rl
from carla_rl.cli import (
    commands_bench,
    commands_compare,
    commands_correlate,
    commands_data,
    commands_demo,
    commands_doctor,
    commands_evaluate,
    commands_import,
    commands_ladder,
    commands_maps,
    commands_pictures,
    commands_results,
    commands_runs,
    commands_serve,
    commands_servers,
    commands_settings,
    commands_train,
    commands_warm_start,
)
from carla_rl.cli.failures import exit_code

app = typer.Typer(
    name="carla-rl",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="Start with [b]carla-rl demo[/b]: the whole story on the toy simulator. Exit codes: 0 done, 1 the run failed, 2 bad usage.",
)


def _version(value: bool) -> None:
    if value:
        typer.echo(f"carla-rl {carla_rl.__version__}")
        raise typer.Exit


@app.callback()
def _root(version: Annotated[bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")] = False) -> None:
    """Does a waypoint policy drive, and can a little online RL make it drive better without breaking it?

    The story, a command a step: [b]record[/b] the expert, clone it with [b]sft[/b], look at it [b]offline[/b], [b]evaluate[/b] it in
    closed loop, refine it with PPO by [b]train[/b], evaluate again and [b]compare[/b]. [b]demo[/b] does all of it.
    """


app.command("demo", rich_help_panel="The whole story")(commands_demo.demo)
app.command("record", rich_help_panel="Data and cloning")(commands_data.record)
app.command("sft", rich_help_panel="Data and cloning")(commands_data.sft)
app.command("warm-start", rich_help_panel="Data and cloning")(commands_warm_start.warm_start)
app.command("offline", rich_help_panel="Data and cloning")(commands_data.offline)
app.command("plan", rich_help_panel="Data and cloning")(commands_data.plan)
app.command("evaluate", rich_help_panel="Closed loop")(commands_evaluate.evaluate)
app.command("train", rich_help_panel="Closed loop")(commands_train.train)
app.command("settings", rich_help_panel="Closed loop")(commands_settings.settings)
app.command("runs", rich_help_panel="Results")(commands_runs.runs)
app.command("import-results", rich_help_panel="Results")(commands_import.import_results)
app.command("scores", rich_help_panel="Results")(commands_compare.scores)
app.command("compare", rich_help_panel="Results")(commands_compare.compare)
app.command("ladder", rich_help_panel="Results")(commands_ladder.ladder)
app.command("correlate", rich_help_panel="Results")(commands_correlate.correlate)
app.command("report", rich_help_panel="Results")(commands_pictures.report)
app.command("render", rich_help_panel="Results")(commands_pictures.render)
app.command("gap", rich_help_panel="Results")(commands_results.gap)
app.command("serve", rich_help_panel="Simulators")(commands_serve.serve)
app.command("doctor", rich_help_panel="Simulators")(commands_doctor.doctor)
app.add_typer(commands_servers.server, name="server", rich_help_panel="Simulators")
app.command("suites", rich_help_panel="Scenarios and maps")(commands_results.suites)
app.command("compile-map", rich_help_panel="Scenarios and maps")(commands_maps.compile_map)
app.add_typer(commands_bench.bench, name="bench", rich_help_panel="Speed")


def run(arguments: Sequence[str]) -> int:
    """Run one command line and give its exit code; what it prints goes to the standard streams."""
    # the demo is a user of the command line: it is handed the way to run one
    return exit_code(lambda: app(list(arguments), standalone_mode=True, obj=run))
