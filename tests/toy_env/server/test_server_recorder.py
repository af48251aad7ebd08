"""Recordings: the file by hand, and record and replay with CARLA's client."""

from pathlib import Path
from typing import Any

import pytest
from server_client import run_check

from toy_env.server.errors import Refused
from toy_env.server.testing import serving
from toy_env.server.world.recorder import frames_of
from toy_env.server.world.recording import FIRST_LINE, Writer, describe, read
from toy_env.server.world.recording_queries import blocked, collisions


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


def _hits(folder: Path) -> Path:
    """A hero and a walker, a second apart in frames of 0.5 s: the hero stands, then drives off and touches the walker twice."""
    path = folder / "hits.log"
    writer = Writer(path, "ring")
    new = [[7, "vehicle.audi.tt", [["role_name", 4, "hero"]], 0], [8, "walker.pedestrian.0001", [], 0], [9, "sensor.camera.rgb", [], 7]]
    for frame in range(9):
        hero = [7, 0.0 if frame < 5 else 2.0 * frame, *[0.0] * 8]
        walker = [8, 50.0 + 0.5 * frame, *[0.0] * 8]
        record: dict[str, Any] = {"frame": frame, "elapsed": 1.0 + 0.5 * frame, "dt": 0.5, "poses": [hero, walker]}
        record |= {"new": new} if frame == 0 else {}
        record |= {"hits": [[7, 8]]} if frame in (2, 3, 6) else {}
        writer.write(record)
    writer.close()
    return path


def test_collisions_of_a_recording(tmp_path: Path) -> None:
    path = _hits(tmp_path)
    lines = collisions(path, "a", "a").split("\n")
    assert lines[0] == "Map: ring"
    # frames 2 and 3 are one collision
    assert [line.split() for line in lines[2:4]] == [
        ["1.00", "v", "w", "7", "vehicle.audi.tt", "8", "walker.pedestrian.0001"],
        ["3.00", "v", "w", "7", "vehicle.audi.tt", "8", "walker.pedestrian.0001"],
    ]
    assert lines[4:] == ["", "Frames: 9", "Duration: 4.000 seconds", ""]
    assert collisions(path, "h", "w") == collisions(path, "v", "a") == collisions(path, "a", "a")
    assert collisions(path, "w", "v").split("\n")[2].split() == ["1.00", "w", "v", "8", "walker.pedestrian.0001", "7", "vehicle.audi.tt"]
    assert len(collisions(path, "v", "v").split("\n")) == len(lines) - 2
    with pytest.raises(Refused, match="kinds of actors"):
        collisions(path, "x", "a")


def test_who_was_blocked_in_a_recording(tmp_path: Path) -> None:
    path = _hits(tmp_path)
    # the hero stands from 0 s until the frame at 2.5 s; the walker goes 1 m a second
    assert [line.split() for line in blocked(path, 2.0, 100.0).split("\n")[2:-4]] == [["0.00", "7", "vehicle.audi.tt", "2.50"]]
    assert len(blocked(path, 2.0, 10_000.0).split("\n")[2:-4]) == 2
    assert blocked(path, 3.0, 100.0).split("\n")[2:-4] == []


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
    assert "static.prop.streetbarrier" in client.show_recorder_collisions("drive.log", "v", "o")
    assert "static.prop.streetbarrier" not in client.show_recorder_collisions("drive.log", "w", "a")
    assert f" {car.id} vehicle.lincoln.mkz_2020" in client.show_recorder_actors_blocked("drive.log", 0.5, 100.0)
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
