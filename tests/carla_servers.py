"""Servers of this project for tests of the adapter: supervised, with their ports leased, gone afterwards."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from carla_rl.servers.choose import make_launch, make_servers
from carla_rl.servers.interface import CarlaServer
from carla_rl.servers.ports import Leases

FIRST_PORT = 12000


@contextmanager
def own_servers(count: int, folder: Path, *options: str, leases: Leases | None = None) -> Iterator[list[CarlaServer]]:
    """So many servers with these options of `carla-rl serve`; they answer when this gives them."""
    launch = make_launch(toy=True, extra=options)
    servers = make_servers(count=count, launch=launch, logs=folder, port=FIRST_PORT, leases=leases)
    try:
        for server in servers:
            server.begin()
        for server in servers:
            server.ready()
        yield servers
    finally:
        for server in servers:
            server.close()
