"""Methods that read or change the map."""

from typing import Any

from toy_env.server.errors import Refused
from toy_env.server.layouts.values import MapInfo
from toy_env.server.methods.registry import Context, method

NAV = "Nav"
"""The folder of the mesh for pedestrians, as the client asks for it."""
PATH = "/Game/Carla/Maps/"
MOST_TEXT_BYTES = 48 << 20
BUILDINGS = 1
"""The bit of the layer of buildings."""


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


@method("get_required_files", "any", gives="[str]", note="there is one, the mesh for pedestrians")
def get_required_files(context: Context, folder: Any) -> tuple[str, ...]:
    """Files that the client should fetch."""
    nav = context.world.map.nav_file if folder == NAV else None
    return (nav[0],) if nav is not None else ()


@method("request_file", "str", gives="bytes")
def request_file(context: Context, name: str) -> bytes:
    """The content of such a file."""
    nav = context.world.map.nav_file
    if nav is None or nav[0] != name:
        raise Refused(f"there is no file {name!r} of this map")
    return nav[1]


@method("get_navigation_mesh", gives="bytes")
def get_navigation_mesh(context: Context) -> bytes:
    """The mesh for pedestrians; nothing where the map has no sidewalks."""
    nav = context.world.map.nav_file
    return nav[1] if nav is not None else b""


@method("load_new_episode", "str", "bool", "int", note="of the map layers that of buildings acts")
def load_new_episode(context: Context, name: str, reset_settings: bool, layers: int) -> None:
    """Load a map, or begin anew on the map of now where the name is empty."""
    context.load(name, keep_settings=not reset_settings)
    if not layers & BUILDINGS:
        _show(context, False)


@method(
    "copy_opendrive_to_file", "str", "any", note="what is generated is the roads; the parameters of walls and of the mesh change nothing"
)
def copy_opendrive_to_file(context: Context, xodr: str, parameters: Any) -> None:
    """Keep an OpenDRIVE text to be loaded as a map."""
    if len(xodr) > MOST_TEXT_BYTES:
        raise Refused(f"the OpenDRIVE text is too long ({len(xodr)} characters)")
    context.sent_map = xodr


@method("load_map_layer", "int", note="the layer of buildings; there are no others, and all maps have it, not only those named `_Opt`")
def load_map_layer(context: Context, layers: int) -> None:
    """Show a layer of the map."""
    if layers & BUILDINGS:
        _show(context, True)


@method("unload_map_layer", "int", note="the layer of buildings; its objects stay listed")
def unload_map_layer(context: Context, layers: int) -> None:
    """Hide a layer of the map."""
    if layers & BUILDINGS:
        _show(context, False)


def _show(context: Context, shown: bool) -> None:
    """Let sensors see all buildings, or none."""
    world = context.world
    numbers = world.map.surroundings.building_numbers
    if shown:
        world.scenery.hidden -= numbers
    else:
        world.scenery.hidden |= numbers
