"""`doctor`: what there is for driving on CARLA, and the remedy for what is not."""

from dataclasses import asdict
from typing import Annotated

import typer
from rich.markup import escape
from rich.table import Table

from carla_rl.cli import options
from carla_rl.cli.console import print_json, stdout
from carla_rl.servers.doctor import MISSING, NOTE, OK, Finding, examine
from carla_rl.servers.folder import runtime_folder
from carla_rl.servers.state import Registry

COLOURS = {OK: "green", NOTE: "yellow", MISSING: "bold red"}


def doctor(
    carla: Annotated[
        list[str] | None, typer.Option("--carla", metavar="HOST:PORT", help="A server that has to answer and fit the client. Repeatable.")
    ] = None,
    json: options.Json = False,
) -> None:
    """Look at Python, packages, the carla client, GPU, docker, servers and ports; say what to do about what is not there.

    Exit code 0: nothing is missing; notes do not count. 1: something is: a package, the client, or a server named by --carla.
    """
    known = [] if carla else [server.address for server in Registry(runtime_folder() / "servers").all()]
    found = list(examine(carla or (), known))
    if json:
        print_json({"usable": _usable(found), "findings": [asdict(finding) for finding in found]})
    else:
        stdout.print(_table(found))
        missing = sum(finding.state == MISSING for finding in found)
        stdout.print("[green]nothing is missing[/]" if not missing else f"[bold red]missing: {missing}[/]", highlight=False)
    if not _usable(found):
        raise typer.Exit(1)


def _usable(found: list[Finding]) -> bool:
    return all(finding.state != MISSING for finding in found)


def _table(found: list[Finding]) -> Table:
    """A finding a row, its remedy under it."""
    table = Table(box=None, padding=(0, 2, 0, 0), show_header=False)
    table.add_column(no_wrap=True)
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    topic = ""
    for finding in found:
        text = escape(finding.text) + (f"\n[dim]-> {escape(finding.remedy)}[/]" if finding.remedy else "")
        table.add_row(finding.topic if finding.topic != topic else "", f"[{COLOURS[finding.state]}]{finding.state}[/]", text)
        topic = finding.topic
    return table
