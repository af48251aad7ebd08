"""A road up a hill: vehicles stand and drive on it, and cameras, rays and the client's own map agree on where it is."""

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from server_client import run_check
from server_sensors import listening, metres

from toy_env.server.testing import ServerProcess, serving

RISE, FIRST, LAST = 0.05, 100.0, 200.0
"""It rises by 5 % over the second of three stretches of 100 m."""
HILL = f"""<?xml version="1.0" standalone="yes"?>
<OpenDRIVE>
<header revMajor="1" revMinor="4" name="hill" version="1" date="" north="0" south="0" east="0" west="0" vendor=""/>
<road name="" length="300" id="1" junction="-1">
<link/><type s="0" type="town"><speed max="20" unit="m/s"/></type>
<planView><geometry s="0" x="0" y="0" hdg="0" length="300"><line/></geometry></planView>
<elevationProfile><elevation s="0" a="0" b="0" c="0" d="0"/><elevation s="{FIRST}" a="0" b="{RISE}" c="0" d="0"/>
<elevation s="{LAST}" a="{RISE * (LAST - FIRST)}" b="0" c="0" d="0"/></elevationProfile>
<lateralProfile/>
<lanes><laneSection s="0">
<left><lane id="1" type="driving" level="false"><width sOffset="0" a="4" b="0" c="0" d="0"/></lane></left>
<center><lane id="0" type="none" level="false"/></center>
<right><lane id="-1" type="driving" level="false"><width sOffset="0" a="4" b="0" c="0" d="0"/></lane></right>
</laneSection></lanes>
</road>
</OpenDRIVE>
"""


def height(x: float) -> float:
    return RISE * (min(max(x, FIRST), LAST) - FIRST)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    path: Path = tmp_path_factory.mktemp("maps") / "hill.xodr"
    path.write_text(HILL)
    with serving("--map", str(path)) as running:
        yield running


def check_vehicles(client: Any, world: Any) -> None:
    """Up and down and across: height by the profile, pitch and roll by the slope."""
    import carla

    blueprint, points = world.get_blueprint_library().find("vehicle.lincoln.mkz_2020"), world.get_map().get_spawn_points()
    for point in points:
        assert point.location.z == pytest.approx(height(point.location.x) + 0.3, abs=0.11)
    slope = math.degrees(math.atan(RISE))
    up = world.spawn_actor(blueprint, next(one for one in points if 50.0 < one.location.x < 70.0 and one.location.y > 0.0))
    down = world.spawn_actor(blueprint, next(one for one in points if 220.0 < one.location.x < 250.0 and one.location.y < 0.0))
    across = world.spawn_actor(blueprint, carla.Transform(carla.Location(150.0, 6.0, 3.0), carla.Rotation(yaw=90.0)))
    for _ in range(15):
        world.tick()
    # it looks along +y, so its right side is towards the foot of the hill
    pose = across.get_transform()
    assert (pose.location.z, pose.rotation.pitch, pose.rotation.roll) == pytest.approx((2.5, 0.0, slope), abs=1e-2), pose
    for car in (up, down):
        car.set_target_velocity(car.get_transform().get_forward_vector() * 20.0)
    tilts = {up: set(), down: set()}
    for _ in range(130):
        for car in tilts:
            car.apply_control(carla.VehicleControl(throttle=0.5))
        world.tick()
        for car, seen in tilts.items():
            pose = car.get_transform()
            at = pose.location.x
            # the corners at foot and top are cut as far as samples of a lane are apart
            corner = min(abs(at - FIRST), abs(at - LAST)) < 2.0
            assert pose.location.z == pytest.approx(height(at), abs=0.05 if corner else 1e-3), pose
            assert world.get_map().get_waypoint(pose.location).transform.location.z == pytest.approx(height(at), abs=1e-3)
            if not corner:
                seen.add(round(pose.rotation.pitch, 2))
            if FIRST + 4.0 < at < LAST - 4.0:
                assert car.get_velocity().z == pytest.approx(math.copysign(RISE, pose.rotation.pitch) * _flat(car), abs=0.02)
    assert tilts[up] == {0.0, round(slope, 2)}
    assert tilts[down] == {0.0, round(-slope, 2)}


def _flat(car: Any) -> float:
    velocity = car.get_velocity()
    return math.hypot(velocity.x, velocity.y)


def check_ground(client: Any, world: Any) -> None:
    """From the foot of the hill: what rays and pictures meet is the road of the profile; behind the crest it is hidden."""
    import carla

    for x in (80.0, 120.0, 150.0, 190.0, 230.0):
        found = world.ground_projection(carla.Location(x, 1.0, 9.0), 20.0)
        assert found.label == carla.CityObjectLabel.Roads
        assert found.location.z == pytest.approx(height(x), abs=0.01)
    # a metre above the foot, level: it meets the hill where that is a metre high
    hits = world.cast_ray(carla.Location(95.0, 2.0, 1.0), carla.Location(180.0, 2.0, 1.0))
    assert hits[0].location.x == pytest.approx(120.0, abs=0.05)
    mount = carla.Transform(carla.Location(90.0, 2.0, 2.0))
    lidar, scans = listening(
        world,
        "sensor.lidar.ray_cast_semantic",
        mount,
        None,
        channels=16,
        range=90,
        points_per_second=64000,
        rotation_frequency=20,
        upper_fov=2,
    )
    camera, images = listening(world, "sensor.camera.depth", mount, None, image_size_x=41, image_size_y=201, fov=40)
    world.tick()
    scan = scans.get(timeout=5.0)
    points = np.frombuffer(scan.raw_data, [("place", "<f4", 3), ("cos", "<f4"), ("id", "<u4"), ("tag", "<u4")])
    road = points[points["tag"] == 1]
    place = road["place"] + (90.0, 2.0, 2.0)
    assert place[:, 0].max() > 130.0
    assert place[:, 2] == pytest.approx([height(x) for x in place[:, 0]], abs=0.03)
    hill = (place[:, 0] > 106.0) & (place[:, 0] < 190.0)
    way = road["place"][hill] / np.linalg.norm(road["place"][hill], axis=1)[:, None]
    expected = np.abs(way @ (-RISE, 0.0, 1.0)) / math.hypot(1.0, RISE)
    assert road["cos"][hill] == pytest.approx(expected, abs=2e-3)
    depth = metres(images.get(timeout=5.0))[:, 20]
    focal = 20.5 / math.tan(math.radians(20.0))
    for row in (99, 105, 120, 150):
        down = (row + 0.5 - 100.5) / focal
        assert 2.0 - down * depth[row] == pytest.approx(height(90.0 + depth[row]), abs=0.03)
    lidar.destroy()
    camera.destroy()


@pytest.mark.parametrize("check", [check_vehicles, check_ground])
def test_a_hill(server: ServerProcess, check: Any) -> None:
    run_check(check, server.port)
    assert "Traceback" not in server.output, server.output
