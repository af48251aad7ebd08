"""Where words go: results to standard output, progress and remarks to standard error. JSON is never mixed with either."""

import json
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn, TimeRemainingColumn

stdout = Console()
stderr = Console(stderr=True)


LINE_S = 30.0
"""Seconds between two lines of progress where there is no terminal."""


class Display(Progress):
    """A bar on a terminal; elsewhere, as in the log of a job, a line now and then."""

    _told_s: float | None = None

    def update(self, task_id: TaskID, **fields: Any) -> None:
        """As `Progress.update`."""
        super().update(task_id, **fields)
        self._tell(task_id)

    def advance(self, task_id: TaskID, advance: float = 1) -> None:
        """As `Progress.advance`."""
        super().advance(task_id, advance)
        self._tell(task_id)

    def _tell(self, task_id: TaskID) -> None:
        task = self._tasks[task_id]
        if not self.disable or task.finished or task.start_time is None:
            return
        now = self.get_time()
        if now - (self._told_s or task.start_time) < LINE_S:
            return
        self._told_s = now
        parts = f"{task.completed:,.0f} of {task.total:,.0f}" if task.total else f"{task.completed:,.0f}", task.fields.get("note")
        what = "  ".join((f"{task.description}:", *(part for part in parts if part)))
        stderr.print(f"{what}  ({now - task.start_time:,.0f} s)", highlight=False, markup=False, soft_wrap=True)


def progress() -> Display:
    """A progress display on standard error: a bar, or a line every LINE_S seconds where that is no terminal."""
    return Display(
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
