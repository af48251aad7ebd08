"""The entry point of the `carla-rl` script: `serve` starts without the libraries that only the other commands need.

A test waits for a server, so it counts that torch takes seconds to load.
"""

import sys

import typer

from carla_rl.cli import commands_serve
from carla_rl.cli.failures import exit_code

QUICK = "serve"


def main() -> None:
    """Run the command line of this process."""
    arguments = sys.argv[1:]
    if arguments[:1] == [QUICK]:
        app = typer.Typer(name="carla-rl", add_completion=False, pretty_exceptions_enable=False, rich_markup_mode="rich")
        app.command(QUICK, context_settings={"help_option_names": ["-h", "--help"]})(commands_serve.serve)
        sys.exit(exit_code(lambda: app(arguments[1:], prog_name=f"carla-rl {QUICK}", standalone_mode=True)))
    # loads torch
    from carla_rl.cli.app import run

    sys.exit(run(arguments))
