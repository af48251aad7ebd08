"""The world of the server through CARLA's real client: maps, settings, actors, batches."""

# The functions `check_*` run in the client's process; see `server_client`.

import math
import sys
import time
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


def check_world(client: Any, world: Any) -> None:
    import carla

    assert client.get_server_version() == client.get_client_version()
    assert world.get_map().name == "Carla/Maps/grid"
    assert "/Game/Carla/Maps/highway" in client.get_available_maps()
    assert len(world.get_map().get_spawn_points()) > 50
    settings = world.get_settings()
    assert settings.synchronous_mode
    assert settings.fixed_delta_seconds == pytest.approx(0.05)
    weather = carla.WeatherParameters(cloudiness=33.0, fog_density=7.0)
    world.set_weather(weather)
    assert world.get_weather() == weather
    spectator = world.get_spectator()
    spectator.set_transform(carla.Transform(carla.Location(1.0, 2.0, 3.0), carla.Rotation(-10.0, 20.0, 0.0)))
    first = world.tick()
    assert spectator.get_transform().location.x == pytest.approx(1.0)
    assert world.tick() == first + 1
    assert world.get_snapshot().frame == first + 1
    assert world.get_snapshot().timestamp.delta_seconds == pytest.approx(0.05)


def check_blueprints(client: Any, world: Any) -> None:
    library = world.get_blueprint_library()
    assert len(library.filter("vehicle.*")) == 41
    assert len(library.filter("walker.pedestrian.*")) == 52
    for name in ("static.prop.dirtdebris01", "static.prop.vendingmachine", "sensor.camera.rgb", "controller.ai.walker"):
        assert library.find(name).id == name
    car = library.find(MKZ)
    assert int(car.get_attribute("number_of_wheels")) == 4
    assert car.get_attribute("base_type").as_str() == "car"
    assert len(library.filter_by_attribute("generation", "2")) > 10
    for attribute in library.find("sensor.lidar.ray_cast"):
        assert not attribute.is_modifiable or attribute.recommended_values, attribute.id


def check_actors(client: Any, world: Any) -> None:
    import carla

    library, points = world.get_blueprint_library(), world.get_map().get_spawn_points()
    car = world.spawn_actor(library.find(MKZ), points[0])
    assert car.get_location() == carla.Location()
    assert world.try_spawn_actor(library.find(MKZ), points[0]) is None
    with pytest.raises(RuntimeError, match="Spawn failed because of collision at spawn position"):
        world.spawn_actor(library.find(MKZ), points[0])
    world.tick()
    assert car.get_transform().rotation.yaw == pytest.approx(points[0].rotation.yaw, abs=1e-4)
    assert car.bounding_box.extent.x == pytest.approx(2.446, abs=1e-3)
    assert world.get_actor(car.id).type_id == MKZ
    walker = world.spawn_actor(library.find("walker.pedestrian.0001"), points[5])
    walker.apply_control(carla.WalkerControl(carla.Vector3D(1.0, 0.0, 0.0), 2.0))
    world.tick()
    before = walker.get_location()
    for _ in range(20):
        world.tick()
    assert walker.get_location().x - before.x == pytest.approx(2.0, abs=1e-3)
    assert walker.get_velocity().x == pytest.approx(2.0)
    lights = carla.VehicleLightState(carla.VehicleLightState.Brake | carla.VehicleLightState.LowBeam)
    car.set_light_state(lights)
    assert car.get_light_state() == lights
    assert car.destroy()
    world.tick()
    assert not world.get_actors().filter("vehicle.*")


def check_physics(client: Any, world: Any) -> None:
    import carla

    library, points = world.get_blueprint_library(), world.get_map().get_spawn_points()
    car = world.spawn_actor(library.find(MKZ), points[0])
    world.tick()
    physics = car.get_physics_control()
    assert len(physics.wheels) == 4
    physics.mass, physics.max_rpm = 1234.0, 7000.0
    physics.torque_curve = [carla.Vector2D(0.0, 300.0), carla.Vector2D(6000.0, 200.0)]
    car.apply_physics_control(physics)
    assert car.get_physics_control() == physics
    car.apply_ackermann_control(carla.VehicleAckermannControl(speed=8.0, acceleration=2.0))
    for _ in range(200):
        world.tick()
    assert car.get_velocity().length() == pytest.approx(8.0, abs=0.1)
    car.set_target_velocity(carla.Vector3D())
    car.apply_control(carla.VehicleControl(throttle=0.5, reverse=True))
    before = car.get_transform()
    for _ in range(60):
        world.tick()
    moved = car.get_location() - before.location
    assert moved.dot(before.get_forward_vector()) < -1.0
    car.enable_constant_velocity(carla.Vector3D(5.0, 0.0, 0.0))
    world.tick()
    world.tick()
    assert car.get_velocity().length() == pytest.approx(5.0, abs=1e-4)


def check_attached(client: Any, world: Any) -> None:
    import carla

    library, points = world.get_blueprint_library(), world.get_map().get_spawn_points()
    car = world.spawn_actor(library.find(MKZ), points[0])
    place = carla.Transform(carla.Location(1.0, 2.0, 3.0), carla.Rotation(0.0, 30.0, 0.0))
    gnss = world.spawn_actor(library.find("sensor.other.gnss"), place, attach_to=car)
    car.apply_control(carla.VehicleControl(throttle=0.5, steer=0.3))
    for _ in range(40):
        world.tick()
    expected = car.get_transform().transform(place.location)
    assert gnss.get_location().distance(expected) < 1e-3
    turned = (gnss.get_transform().rotation.yaw - car.get_transform().rotation.yaw) % 360.0
    assert turned == pytest.approx(30.0, abs=1e-3)
    assert gnss.parent.id == car.id


def check_batch(client: Any, world: Any) -> None:
    import carla

    library, points = world.get_blueprint_library(), world.get_map().get_spawn_points()
    spawn, future = carla.command.SpawnActor, carla.command.FutureActor
    control = carla.VehicleControl(throttle=1.0)
    commands = [spawn(library.find(MKZ), points[k]).then(carla.command.ApplyVehicleControl(future, control)) for k in (0, 0, 3)]
    answers = client.apply_batch_sync(commands, True)
    assert [bool(answer.error) for answer in answers] == [False, True, False]
    for _ in range(20):
        world.tick()
    cars = [world.get_actor(answer.actor_id) for answer in answers if not answer.error]
    assert all(car.get_velocity().length() > 1.0 for car in cars)
    # a number that is none fails its own command; of a control it is the most, as in Unreal
    nan = float("nan")
    nowhere = carla.Transform(carla.Location(nan, 0.0, 0.0))
    commands = [
        carla.command.ApplyTransform(cars[0], nowhere),
        carla.command.ApplyVehicleControl(cars[1], carla.VehicleControl(brake=nan, steer=-math.inf)),
    ]
    answers = client.apply_batch_sync(commands, True)
    assert ["finite number" in answer.error for answer in answers] == [True, False]
    world.tick()
    assert (cars[1].get_control().brake, cars[1].get_control().steer) == (1.0, -1.0)
    frame = world.get_snapshot().frame
    client.apply_batch([carla.command.DestroyActor(car) for car in cars])
    assert world.tick() == frame + 1
    assert not world.get_actors().filter("vehicle.*")


def check_collision(client: Any, world: Any) -> None:
    import carla

    library, points = world.get_blueprint_library(), world.get_map().get_spawn_points()
    car = world.spawn_actor(library.find(MKZ), points[0])
    ahead = points[0].transform(carla.Location(20.0, 0.0, 0.0))
    barrier = world.spawn_actor(library.find("static.prop.streetbarrier"), carla.Transform(ahead))
    world.tick()
    car.apply_control(carla.VehicleControl(throttle=1.0))
    for _ in range(100):
        world.tick()
    assert car.get_velocity().length() < 0.5
    assert car.get_location().distance(barrier.get_location()) < 4.0


def check_loads(client: Any, world: Any) -> None:
    for name in ("ring", "roundabout", "grid"):
        world = client.load_world(name)
        assert world.get_map().name == f"Carla/Maps/{name}"
    world = client.reload_world(False)
    text = world.get_map().to_opendrive()
    assert client.load_world("ring").get_map().name.endswith("ring")
    world = client.generate_opendrive_world(text)
    assert world.get_map().name == "Carla/Maps/OpenDriveMap"
    assert len(world.get_map().get_spawn_points()) > 50
    with pytest.raises(RuntimeError, match="map not found"):
        client.load_world("Town99")
    client.load_world("grid")


def check_missing(client: Any, world: Any) -> None:
    walker = world.spawn_actor(world.get_blueprint_library().find("walker.pedestrian.0001"), world.get_map().get_spawn_points()[0])
    with pytest.raises(RuntimeError, match=r"(?s)get_bones_transform|not provided"):
        walker.get_bones()


def check_two_clients(client: Any, world: Any) -> None:
    import carla

    other = carla.Client("127.0.0.1", int(sys.argv[3]))
    other.set_timeout(10.0)
    theirs = other.get_world()
    seen: list[int] = []
    theirs.on_tick(lambda snapshot: seen.append(snapshot.frame))
    car = world.spawn_actor(world.get_blueprint_library().find(MKZ), world.get_map().get_spawn_points()[0])
    frames = [world.tick() for _ in range(20)]
    for _ in range(200):
        if seen and seen[-1] == frames[-1]:
            break
        time.sleep(0.01)
    assert seen[-20:] == frames
    assert theirs.get_actor(car.id).get_location() == car.get_location()


def check_long_ticks(client: Any, world: Any) -> None:
    """A tick of seconds moves in parts: the car does not pass through the barrier, and sensors see the whole of it."""
    import queue

    import carla

    library, point = world.get_blueprint_library(), world.get_map().get_spawn_points()[0]
    car = world.spawn_actor(library.find(MKZ), point)
    barrier = world.spawn_actor(library.find("static.prop.streetbarrier"), carla.Transform(point.transform(carla.Location(20.0, 0.0, 0.0))))
    sensor = world.spawn_actor(library.find("sensor.other.collision"), carla.Transform(), attach_to=car)
    seen: Any = queue.Queue()
    sensor.listen(seen.put)
    settings = world.get_settings()
    settings.fixed_delta_seconds = 3.0
    world.apply_settings(settings)
    car.apply_control(carla.VehicleControl(throttle=1.0))
    before = world.get_snapshot().timestamp.elapsed_seconds
    for _ in range(4):
        world.tick()
    assert world.get_snapshot().timestamp.elapsed_seconds == pytest.approx(before + 12.0)
    assert seen.get(timeout=5.0).other_actor.id == barrier.id
    assert car.get_location().distance(point.location) < 20.0
    settings.fixed_delta_seconds = 20.0
    with pytest.raises(RuntimeError, match="from 0 to 10"):
        world.apply_settings(settings)
    sensor.destroy()


CHECKS = (
    *(check_world, check_blueprints, check_actors, check_physics, check_attached),
    *(check_batch, check_collision, check_long_ticks, check_loads, check_missing, check_two_clients),
)


@pytest.mark.parametrize("check", CHECKS)
def test_the_world(server: ServerProcess, check: Any) -> None:
    run_check(check, server.port)
    assert "Traceback" not in server.output, server.output
