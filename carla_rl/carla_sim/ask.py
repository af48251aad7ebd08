"""What a running CARLA server says of itself: `python -m carla_rl.carla_sim.ask HOST PORT` prints a JSON object.

For processes that must not wait for ever: some calls of the client hold Python's lock while they wait, so only a process of its own
can be given up. Changes nothing on the server.
"""

import json
import sys
from typing import Any

import carla

TIMEOUT_S = 10.0


def ask(host: str, port: int, timeout_s: float = TIMEOUT_S) -> dict[str, Any]:
    """`client` and `server` (versions), `map` (the one that is loaded), `maps` (names, sorted), `synchronous` and `fixed_delta_s`.

    Raises:
        RuntimeError: the server does not answer.
    """
    client = carla.Client(host, port)
    client.set_timeout(timeout_s)
    world = client.get_world()
    settings = world.get_settings()
    return {
        "client": client.get_client_version(),
        "server": client.get_server_version(),
        "map": _short(world.get_map().name),
        "maps": sorted(_short(name) for name in client.get_available_maps()),
        "synchronous": bool(settings.synchronous_mode),
        "fixed_delta_s": settings.fixed_delta_seconds or None,
    }


def _short(name: str) -> str:
    """Town01 of /Game/Carla/Maps/Town01."""
    return name.rpartition("/")[2]


if __name__ == "__main__":
    try:
        print(json.dumps(ask(sys.argv[1], int(sys.argv[2]))))
    except RuntimeError as error:
        sys.exit(str(error))
