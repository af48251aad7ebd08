"""The truth of a world that somebody else runs, and the leaderboard's agent in it, through CARLA's client."""

import math
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from server_client import run_check

from toy_env.server.testing import ServerProcess, serving

ROOT = Path(__file__).parents[2]
AGENT = ROOT / "agents" / "carla_rl_leaderboard_agent.py"
MKZ = "vehicle.lincoln.mkz_2020"


@pytest.fixture(scope="module")
def server() -> Iterator[ServerProcess]:
    with serving("--map", "grid") as running:
        yield running


def light_ahead(world: Any) -> tuple[Any, Any]:
    """A light and a waypoint 30 m before its line."""
    light = world.get_actors().filter("traffic.traffic_light*")[0]
    line = world.get_map().get_waypoint(light.get_transform().transform(light.trigger_volume.location))
    return light, line.previous(30.0)[0]


def plan_from(waypoint: Any, metres: int) -> list[Any]:
    """A dense plan straight on, as the leaderboard hands it to an agent."""
    places = []
    for _ in range(metres):
        places.append(waypoint.transform)
        waypoint = min(
            waypoint.next(1.0), key=lambda one: abs(math.sin(math.radians(one.transform.rotation.yaw - waypoint.transform.rotation.yaw)))
        )
    return places


def spawned(world: Any, name: str, place: Any, **attributes: str) -> Any:
    import carla

    blueprint = world.get_blueprint_library().find(name)
    for key, value in attributes.items():
        blueprint.set_attribute(key, value)
    raised = carla.Transform(place.location + carla.Location(z=0.3), place.rotation)
    return world.spawn_actor(blueprint, raised)


def check_look(client: Any, world: Any) -> None:
    """Objects, route, light and speed limit as they are."""
    import carla

    from carla_rl.build import Networks
    from carla_rl.carla_sim.observer import Observer, positions_of
    from carla_rl.types import LightState, Needs, ObjectKind

    world.tick()
    light, begin = light_ahead(world)
    world.freeze_all_traffic_lights(True)
    ego = spawned(world, MKZ, begin.transform, role_name="hero")
    ahead = spawned(world, "vehicle.audi.tt", begin.next(15.0)[0].transform)
    beside = begin.transform.transform(carla.Location(5.0, 6.0, 0.0))
    spawned(world, "walker.pedestrian.0001", carla.Transform(beside))
    spawned(world, "static.prop.dirtdebris01", begin.next(8.0)[0].transform)
    # ScenarioRunner keeps its actors below the ground until they are wanted
    waiting = spawned(world, "vehicle.audi.tt", begin.next(25.0)[0].transform)
    waiting.set_simulate_physics(False)
    waiting.set_location(begin.next(10.0)[0].transform.location - carla.Location(z=50.0))
    for _ in range(3):
        world.tick()
    needs = Needs(route=True, objects=8, lights=True, speed_limit=True, room=True)
    observer = Observer(world, ego, Networks()("grid"), positions_of(plan_from(begin, 80)), needs)
    for state, wanted in ((carla.TrafficLightState.Red, LightState.RED), (carla.TrafficLightState.Green, LightState.GREEN)):
        light.set_state(state)
        world.tick()
        told, seen = observer.look({})
        assert seen.light is not None
        assert seen.light[0, 1] == wanted
    assert 20.0 < seen.light[0, 0] < 40.0
    assert seen.objects is not None
    assert seen.route is not None
    assert seen.objects[0, :, 6].tolist()[:3] == [ObjectKind.PEDESTRIAN, ObjectKind.VEHICLE, 0.0]
    # CARLA's right is our left
    assert seen.objects[0, 0, :2].tolist() == pytest.approx([5.0, -6.0], abs=0.1)
    assert seen.objects[0, 1, :2].tolist() == pytest.approx([15.0, 0.0], abs=0.1)
    assert seen.objects[0, 1, 4] == pytest.approx(ahead.bounding_box.extent.x)
    assert np.abs(seen.route[0, :10, 1]).max() < 0.2
    assert told.speed[0] < 0.1
    ahead.destroy()
    world.tick()
    _, seen = observer.look({})
    assert seen.objects is not None
    assert seen.objects[0, 1, 6] == 0.0


def stand_in(world: Any, ego: Any) -> None:
    """The two modules of the leaderboard that an agent imports, as small as can be."""

    class AutonomousAgent:
        def set_global_plan(self, gps: Any, world_coord: Any) -> None:
            self.sparse = world_coord

    class Provider:
        get_world = staticmethod(lambda: world)
        get_map = staticmethod(world.get_map)
        get_hero_actor = staticmethod(lambda: ego)

    parts: dict[str, dict[str, Any]] = {
        "leaderboard.autoagents.autonomous_agent": {"AutonomousAgent": AutonomousAgent, "Track": str},
        "srunner.scenariomanager.carla_data_provider": {"CarlaDataProvider": Provider},
    }
    for name, content in parts.items():
        pieces = name.split(".")
        for k in range(len(pieces)):
            sys.modules.setdefault(".".join(pieces[: k + 1]), ModuleType(pieces[k]))
        sys.modules[name].__dict__.update(content)


def check_agent(client: Any, world: Any) -> None:
    """The expert in the leaderboard's agent drives through a green light and past it."""
    import importlib.util

    world.tick()
    light, begin = light_ahead(world)
    world.freeze_all_traffic_lights(True)
    import carla

    light.set_state(carla.TrafficLightState.Green)
    ego = spawned(world, MKZ, begin.transform, role_name="hero")
    for _ in range(5):
        world.tick()
    stand_in(world, ego)
    spec = importlib.util.spec_from_file_location("carla_rl_leaderboard_agent", AGENT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    agent = getattr(module, module.get_entry_point())()
    # as Bench2Drive calls it
    agent.setup(f"{ROOT / 'agents' / 'expert.toml'}+RouteScenario_1_rep0")
    assert agent.track == "SENSORS"
    assert [sensor["type"] for sensor in agent.sensors()] == ["sensor.speedometer", "sensor.other.imu"]
    places = plan_from(begin, 80)
    agent.set_global_plan([], [(place, None) for place in places])
    assert len(agent.sparse) == 80
    for _ in range(240):
        velocity, turn = ego.get_velocity(), ego.get_angular_velocity()
        imu = np.array([0.0, 0.0, 9.8, 0.0, 0.0, math.radians(turn.z), 0.0])
        data = {"speed": (0, {"speed": math.hypot(velocity.x, velocity.y)}), "imu": (0, imu)}
        ego.apply_control(agent.run_step(data, 0.0))
        world.tick()
    there = ego.get_location()
    assert min(there.distance(place.location) for place in places[45:]) < 1.5
    agent.destroy()


@pytest.mark.parametrize("check", [check_look, check_agent])
def test_through_the_client(server: ServerProcess, check: Any) -> None:
    run_check(check, server.port)
