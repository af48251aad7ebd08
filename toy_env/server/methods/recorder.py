"""Methods of the recorder. Files lie in the folder that the server was given for them, and nowhere else."""

from pathlib import Path

from toy_env.server.errors import Refused
from toy_env.server.layouts.values import Transform
from toy_env.server.methods.registry import Context, Fidelity, method
from toy_env.server.world.recorder import frames_of
from toy_env.server.world.recording import describe
from toy_env.server.world.recording_queries import blocked, collisions


def path_of(context: Context, name: str) -> Path:
    """The file of a recording. Raises Refused for one outside the folder."""
    folder = context.recordings.resolve()
    path = (folder / name).resolve()
    if not name or "\0" in name or folder not in path.parents:
        raise Refused(f"{name!r}: recordings of this server lie in {folder}; start it with --recordings for another folder")
    return path


@method("start_recorder", "str", "bool", gives="str", fidelity=Fidelity.MODEL, note="a format of our own; additional data change nothing")
def start_recorder(context: Context, name: str, additional: bool) -> str:
    """Record into a file from the next frame on; where it lies."""
    path = path_of(context, name)
    context.recorder.start(context.world, path)
    return str(path)


@method("stop_recorder")
def stop_recorder(context: Context) -> None:
    """End the recording."""
    context.recorder.stop()


@method("show_recorder_file_info", "str", "bool", gives="str", fidelity=Fidelity.MODEL, note="for people; its lines are not CARLA's")
def show_recorder_file_info(context: Context, name: str, everything: bool) -> str:
    """What a recording holds."""
    return describe(path_of(context, name), everything)


@method("show_recorder_collisions", "str", "int", "int", gives="str", fidelity=Fidelity.MODEL, note="for people; its lines are not CARLA's")
def show_recorder_collisions(context: Context, name: str, first: int, second: int) -> str:
    """The collisions of a recording between two kinds of actors."""
    if not (0 < first < 128 and 0 < second < 128):
        raise Refused(f"kinds of actors are letters (found {first}, {second})")
    return collisions(path_of(context, name), chr(first), chr(second))


@method(
    "show_recorder_actors_blocked",
    "str",
    "float",
    "float",
    gives="str",
    fidelity=Fidelity.MODEL,
    note="for people; its lines are not CARLA's",
)
def show_recorder_actors_blocked(context: Context, name: str, least_s: float, distance_cm: float) -> str:
    """Who stood still in a recording: for at least so many seconds, within so many cm."""
    return blocked(path_of(context, name), least_s, distance_cm)


@method(
    "replay_file",
    "str",
    "float",
    "float",
    "int",
    "bool",
    "transform",
    gives="str",
    fidelity=Fidelity.MODEL,
    note="afterwards vehicles stand; the offset changes nothing",
)
def replay_file(
    context: Context, name: str, start: float, duration: float, follow: int, sensors: bool, offset: Transform | None = None
) -> str:
    """Play a recording, on its map; how it went."""
    path = path_of(context, name)
    map_name, frames = frames_of(path)
    if map_name != context.world.map.name:
        context.load(map_name, keep_settings=True)
    context.recorder.follow = follow
    context.recorder.play(context.world, frames, start, duration, sensors)
    return f"Replaying {path}: map {map_name}, {len(frames)} frames, {frames[-1]['elapsed'] - frames[0]['elapsed']:.3f} s"


@method("stop_replayer", "bool")
def stop_replayer(context: Context, keep: bool) -> None:
    """End it, and keep its actors or take them away."""
    context.recorder.stop_playing(context.world, keep)


@method("set_replayer_time_factor", "float")
def set_replayer_time_factor(context: Context, factor: float) -> None:
    """How many seconds of a recording a second plays."""
    if factor <= 0.0:
        raise Refused(f"a recording is played forwards, not {factor:g} times as fast")
    context.recorder.speed = factor


@method("set_replayer_ignore_hero", "bool")
def set_replayer_ignore_hero(context: Context, ignored: bool) -> None:
    """Leave the vehicle with the role name `hero` out."""
    context.recorder.ignored_hero = ignored


@method("set_replayer_ignore_spectator", "bool", fidelity=Fidelity.IGNORED, note="a recording does not move the spectator")
def set_replayer_ignore_spectator(context: Context, ignored: bool) -> None:
    """Leave the spectator out."""
