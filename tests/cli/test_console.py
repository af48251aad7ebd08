from io import StringIO

import pytest
from rich.console import Console

from carla_rl.cli import console


@pytest.fixture
def log(monkeypatch: pytest.MonkeyPatch) -> StringIO:
    """Standard error that is no terminal."""
    text = StringIO()
    monkeypatch.setattr(console, "stderr", Console(file=text, width=40))
    return text


def test_where_there_is_no_terminal_progress_is_a_line_every_half_minute(log: StringIO) -> None:
    clock = [0.0]
    with console.progress() as bar:
        bar.get_time = lambda: clock[0]
        task = bar.add_task("cloning 900 frames", total=4, note="")
        for seconds, note in ((10.0, "ADE 3 m"), (31.0, "ADE 2 m"), (50.0, "ADE [1] m")):
            clock[0] = seconds
            bar.update(task, advance=1, note=note)
        clock[0] = 62.0
        bar.advance(task, 0)
        clock[0] = 100.0
        bar.advance(task)
    # the last one is for the result to tell
    assert log.getvalue().splitlines() == [
        "cloning 900 frames:  2 of 4  ADE 2 m  (31 s)",
        "cloning 900 frames:  3 of 4  ADE [1] m  (62 s)",
    ]


def test_what_is_quick_says_nothing(log: StringIO) -> None:
    with console.progress() as bar:
        task = bar.add_task("driving", total=2, note="")
        bar.advance(task, 2)
    assert log.getvalue() == ""
