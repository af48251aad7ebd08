"""Scripts at junctions as the toy plays them: lights, flows, who crosses; worked out by hand on a crossing."""

import numpy as np
import pytest
from small_roads import EMPTY, crossing, episode, pedals, put_ego, put_vehicle, route, started

from carla_rl.scenario.model import ScriptedActor, Traffic
from carla_rl.scenario.script import Law
from carla_rl.types import Infraction, LightState, ObjectKind
from toy_env.simulator import ToySimulator

LIT, PLAIN = crossing(lights=True), crossing()
TURN = ScriptedActor(type="SignalizedJunctionLeftTurn", x=-40.0, y=0.0)
RUNNER = ScriptedActor(type="OppositeVehicleTakingPriority", x=-60.0, y=0.0)


def at_junction(actor: ScriptedActor, lit: bool = True, traffic: Traffic = EMPTY) -> ToySimulator:
    network = LIT if lit else PLAIN
    return started(network, episode(route(network, [0, 1, 2]), actors=(actor,), traffic=traffic))


def shown(toy: ToySimulator) -> np.ndarray:
    """The actors that are there: x, y, speed each."""
    actors = toy.scene().actors[0]
    return actors[actors[:, 1] != ObjectKind.NONE][:, [2, 3, 5]]


def light(toy: ToySimulator) -> int:
    seen = toy.observe().light
    assert seen is not None
    return int(seen[0, 1])


def test_the_ego_gets_green_5_s_after_the_trigger_and_the_cycle_goes_on_afterwards() -> None:
    toy, plain = at_junction(TURN), at_junction(TURN)
    put_ego(toy, -39.0)
    states = []
    for _ in range(150):
        toy.step(pedals(brake=1.0))
        plain.step(pedals(brake=1.0))
        states.append(light(toy))
    # the lights are looked at after the tick: 5 s after the trigger are 100 of them
    assert states[1:98] == [LightState.RED] * 97
    assert states[102:] == [LightState.GREEN] * 48
    assert toy.scene().lights[0, 1] == LightState.GREEN
    # behind the place where it is over
    put_ego(toy, 60.0)
    for _ in range(3):
        toy.step(pedals(brake=1.0))
        plain.step(pedals(brake=1.0))
    assert (toy.scene().lights == plain.scene().lights).all()
    assert not len(shown(toy))


def test_a_flow_comes_at_its_speed_with_its_gaps() -> None:
    toy = at_junction(TURN)
    toy._worlds.parts["law"] = Law.KEEPS
    put_ego(toy, -39.0)
    for _ in range(200):
        toy.step(pedals(brake=1.0))
    flow = shown(toy)
    assert len(flow) >= 3
    assert flow[:, 2] == pytest.approx(20.0)
    assert (flow[:, 0] == 0.0).all()
    assert (np.diff(np.sort(flow[:, 1])) >= 25.0 - 1e-3).all()
    # gaps are checked once a tick, in which 20 m/s are a metre
    assert (np.diff(np.sort(flow[:, 1])) <= 51.0).all()


def test_a_flow_waits_while_the_ego_stands_at_its_source() -> None:
    toy = at_junction(TURN)
    put_ego(toy, -39.0)
    toy.step(pedals(brake=1.0))
    toy._worlds.actors["kind"] = 0
    toy._worlds.parts["state"] = 0
    toy._worlds.world["x"], toy._worlds.world["y"] = 0.0, -84.0
    toy.step(pedals(brake=1.0))
    assert not len(shown(toy))


def test_who_does_not_give_way_is_hit_and_the_flow_then_stands() -> None:
    kinds = []
    for law in (Law.KEEPS, Law.FOLLOWS):
        toy = at_junction(TURN)
        toy._worlds.parts["law"] = law
        put_ego(toy, -39.0)
        for _ in range(100):
            toy.step(pedals(brake=1.0))
        put_ego(toy, -4.0, speed=3.0)
        for _ in range(100):
            toy.step(pedals(throttle=0.1))
        kinds.append([event.kind for event in toy.events(0)][:1])
    # a flow that heeds the ego stops for it
    assert kinds == [[Infraction.COLLISION_VEHICLE], []]


def test_a_flow_and_an_ego_that_wait_for_one_another_are_parted() -> None:
    toy = at_junction(TURN)
    put_ego(toy, -39.0)
    for _ in range(100):
        toy.step(pedals(brake=1.0))
    put_ego(toy, 0.0)
    for _ in range(240):
        toy.step(pedals(brake=1.0))
    stands = shown(toy)
    assert stands[0, 2] < 0.1
    # 10 s after it came to rest the first one is gone
    for _ in range(220):
        toy.step(pedals(brake=1.0))
    assert not toy.events(0)
    assert not np.isclose(shown(toy)[:, 1], stands[0, 1], atol=0.1).any()


def test_240_s_are_the_limit() -> None:
    toy = at_junction(TURN)
    toy._worlds.world["blocked_ticks"] = 10**6
    put_ego(toy, -39.0)
    for _ in range(240 * 20 + 2):
        toy.step(pedals(brake=1.0))
    (event,) = toy.events(0)
    assert event.kind == Infraction.SCENARIO_TIMEOUT
    assert event.tick == pytest.approx(4800, abs=2)
    assert not len(shown(toy))


def test_who_drives_on_is_hit_by_who_takes_priority_and_who_waits_is_not() -> None:
    asleep = at_junction(RUNNER, lit=False)
    put_ego(asleep, -61.0, speed=8.0)
    for _ in range(200):
        asleep.step(pedals(throttle=0.11))
    assert [event.kind for event in asleep.events(0)] == [Infraction.COLLISION_VEHICLE]

    awake = at_junction(RUNNER, lit=False)
    put_ego(awake, -61.0, speed=8.0)
    for _ in range(700):
        comes = any(speed > 0.0 and y < 5.0 for _, y, speed in shown(awake))
        awake.step(pedals(brake=1.0) if comes else pedals(throttle=0.11))
    assert awake.events(0) == ()
    assert awake._worlds.world["x"][0] > 20.0


def test_the_junction_is_cleared_and_shut() -> None:
    toy = at_junction(RUNNER, lit=False, traffic=Traffic(vehicles=3))
    put_ego(toy, -61.0)
    put_vehicle(toy, 0, lane=1, s=10.0)
    put_vehicle(toy, 1, lane=3, s=60.0, speed=5.0)
    put_vehicle(toy, 2, lane=5, s=180.0)
    before = int(toy._worlds.actors["id"][0, 0])
    put_ego(toy, -59.0)
    # the first tick finds the place on the route
    for _ in range(2):
        toy.step(pedals(brake=1.0))
    # who stood inside is gone
    assert toy._worlds.actors["kind"][0, 0] == 0
    for _ in range(100):
        toy.step(pedals(brake=1.0))
    # nobody enters from the side while it is shut
    traffic = toy._worlds.actors[0, :3]
    inside = (np.abs(traffic["x"]) < 9.0) & (np.abs(traffic["y"]) < 9.0) & (traffic["kind"] != 0)
    assert not inside.any()
    # and comes back elsewhere, as another one
    assert int(toy._worlds.actors["id"][0, 0]) != before


def test_who_is_between_the_ego_and_a_shut_junction_drives_on() -> None:
    toy = at_junction(RUNNER, lit=False, traffic=Traffic(vehicles=1))
    put_ego(toy, -59.0)
    for _ in range(2):
        toy.step(pedals(brake=1.0))
    # at rest before the ego on its own lane, 10 m before the junction: if it stayed, nobody would ever get on
    put_vehicle(toy, 0, lane=0, s=80.0)
    for _ in range(80):
        toy.step(pedals(brake=1.0))
    assert toy._worlds.actors[0, 0]["x"] > -8.0


def test_the_car_behind_the_junction_goes_after_10_s() -> None:
    toy = at_junction(ScriptedActor(type="BlockedIntersection", x=-60.0, y=0.0), lit=False)
    put_ego(toy, -30.0)
    for _ in range(300):
        toy.step(pedals(brake=1.0))
    assert len(shown(toy)) == 1
    put_ego(toy, 4.0)
    gone_after = 0
    while len(shown(toy)):
        toy.step(pedals(brake=1.0))
        gone_after += 1
    # 10 s, and a metre at 5 m/s
    assert gone_after == pytest.approx(200 + 4, abs=3)
