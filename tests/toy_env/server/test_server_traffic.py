"""The client's own Traffic Manager drives many cars: they move, keep to their lanes, and stop at red."""

import sys
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


def _manager(client: Any) -> Any:
    manager = client.get_trafficmanager(8000 + int(sys.argv[3]) % 20_000)
    manager.set_synchronous_mode(True)
    manager.set_random_device_seed(1)
    return manager


def _registered(client: Any, world: Any, manager: Any, count: int) -> list[Any]:
    from carla import command

    model = world.get_blueprint_library().find("vehicle.tesla.model3")
    points = world.get_map().get_spawn_points()
    cars = [car for point in points[:: max(len(points) // (count + 10), 1)] if (car := world.try_spawn_actor(model, point)) is not None]
    world.tick()
    client.apply_batch_sync([command.SetAutopilot(car.id, True, manager.get_port()) for car in cars[:count]], True)
    return cars[:count]


def check_fifty_cars(client: Any, world: Any) -> None:
    manager = _manager(client)
    cars = _registered(client, world, manager, 50)
    assert len(cars) == 50
    begins = [car.get_location() for car in cars]
    fastest = [0.0] * 50
    for _ in range(300):
        world.tick()
        fastest = [max(speed, car.get_velocity().length()) for speed, car in zip(fastest, cars, strict=True)]
    assert sum(speed > 3.0 for speed in fastest) > 40
    assert sum(car.get_location().distance(begin) > 10.0 for car, begin in zip(cars, begins, strict=True)) > 35
    town = world.get_map()
    off = [town.get_waypoint(car.get_location()).transform.location.distance(car.get_location()) for car in cars]
    assert sorted(off)[40] < 1.0, sorted(off)
    client.apply_batch_sync([_autopilot_off(car.id, manager.get_port()) for car in cars], True)


def check_a_manager_knows_the_map_that_is_loaded(client: Any, world: Any) -> None:
    manager = _manager(client)
    manager.set_hybrid_physics_mode(True)
    world = client.load_world("ring", reset_settings=False)
    assert world.get_settings().synchronous_mode
    world.tick()
    cars = _registered(client, world, manager, 4)
    begins = [car.get_location() for car in cars]
    for _ in range(100):
        world.tick()
    town = world.get_map()
    for car, begin in zip(cars, begins, strict=True):
        assert car.get_location().distance(begin) > 10.0
        assert town.get_waypoint(car.get_location()).transform.location.distance(car.get_location()) < 1.0
    client.apply_batch_sync([_autopilot_off(car.id, manager.get_port()) for car in cars], True)


def _autopilot_off(actor_id: int, port: int) -> Any:
    from carla import command

    return command.SetAutopilot(actor_id, False, port)


def check_red(client: Any, world: Any) -> None:
    """All lights are red and stay so: a car before one comes to it and stops at its line; with green it goes on."""
    import carla
    from carla import command

    manager = _manager(client)
    world.tick()
    lights = list(world.get_actors().filter("traffic.traffic_light*"))
    for light in lights:
        light.set_state(carla.TrafficLightState.Red)
    world.freeze_all_traffic_lights(True)
    light = lights[0]
    line = world.get_map().get_waypoint(light.get_transform().transform(light.trigger_volume.location))
    begin = line.previous(35.0)[0].transform
    begin.location.z += 0.3
    car = world.spawn_actor(world.get_blueprint_library().find(MKZ), begin)
    world.tick()
    client.apply_batch_sync([command.SetAutopilot(car.id, True, manager.get_port())], True)
    for _ in range(300):
        world.tick()
    assert car.is_at_traffic_light()
    assert car.get_velocity().length() < 0.1
    assert car.get_location().distance(begin.location) > 15.0
    assert not world.get_map().get_waypoint(car.get_location()).is_junction
    stood = car.get_location()
    for light in lights:
        light.set_state(carla.TrafficLightState.Green)
    for _ in range(150):
        world.tick()
    assert car.get_location().distance(stood) > 8.0


def check_told_to_stand(client: Any, world: Any) -> None:
    """A car that shall drive 0 m/s: the Traffic Manager divides zero by zero and asks for a brake that is no number."""
    from carla import command

    manager = _manager(client)
    world.tick()
    car = world.spawn_actor(world.get_blueprint_library().find(MKZ), world.get_map().get_spawn_points()[0])
    client.apply_batch_sync([command.SetAutopilot(car.id, True, manager.get_port())], True)
    for _ in range(100):
        world.tick()
    assert car.get_velocity().length() > 3.0
    manager.vehicle_percentage_speed_difference(car, 100)
    for _ in range(100):
        world.tick()
    assert car.get_velocity().length() < 0.1
    assert car.get_control().brake == 1.0


@pytest.mark.parametrize("check", [check_fifty_cars, check_red, check_told_to_stand, check_a_manager_knows_the_map_that_is_loaded])
def test_the_traffic_manager(server: ServerProcess, check: Any) -> None:
    run_check(check, server.port)
    assert "Traceback" not in server.output, server.output
