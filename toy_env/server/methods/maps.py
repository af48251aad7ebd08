"""Methods that read or change the map."""

from typing import Any

from toy_env.server.errors import Refused
from toy_env.server.layouts.values import MapInfo
from toy_env.server.methods.registry import Context, Fidelity, method

PATH = "/Game/Carla/Maps/"
MOST_TEXT_BYTES = 48 << 20


@method("get_map_info", gives="map_info")
def get_map_info(context: Context) -> MapInfo:
    """Name and spawn points; spawn points lie on the driving lanes at equal distances."""
    loaded = context.world.map
    return MapInfo(f"Carla/Maps/{loaded.name}", loaded.spawn_points)


@method("get_map_data", gives="str")
def get_map_data(context: Context) -> str:
    """The OpenDRIVE text of the map."""
    return context.world.map.xodr


@method("get_available_maps", gives="[str]")
def get_available_maps(context: Context) -> tuple[str, ...]:
    """The maps that can be loaded."""
    return tuple(f"{PATH}{name}" for name in context.map_names)


@method("get_required_files", "any", gives="[str]", note="no files yet: the list is empty")
def get_required_files(context: Context, folder: Any) -> tuple[str, ...]:
    """Files that the client should fetch."""
    return ()


@method("load_new_episode", "str", "bool", "int", note="map layers change nothing")
def load_new_episode(context: Context, name: str, reset_settings: bool, layers: int) -> None:
    """Load a map, or begin anew on the map of now where the name is empty."""
    context.load(name, keep_settings=not reset_settings)


@method(
    "copy_opendrive_to_file", "str", "any", note="what is generated is the roads; the parameters of walls and of the mesh change nothing"
)
def copy_opendrive_to_file(context: Context, xodr: str, parameters: Any) -> None:
    """Keep an OpenDRIVE text to be loaded as a map."""
    if len(xodr) > MOST_TEXT_BYTES:
        raise Refused(f"the OpenDRIVE text is too long ({len(xodr)} characters)")
    context.sent_map = xodr


@method("load_map_layer", "int", fidelity=Fidelity.IGNORED)
def load_map_layer(context: Context, layers: int) -> None:
    """Show a layer of the map: there are none."""


@method("unload_map_layer", "int", fidelity=Fidelity.IGNORED)
def unload_map_layer(context: Context, layers: int) -> None:
    """Hide a layer of the map: there are none."""
