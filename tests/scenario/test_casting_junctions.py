"""Traffic of scripts at junctions, worked out by hand on a crossing, and on our own towns by what each type is about."""

import math

import numpy as np
import pytest
from casting_parts import end, script, start
from small_roads import Lane, build, crossing

from carla_rl.build import Networks
from carla_rl.errors import UsageError
from carla_rl.scenario.casting import TYPES, cast
from carla_rl.scenario.casting.stage import direction
from carla_rl.scenario.script import Law, LightHold
from carla_rl.scenario.suite import load_suite
from carla_rl.types import ObjectKind

EAST = [0, 1, 2]


@pytest.mark.parametrize(
    ("degrees", "side"),
    [(0, "ref"), (30, "ref"), (31, "right"), (135, "right"), (180, "opposite"), (226, "left"), (329, "left"), (331, "ref")],
)
def test_where_traffic_comes_from(degrees: float, side: str) -> None:
    assert direction(math.radians(degrees)) == side


def test_an_ambulance_takes_priority() -> None:
    it = script(crossing(), EAST, "OppositeVehicleTakingPriority", -40.0)
    (ambulance,) = it.parts
    # from 30 m before the junction at y = -10, through 20 m of it, to 10 m behind
    assert start(ambulance) == (0.0, -40.0)
    assert end(ambulance) == (0.0, 20.0)
    # both ways cross at (0, 0); the route begins at x = -100; the first points within a metre of each other count
    assert ambulance.place_s == pytest.approx(100.0, abs=1.01)
    assert ambulance.meet_s == pytest.approx(40.0, abs=1.01)
    assert ambulance.speed == pytest.approx(60.0 / 3.6)
    assert ambulance.model.kind == ObjectKind.EMERGENCY
    assert (it.junction, it.lights, it.timeout_s) == (7, None, 0.0)
    assert it.over_s == pytest.approx(110.0, abs=1.01)


def test_the_ego_has_green_where_a_vehicle_runs_the_red_light() -> None:
    it = script(crossing(lights=True), EAST, "OppositeVehicleRunningRedLight", -40.0)
    assert it.lights == LightHold(7, 0.0, (0,), (0,))


def test_a_flow_from_the_only_side_there_is() -> None:
    it = script(crossing(lights=True), EAST, "SignalizedJunctionLeftTurn", -40.0)
    (flow,) = it.parts
    # 4 s and 2.5 s of 20 m/s before and behind
    assert start(flow) == (0.0, -90.0)
    assert end(flow) == (0.0, 60.0)
    # from the right instead of from ahead, so it heeds the ego
    assert (flow.law, flow.speed, flow.first_speed, flow.flow, flow.filled) == (Law.FOLLOWS, 20.0, 0.0, (25.0, 50.0), False)
    # phase 0 is the ego's, phase 1 the flow's
    assert it.lights == LightHold(7, 5.0, (1,), (0, 1))
    assert it.timeout_s == 240.0
    assert it.over_s == pytest.approx(120.0, abs=1.01)


def test_parameters_of_a_flow() -> None:
    parameters = {"flow_speed": 5.0, "source_dist_interval__from": 10.0, "source_dist_interval__to": 20.0}
    it = script(crossing(), EAST, "NonSignalizedJunctionRightTurn", -40.0, **parameters)
    (flow,) = it.parts
    # 5 s and 3 s of 5 m/s
    assert start(flow) == (0.0, -35.0)
    assert end(flow) == (0.0, 25.0)
    assert (flow.flow, flow.filled, it.lights) == ((10.0, 20.0), True, None)
    with pytest.raises(UsageError, match="source_dist_interval runs backwards, from 30 to 20"):
        script(crossing(), EAST, "NonSignalizedJunctionRightTurn", -40.0, **(parameters | {"source_dist_interval__from": 30.0}))


def test_a_signalised_type_at_a_junction_without_lights_goes_without() -> None:
    assert script(crossing(), EAST, "SignalizedJunctionLeftTurn", -40.0).lights is None


def test_a_junction_that_nothing_crosses() -> None:
    alone = build(
        "alone",
        [
            Lane((-100.0, 0.0), (-10.0, 0.0), after=(1,)),
            Lane((-10.0, 0.0), (10.0, 0.0), after=(2,), junction=7),
            Lane((10.0, 0.0), (200.0, 0.0)),
        ],
    )
    with pytest.raises(UsageError, match="no way through the junction ahead crosses the ego's"):
        script(alone, EAST, "SignalizedJunctionLeftTurn", -40.0)


def test_a_car_stands_behind_the_junction() -> None:
    it = script(crossing(), EAST, "BlockedIntersection", -40.0)
    (car,) = it.parts
    assert start(car)[0] == pytest.approx(15.0, abs=1.01)
    assert (car.cue_m, car.delay_s) == (13.0, 10.0)


def test_a_flow_between_two_places() -> None:
    places = {"start_actor_flow__x": 0.0, "start_actor_flow__y": -80.0, "end_actor_flow__x": 0.0, "end_actor_flow__y": 100.0}
    (flow,) = script(crossing(), EAST, "EnterActorFlow", -40.0, **places).parts
    assert (start(flow), end(flow)) == ((0.0, -80.0), (0.0, 100.0))
    assert (flow.speed, flow.flow, flow.filled) == (10.0, (20.0, 50.0), True)
    with pytest.raises(UsageError, match=r"start_actor_flow\.y must be a number"):
        script(crossing(), EAST, "EnterActorFlow", -40.0, start_actor_flow__x=0.0)


SUITE = load_suite("scripted", Networks())


def test_the_suite_has_one_scenario_of_each_type() -> None:
    assert sorted(scenario.scenario_id for scenario in SUITE.scenarios) == sorted(TYPES)


@pytest.mark.parametrize(
    ("type_name", "side"),
    [
        ("SignalizedJunctionLeftTurn", "opposite"),
        ("NonSignalizedJunctionLeftTurn", "opposite"),
        ("SignalizedJunctionRightTurn", "left"),
        ("NonSignalizedJunctionRightTurn", "left"),
        ("OppositeVehicleRunningRedLight", "right"),
        ("OppositeVehicleTakingPriority", "right"),
    ],
)
def test_traffic_comes_from_the_side_that_its_type_says(type_name: str, side: str) -> None:
    networks = Networks()
    (number,) = [n for n, scenario in enumerate(SUITE.scenarios) if scenario.scenario_id == type_name]
    scenario, route = SUITE.scenarios[number], SUITE.routes[number]
    (it,) = cast(networks(scenario.town), route, scenario)
    path = it.parts[0].path
    entry = float(path.yaw[np.flatnonzero(path.inside)[0]])
    ego = float(route.yaw[int(np.searchsorted(route.s, it.trigger_s))])
    assert direction(entry - ego) == side
    assert (it.lights is not None) == (type_name.startswith("Signalized") or "RedLight" in type_name)
    # the flow really is in the way
    away = np.hypot(route.x[:, None] - path.x, route.y[:, None] - path.y)
    assert away.min() < 1.5


def test_every_script_of_the_suite_lies_on_its_route() -> None:
    networks = Networks()
    for scenario, route in zip(SUITE.scenarios, SUITE.routes, strict=True):
        (it,) = cast(networks(scenario.town), route, scenario)
        assert 0.0 <= it.trigger_s < it.over_s
        assert it.trigger_s < route.length
        for part in it.parts:
            assert (np.diff(part.path.s) > 0.0).all()
            away = np.hypot(route.x[:, None] - part.path.x, route.y[:, None] - part.path.y)
            assert away.min() < 15.0
