"""Cameras and rays through CARLA's real client: what they see of a car is where the car is, and they agree with one another."""

import math
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from server_client import run_check
from server_sensors import listening, metres, pixels

from toy_env.server.testing import ServerProcess, serving

MKZ = "vehicle.lincoln.mkz_2020"
CAMERAS = ("rgb", "depth", "semantic_segmentation", "instance_segmentation")


@pytest.fixture(scope="module")
def server() -> Iterator[ServerProcess]:
    with serving("--map", "grid") as running:
        yield running


def _scene(world: Any) -> tuple[Any, Any]:
    """A car and a red one 15 m ahead of it."""
    import carla

    library, point = world.get_blueprint_library(), world.get_map().get_spawn_points()[0]
    ego = world.spawn_actor(library.find(MKZ), point)
    red = library.find("vehicle.tesla.model3")
    red.set_attribute("color", "200,0,0")
    other = world.spawn_actor(red, carla.Transform(point.transform(carla.Location(15.0, 0.5, 0.0)), point.rotation))
    for _ in range(8):
        world.tick()
    return ego, other


def _in_camera(camera: Any, points: Any) -> Any:
    """(n, 3) ahead, right, up of carla.Location points."""
    inverse = np.array(camera.get_inverse_matrix())
    return np.array([inverse @ (p.x, p.y, p.z, 1.0) for p in points])[:, :3]


def check_cameras(client: Any, world: Any) -> None:
    import carla

    ego, other = _scene(world)
    poses = (
        (320, 240, 90.0, carla.Transform(carla.Location(x=1.0, z=2.5))),
        (200, 150, 60.0, carla.Transform(carla.Location(x=0.0, y=0.5, z=4.0), carla.Rotation(pitch=-15.0, yaw=5.0, roll=20.0))),
    )
    for width, height, fov, pose in poses:
        size = {"image_size_x": width, "image_size_y": height, "fov": fov}
        sensors = {kind: listening(world, f"sensor.camera.{kind}", pose, ego, **size) for kind in CAMERAS}
        frame = world.tick()
        images = {kind: data.get(timeout=5.0) for kind, (_, data) in sensors.items()}
        assert {image.frame for image in images.values()} == {frame}
        assert all((image.width, image.height, image.fov) == (width, height, fov) for image in images.values())
        instance, semantic = pixels(images["instance_segmentation"]), pixels(images["semantic_segmentation"])
        assert (instance[..., 0] == semantic[..., 0]).all()
        mask = instance[..., 1] + 256 * instance[..., 2] == other.id & 0xFFFF
        assert mask.sum() > 200
        assert set(semantic[mask][:, 0]) == {14}
        assert set(semantic[..., 0].reshape(-1).tolist()) >= {1, 10, 11, 14, 24}
        colour = pixels(images["rgb"])
        assert (colour[mask][:, 0] > 2 * colour[mask][:, 2]).mean() > 0.5

        corners = _in_camera(images["depth"].transform, other.bounding_box.get_world_vertices(other.get_transform()))
        depth = metres(images["depth"])
        assert corners[:, 0].min() - 0.1 <= depth[mask].min() < corners[:, 0].min() + 0.5
        assert depth[mask].max() < corners[:, 0].max() + 0.1
        focal = 0.5 * width / np.tan(0.5 * np.radians(fov))
        columns = 0.5 * width + focal * corners[:, 1] / corners[:, 0]
        rows = 0.5 * height - focal * corners[:, 2] / corners[:, 0]
        seen_rows, seen_columns = np.nonzero(mask)
        assert columns.min() - 2.0 < seen_columns.min() < columns.min() + 8.0
        assert columns.max() - 8.0 < seen_columns.max() < columns.max() + 2.0
        assert rows.min() - 2.0 < seen_rows.min()
        assert seen_rows.max() < rows.max() + 2.0
        # the road under the picture's lower middle: depth along the axis of a ray that falls by z metres
        row, column = height - 5, width // 2
        if semantic[row, column, 0] in (1, 24):
            camera = np.array(images["depth"].transform.get_matrix())
            ray = camera[:3, :3] @ (1.0, (column + 0.5 - 0.5 * width) / focal, -(row + 0.5 - 0.5 * height) / focal)
            assert depth[row, column] == pytest.approx(camera[2, 3] / -ray[2], rel=1e-3)
        assert depth[semantic[..., 0] == 11].min() == pytest.approx(1000.0)
        for sensor, _ in sensors.values():
            sensor.destroy()


def check_from_above(client: Any, world: Any) -> None:
    """A camera that is attached to nothing and looks straight down; and black pictures without rendering."""
    import carla

    ego, _ = _scene(world)
    place = ego.get_location() + carla.Location(z=30.0)
    sensor, data = listening(
        world, "sensor.camera.depth", carla.Transform(place, carla.Rotation(pitch=-90.0)), None, image_size_x=64, image_size_y=64
    )
    world.tick()
    depth = metres(data.get(timeout=5.0))
    roof = ego.bounding_box.location.z + ego.bounding_box.extent.z
    assert depth[32, 32] == pytest.approx(30.0 - roof, abs=0.1)
    assert depth[0, 0] == pytest.approx(30.0, abs=0.01)
    settings = world.get_settings()
    settings.no_rendering_mode = True
    world.apply_settings(settings)
    frame = world.tick()
    while (image := data.get(timeout=5.0)).frame < frame:
        pass
    assert not pixels(image).any()
    sensor.destroy()
    for kind, name, value in (("camera.rgb", "fov", "179.9"), ("lidar.ray_cast", "channels", "0"), ("camera.rgb", "image_size_x", "-3")):
        blueprint = world.get_blueprint_library().find(f"sensor.{kind}")
        blueprint.set_attribute(name, value)
        with pytest.raises(RuntimeError, match=f"sensor.{kind}"):
            world.spawn_actor(blueprint, carla.Transform())


def check_lidars(client: Any, world: Any) -> None:
    import math

    import carla

    ego, other = _scene(world)
    place = carla.Transform(carla.Location(z=2.5), carla.Rotation(yaw=30.0))
    turn = {"channels": 16, "range": 40.0, "points_per_second": 64000, "rotation_frequency": 20.0, "upper_fov": 5.0, "lower_fov": -25.0}
    whole = {"dropoff_general_rate": 0.0, "dropoff_zero_intensity": 0.0}
    sensors = [
        listening(world, "sensor.lidar.ray_cast_semantic", place, ego, **turn),
        listening(world, "sensor.lidar.ray_cast", place, ego, **turn, **whole),
        listening(world, "sensor.lidar.ray_cast", place, ego, **turn),
        listening(world, "sensor.lidar.ray_cast", place, ego, **turn, **whole, noise_stddev=0.05),
    ]
    frame = world.tick()
    semantic, plain, thin, noisy = (data.get(timeout=5.0) for _, data in sensors)
    assert {scan.frame for scan in (semantic, plain, thin, noisy)} == {frame}
    assert semantic.channels == 16
    points = np.frombuffer(semantic.raw_data, [("place", "<f4", 3), ("cos", "<f4"), ("id", "<u4"), ("tag", "<u4")])
    assert sum(semantic.get_point_count(k) for k in range(16)) == len(points) == len(plain) == len(noisy)
    assert len(points) > 2000
    assert set(points["tag"].tolist()) >= {1, 14}
    matrix = np.array(semantic.transform.get_matrix())
    world_points = points["place"] @ matrix[:3, :3].T + matrix[:3, 3]
    ground = points["id"] == 0
    assert np.abs(world_points[ground & (points["tag"] == 1)][:, 2]).max() < 0.01
    mine = world_points[points["id"] == other.id]
    assert len(mine) > 10
    assert set(points["tag"][points["id"] == other.id].tolist()) == {14}
    box = other.bounding_box
    inside = _in_camera(other.get_transform(), [carla.Location(*map(float, p)) for p in mine])
    inside -= (box.location.x, box.location.y, box.location.z)
    assert (np.abs(inside) <= np.array((box.extent.x, box.extent.y, box.extent.z)) + 0.06).all()
    # flat ground: the cosine of the angle is the share of the fall
    flat = points[ground & (points["tag"] == 1)]
    length = np.linalg.norm(flat["place"], axis=1)
    assert flat["cos"] == pytest.approx(semantic.transform.location.z / length, abs=1e-3)
    values = np.frombuffer(plain.raw_data, np.float32).reshape(-1, 4)
    distances = np.linalg.norm(values[:, :3], axis=1)
    assert values[:, :3] == pytest.approx(points["place"], abs=1e-4)
    assert distances.max() <= 40.0
    assert values[:, 3] == pytest.approx(np.exp(-0.004 * distances), abs=1e-4)
    assert 0.35 < len(thin) / len(plain) < 0.6
    away = np.linalg.norm(np.frombuffer(noisy.raw_data, np.float32).reshape(-1, 4)[:, :3], axis=1) - distances
    assert away.std() == pytest.approx(0.05, rel=0.1)
    # half a turn a tick at 10 Hz
    slow, data = listening(world, "sensor.lidar.ray_cast_semantic", place, ego, **{**turn, "rotation_frequency": 10.0})
    angles = []
    for _ in range(4):
        world.tick()
        angles.append(data.get(timeout=5.0).horizontal_angle)
    assert angles == pytest.approx([0.0, math.pi, 0.0, math.pi], abs=1e-3)
    for sensor, _ in [*sensors, (slow, None)]:
        sensor.destroy()


def check_radar_and_obstacle(client: Any, world: Any) -> None:
    import carla

    ego, other = _scene(world)
    other.enable_constant_velocity(carla.Vector3D(6.0, 0.0, 0.0))
    radar, detections = listening(world, "sensor.other.radar", carla.Transform(carla.Location(x=2.5, z=0.8)), ego, points_per_second=4000)
    obstacle, found = listening(world, "sensor.other.obstacle", carla.Transform(carla.Location(x=2.5, z=0.8)), ego, distance=30)
    # what is set between two ticks holds from the next one on
    for _ in range(3):
        frame = world.tick()
        scan, event = detections.get(timeout=5.0), found.get(timeout=5.0)
    assert scan.frame == event.frame == frame
    rear = _in_camera(scan.transform, other.bounding_box.get_world_vertices(other.get_transform()))[:, 0].min()
    ahead = [one for one in scan if abs(one.azimuth) < 0.03 and abs(one.altitude) < 0.01]
    assert ahead
    assert min(one.depth for one in ahead) == pytest.approx(rear, abs=0.1)
    assert all(one.velocity == pytest.approx(6.0, abs=0.1) for one in ahead if one.depth < rear + 0.1)
    assert any(one.velocity == pytest.approx(0.0, abs=1e-3) for one in scan)
    assert event.actor.id == ego.id
    assert event.other_actor.id == other.id
    assert event.distance == pytest.approx(rear - 0.5, abs=0.1)
    radar.destroy()
    obstacle.destroy()


def check_lane_invasion(client: Any, world: Any) -> None:
    """It is the client's own work from the actor's state: it sees a side of the car pass over a line in the very frame in which it does."""
    import carla

    point = world.get_map().get_spawn_points()[0]
    ego = world.spawn_actor(world.get_blueprint_library().find(MKZ), point)
    world.tick()
    sensor, events = listening(world, "sensor.other.lane_invasion", carla.Transform(), ego)
    lane = world.get_map().get_waypoint(point.location)
    frames = []
    for tick in range(35):
        location = point.transform(carla.Location(0.5 * tick, -0.1 * tick, 0.0))
        ego.set_transform(carla.Transform(location, point.rotation))
        frames.append(world.tick())
    # the left side passes the line on the left, then the right side does
    line, half = lane.lane_width / 2.0, ego.bounding_box.extent.y
    for side in (line - half, line + half):
        event = events.get(timeout=5.0)
        assert event.frame == frames[math.ceil(side / 0.1)]
        assert {marking.type for marking in event.crossed_lane_markings} == {lane.left_lane_marking.type}
    sensor.destroy()


def check_queries(client: Any, world: Any) -> None:
    import carla

    ego, other = _scene(world)
    place = ego.get_location() + carla.Location(z=1.0)
    way = other.get_location() - ego.get_location()
    hits = world.cast_ray(place + ego.get_transform().get_forward_vector() * 3.0, other.get_location() + carla.Location(z=0.5) + way)
    assert hits[0].label == carla.CityObjectLabel.Car
    assert hits[0].location.distance(other.get_location()) < 3.0
    below = world.ground_projection(place + carla.Location(x=0.0, z=20.0), 50.0)
    assert below.label == carla.CityObjectLabel.Car
    beside = world.ground_projection(carla.Location(place.x, place.y, 0.5) + ego.get_transform().get_forward_vector() * 6.0, 50.0)
    assert beside.label in (carla.CityObjectLabel.Roads, carla.CityObjectLabel.RoadLines)
    assert abs(beside.location.z) < 0.01
    assert world.project_point(place, carla.Vector3D(0.0, 0.0, 1.0), 100.0) is None
    lights = world.get_environment_objects(carla.CityObjectLabel.TrafficLight)
    everything = world.get_environment_objects(carla.CityObjectLabel.Any)
    assert 0 < len(lights) < len(everything) == len(world.get_names_of_all_objects())
    light = lights[0]
    top = light.transform.location + carla.Location(z=30.0)
    assert world.ground_projection(top, 29.0).label in (carla.CityObjectLabel.TrafficLight, carla.CityObjectLabel.Poles)
    world.enable_environment_objects({light.id}, False)
    assert world.ground_projection(top, 29.0) is None
    world.enable_environment_objects({light.id}, True)
    assert world.ground_projection(top, 29.0) is not None
    boxes = world.get_level_bbs(carla.CityObjectLabel.TrafficLight)
    assert len(boxes) == len(lights)
    assert boxes[0].location.distance(light.bounding_box.location) < 1e-3
    cars = world.get_level_bbs(carla.CityObjectLabel.Car)
    assert len(cars) == 2
    assert min(box.location.distance(other.get_location()) for box in cars) < 1.5


def check_many_sensors(client: Any, world: Any) -> None:
    """Each at its own sensor_tick: exact frames from the first one on, in order, none lost."""
    import carla

    ego, _ = _scene(world)
    mount = carla.Transform(carla.Location(z=2.5))
    small = {"image_size_x": 32, "image_size_y": 24}
    wanted = [("sensor.camera.rgb", small, 1), ("sensor.camera.depth", small, 2), ("sensor.lidar.ray_cast", {}, 3)]
    wanted += [("sensor.other.imu", {}, 1), ("sensor.other.gnss", {}, 5), ("sensor.other.radar", {}, 4)]
    sensors = [
        (*listening(world, kind, mount, ego, **attributes, sensor_tick=0.05 * every if every > 1 else 0.0), every)
        for kind, attributes, every in wanted
    ]
    frames = [world.tick() for _ in range(60)]
    for _, data, every in sensors:
        got = [data.get(timeout=5.0).frame for _ in range(60 // every)]
        assert got == frames[::every]
        assert data.empty()
    for sensor, _, _ in sensors:
        sensor.destroy()


CHECKS = (
    *(check_cameras, check_from_above, check_lidars, check_radar_and_obstacle),
    *(check_lane_invasion, check_queries, check_many_sensors),
)


@pytest.mark.parametrize("check", CHECKS)
def test_what_sensors_see(server: ServerProcess, check: Any) -> None:
    run_check(check, server.port)
    assert "Traceback" not in server.output, server.output
