"""Loops of CARLA's own client that are timed: `python -m carla_rl.carla_sim.loops PORT LOOP ROUNDS REPETITIONS` prints seconds as JSON.

A process of its own, because several calls of the client hold Python's lock while they wait. Any server of CARLA's protocol will do.
"""

import json
import queue
import sys
import time
from collections.abc import Callable
from functools import partial
from typing import Any

TIMEOUT_S = 60.0
STEP_S = 0.05
APART = 3
"""Vehicles are put on every so many of the spawn points, as far as these go."""
SETTLE_TICKS = 40
FIRST_MANAGER_PORT, MANAGER_PORTS = 8000, 20_000
"""A traffic manager takes one of these ports, by that of its server: other clients of this machine have others."""
CAMERA = {"image_size_x": "320", "image_size_y": "240", "fov": "90"}
LIDAR = {
    "channels": "64",
    "range": "85",
    "rotation_frequency": "10",
    "points_per_second": "600000",
    "upper_fov": "10",
    "lower_fov": "-30",
}
"""The lidar of the leaderboard: half a turn and 30,000 points a tick."""


def main(port: int, loop: str, rounds: int, repetitions: int) -> None:
    """Run a loop once to warm up and then several times; print what each took."""
    import carla

    client = carla.Client("127.0.0.1", port)
    client.set_timeout(TIMEOUT_S)
    run = LOOPS[loop](client, client.reload_world())
    run(max(rounds // 10, 1))
    took = []
    for _ in range(repetitions):
        before = time.perf_counter()
        run(rounds)
        took.append(time.perf_counter() - before)
    print(json.dumps({"seconds": took, "rounds": rounds}), flush=True)


def _synchronous(world: Any) -> None:
    settings = world.get_settings()
    settings.synchronous_mode, settings.fixed_delta_seconds = True, STEP_S
    world.apply_settings(settings)


def _spawned(world: Any, count: int) -> list[Any]:
    """So many cars. Raises RuntimeError where the map has no room for them."""
    points = world.get_map().get_spawn_points()
    library = world.get_blueprint_library()
    cars: list[Any] = []
    for start in range(APART):
        for point in points[start::APART]:
            if len(cars) == count:
                return cars
            car = world.try_spawn_actor(library.find("vehicle.tesla.model3"), point)
            cars += [car] if car is not None else []
    if len(cars) < count:
        raise RuntimeError(f"the map has room for {len(cars)} of {count} vehicles")
    return cars


def driven(count: int, client: Any, world: Any) -> Callable[[int], None]:
    """A tick, then a changing control and a look at the transform of every vehicle."""
    import carla

    _synchronous(world)
    cars = _spawned(world, count)
    world.tick()

    def run(rounds: int) -> None:
        for number in range(rounds):
            control = carla.VehicleControl(0.3, 0.01 * (number % 7), 0.0)
            for car in cars:
                car.apply_control(control)
                car.get_transform()
            world.tick()

    return run


def managed(count: int, client: Any, world: Any, seed: int = 1) -> tuple[list[Any], Callable[[int], None]]:
    """So many cars that the client's Traffic Manager drives, some seconds after their start, and ticks."""
    from carla import command

    manager = client.get_trafficmanager(FIRST_MANAGER_PORT + int(sys.argv[1]) % MANAGER_PORTS)
    _synchronous(world)
    manager.set_synchronous_mode(True)
    manager.set_random_device_seed(seed)
    cars = _spawned(world, count)
    world.tick()
    client.apply_batch_sync([command.SetAutopilot(car.id, True, manager.get_port()) for car in cars], True)

    def run(rounds: int) -> None:
        for _ in range(rounds):
            world.tick()

    run(SETTLE_TICKS)
    return cars, run


def managed_ticks(count: int, client: Any, world: Any) -> Callable[[int], None]:
    """A tick while the client's Traffic Manager drives."""
    return managed(count, client, world)[1]


def among_managed(count: int, client: Any, world: Any) -> Callable[[int], None]:
    """A tick, a changing control and a look at the transform of one vehicle, while the Traffic Manager drives `count` others."""
    import carla

    cars, _ = managed(count + 1, client, world)
    ego = cars[0]
    ego.set_autopilot(False, FIRST_MANAGER_PORT + int(sys.argv[1]) % MANAGER_PORTS)

    def run(rounds: int) -> None:
        for number in range(rounds):
            ego.apply_control(carla.VehicleControl(0.3, 0.01 * (number % 7), 0.0))
            ego.get_transform()
            world.tick()

    return run


def sensed(blueprint: str, attributes: dict[str, str], client: Any, world: Any) -> Callable[[int], None]:
    """A tick and the data of a sensor on one of 20 vehicles, received in Python."""
    import carla

    _synchronous(world)
    cars = _spawned(world, 20)
    sensor = world.get_blueprint_library().find(blueprint)
    for name, value in attributes.items():
        sensor.set_attribute(name, value)
    received: queue.SimpleQueue[Any] = queue.SimpleQueue()
    mounted = world.spawn_actor(sensor, carla.Transform(carla.Location(x=0.5, z=2.0)), attach_to=cars[0])
    mounted.listen(received.put)

    def run(rounds: int) -> None:
        assert mounted.is_listening
        for _ in range(rounds):
            world.tick()
            received.get(timeout=TIMEOUT_S)

    return run


def loads(client: Any, world: Any) -> Callable[[int], None]:
    """The map of now, loaded again, and a tick."""
    name = world.get_map().name.rpartition("/")[2]

    def run(rounds: int) -> None:
        for _ in range(rounds):
            client.load_world(name).wait_for_tick(TIMEOUT_S)

    return run


LOOPS: dict[str, Callable[[Any, Any], Callable[[int], None]]] = {
    "one_vehicle": partial(driven, 1),
    "20_vehicles": partial(driven, 20),
    "50_managed": partial(managed_ticks, 50),
    "among_8": partial(among_managed, 8),
    "camera": partial(sensed, "sensor.camera.rgb", CAMERA),
    "lidar": partial(sensed, "sensor.lidar.ray_cast", LIDAR),
    "load_world": loads,
}

if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2], int(sys.argv[3]), int(sys.argv[4]))
