"""`server start|status|logs|stop`: servers that outlive the command."""

from contextlib import ExitStack
from pathlib import Path
from typing import Annotated

import typer
from rich.box import SIMPLE_HEAD
from rich.markup import escape
from rich.table import Table

from carla_rl.cli import options
from carla_rl.cli.console import print_json, stderr, stdout
from carla_rl.cli.options_servers import Apptainer, Binary, Docker, Gpus, Rendering, ServerQuality
from carla_rl.errors import RunFailure, UsageError
from carla_rl.servers.choose import MOST_SERVERS, installed_client, make_launch, make_own_servers
from carla_rl.servers.folder import runtime_folder
from carla_rl.servers.launch import Launch, Quality, toy_options
from carla_rl.servers.ports import FIRST, Leases
from carla_rl.servers.process import TAIL_LINES, tail
from carla_rl.servers.state import ENDED, READY, Known, Registry, Status, status_of, stop_server
from carla_rl.servers.supervise import SupervisedServer

server = typer.Typer(
    name="server",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["-h", "--help"]},
    help="Start CARLA servers that stay, look at them, end exactly these.",
)

COLOURS = {READY: "green", ENDED: "red"}
WIDE = 100
"""Characters from which on there is room for what was started."""


@server.command()
def start(
    count: Annotated[int, typer.Option("--count", min=1, max=MOST_SERVERS, help="How many, each on ports of its own.")] = 1,
    docker: Docker = None,
    binary: Binary = None,
    apptainer: Apptainer = None,
    toy: Annotated[
        bool, typer.Option("--toy", help="The project's own CARLA-compatible server (see `carla-rl serve`); not CARLA.")
    ] = False,
    gpus: Gpus = None,
    port: Annotated[int, typer.Option("--port", help="Where looking for free ports begins; a server takes four in a row.")] = FIRST,
    quality: ServerQuality = Quality.EPIC,
    rendering: Rendering = True,
    maps: Annotated[
        list[str] | None, typer.Option("--map", metavar="FILE|TOWN", help="Of --toy: a map that it has; the first is loaded. Repeatable.")
    ] = None,
    suite: Annotated[str | None, typer.Option("--suite", metavar="NAME|FILE", help="Of --toy: a suite whose episodes it can play.")] = None,
    faults: Annotated[
        list[str] | None, typer.Option("--fault", metavar="FAULT", help="Of --toy: go wrong on purpose; see docs/server.md. Repeatable.")
    ] = None,
    json: options.Json = False,
) -> None:
    """Start servers, wait until they answer, and leave them running.

    carla-rl server start --count 2 --gpus 0,1 --docker carlasim/carla:0.9.16
    """
    if (maps or suite or faults) and not toy:
        raise UsageError("--map, --suite and --fault are for --toy; a CARLA server has its own maps, and clients load them")
    launch = make_launch(
        docker=docker,
        binary=binary,
        apptainer=apptainer,
        toy=toy,
        toy_option="--toy",
        quality=quality,
        rendering=rendering,
        extra=toy_options(maps or (), suite, faults or (), installed_client()) if toy else (),
    )
    if launch is None:
        raise UsageError("say what to start: --docker IMAGE, --binary FILE, --apptainer FILE or --toy")
    folder = runtime_folder()
    found = [status_of(known) for known in _start(launch, count, gpus, port, folder)]
    if json:
        print_json([row.to_json() for row in found])
        return
    stdout.print(_table(found))
    where = "".join(f" --carla {row.server.address}" for row in found)
    stdout.print(f"drive on {'it' if count == 1 else 'them'}: --simulator carla{where}", highlight=False, soft_wrap=True)
    stdout.print(f"look, end: carla-rl server status | logs {found[0].server.name} | stop --all", highlight=False, soft_wrap=True)


def _start(launch: Launch, count: int, gpus: str | None, port: int, folder: Path) -> list[Known]:
    """Start servers side by side; all of them answer, or none is left.

    Raises:
        RunFailure: one did not come up, or Ctrl-C.
        UsageError: as `make_own_servers`.
    """
    registry, started = Registry(folder / "servers"), dict[SupervisedServer, Known]()

    def write_down(one: SupervisedServer) -> None:
        # at every try, at once: whatever happens to this command, `stop` finds what it has started
        if one in started:
            registry.forget(started[one])
        started[one] = Known.of(one)
        registry.add(started[one])

    with ExitStack() as stack:
        servers = make_own_servers(
            launch,
            count,
            logs=folder / "logs",
            leases=Leases(folder / "ports"),
            gpus=gpus,
            port=port,
            client=installed_client(),
            guarded=False,
            started=write_down,
        )
        # the servers are closed before that
        stack.callback(lambda: registry.forget(*started.values()))
        for one in servers:
            stack.callback(one.close)
        try:
            for one in servers:
                one.begin()
            for one in servers:
                with stderr.status(f"waiting for {launch} on {one.name}"):
                    one.ready()
        except KeyboardInterrupt:
            raise RunFailure("interrupted: what was started is ended") from None
        stack.pop_all()
    for one in servers:
        one.let_go()
    return [started[one] for one in servers]


@server.command()
def status(json: options.Json = False) -> None:
    """Ask each server that was started here how it is; ends with 1 where one is not ready."""
    found = [status_of(known) for known in Registry(runtime_folder() / "servers").all()]
    if json:
        print_json([row.to_json() for row in found])
    elif not found:
        stdout.print("no servers; carla-rl server start starts some")
    else:
        stdout.print(_table(found))
        for row in found:
            if row.state != READY:
                what = f"carla-rl server logs {row.server.name}; carla-rl server stop {row.server.name} forgets it"
                stderr.print(f"[yellow]{row.server.name} {row.state}: {escape(row.detail)}[/] ({what})", highlight=False, soft_wrap=True)
    if any(row.state != READY for row in found):
        raise typer.Exit(1)


@server.command()
def logs(
    name: Annotated[str, typer.Argument(metavar="NAME", help="As `status` names it: the port, or HOST:PORT.")],
    lines: Annotated[int, typer.Option("--lines", "-n", min=1, help="How many, from the end.")] = TAIL_LINES,
) -> None:
    """Print the end of a server's log: all that it wrote, errors included."""
    folder = runtime_folder()
    log = folder / "logs" / f"server-{name.rpartition(':')[2]}.log"
    if not name.rpartition(":")[2].isdecimal() or not log.is_file():
        [known] = Registry(folder / "servers").find([name])
        log = Path(known.log)
    stderr.print(f"[dim]{escape(str(log))}[/]", highlight=False, soft_wrap=True)
    typer.echo(tail(log, lines))


@server.command()
def stop(
    names: Annotated[list[str] | None, typer.Argument(metavar="[NAME]...", help="As `status` names them: the port, or HOST:PORT.")] = None,
    everything: Annotated[bool, typer.Option("--all", help="All that were started here.")] = False,
) -> None:
    """End servers that `carla-rl server start` started, and nothing else."""
    if bool(names) == everything:
        raise UsageError("name the servers to end (see carla-rl server status), or give --all")
    registry = Registry(runtime_folder() / "servers")
    found = registry.find(names) if names else registry.all()
    if not found:
        stdout.print("no servers to end")
    for known in found:
        told = "ended" if stop_server(known) else "had ended already"
        registry.forget(known)
        stdout.print(f"{known.name}: {told}")


def _table(rows: list[Status]) -> Table:
    """A server a row."""
    table = Table(box=SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False)
    gpus = any(row.server.gpu is not None for row in rows)
    columns = ["name", "address", "state", "version", "Traffic Manager", *(["GPU"] if gpus else []), "process"]
    for column in columns:
        table.add_column(column, no_wrap=True)
    if stdout.width >= WIDE:
        table.add_column("what", overflow="fold")
    for row in rows:
        known = row.server
        gpu = [str(known.gpu) if known.gpu is not None else "–"] if gpus else []
        colour = COLOURS.get(row.state, "yellow")
        cells = [known.name, known.address, f"[{colour}]{row.state}[/]", row.version or "–", str(known.traffic_manager_port), *gpu]
        cells += [str(known.pid), *([escape(known.what)] if stdout.width >= WIDE else [])]
        table.add_row(*cells)
    return table
