"""Scripts around the ego's own driving and those who cut in, worked out by hand."""

import pytest
from casting_parts import end, script, start
from small_roads import straight, two_lanes

from carla_rl.errors import UsageError
from carla_rl.scenario.script import Appears, Cue, Law
from carla_rl.types import ObjectKind

ROAD, LANES = straight(), two_lanes()


def test_dirt_at_three_places() -> None:
    it = script(ROAD, [0], "ControlLoss", 50.0)
    assert [start(part) for part in it.parts] == [(64.0, 0.0), (98.0, 0.0), (124.0, 0.0)]
    assert {part.model.kind for part in it.parts} == {ObjectKind.NONE}
    assert [noise.s for noise in it.noises] == [64.0, 98.0, 124.0]
    assert it.noises[0].throttle == (0.03, 0.01)
    assert it.noises[0].steer == (0.055, 0.015)
    assert it.over_s == 160.0


def test_a_leader_that_brakes() -> None:
    it = script(ROAD, [0], "HardBreakRoute", 50.0)
    (leader,) = it.parts
    assert (leader.appears, leader.law, leader.start_s) == (Appears.UNLESS_LED, Law.LEADS, 25.0)
    assert (it.brake_s, leader.brake_s, leader.brake_after_s) == (10.0, 10.0, 1.0)
    assert (it.over_s, end(leader)) == (200.0, (200.0, 0.0))
    assert script(ROAD, [0], "HardBreakRoute", 580.0).parts == ()


def test_an_ambulance_from_behind() -> None:
    it = script(ROAD, [0], "YieldToEmergencyVehicle", 200.0)
    (ambulance,) = it.parts
    assert start(ambulance) == (60.0, 0.0)
    assert (ambulance.speed, it.yields_part) == (35.0, 0)
    (ambulance,) = script(ROAD, [0], "YieldToEmergencyVehicle", 100.0).parts
    assert start(ambulance) == (0.0, 0.0)
    with pytest.raises(UsageError, match="only 10 m of road behind the trigger"):
        script(ROAD, [0], "YieldToEmergencyVehicle", 10.0)


def test_a_parked_car_pulls_out() -> None:
    parked, cutter = script(ROAD, [0], "ParkingCutIn", 50.0).parts
    out = 1.75 + 0.1 + 0.95
    assert start(parked) == (78.0, pytest.approx(-out))
    assert start(cutter) == (85.0, 0.0)
    assert (cutter.aside, cutter.aside_to) == (pytest.approx(-out), 0.0)
    assert (cutter.cue, cutter.place_s, cutter.cue_time_s, cutter.cue_m) == (Cue.NEAR, 85.0, 2.35, 10.0)


def test_a_car_out_of_a_queue() -> None:
    it = script(LANES, [0], "StaticCutIn", 50.0)
    # the right is wanted, but only to the left is there a lane
    assert [start(part) for part in it.parts] == [
        (150.0, 3.5), (161.0, 3.5), (172.0, 0.0), (183.0, 3.5), (194.0, 3.5), (205.0, 3.5)
    ]  # fmt: skip
    cutter = it.parts[2]
    assert (cutter.aside, cutter.speed) == (pytest.approx(3.5), pytest.approx(60.0 / 3.6))
    with pytest.raises(UsageError, match="no lane of the same direction beside"):
        script(ROAD, [0], "StaticCutIn", 50.0)


def test_a_car_from_beside_that_arrives_with_the_ego() -> None:
    it = script(LANES, [0], "HighwayCutIn", 50.0)
    (car,) = it.parts
    # 15 m ahead of the ego; 80 m on it is to be 10 m ahead
    assert start(car) == (65.0, 3.5)
    assert (car.law, car.meet_s, car.place_s) == (Law.ARRIVES, pytest.approx(80.0), pytest.approx(135.0))
    # the limit is 10 m/s: 0.3 s of it farther it leaves its lane, 2 s more and it is in the ego's
    assert abs(car.path.y[:83] - 3.5).max() < 0.01
    assert car.path.y[int(car.path.s.searchsorted(80.0 + 14.0))] == pytest.approx(1.75, abs=0.2)
    assert car.path.y[int(car.path.s.searchsorted(80.0 + 25.0))] == pytest.approx(0.0, abs=0.01)
    by_place = script(LANES, [0], "HighwayCutIn", 50.0, other_actor_location__x=40.0, other_actor_location__y=3.5)
    assert start(by_place.parts[0]) == (40.0, 3.5)
