"""Sensors through CARLA's real client: exact frames, no first frame lost, and what they measure."""

import itertools
from collections.abc import Iterator
from typing import Any

import pytest
from server_client import run_check

from toy_env.server.testing import ServerProcess, serving

MKZ = "vehicle.lincoln.mkz_2020"


@pytest.fixture(scope="module")
def server() -> Iterator[ServerProcess]:
    with serving("--map", "grid") as running:
        yield running


def _car(world: Any) -> Any:
    car = world.spawn_actor(world.get_blueprint_library().find(MKZ), world.get_map().get_spawn_points()[0])
    world.tick()
    return car


def check_frames(client: Any, world: Any) -> None:
    import queue

    import carla

    car, library = _car(world), world.get_blueprint_library()
    for kind in ("sensor.other.gnss", "sensor.other.imu"):
        for _ in range(20):
            sensor = world.spawn_actor(library.find(kind), carla.Transform(carla.Location(z=2.0)), attach_to=car)
            seen: Any = queue.Queue()
            sensor.listen(seen.put)
            for _ in range(3):
                frame = world.tick()
                data = seen.get(timeout=2.0)
                assert data.frame == frame
                assert data.timestamp == pytest.approx(world.get_snapshot().timestamp.elapsed_seconds)
                assert data.transform == sensor.get_transform()
            sensor.stop()
            sensor.destroy()


def check_sensor_tick(client: Any, world: Any) -> None:
    import carla

    car, blueprint = _car(world), world.get_blueprint_library().find("sensor.other.imu")
    blueprint.set_attribute("sensor_tick", "0.2")
    sensor = world.spawn_actor(blueprint, carla.Transform(), attach_to=car)
    seen: list[int] = []
    sensor.listen(lambda data: seen.append(data.frame))
    for _ in range(40):
        world.tick()
    import time

    time.sleep(0.2)
    assert len(seen) == 10
    assert {b - a for a, b in itertools.pairwise(seen)} == {4}
    sensor.stop()


def check_measurements(client: Any, world: Any) -> None:
    import math
    import queue

    import carla

    car, library = _car(world), world.get_blueprint_library()
    queues: dict[str, Any] = {}
    sensors = []
    for kind in ("sensor.other.gnss", "sensor.other.imu", "sensor.other.collision"):
        sensor = world.spawn_actor(library.find(kind), carla.Transform(), attach_to=car)
        sensors.append(sensor)
        queues[kind] = queue.Queue()
        sensor.listen(queues[kind].put)
    for _ in range(20):
        world.tick()
        gnss, imu = queues["sensor.other.gnss"].get(timeout=2.0), queues["sensor.other.imu"].get(timeout=2.0)
    place = car.get_location()
    # a sensor says what the client's own function says
    told = world.get_map().transform_to_geolocation(place)
    assert (gnss.latitude, gnss.longitude) == pytest.approx((told.latitude, told.longitude), abs=1e-9)
    assert imu.accelerometer.z == pytest.approx(9.81, abs=0.5)
    assert imu.compass == pytest.approx(math.radians(car.get_transform().rotation.yaw + 90.0) % (2.0 * math.pi), abs=1e-3)
    ahead = world.get_map().get_spawn_points()[0].transform(carla.Location(20.0, 0.0, 0.0))
    barrier = world.spawn_actor(library.find("static.prop.streetbarrier"), carla.Transform(ahead))
    car.apply_control(carla.VehicleControl(throttle=1.0))
    for _ in range(100):
        world.tick()
    hit = queues["sensor.other.collision"].get(timeout=2.0)
    assert hit.other_actor.id == barrier.id
    assert hit.actor.id == car.id
    assert hit.normal_impulse.length() > 1000.0
    for sensor in sensors:
        sensor.stop()


def check_refused(client: Any, world: Any) -> None:
    import carla

    blueprint = world.get_blueprint_library().find("sensor.camera.dvs")
    with pytest.raises(RuntimeError, match=r"sensor\.camera\.dvs is not provided"):
        world.spawn_actor(blueprint, carla.Transform())


@pytest.mark.parametrize("check", [check_frames, check_sensor_tick, check_measurements, check_refused])
def test_sensors(server: ServerProcess, check: Any) -> None:
    run_check(check, server.port)
    assert "Traceback" not in server.output, server.output
