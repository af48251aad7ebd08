"""The one place where an error becomes a sentence and an exit code.

Exit codes: 0 done, 1 the run failed or was interrupted, 2 bad usage. A defect of the program keeps its traceback.
"""

from collections.abc import Callable

from rich.markup import escape

from carla_rl.cli.console import stderr
from carla_rl.errors import RunFailure, UsageError

CTRL_C = 130
"""Typer's exit code where Ctrl-C came and nobody below had something to say about it."""


def exit_code(command: Callable[[], object]) -> int:
    """Run a command and give its exit code; what it prints goes to the standard streams."""
    try:
        command()
    except SystemExit as done:
        if done.code == CTRL_C:
            return _interrupted()
        return done.code if isinstance(done.code, int) else 1
    except KeyboardInterrupt:
        return _interrupted()
    except UsageError as error:
        stderr.print(f"[bold red]error:[/] {escape(str(error))}", highlight=False, soft_wrap=True)
        return 2
    except RunFailure as error:
        stderr.print(f"[bold red]failed:[/] {escape(str(error))}", highlight=False, soft_wrap=True)
        return 1
    return 0


def _interrupted() -> int:
    """Nothing had been finished yet: whatever has something to keep says so itself."""
    stderr.print("[bold red]failed:[/] interrupted before anything was finished", highlight=False)
    return 1
