"""The same start and controls give the same drive in the simulator and through CARLA's client, to the precision of the wire (float32)."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from server_client import run_check

from toy_env.server.testing import ServerProcess, serving

MKZ = "vehicle.lincoln.mkz_2020"
TICKS = 200
SHOWN = {"Green": 1, "Yellow": 2, "Red": 3}
"""States of lights as the simulator numbers them."""
EPISODE_TICKS = 60
"""Of each of the scripted episodes."""
POSITION_M = 2e-3
"""Float32 holds 400 m to 3e-5 m; the controls are rounded to float32 too."""


@pytest.fixture(scope="module")
def server() -> Iterator[ServerProcess]:
    with serving("--map", "grid", "--suite", "scripted") as running:
        yield running


def _controls(number: int) -> Any:
    """(TICKS, 3) throttle, steer, brake as the client rounds them."""
    draw = np.random.default_rng(number)
    steps = draw.uniform(size=(TICKS // 20, 3)) * (0.8, 0.6, 0.15) - (0.0, 0.3, 0.0)
    return np.repeat(steps, 20, axis=0).astype(np.float32).astype(np.float64)


def check_vehicles(client: Any, world: Any) -> None:
    """Several cars, each against the bicycle of the simulator."""
    import math

    import carla

    from toy_env.vehicle import VehicleModel, bicycle, follow

    model = VehicleModel().parameters
    points = world.get_map().get_spawn_points()[::60][:6]
    cars = [world.spawn_actor(world.get_blueprint_library().find(MKZ), point) for point in points]
    for car in cars:
        car.set_enable_gravity(False)
        car.set_collisions(False)
    world.tick()
    poses = [[point.location.x, -point.location.y, -math.radians(point.rotation.yaw), 0.0, 0.0, 0.0, 0.0] for point in points]
    for tick in range(TICKS):
        for number, car in enumerate(cars):
            throttle, steer, brake = _controls(number)[tick]
            car.apply_control(carla.VehicleControl(throttle, -steer, brake))
        world.tick()
        for number, (car, pose) in enumerate(zip(cars, poses, strict=True)):
            throttle, steer, brake = _controls(number)[tick]
            x, y, yaw, speed, had_throttle, had_steer, had_brake = pose
            had_throttle = follow(had_throttle, throttle, model.pedal_press_rate, model.pedal_release_rate)
            had_brake = follow(had_brake, brake, model.pedal_press_rate, model.pedal_release_rate)
            had_steer = follow(had_steer, steer, model.steer_rate, model.steer_return_rate)
            dx, dy, turn, speed = bicycle(model, yaw, speed, had_throttle, had_steer, had_brake)
            pose[:] = [x + dx, y + dy, yaw + turn, speed, had_throttle, had_steer, had_brake]
            place = car.get_location()
            assert math.hypot(place.x - pose[0], -place.y - pose[1]) < POSITION_M, (tick, number)
            assert car.get_velocity().length() == pytest.approx(speed, abs=1e-4)


def check_episodes(client: Any, world: Any) -> None:
    """Every scripted type of the suite: the hero and all others, tick by tick."""
    import math

    import carla

    from carla_rl.build import Networks
    from carla_rl.scenario.episodes import make_episodes
    from carla_rl.scenario.suite import load_suite
    from carla_rl.types import Control, Needs
    from toy_env.simulator import ToySimulator

    simulator = ToySimulator(1, Needs(), Networks(), threads=1)
    episodes = make_episodes(load_suite("scripted", simulator.network), simulator.network, simulator.unsupported)
    assert len({actor.type for episode in episodes for actor in episode.scenario.actors}) > 15
    for number, episode in enumerate(episodes):
        world = client.load_world(episode.scenario.scenario_id)
        settings = world.get_settings()
        settings.synchronous_mode, settings.fixed_delta_seconds = True, 0.05
        world.apply_settings(settings)
        world = client.reload_world(False)
        simulator.reset(np.array([0]), [episode])
        # a client that loads in synchronous mode ticks meanwhile and does not wait for what it asked for; this tick does
        world.tick()
        for _ in range(round(world.get_snapshot().timestamp.elapsed_seconds / 0.05)):
            simulator.step(Control(np.zeros(1), np.zeros(1), np.zeros(1)))
        hero = next(actor for actor in world.get_actors() if actor.attributes.get("role_name") == "hero")
        lights = sorted(world.get_actors().filter("traffic.traffic_light*"), key=lambda light: light.id)
        nobody = {hero.id, world.get_spectator().id} | {actor.id for actor in world.get_actors().filter("traffic.*")}
        for throttle, steer, brake in _controls(number)[:EPISODE_TICKS]:
            steer *= 0.1
            hero.apply_control(carla.VehicleControl(throttle, -steer, brake))
            world.tick()
            steer = float(np.float32(steer))
            ego = simulator.step(Control(np.array([throttle]), np.array([steer]), np.array([brake]))).ego
            place = hero.get_location()
            assert math.hypot(place.x - ego.x[0], -place.y - ego.y[0]) < POSITION_M, episode.scenario.scenario_id
            shown = [SHOWN[str(light.state)] for light in lights]
            assert shown == simulator.scene().lights[0].tolist()[: len(lights)], episode.scenario.scenario_id
            others = np.array([row[2:4] for row in simulator.scene().actors[0].tolist() if row[1]]).reshape(-1, 2)
            places = [state.get_transform().location for state in world.get_snapshot() if state.id not in nobody]
            seen = np.array([(one.x, -one.y) for one in places]).reshape(-1, 2)
            assert len(seen) == len(others), episode.scenario.scenario_id
            if len(seen):
                apart = np.hypot(*(seen[:, None] - others[None]).transpose(2, 0, 1))
                assert max(apart.min(axis=0).max(), apart.min(axis=1).max()) < POSITION_M, episode.scenario.scenario_id


def check_touches(client: Any, world: Any) -> None:
    """A hero that leaves its lane meets an oncoming car; the sensor on it tells of the collision in the tick in which they meet."""
    import queue

    import carla

    world = client.load_world("Accident")
    settings = world.get_settings()
    settings.synchronous_mode, settings.fixed_delta_seconds = True, 0.05
    world.apply_settings(settings)
    hero = next(actor for actor in world.get_actors() if actor.attributes.get("role_name") == "hero")
    sensor = world.spawn_actor(world.get_blueprint_library().find("sensor.other.collision"), carla.Transform(), attach_to=hero)
    seen: Any = queue.Queue()
    sensor.listen(seen.put)
    hero.apply_control(carla.VehicleControl(throttle=1.0))
    snapshots: Any = {}
    for _ in range(200):
        frame = world.tick()
        snapshots[frame] = world.get_snapshot()
        # told by a stream of its own, at times only ticks later
        if not seen.empty():
            break
    event = seen.get(timeout=5.0)
    other = event.other_actor
    ahead = hero.get_transform().get_forward_vector()

    def apart(frame: int) -> Any:
        """From the one's middle to the other's along the hero, m."""
        find = snapshots[frame].find
        return (find(other.id).get_transform().location - find(hero.id).get_transform().location).dot(ahead)

    # at 31.5 m/s until they meet; then both stand in each other's way
    assert apart(event.frame - 2) - apart(event.frame - 1) == pytest.approx(31.5 * 0.05, rel=0.02)
    assert apart(event.frame - 1) - apart(event.frame) < 0.5
    assert event.actor.id == hero.id
    assert other.attributes["role_name"] == "scenario"
    # the speed at which they meet, by the hero's mass
    assert event.normal_impulse.length() == pytest.approx(hero.get_physics_control().mass * 31.5, rel=0.02)
    assert ahead.dot(event.normal_impulse) < 0.0
    assert seen.empty()
    sensor.destroy()


@pytest.mark.parametrize("check", [check_vehicles, check_episodes, check_touches])
def test_the_same_drive(server: ServerProcess, check: Any) -> None:
    run_check(check, server.port)
    assert "Traceback" not in server.output, server.output
