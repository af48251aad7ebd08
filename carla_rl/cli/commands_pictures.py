"""`report` and `render`: runs as a page, drives as films and strips."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.markup import escape

from carla_rl.build import Networks, map_folders
from carla_rl.cli import options
from carla_rl.cli.console import print_json, progress, stderr, stdout
from carla_rl.errors import UsageError
from carla_rl.records.reading import Run
from carla_rl.report.facts import read_sources
from carla_rl.report.page import Written, write_report

PAGE = ".html"


def report(
    runs: Annotated[
        list[Path], typer.Argument(metavar="RUN...", help="Evaluations, the baseline first, and trainings for their learning curves.")
    ],
    out: Annotated[Path, typer.Option("--out", metavar="FILE.html", help="The page.")] = Path("report.html"),
    maps: options.Maps = None,
    force: Annotated[bool, typer.Option("--force", help="Compare runs made under different conditions; the page shows what differs.")] = False,
    seed: options.Seed = 0,
    json: options.Json = False,
) -> None:
    """Write one page that says which policy drives better, by how much, how sure and why, with every drive to play.

    It opens from the disk and needs no network. The first evaluation is the baseline; the others are set against it, pair by pair.
    """
    if out.suffix != PAGE:
        raise UsageError(f"{out}: a report is a page; give a name that ends in {PAGE}")
    sources = read_sources(runs, force=force, seed=seed)
    network = Networks(folders(sources.evaluations, maps or ()))
    total = sum(len(run.episodes) for run in sources.evaluations)
    with progress() as bar:
        task = bar.add_task("reading step logs", total=total, note="")
        written = write_report(sources, out, network, lambda count: bar.update(task, completed=count))
    if json:
        print_json(_told(written))
        return
    for sentence in (*written.facts["warnings"], *written.missing):
        stderr.print(f"[yellow]{escape(sentence)}[/]", highlight=False, soft_wrap=True)
    for verdict in written.facts["verdict"]:
        stdout.print(f"[bold]{escape(verdict['title'])}[/]", highlight=False, soft_wrap=True)
        for sentence in verdict["sentences"]:
            stdout.print(f"  {escape(sentence)}", highlight=False, soft_wrap=True)
    size = f"{written.bytes / 1e6:.1f} MB, {written.drives} drives to play"
    beside = f"; keep {escape(str(written.beside))} beside it" if written.beside else ""
    stdout.print(f"report: [bold]{escape(str(written.path))}[/] ({size}){beside}", highlight=False, soft_wrap=True)


def _told(written: Written) -> dict[str, Any]:
    return {
        "path": str(written.path),
        "bytes": written.bytes,
        "beside": str(written.beside) if written.beside else None,
        "drives": written.drives,
        "missing": list(written.missing),
        **written.facts,
    }


def folders(runs: Sequence[Run], given: Sequence[Path]) -> tuple[Path, ...]:
    """Where maps are looked for: the folders given, then those that the runs were driven with, where they still are."""
    used: list[Path] = []
    for run in runs:
        told = run.config.get("maps")
        named = [Path(folder) for folder in told if Path(folder).is_dir()] if isinstance(told, list) else []
        used += map_folders(str(run.config.get("suite", "")), named)
    return tuple(dict.fromkeys((*given, *used)))
