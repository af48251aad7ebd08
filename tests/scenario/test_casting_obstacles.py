"""What scripts put into the ego's lane, worked out by hand."""

import numpy as np
import pytest
from casting_parts import end, script, start
from small_roads import crossing, straight, two_lanes

from carla_rl.build import Networks
from carla_rl.errors import UsageError
from carla_rl.scenario.casting import cast
from carla_rl.scenario.script import Appears, Blocked, Cue, Law
from carla_rl.scenario.suite import load_suite
from carla_rl.types import ObjectKind

ROAD, LANES = straight(), two_lanes()


def test_a_parked_car() -> None:
    it = script(LANES, [0], "ParkedObstacle", 50.0)
    (car,) = it.parts
    # 120 m on, 0.7 of half a lane to the right
    assert start(car) == (170.0, pytest.approx(-0.7 * 1.75, abs=0.01))
    assert it.blocked == Blocked(0, 170.0, 1, 170.0)
    assert (it.over_s, it.timeout_s, it.oncoming) == (220.0, 240.0, False)
    (car,) = script(LANES, [0], "ParkedObstacle", 50.0, direction="left", distance=40).parts
    assert start(car) == (90.0, pytest.approx(0.7 * 1.75, abs=0.01))


def test_no_farther_than_the_junction() -> None:
    (car,) = script(crossing(), [0, 1, 2], "ParkedObstacle", -60.0).parts
    # the route enters the junction at x = -10
    assert start(car)[0] == pytest.approx(-11.0, abs=1.01)


def test_oncoming_traffic() -> None:
    it = script(ROAD, [0], "ParkedObstacleTwoWays", 50.0, frequency__from=30, frequency__to=60)
    flow = it.parts[-1]
    # the limit is 10 m/s = 36 km/h: 1.5 m for each and 30 m are 84 m, to either side of x = 170
    assert start(flow) == (254.0, 3.5)
    assert end(flow) == (86.0, 3.5)
    assert (flow.flow, flow.law, flow.speed) == ((30.0, 60.0), Law.FOLLOWS, 10.0)
    assert (flow.cue, flow.place_s, flow.cue_m, flow.delay_s) == (Cue.NEAR, 170.0, 50.0, 5.0)
    # from about rest, as ScenarioRunner's begin
    assert flow.first_speed == 4.0
    assert it.oncoming
    assert it.blocked == Blocked(0, 170.0, -1, 0.0)
    with pytest.raises(UsageError, match="no oncoming lane"):
        script(LANES, [0], "AccidentTwoWays", 50.0)


def test_oncoming_traffic_by_type() -> None:
    # beside an accident it is counted from its last car, at a construction it begins when the ego is 30 m away
    assert start(script(ROAD, [0], "AccidentTwoWays", 50.0).parts[-1]) == (186.0 + 84.0, 3.5)
    assert script(ROAD, [0], "ConstructionObstacleTwoWays", 50.0).parts[-1].cue_m == 30.0
    assert script(ROAD, [0], "HazardAtSideLaneTwoWays", 50.0).parts[-1].flow == (100.0, 100.0)
    assert script(ROAD, [0], "HazardAtSideLaneTwoWays", 50.0, frequency=70).parts[-1].flow == (70.0, 70.0)


def test_room_between_an_obstacle_and_the_junction_where_oncoming_cars_begin() -> None:
    networks = Networks()
    suite = load_suite("scripted", networks, "ParkedObstacleTwoWays")
    network, route = networks("grid"), suite.routes[0]
    (it,) = cast(network, route, suite.scenarios[0])
    _, flow = it.parts
    inside = network.roads.junction[route.lane] >= 0
    entry_s = float(route.s[np.flatnonzero(inside & (route.s > it.trigger_s))[0]])
    # 60 m are asked for; 40 m and one more are left to the junction
    assert flow.place_s == pytest.approx(min(it.trigger_s + 60.0, entry_s - 41.0))
    assert not flow.path.inside.any()


def test_an_accident() -> None:
    it = script(LANES, [0], "Accident", 50.0)
    assert [start(part) for part in it.parts] == [(x, pytest.approx(-1.05)) for x in (170.0, 180.0, 186.0)]
    assert [part.model.kind for part in it.parts] == [ObjectKind.EMERGENCY, ObjectKind.VEHICLE, ObjectKind.VEHICLE]
    assert it.over_s == 236.0


def test_a_construction() -> None:
    it = script(LANES, [0], "ConstructionObstacle", 50.0)
    sign, *cones = it.parts
    assert start(sign) == (145.0, 0.0)
    side = 0.85 * 1.75
    assert [start(cone) for cone in cones[:5]] == [(150.0 + 2.0 * n, pytest.approx(side, abs=0.01)) for n in range(5)]
    assert [start(cone)[1] for cone in cones[5:]] == pytest.approx([0.4 * side, -0.2 * side, -0.8 * side], abs=0.01)
    assert it.blocked == Blocked(0, 144.0, 1, 144.0) or it.blocked == Blocked(0, 146.0, 1, 146.0)


def test_two_bicycles() -> None:
    it = script(LANES, [0], "HazardAtSideLane", 50.0)
    assert [start(part)[0] for part in it.parts] == [150.0, 159.0]
    assert [end(part)[0] for part in it.parts] == [200.0, 209.0]
    assert all(part.speed == pytest.approx(10.0 / 3.6) and part.aside == pytest.approx(-0.55 * 1.75) for part in it.parts)


def test_bicycles_stop_20_m_before_a_junction() -> None:
    # the junction begins at x = -10; the second one stops at -30, the first 9 m behind it
    it = script(crossing(), [0, 1, 2], "HazardAtSideLane", -80.0, distance=10)
    assert [end(part)[0] for part in it.parts] == pytest.approx([-39.0, -30.0], abs=1.01)


def test_a_door() -> None:
    it = script(ROAD, [0], "VehicleOpensDoorTwoWays", 50.0)
    car, door, _ = it.parts
    # beside the lane: 10 cm and half its width outside; the door reaches 0.9 m from there
    assert start(car) == (100.0, pytest.approx(-(1.75 + 0.1 + 0.95)))
    assert start(door) == (100.0, pytest.approx(-(1.75 + 0.1 - 0.45)))
    assert (door.appears, door.cue, door.cue_time_s, door.cue_m) == (Appears.AT_CUE, Cue.NEAR, 3.0, 10.0)


def test_an_invaded_lane() -> None:
    it = script(ROAD, [0], "InvadingTurn", 50.0, offset=0.35)
    flow, *cones = it.parts
    assert (start(flow), end(flow)) == ((180.0, 3.5), (50.0, 3.5))
    # 0.35 m beyond the middle of the road for a car of 0.7 m half width
    assert flow.aside == pytest.approx(0.35 + 1.75 - 0.7)
    assert flow.flow == (40.0, 40.0)
    assert len(cones) == 10
    assert [start(cone)[1] for cone in cones] == pytest.approx([3.5 + 0.8 * 1.75] * 10)


def test_no_room_before_the_junction() -> None:
    with pytest.raises(UsageError, match="no room for it before the junction"):
        script(crossing(), [0, 1, 2], "Accident", -20.0)
