"""Our own towns: OpenDRIVE files that `toy_env.towns.generate` wrote, and beside each the road network compiled from it."""

from importlib import resources

from carla_rl.errors import UsageError
from carla_rl.roads.network import RoadNetwork
from carla_rl.roads.storage import load_network

TOWNS: tuple[str, ...] = ("ring", "grid", "roundabout", "highway")
"""Names of the towns that are shipped."""


def load_town(name: str) -> RoadNetwork:
    """The road network of one of TOWNS. Raises UsageError for any other name."""
    if name not in TOWNS:
        raise UsageError(f"no town is called {name!r}; the towns are {', '.join(TOWNS)}")
    with resources.as_file(resources.files(__name__).joinpath(f"{name}.npz")) as path:
        return load_network(path)
