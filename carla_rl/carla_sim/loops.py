"""Loops of CARLA's own client that are timed: `python -m carla_rl.carla_sim.loops PORT LOOP ROUNDS REPETITIONS` prints seconds as JSON.

A process of its own, because several calls of the client hold Python's lock while they wait. Any server of CARLA's protocol will do.
"""

import json
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


def managed(count: int, client: Any, world: Any) -> Callable[[int], None]:
    """A tick while the client's Traffic Manager drives."""
    from carla import command

    manager = client.get_trafficmanager(FIRST_MANAGER_PORT + int(sys.argv[1]) % MANAGER_PORTS)
    _synchronous(world)
    manager.set_synchronous_mode(True)
    manager.set_random_device_seed(1)
    cars = _spawned(world, count)
    world.tick()
    client.apply_batch_sync([command.SetAutopilot(car.id, True, manager.get_port()) for car in cars], True)
    for _ in range(SETTLE_TICKS):
        world.tick()

    def run(rounds: int) -> None:
        for _ in range(rounds):
            world.tick()

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
    "50_managed": partial(managed, 50),
    "load_world": loads,
}

if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2], int(sys.argv[3]), int(sys.argv[4]))
