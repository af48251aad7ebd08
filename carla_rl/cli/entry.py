"""The entry point of the `carla-rl` script: some commands start without the libraries that only the others need.

A test waits for a server, and who looks at servers waits for the answer, so it counts that torch takes seconds to load.
"""

import sys
from collections.abc import Callable

import typer

from carla_rl.cli.failures import exit_code

HELP = {"help_option_names": ["-h", "--help"]}


def _serve() -> typer.Typer:
    from carla_rl.cli.commands_serve import serve

    return _alone("serve", serve)


def _server() -> typer.Typer:
    from carla_rl.cli.commands_servers import server

    return server


def _doctor() -> typer.Typer:
    from carla_rl.cli.commands_doctor import doctor

    return _alone("doctor", doctor)


def _compile_map() -> typer.Typer:
    from carla_rl.cli.commands_maps import compile_map

    return _alone("compile-map", compile_map)


def _alone(name: str, command: Callable[..., None]) -> typer.Typer:
    """An app of one command."""
    app = typer.Typer(name=name, add_completion=False, pretty_exceptions_enable=False, rich_markup_mode="rich")
    app.command(name, context_settings=HELP)(command)
    return app


QUICK: dict[str, Callable[[], typer.Typer]] = {"serve": _serve, "server": _server, "doctor": _doctor, "compile-map": _compile_map}
"""Commands that need no torch, and what loads each."""


def main() -> None:
    """Run the command line of this process."""
    sys.exit(exit_code(lambda: _run(sys.argv[1:])))


def _run(arguments: list[str]) -> None:
    if arguments and arguments[0] in QUICK:
        app = QUICK[arguments[0]]()
        app(arguments[1:], prog_name=f"carla-rl {arguments[0]}", standalone_mode=True)
        return
    # loads torch
    from carla_rl.cli.app import run

    sys.exit(run(arguments))
