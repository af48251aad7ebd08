"""`runs`: what has been driven so far, a line each."""

from pathlib import Path
from typing import Annotated

import typer
from rich.box import SIMPLE_HEAD
from rich.markup import escape
from rich.table import Table

from carla_rl.cli import options
from carla_rl.cli.console import print_json, stderr, stdout
from carla_rl.cli.tables import number, percent
from carla_rl.records.listing import Listed, list_runs

WIDE = 100
"""Characters from which on there is room for when a run began."""


def runs(
    folder: Annotated[Path, typer.Argument(metavar="[DIR]", help="Where runs are; folders in it are looked into, too.")] = Path("out"),
    json: options.Json = False,
) -> None:
    """List the runs in a folder with their headline: driving score with its interval and success; of a training the last validation's
    driving score and how many updates it has.
    """
    found = list_runs(folder)
    if json:
        print_json([row.to_json() for row in found])
        return
    if not found:
        stdout.print(f"no runs in {escape(str(folder))}; carla-rl evaluate and train make some", highlight=False)
        return
    stdout.print(_table(folder, [row for row in found if row.state != "broken"]))
    for row in found:
        if row.state == "broken":
            stderr.print(f"[yellow]broken: {escape(row.problem or row.path)}[/]", highlight=False, soft_wrap=True)


def _table(folder: Path, rows: list[Listed]) -> Table:
    """A run a row; the simulator stands in the title where all have the same, else in a column."""
    simulators = sorted({row.simulator or "–" for row in rows})
    mixed = len(simulators) > 1
    title = f"{len(rows)} run{'s' * (len(rows) != 1)} in {escape(str(folder))}" + ("" if mixed else f"; simulator: {', '.join(simulators)}")
    table = Table(title=title, title_justify="left", box=SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False)
    table.add_column("run", no_wrap=True)
    if stdout.width >= WIDE:
        table.add_column("started", no_wrap=True)
    for column in ("policy", "suite", *(("simulator",) if mixed else ())):
        # only these are folded where the terminal is narrow
        table.add_column(column, overflow="fold")
    for column in ("episodes", "driving score", "success"):
        table.add_column(column, justify="right", no_wrap=True)
    for row in rows:
        name = str(Path(row.path).relative_to(folder)) if Path(row.path) != folder else row.run_id
        if row.state != "complete":
            name += f" ({row.state})"
        table.add_row(
            escape(name),
            *(((row.started or "–")[:16].replace("T", " "),) if stdout.width >= WIDE else ()),
            escape(row.policy or "–"),
            escape(row.suite or "–"),
            *((row.simulator or "–",) if mixed else ()),
            str(row.episodes),
            _headline(row),
            percent(row.success_rate),
        )
    return table


def _headline(row: Listed) -> str:
    """The driving score with its interval; of a training the last validation's, and how many updates it has."""
    if row.updates is not None:
        return f"{number(row.validation_score)} after {row.updates}"
    low, high = row.driving_score_interval or (None, None)
    return number(row.driving_score) + ("" if low is None else rf" \[{low:.1f}, {high:.1f}]")
