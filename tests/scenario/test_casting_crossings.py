"""Where pedestrians and bicycles of scripts are put, worked out by hand."""

import math

import pytest
from casting_parts import end, script, start
from small_roads import crossing, straight

from carla_rl.errors import UsageError
from carla_rl.scenario.script import Cue, Law
from carla_rl.types import ObjectKind

ROAD, CROSS = straight(), crossing()


def test_a_pedestrian_behind_a_vending_machine() -> None:
    it = script(ROAD, [0], "DynamicObjectCrossing", 200.0)
    walker, machine = it.parts
    # 12 m on, 0.8 m outside the lane's edge at 1.75 m, across both lanes to 0.8 m outside the other's at 5.25 m
    assert start(walker) == (212.0, -2.55)
    assert end(walker) == (212.0, 6.05)
    assert (walker.place_s, walker.meet_s, walker.speed) == (212.0, pytest.approx(2.55), 2.0)
    assert (walker.cue, walker.law) == (Cue.MEETS, Law.PACED)
    # half the machine and half a metre before it
    assert start(machine) == (210.95, -2.55)
    assert machine.model.blueprint == "static.prop.vendingmachine"
    assert it.over_s == 252.0


def test_from_the_left_at_an_angle_and_behind_a_car() -> None:
    it = script(
        ROAD, [0], "DynamicObjectCrossing", 200.0, direction="left", distance=30, crossing_angle=45, blocker_model="vehicle.audi.tt"
    )
    walker, car = it.parts
    assert start(walker) == (230.0, 6.05)
    # as far back as across: 8.6 m
    assert end(walker) == pytest.approx((221.4, -2.55), abs=0.01)
    assert walker.path.yaw[0] == pytest.approx(-math.radians(135.0))
    assert walker.meet_s == pytest.approx(6.05 * math.sqrt(2.0))
    assert walker.place_s == pytest.approx(230.0 - 6.05)
    assert (car.model.blueprint, car.model.kind) == ("vehicle.audi.tt", ObjectKind.VEHICLE)


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"distance": "far"}, "distance must be a number above 0"),
        ({"direction": "up"}, "direction must be one of right, left"),
        ({"crossing_angle": 85}, "crossing_angle must be below 80"),
    ],
)
def test_parameters_that_make_no_sense(parameters: dict[str, str | float], message: str) -> None:
    with pytest.raises(UsageError, match=f"scenario small: it .DynamicObjectCrossing. at .200.0, 0.0.: {message}"):
        script(ROAD, [0], "DynamicObjectCrossing", 200.0, **parameters)


def test_a_pedestrian_behind_a_parked_car() -> None:
    it = script(ROAD, [0], "ParkingCrossingPedestrian", 200.0)
    walker, car = it.parts
    # the car beside the lane: 0.8 m and its half width outside
    assert start(car) == (212.0, pytest.approx(-(1.75 + 0.8 + 0.95)))
    assert start(walker) == (pytest.approx(212.0 + 2.45 + 0.5), -2.55)


def test_a_bicycle_behind_the_junction() -> None:
    (rider,) = script(CROSS, [0, 1, 2], "VehicleTurningRoute", -40.0).parts
    # the junction ends at x = 10, whose first point of the route behind it is the next one
    assert start(rider)[0] == pytest.approx(22.0, abs=1.01)
    assert rider.model.kind == ObjectKind.BICYCLE
    assert rider.speed == 1.8


def test_a_pedestrian_behind_the_junction_comes_from_the_far_side() -> None:
    # straight on counts as a turn to the right: from the left
    (walker,) = script(CROSS, [0, 1, 2], "VehicleTurningRoutePedestrian", -40.0).parts
    assert start(walker)[1] > 0.0 > end(walker)[1]
    assert start(walker)[0] == pytest.approx(13.0, abs=1.01)


def test_three_pedestrians_before_the_junction() -> None:
    it = script(CROSS, [0, 1, 2], "PedestrianCrossing", -60.0)
    assert [start(part)[0] for part in it.parts] == pytest.approx([-11.6, -11.0, -10.4], abs=1.01)
    assert all(1.3 <= part.speed <= 2.0 and 0.0 <= part.delay_s <= 1.5 for part in it.parts)
    assert len({part.speed for part in it.parts}) == 3
    assert all((part.cue, part.cue_time_s, part.cue_m) == (Cue.NEAR, 3.5, 12.0) for part in it.parts)


def test_no_junction_ahead() -> None:
    with pytest.raises(UsageError, match="enters no junction behind the trigger"):
        script(CROSS, [0, 1, 2], "PedestrianCrossing", 0.0)
    with pytest.raises(UsageError, match="no junction behind the trigger"):
        script(ROAD, [0], "VehicleTurningRoute", 200.0)
