"""Where words go: results to standard output, progress and remarks to standard error. JSON is never mixed with either."""

import json
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

stdout = Console()
stderr = Console(stderr=True)


def progress() -> Progress:
    """A progress display on standard error; silent where that is no terminal."""
    return Progress(
        TextColumn("[bold]{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[note]}"),
        console=stderr,
        disable=not stderr.is_terminal,
    )


def print_json(value: Any) -> None:
    """One JSON document on standard output. NaN and infinity are refused: they are no JSON."""
    print(json.dumps(value, indent=2, allow_nan=False))
