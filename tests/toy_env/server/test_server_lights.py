"""Traffic lights and signs: their programme by hand, and all of them through CARLA's client."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from server_client import run_check

from toy_env.server.testing import ServerProcess, serving
from toy_env.server.world.programme import GREEN, RED, YELLOW, Programme, Times

MKZ = "vehicle.lincoln.mkz_2020"


@pytest.fixture(scope="module")
def server() -> Iterator[ServerProcess]:
    with serving("--map", "grid") as running:
        yield running


def test_a_junction_goes_through_its_phases() -> None:
    """Two phases of 10 + 3 + 2 s, as in the simulator."""
    programme = Programme(np.array([7, 7, 7]), np.array([0, 1, 0]), seed=3)
    programme.reset()
    seen = []
    for _ in range(600):
        seen.append(programme.states.tolist())
        programme.advance(0.05)
    stages = [[GREEN, RED, GREEN]] * 200 + [[YELLOW, RED, YELLOW]] * 60 + [[RED, RED, RED]] * 40
    assert seen == stages + [[a[1], a[0], a[1]] for a in stages]
    assert programme.states.tolist() == [GREEN, RED, GREEN]


def test_times_freezing_and_states_by_hand() -> None:
    programme = Programme(np.array([7, 7, 9]), np.array([0, 1, 0]), seed=3)
    programme.reset()
    programme.advance(9.0)
    # the stage that lasts is over when what is set now has passed; what is set of a light of a waiting controller stays
    programme.set_time(0, 0, 12.0)
    assert programme.times[7, 0] == Times(12.0, 3.0, 2.0)
    programme.set_state(1, GREEN)
    programme.advance(2.0)
    assert programme.states.tolist() == [GREEN, GREEN, YELLOW]
    assert programme.elapsed.tolist() == pytest.approx([11.0, 0.0, 0.0])
    programme.freeze(True, 1)
    programme.advance(3.0)
    assert programme.states.tolist() == [GREEN, GREEN, RED]
    assert programme.frozen.tolist() == [True, True, False]
    programme.freeze(True)
    programme.advance(100.0)
    assert programme.states.tolist() == [GREEN, GREEN, RED]
    programme.freeze(False)
    programme.advance(1.0)
    assert programme.states.tolist() == [YELLOW, GREEN, RED]
    assert programme.group(0) == [0, 1]
    programme.reset({7})
    assert programme.states.tolist() == [GREEN, RED, RED]
    for seconds, state in ((12.0, YELLOW), (3.0, RED), (2.0, RED)):
        programme.advance(seconds)
        assert programme.states[0] == state
    assert programme.states[1] == GREEN
    programme.advance(9.9)
    programme.set_state(1, RED)
    programme.advance(0.1)
    assert programme.states[1] == YELLOW


def check_lights(client: Any, world: Any) -> None:
    """Every light: landmark, group, lanes, stop waypoints, trigger volume, states, times, freezing."""
    import carla

    world.tick()
    lights = list(world.get_actors().filter("traffic.traffic_light*"))
    town = world.get_map()
    assert len(lights) == len({one.get_opendrive_id() for one in lights}) > 20
    assert {one.state for one in lights} >= {carla.TrafficLightState.Red, carla.TrafficLightState.Green}
    for light in lights:
        group = light.get_group_traffic_lights()
        assert light.id in {one.id for one in group}
        assert sum(one.state == carla.TrafficLightState.Green for one in group) < len(group)
        assert town.get_all_landmarks_from_id(light.get_opendrive_id())
        assert light.get_affected_lane_waypoints()
        assert len(light.get_light_boxes()) == 1
        # as ScenarioRunner does: from points across the trigger volume on to the junction
        box, pose = light.trigger_volume, light.get_transform()
        middle = pose.transform(box.location)
        right = pose.get_forward_vector()
        for share in (-0.8, 0.0, 0.8):
            at = middle + carla.Location(right.x * share * box.extent.x, right.y * share * box.extent.x, 0.0)
            waypoint = town.get_waypoint(at)
            assert abs((waypoint.transform.rotation.yaw + 90.0 - pose.rotation.yaw + 180.0) % 360.0 - 180.0) < 20.0
            assert any(after.is_junction for after in waypoint.next(8.0)), light.id
    light = lights[0]
    light.set_green_time(4.0)
    light.set_state(carla.TrafficLightState.Off)
    light.freeze(True)
    for _ in range(400):
        world.tick()
    assert light.state == carla.TrafficLightState.Off
    assert light.get_green_time() == 4.0
    assert light.get_yellow_time() == 3.0
    assert light.is_frozen()
    # the client freezes all lights where one is asked for
    assert all(one.is_frozen() for one in lights)
    world.freeze_all_traffic_lights(False)
    world.reset_all_traffic_lights()
    changes = []
    for tick in range(1300):
        world.tick()
        if not changes or changes[-1][1] != light.state:
            changes.append((tick, light.state))
    assert {state for _, state in changes} == {carla.TrafficLightState.Red, carla.TrafficLightState.Yellow, carla.TrafficLightState.Green}
    assert light.get_elapsed_time() >= 0.0
    assert not light.destroy()


def check_lights_of_a_script(client: Any, world: Any) -> None:
    """As ScenarioRunner holds the lights of a junction: states set, and times longer by what has passed; then all as before."""
    import carla

    world.tick()
    world.reset_all_traffic_lights()
    group = world.get_actors().filter("traffic.traffic_light*")[0].get_group_traffic_lights()
    for _ in range(150):
        world.tick()
    before = [one.state for one in group]
    wanted = [carla.TrafficLightState.Red if state == carla.TrafficLightState.Green else carla.TrafficLightState.Green for state in before]
    for light, state in zip(group, wanted, strict=True):
        light.set_state(state)
        for set_time in (light.set_green_time, light.set_yellow_time, light.set_red_time):
            set_time(60.0 + light.get_elapsed_time())
    for _ in range(1000):
        world.tick()
    assert [one.state for one in group] == wanted
    for light, state in zip(group, before, strict=True):
        light.set_state(state)
        for set_time in (light.set_green_time, light.set_yellow_time, light.set_red_time):
            set_time(3.0)
    seen = set()
    for _ in range(400):
        world.tick()
        seen.add(tuple(one.state for one in group))
    assert len(seen) >= len(group)


def check_at_a_light(client: Any, world: Any) -> None:
    """A car before a line is at its light, with its state; a car elsewhere is not."""
    import carla

    world.tick()
    blueprint = world.get_blueprint_library().find(MKZ)
    light = world.get_actors().filter("traffic.traffic_light*")[0]
    middle = light.get_transform().transform(light.trigger_volume.location)
    waypoint = world.get_map().get_waypoint(middle).previous(3.0)[0]
    pose = waypoint.transform
    pose.location.z += 0.2
    car = world.spawn_actor(blueprint, pose)
    light.freeze(True)
    for state in (carla.TrafficLightState.Red, carla.TrafficLightState.Yellow, carla.TrafficLightState.Green):
        light.set_state(state)
        world.tick()
        assert car.is_at_traffic_light()
        assert car.get_traffic_light().id == light.id
        assert car.get_traffic_light_state() == state
    away = waypoint.previous(30.0)[0].transform
    away.location.z += 0.2
    car.set_transform(away)
    world.tick()
    assert not car.is_at_traffic_light()
    assert car.get_traffic_light_state() == carla.TrafficLightState.Green
    car.destroy()


def check_signs(client: Any, world: Any) -> None:
    """Stop and yield signs, each beside the road of its landmark."""
    import math

    world.tick()
    town = world.get_map()
    for type_id, code, count in (("traffic.stop", "206", 9), ("traffic.yield", "205", 8)):
        signs = list(world.get_actors().filter(type_id))
        marks = town.get_all_landmarks_of_type(code)
        assert len(signs) == count
        assert {world.get_traffic_sign(mark).id for mark in marks} == {sign.id for sign in signs}
        for mark in marks:
            sign = world.get_traffic_sign(mark)
            place = sign.get_location()
            assert math.hypot(place.x - mark.transform.location.x, place.y - mark.transform.location.y) < 12.0
            waypoint = town.get_waypoint(sign.get_transform().transform(sign.trigger_volume.location))
            assert any(after.is_junction for after in waypoint.next(8.0))


@pytest.mark.parametrize("check", [check_lights, check_lights_of_a_script, check_at_a_light, check_signs])
def test_through_the_client(server: ServerProcess, check: Any) -> None:
    run_check(check, server.port)
    assert "Traceback" not in server.output, server.output
