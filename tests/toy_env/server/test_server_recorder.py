"""Recordings: the file by hand, and record and replay with CARLA's client."""

from pathlib import Path
from typing import Any

import pytest
from server_client import run_check

from toy_env.server.errors import Refused
from toy_env.server.testing import serving
from toy_env.server.world.recorder import frames_of
from toy_env.server.world.recording import FIRST_LINE, Writer, describe, read


def test_a_file_is_read_as_it_was_written(tmp_path: Path) -> None:
    path = tmp_path / "one.log"
    writer = Writer(path, "ring")
    writer.write({"frame": 5, "elapsed": 0.05, "dt": 0.05, "new": [[7, "vehicle.audi.tt", [], 0]]})
    writer.write({"frame": 6, "elapsed": 0.10, "dt": 0.05, "poses": [[7, *[0.0] * 9]], "hits": [[7, 8]], "gone": [9]})
    writer.close()
    name, frames = frames_of(path)
    assert (name, [frame["frame"] for frame in frames]) == ("ring", [5, 6])
    text = describe(path, everything=True)
    for line in (
        "Map: ring",
        "Frames: 2",
        "Duration: 0.050 seconds",
        " Create 7: vehicle.audi.tt (parent 0)",
        " Collision 7 with 8",
        " Destroy 9",
    ):
        assert line in text.split("\n")
    whole = path.read_bytes()
    path.write_bytes(whole[:-3])
    assert len(list(read(path))) == 2


@pytest.mark.parametrize("content", [b"", b"CARLA_RECORDER", FIRST_LINE, FIRST_LINE + b"\x93\x01", FIRST_LINE + b"\xc1\xc1"])
def test_what_is_no_recording_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "none.log"
    path.write_bytes(content)
    with pytest.raises(Refused, match=r"none\.log"):
        frames_of(path)
    with pytest.raises(Refused, match=r"missing\.log"):
        describe(tmp_path / "missing.log", False)


def check_replay(client: Any, world: Any) -> None:
    """A car drives into a barrier; played again it is at the same places at the same times."""
    import carla

    library = world.get_blueprint_library()
    points = world.get_map().get_spawn_points()
    assert client.start_recorder("drive.log").endswith("drive.log")
    car = world.spawn_actor(library.find("vehicle.lincoln.mkz_2020"), points[0])
    world.spawn_actor(library.find("static.prop.streetbarrier"), carla.Transform(points[0].transform(carla.Location(15.0, 0.0, 0.0))))
    world.tick()
    car.apply_control(carla.VehicleControl(throttle=0.8))
    way = []
    for _ in range(80):
        world.tick()
        way.append((car.get_location(), car.get_velocity().length()))
    client.stop_recorder()
    info = client.show_recorder_file_info("drive.log", False)
    assert f"Create {car.id}: vehicle.lincoln.mkz_2020" in info
    assert f"Collision {car.id}" in info or f"with {car.id}" in info
    with pytest.raises(RuntimeError, match="--recordings"):
        client.start_recorder("/tmp/elsewhere/drive.log")

    world = client.load_world("grid")
    settings = world.get_settings()
    settings.synchronous_mode, settings.fixed_delta_seconds = True, 0.05
    world.apply_settings(settings)
    assert "81 frames" in client.replay_file("drive.log", 0.0, 0.0, 0)
    world = client.get_world()
    assert world.get_map().name.endswith("ring")
    world.tick()
    cars = world.get_actors().filter("vehicle.*")
    assert len(cars) == 1
    seen = [(cars[0].get_location(), cars[0].get_velocity().length())]
    for _ in range(79):
        world.tick()
        seen.append((cars[0].get_location(), cars[0].get_velocity().length()))
    assert max(place.distance(other) for (place, _), (other, _) in zip(way, seen, strict=True)) < 1e-3
    assert max(abs(speed - other) for (_, speed), (_, other) in zip(way[:-1], seen[:-1], strict=True)) < 1e-3
    # afterwards it can be driven
    end = cars[0].get_location()
    cars[0].apply_control(carla.VehicleControl(throttle=0.6, reverse=True))
    for _ in range(60):
        world.tick()
    assert cars[0].get_location().distance(end) > 1.0


def test_record_and_replay(tmp_path: Path) -> None:
    with serving("--map", "ring", "--recordings", str(tmp_path)) as server:
        run_check(check_replay, server.port)
        assert "Traceback" not in server.output, server.output
