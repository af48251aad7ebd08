"""The entry point of the `carla-rl` script: some commands start without the libraries that only the others need.

A test waits for a server, who looks at servers or runs waits for the answer, a gate is one step of many: it counts that torch takes seconds
to load.
"""

import sys
from collections.abc import Callable
from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import typer

HELP = {"help_option_names": ["-h", "--help"]}
QUICK: dict[str, str] = {
    "serve": "serve",
    "server": "servers",
    "doctor": "doctor",
    "compile-map": "maps",
    "runs": "runs",
    "compare": "compare",
    "scores": "compare",
    "import-results": "import",
    "report": "pictures",
    "render": "pictures",
}
"""Commands that need no torch; `commands_<this>` has each."""


def quick(name: str) -> "typer.Typer":
    """The app of one of the QUICK commands alone."""
    import typer

    found: typer.Typer | Callable[..., None] = getattr(import_module(f"carla_rl.cli.commands_{QUICK[name]}"), name.replace("-", "_"))
    if isinstance(found, typer.Typer):
        return found
    app = typer.Typer(name=name, add_completion=False, pretty_exceptions_enable=False, rich_markup_mode="rich")
    app.command(name, context_settings=HELP)(found)
    return app


def main() -> None:
    """Run the command line of this process. Nothing is loaded before: loading takes seconds, and Ctrl-C may come then."""
    try:
        code = _run(sys.argv[1:])
    except KeyboardInterrupt:
        print("failed: interrupted before anything was finished", file=sys.stderr)
        code = 1
    sys.exit(code)


def _run(arguments: list[str]) -> int:
    from carla_rl.cli.failures import exit_code

    if arguments and arguments[0] in QUICK:
        app = quick(arguments[0])
        return exit_code(lambda: app(arguments[1:], prog_name=f"carla-rl {arguments[0]}", standalone_mode=True))
    # loads torch
    from carla_rl.cli.app import run

    return run(arguments)
