"""The maps that the server can load: an OpenDRIVE text each, and the road network that the kernel drives on. Knows no compiler.

A road network is made from a text by the `compile` that the server is given; it is asked for at the first load of a map and kept.
"""

import gzip
import hashlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cached_property
from importlib import resources
from pathlib import Path
from xml.etree import ElementTree

import numpy as np

from carla_rl.errors import UsageError
from carla_rl.geometry import to_carla
from carla_rl.roads.network import LaneKind, RoadNetwork
from carla_rl.world.town import Town, survey
from toy_env.server.layouts.values import Rotation, Transform, Vector
from toy_env.server.nav_mesh import nav_mesh, nav_name
from toy_env.server.world.lines import Sign, signs_of
from toy_env.server.world.scenery import Surroundings
from toy_env.towns import TOWNS, load_town

OPENDRIVE_MAP = "OpenDriveMap"
"""The name under which the client loads a map that it has sent."""
SPAWN_STEP_M = 12.0
"""Between two spawn points of a lane,"""
SPAWN_INSET_M = 4.0
"""the first and last of which stay so far from its ends;"""
SPAWN_HEIGHT_M = 0.3
"""cars are put so high above the road, as on CARLA's own maps."""
CACHED = 2
"""Maps sent by clients that are kept."""

Compile = Callable[[str, str, bool], RoadNetwork]
"""(name, OpenDRIVE text, whether it may be anything at all) to a road network; raises UsageError for a text that is no map."""


@dataclass(frozen=True)
class Map:
    """A map that is loaded."""

    name: str
    xodr: str
    network: RoadNetwork
    town: Town
    spawn_points: tuple[Transform, ...]
    signs: tuple[Sign, ...]
    """Stop, yield and speed signs; lights are in the network."""
    built: bool
    """Whether there are buildings."""

    @cached_property
    def nav_file(self) -> tuple[str, bytes] | None:
        """Name and content of the mesh for pedestrians; None where there is nothing to walk on. Made when it is first asked for."""
        mesh = nav_mesh(self.network)
        return None if mesh is None else (nav_name(self.name, self.xodr), mesh)

    @cached_property
    def surroundings(self) -> Surroundings:
        """What can be seen of it."""
        return Surroundings(self.network, self.built)


class Maps:
    """Maps by name: our own towns, and the files that the server was given.

    Args:
        files: `.xodr` or `.xodr.gz`; the name of the file is that of the map.
        compile_text: see `Compile`.
        built: whether there are buildings; on maps that clients send there are none, as in CARLA.

    Raises:
        UsageError: a file that is missing or no text, or two of one name.
    """

    def __init__(self, files: Iterable[Path], compile_text: Compile, built: bool = True) -> None:
        self._compile, self._built = compile_text, built
        self._texts: dict[str, str] = {}
        self._loaded: dict[str, Map] = {}
        self._sent: dict[str, Map] = {}
        for path in files:
            name = map_name(path.name)
            if name in self._texts or name in TOWNS:
                raise UsageError(f"{path}: there is already a map {name!r}; rename the file")
            self._texts[name] = read_text(path)

    @property
    def names(self) -> tuple[str, ...]:
        """Of the files first, in the order in which they were given, then of our own towns."""
        return (*self._texts, *TOWNS)

    def find(self, wanted: str) -> str | None:
        """The name of a map that a client asks for by its name or its path (`/Game/Carla/Maps/Town01`); None: there is none."""
        name = wanted.rpartition("/")[2]
        return name if name in self.names else None

    def load(self, name: str) -> Map:
        """A map by one of `names`.

        Raises:
            UsageError: the text is no map.
        """
        if name not in self._loaded:
            text = self._texts[name] if name in self._texts else _own_text(name)
            network = self._compile(name, text, False) if name in self._texts else load_town(name)
            self._loaded[name] = _made(name, text, network, self._built)
        return self._loaded[name]

    def load_text(self, text: str) -> Map:
        """A map that a client has sent.

        Raises:
            UsageError: the text is no map.
        """
        key = hashlib.sha256(text.encode()).hexdigest()
        if key not in self._sent:
            made = _made(OPENDRIVE_MAP, text, self._compile(OPENDRIVE_MAP, text, True), built=False)
            while len(self._sent) >= CACHED:
                del self._sent[next(iter(self._sent))]
            self._sent[key] = made
        return self._sent[key]


def map_name(item: str) -> str:
    """The name of the map of a file, or of a town that is named."""
    return Path(item).name.removesuffix(".gz").removesuffix(".xodr")


def read_text(path: Path) -> str:
    """The OpenDRIVE text of a file. Raises UsageError where it cannot be read."""
    if not path.name.endswith((".xodr", ".xodr.gz")):
        raise UsageError(f"{path}: --map takes a .xodr or .xodr.gz file, or the name of one of our own towns ({', '.join(TOWNS)})")
    try:
        data = path.read_bytes()
        return (gzip.decompress(data) if path.name.endswith(".gz") else data).decode("utf-8")
    except FileNotFoundError as error:
        raise UsageError(f"{path}: no such map file; give the path of a .xodr or .xodr.gz file") from error
    except (OSError, EOFError, UnicodeDecodeError) as error:
        raise UsageError(f"{path}: not a readable map file ({error})") from error


def _own_text(name: str) -> str:
    return gzip.decompress(resources.files("toy_env.towns").joinpath(f"{name}.xodr.gz").read_bytes()).decode("utf-8")


def _made(name: str, text: str, network: RoadNetwork, built: bool) -> Map:
    try:
        signs = tuple(signs_of(network, text))
    except (ValueError, ElementTree.ParseError) as error:
        raise UsageError(f"map {name}: a sign of it cannot be read ({error})") from error
    return Map(name, text, network, survey(network), _spawn_points(network), signs, built)


def _spawn_points(network: RoadNetwork) -> tuple[Transform, ...]:
    """Places on driving lanes outside junctions, SPAWN_STEP_M apart, along the lanes."""
    roads, points = network.roads, []
    for lane in np.flatnonzero((roads.kind == LaneKind.DRIVING) & (roads.junction < 0)):
        part = slice(roads.start[lane], roads.start[lane + 1])
        s = roads.s[part]
        for at in np.arange(SPAWN_INSET_M, s[-1] - SPAWN_INSET_M, SPAWN_STEP_M):
            k = int(np.searchsorted(s, at))
            x, y, yaw = to_carla(float(roads.x[part][k]), float(roads.y[part][k]), float(roads.yaw[part][k]))
            points.append(Transform(Vector(x, y, float(roads.z[part][k]) + SPAWN_HEIGHT_M), Rotation(0.0, yaw, 0.0)))
    return tuple(points)
