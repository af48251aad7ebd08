"""Scripts on an open road as the toy plays them: an ego that does not react collides, one that brakes in time does not."""

from dataclasses import replace

import numpy as np
import pytest
from small_roads import EMPTY, episode, pedals, put_ego, put_vehicle, route, started, straight, two_lanes

from carla_rl.scenario.model import ScriptedActor, Traffic
from carla_rl.types import Infraction, ObjectColumn, ObjectKind
from toy_env.simulator import ToySimulator

ROAD, LANES = straight(), two_lanes()
ASIDE_M = 1.03 + 0.4
"""Half the ego and room beside it."""


def on_road(actor: ScriptedActor, two: bool = False, traffic: Traffic = EMPTY, start_m: float = 0.0) -> ToySimulator:
    network = LANES if two else ROAD
    return started(network, episode(route(network, [0]), actors=(actor,), traffic=traffic, start_m=start_m))


def must_brake(toy: ToySimulator) -> bool:
    """Whether something is or will be within 2 s in the ego's way before it can stop with 3 m/s^2."""
    objects = toy.observe().objects
    assert objects is not None
    speed = float(toy._worlds.world["speed"][0])
    reach = 6.0 + speed * 0.5 + speed * speed / 6.0
    for row in objects[0][objects[0, :, ObjectColumn.KIND] != ObjectKind.NONE]:
        for t in np.linspace(0.0, 2.0, 9):
            x = row[ObjectColumn.X] + row[ObjectColumn.SPEED] * np.cos(row[ObjectColumn.YAW]) * t
            y = row[ObjectColumn.Y] + row[ObjectColumn.SPEED] * np.sin(row[ObjectColumn.YAW]) * t
            if -2.0 < x < reach + row[ObjectColumn.HALF_LENGTH] and abs(y) < ASIDE_M + row[ObjectColumn.HALF_WIDTH]:
                return True
    return False


def drive(toy: ToySimulator, ticks: int, awake: bool) -> list[Infraction]:
    for _ in range(ticks):
        toy.step(pedals(brake=1.0) if awake and must_brake(toy) else pedals(throttle=0.11))
    return [event.kind for event in toy.events(0)]


@pytest.mark.parametrize(
    ("type_name", "two", "hit"),
    [
        ("DynamicObjectCrossing", False, Infraction.COLLISION_PEDESTRIAN),
        ("ParkingCrossingPedestrian", False, Infraction.COLLISION_PEDESTRIAN),
        ("ParkingCutIn", False, Infraction.COLLISION_VEHICLE),
        ("StaticCutIn", True, Infraction.COLLISION_VEHICLE),
        ("HighwayCutIn", True, Infraction.COLLISION_VEHICLE),
        ("HardBreakRoute", False, Infraction.COLLISION_VEHICLE),
        ("ParkedObstacle", True, Infraction.COLLISION_VEHICLE),
        ("Accident", True, Infraction.COLLISION_VEHICLE),
        ("ConstructionObstacle", True, Infraction.COLLISION_STATIC),
        ("HazardAtSideLane", True, Infraction.COLLISION_VEHICLE),
        ("VehicleOpensDoorTwoWays", False, Infraction.COLLISION_STATIC),
    ],
)
def test_who_does_not_react_collides_and_who_brakes_does_not(type_name: str, two: bool, hit: Infraction) -> None:
    actor = ScriptedActor(type=type_name, x=60.0, y=0.0)
    for awake in (False, True):
        toy = on_road(actor, two)
        put_ego(toy, 40.0, speed=8.0)
        found = drive(toy, 500, awake)
        assert found == [] if awake else found[:1] == [hit]


def test_a_leader_is_put_there_only_where_nobody_leads() -> None:
    actor = ScriptedActor(type="HardBreakRoute", x=60.0, y=0.0)
    alone = on_road(actor)
    put_ego(alone, 61.0, speed=8.0)
    # the first tick finds the place on the route
    for _ in range(2):
        alone.step(pedals(throttle=0.11))
    (car,) = alone.scene().actors[0][alone.scene().actors[0, :, 1] != 0]
    assert car[2] == pytest.approx(60.0 + 25.0, abs=0.5)
    assert car[5] == pytest.approx(8.0, abs=0.2)
    led = on_road(actor, traffic=Traffic(vehicles=1))
    put_vehicle(led, 0, lane=0, s=85.0, speed=8.0)
    put_ego(led, 61.0, speed=8.0)
    for _ in range(2):
        led.step(pedals(throttle=0.11))
    assert (led.scene().actors[0, :, 1] != 0).sum() == 1
    assert led._worlds.actors["brake_until"][0, 0] > 190


def test_dirt_disturbs_the_controls_within_2_m_and_only_there() -> None:
    toy = on_road(ScriptedActor(type="ControlLoss", x=60.0, y=0.0))
    put_ego(toy, 59.0, speed=8.0)
    world = toy._worlds.world
    felt, aside = [], 0.0
    for tick in range(240):
        if tick % 40 == 0:
            # back to the middle of the lane, so that it comes over every place
            put_ego(toy, float(world["x"][0]), speed=8.0)
        toy.step(pedals(throttle=0.11))
        assert (world["noise_steer"][0] != 0.0) == (world["noise_throttle"][0] != 0.0)
        aside = max(aside, abs(float(world["y"][0])))
        felt.append((float(world["x"][0]), float(world["noise_steer"][0]), float(world["noise_throttle"][0])))
    places = np.array([x for x, steer, _ in felt if steer != 0.0])
    # the noise of a tick belongs to the place before it; 8 m/s are 0.4 m a tick
    assert all(min(abs(x - place) for place in (74.0, 108.0, 134.0)) < 2.0 + 0.5 for x in places)
    assert len(places) == pytest.approx(3 * 10, abs=3)
    steer = np.abs([steer for _, steer, _ in felt if steer != 0.0])
    assert steer.mean() == pytest.approx(0.055, abs=0.01)
    throttle = np.abs([throttle for _, _, throttle in felt if throttle != 0.0])
    assert throttle.mean() == pytest.approx(0.03, abs=0.007)
    assert 0.1 < aside < 1.0
    assert not toy.events(0)


def test_an_ambulance_that_is_let_by_and_one_that_is_not() -> None:
    actor = ScriptedActor(type="YieldToEmergencyVehicle", x=200.0, y=0.0)
    held = on_road(actor, two=True)
    put_ego(held, 201.0, speed=8.0)
    assert drive(held, 500, awake=False) == [Infraction.YIELD_EMERGENCY]
    free = on_road(actor, two=True)
    put_ego(free, 201.0, y=3.5, speed=8.0)
    assert drive(free, 500, awake=False) == []


def test_traffic_changes_lanes_before_an_obstacle() -> None:
    toy = on_road(ScriptedActor(type="ParkedObstacle", x=60.0, y=0.0), two=True, traffic=Traffic(vehicles=1, speed_factor=1.0))
    put_ego(toy, 70.0)
    toy.step(pedals(brake=1.0))
    row = put_vehicle(toy, 0, lane=0, s=120.0, speed=8.0)
    lanes, sides = [], []
    for _ in range(145):
        toy.step(pedals(brake=1.0))
        lanes.append(int(row["lane"][0]))
        sides.append(float(row["y"][0]))
    assert lanes[0] == 0
    assert lanes[-1] == 1
    assert row["x"][0] > 185.0
    # it slides over: never more than 1.2 m/s to the side
    assert np.abs(np.diff(sides)).max() < 1.2 * 0.05 + 1e-6
    assert sides[-1] == pytest.approx(3.5)


def test_the_oncoming_lane_may_be_used_round_an_obstacle() -> None:
    for type_name, counted in (("ParkedObstacleTwoWays", False), ("DynamicObjectCrossing", True)):
        toy = on_road(ScriptedActor(type=type_name, x=60.0, y=0.0))
        put_ego(toy, 70.0, speed=6.0)
        toy.step(pedals())
        put_ego(toy, 72.0, y=3.5, speed=6.0)
        for _ in range(40):
            toy.step(pedals(throttle=0.08))
        assert (Infraction.OUTSIDE_ROUTE_LANES in [event.kind for event in toy.events(0)]) == counted


def test_an_episode_is_the_same_in_any_env_beside_any_others() -> None:
    actors = (
        ScriptedActor(name="a", type="ControlLoss", x=60.0, y=0.0),
        ScriptedActor(name="b", type="VehicleOpensDoorTwoWays", x=200.0, y=0.0),
        ScriptedActor(name="c", type="InvadingTurn", x=300.0, y=0.0),
    )
    one = episode(route(ROAD, [0]), actors=actors, traffic=Traffic(vehicles=6, pedestrians=2))
    others = [replace(one, repetition=number) for number in range(1, 5)]
    alone, among = started(ROAD, one), started(ROAD, *others[:3], one, others[3])
    for _ in range(700):
        alone.step(pedals(throttle=0.3))
        among.step(pedals(5, throttle=0.3))
    assert alone.scene().actors[0].tobytes() == among.scene().actors[3].tobytes()
    assert alone._worlds.world[0].tobytes() != among._worlds.world[0].tobytes()
    assert alone._worlds.world["y"][0] == among._worlds.world["y"][3] != 0.0
