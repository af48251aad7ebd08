"""Buildings: where they may stand, by geometry, and through CARLA's real client that all sensors and queries see the same walls."""

import math
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from server_client import run_check
from server_sensors import listening, metres, pixels

from carla_rl.geometry import boxes_overlap
from toy_env.server.testing import ServerProcess, serving
from toy_env.server.world.buildings import CLEAR_M, FAST_CLEAR_M, FAST_MPS, buildings
from toy_env.towns import TOWNS, load_town

BUILDING = 3


@pytest.mark.parametrize("town", TOWNS)
def test_they_keep_clear_of_all_roads_and_of_one_another(town: str) -> None:
    network = load_town(town)
    roads = network.roads
    found = buildings(network)
    assert found == buildings(network)
    assert len(found) > 50
    fast = (roads.speed_limit > FAST_MPS)[roads.sample_lane]
    for k, one in enumerate(found):
        assert one.bottom < one.top <= one.bottom + 25.0
        c, s = math.cos(one.yaw), math.sin(one.yaw)
        dx, dy = roads.x - one.x, roads.y - one.y
        along, across = np.abs(dx * c + dy * s) - one.half_length, np.abs(dy * c - dx * s) - one.half_width
        away = np.hypot(np.maximum(along, 0.0), np.maximum(across, 0.0)) - roads.half_width
        assert away.min() > CLEAR_M
        if fast[int(np.argmin(away))] and roads.junction[roads.sample_lane[int(np.argmin(away))]] < 0:
            assert away.min() > FAST_CLEAR_M - 1.0
        for other in found[:k]:
            mine, theirs = (one.x, one.y, one.yaw, *one[3:5]), (other.x, other.y, other.yaw, *other[3:5])
            assert not boxes_overlap(*mine, *theirs)


def test_the_island_of_a_roundabout_is_free() -> None:
    network = load_town("roundabout")
    x, y = network.roads.x, network.roads.y
    middle = 0.5 * (x.min() + x.max()), 0.5 * (y.min() + y.max())
    assert min(math.hypot(one.x - middle[0], one.y - middle[1]) for one in buildings(network)) > 30.0


@pytest.fixture(scope="module")
def server() -> Iterator[ServerProcess]:
    with serving("--map", "grid") as running:
        yield running


def _wall(world: Any) -> tuple[Any, Any, float]:
    """A building, a pose 14 m before the middle of its front and 5 degrees off it, and how far the wall is along that pose."""
    import carla

    boxes = {one.id: one.bounding_box for one in world.get_environment_objects(carla.CityObjectLabel.Buildings)}
    number, box = max(boxes.items(), key=lambda item: item[1].extent.z)
    for side in (-1.0, 1.0):
        turned = carla.Transform(carla.Location(box.location.x, box.location.y, 2.0), box.rotation)
        place = turned.transform(carla.Location(0.0, side * (box.extent.y + 14.0), 0.0))
        yaw = box.rotation.yaw - side * 90.0 + 5.0
        pose = carla.Transform(place, carla.Rotation(yaw=yaw))
        hits = world.cast_ray(place, place + pose.get_forward_vector() * 30.0)
        if hits and hits[0].label == carla.CityObjectLabel.Buildings and hits[0].location.distance(place) > 13.0:
            return number, pose, 14.0 / math.cos(math.radians(5.0))
    raise AssertionError("the building stands behind others")


def check_all_see_the_same_wall(client: Any, world: Any) -> None:
    import carla

    number, pose, distance = _wall(world)
    place, ahead = pose.location, pose.get_forward_vector()
    hit = world.cast_ray(place, place + ahead * 40.0)[0]
    assert hit.label == carla.CityObjectLabel.Buildings
    assert hit.location.distance(place) == pytest.approx(distance, abs=1e-2)
    found = world.project_point(place, ahead, 40.0)
    assert found.location.distance(place) == pytest.approx(distance, abs=1e-2)

    size = {"image_size_x": 65, "image_size_y": 65, "fov": 60}
    scan = {"channels": 1, "range": 50.0, "points_per_second": 7200, "rotation_frequency": 20.0, "upper_fov": 0.0, "lower_fov": 0.0}
    whole = {"dropoff_general_rate": 0.0, "dropoff_zero_intensity": 0.0}
    kinds = {f"camera.{name}": size for name in ("rgb", "depth", "semantic_segmentation", "instance_segmentation")}
    kinds |= {"lidar.ray_cast_semantic": scan, "lidar.ray_cast": {**scan, **whole}, "other.radar": {"points_per_second": 40000}}
    sensors = {kind: listening(world, f"sensor.{kind}", pose, None, **attributes) for kind, attributes in kinds.items()}
    world.tick()
    data = {kind: queue.get(timeout=5.0) for kind, (_, queue) in sensors.items()}
    assert metres(data["camera.depth"])[32, 32] == pytest.approx(distance, abs=0.05)
    assert pixels(data["camera.semantic_segmentation"])[32, 32, 0] == BUILDING
    tag, low, high = pixels(data["camera.instance_segmentation"])[32, 32].tolist()
    assert (tag, low + 256 * high) == (BUILDING, number & 0xFFFF)
    colours = pixels(data["camera.rgb"])
    assert np.ptp(colours[28:37, 28:37].reshape(-1, 3), axis=0).max() <= 3

    points = np.frombuffer(data["lidar.ray_cast_semantic"].raw_data, [("place", "<f4", 3), ("cos", "<f4"), ("id", "<u4"), ("tag", "<u4")])
    straight = points[np.argmin(np.abs(np.arctan2(points["place"][:, 1], points["place"][:, 0])))]
    assert (straight["tag"], straight["id"]) == (BUILDING, 0)
    assert np.linalg.norm(straight["place"]) == pytest.approx(distance, abs=0.03)
    assert straight["cos"] == pytest.approx(math.cos(math.radians(5.0)), abs=0.02)
    plain = np.frombuffer(data["lidar.ray_cast"].raw_data, np.float32).reshape(-1, 4)
    assert plain[:, :3] == pytest.approx(points["place"], abs=1e-4)
    ahead_of_it = min(data["other.radar"], key=lambda one: abs(one.azimuth) + abs(one.altitude))
    assert ahead_of_it.depth == pytest.approx(distance, abs=0.1)
    assert ahead_of_it.velocity == pytest.approx(0.0, abs=1e-3)
    for sensor, _ in sensors.values():
        sensor.destroy()


def check_they_can_be_hidden(client: Any, world: Any) -> None:
    import carla

    number, pose, distance = _wall(world)
    place, end = pose.location, pose.location + pose.get_forward_vector() * (distance + 1.0)
    boxes = world.get_level_bbs(carla.CityObjectLabel.Buildings)
    houses = world.get_environment_objects(carla.CityObjectLabel.Buildings)
    assert len(boxes) == len(houses) > 50
    assert {one.type for one in houses} == {carla.CityObjectLabel.Buildings}
    assert min(box.location.distance(houses[0].bounding_box.location) for box in boxes) < 1e-3
    camera, images = listening(world, "sensor.camera.semantic_segmentation", pose, None, image_size_x=33, image_size_y=33, fov=20)

    def seen() -> int:
        frame = world.tick()
        while (image := images.get(timeout=5.0)).frame < frame:
            pass
        return int(pixels(image)[16, 16, 0])

    def is_there() -> bool:
        return [hit.label for hit in world.cast_ray(place, end)] == [carla.CityObjectLabel.Buildings]

    assert seen() == BUILDING
    world.enable_environment_objects({number}, False)
    assert not is_there()
    world.enable_environment_objects({number}, True)
    assert is_there()
    assert seen() == BUILDING
    world.unload_map_layer(carla.MapLayer.Buildings)
    assert not is_there()
    assert seen() != BUILDING
    world.unload_map_layer(carla.MapLayer.Foliage)
    world.load_map_layer(carla.MapLayer.Buildings)
    assert seen() == BUILDING
    camera.destroy()


@pytest.mark.parametrize("check", [check_all_see_the_same_wall, check_they_can_be_hidden])
def test_through_the_client(server: ServerProcess, check: Any) -> None:
    run_check(check, server.port)
    assert "Traceback" not in server.output, server.output


def check_there_are_none(client: Any, world: Any) -> None:
    import carla

    assert not world.get_environment_objects(carla.CityObjectLabel.Buildings)
    assert world.get_environment_objects(carla.CityObjectLabel.TrafficLight)


def test_a_server_without_buildings() -> None:
    with serving("--map", "grid", "--no-buildings") as server:
        run_check(check_there_are_none, server.port)
