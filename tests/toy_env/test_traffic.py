"""How traffic drives: the law of following, lights, signs and right of way, with numbers worked out by hand."""

import math

import numpy as np
import pytest
from small_roads import LIMIT, Lane, build, crossing, episode, pedals, put_ego, put_vehicle, route, started, straight

from carla_rl.roads.network import Right, RoadNetwork
from carla_rl.scenario.model import Traffic
from carla_rl.world.following import IDM_ACCEL, IDM_ROOM_M, idm
from toy_env.simulator import ToySimulator

STRAIGHT = straight()


def world(network: RoadNetwork, vehicles: int, seed: int = 1, ego_lane: int = 0) -> ToySimulator:
    """Traffic as fast as the limit allows, the ego at rest at the start of `ego_lane` (and of its route)."""
    lanes = {"straight": [ego_lane], "bend": [0, 1]}.get(network.town, [ego_lane, ego_lane + 1, ego_lane + 2])
    toy = started(network, episode(route(network, lanes), traffic=Traffic(vehicles=vehicles, speed_factor=1.0), seed=seed))
    toy._worlds.actors["kind"] = 0
    return toy


def run(toy: ToySimulator, ticks: int) -> None:
    for _ in range(ticks):
        toy.step(pedals(brake=1.0))


def test_the_law_at_its_fixed_points() -> None:
    assert idm(10.0, 10.0, 1e9, 0.0, 1.5) == 0.0
    assert idm(0.0, 10.0, 1e9, 0.0, 1.5) == IDM_ACCEL
    # at the equilibrium gap s = (s0 + v T) / sqrt(1 - (v / v0)^4) behind something as fast nothing changes
    gap = (IDM_ROOM_M + 5.0 * 1.5) / math.sqrt(1.0 - 0.5**4)
    assert gap == pytest.approx(9.811, abs=1e-3)
    assert idm(5.0, 10.0, gap, 5.0, 1.5) == pytest.approx(0.0, abs=1e-12)
    assert idm(10.0, 10.0, 0.0, 0.0, 1.5) == -8.0


def test_a_follower_settles_at_the_equilibrium_gap() -> None:
    toy = world(STRAIGHT, 2)
    put_vehicle(toy, 0, lane=0, s=60.0, speed=5.0)
    put_vehicle(toy, 1, lane=0, s=30.0, speed=5.0)
    for _ in range(900):
        leader = toy._worlds.actors[0, 0]
        leader["speed"], leader["acceleration"] = 5.0, 0.0
        leader["s"] = min(leader["s"], 100.0)  # a treadmill: both are carried back together
        if leader["s"] >= 100.0:
            back = 40.0
            for row in toy._worlds.actors[0, :2]:
                row["s"] -= back
                row["sample"] = 0
        leader["brake_until"] = 0
        toy.step(pedals(brake=1.0))
    actors = toy._worlds.actors[0]
    gap = actors["s"][0] - actors["s"][1] - 5.0
    # the leader decides for itself every fourth tick, so it is a little faster than 5 m/s now and then
    assert gap == pytest.approx(9.81, abs=0.6)


def test_free_driving_reaches_the_limit() -> None:
    toy = world(STRAIGHT, 1)
    put_vehicle(toy, 0, lane=0, s=10.0)
    run(toy, 200)
    assert toy._worlds.actors["speed"][0, 0] == pytest.approx(LIMIT, abs=0.4)


def test_it_stops_behind_the_ego() -> None:
    toy = world(STRAIGHT, 1)
    put_ego(toy, 80.0)
    put_vehicle(toy, 0, lane=0, s=10.0, speed=10.0)
    run(toy, 400)
    actor = toy._worlds.actors[0, 0]
    assert actor["speed"] < 0.05
    # bumper to bumper; the law comes to rest a little beyond s0
    assert 80.0 - 2.45 - actor["s"] - 2.5 == pytest.approx(IDM_ROOM_M, abs=0.5)
    assert not toy.events(0)


def test_a_slower_road_ahead_is_reached_at_its_limit() -> None:
    town = build("bend", [Lane((0.0, 0.0), (150.0, 0.0), after=(1,)), Lane((150.0, 0.0), (300.0, 0.0), limit=4.0)])
    toy = world(town, 1)
    put_ego(toy, 100.0, y=-20.0)
    put_vehicle(toy, 0, lane=0, s=10.0, speed=10.0)
    speeds = []
    for _ in range(420):
        run(toy, 1)
        if toy._worlds.actors["lane"][0, 0] == 1:
            speeds.append(float(toy._worlds.actors["speed"][0, 0]))
    assert speeds
    assert speeds[0] < 4.8
    assert speeds[-1] == pytest.approx(4.0, abs=0.3)


def test_red_holds_and_green_lets_go() -> None:
    toy = world(crossing(lights=True), 1, ego_lane=3)
    put_vehicle(toy, 0, lane=0, s=20.0, speed=8.0)
    passed_at_red = 0
    before = 20.0
    for _ in range(700):
        light = toy.scene().lights[0, 0]
        run(toy, 1)
        actor = toy._worlds.actors[0, 0]
        front = (actor["s"] if actor["lane"] == 0 else 90.0 + actor["s"] + 20.0 * (actor["lane"] == 2)) + 2.5
        if before < 90.0 <= front and light == 3:
            passed_at_red += 1
        before = front
    assert passed_at_red == 0
    assert before > 90.0


def test_a_stop_sign_is_stopped_at() -> None:
    toy = world(crossing(east=Right.STOP), 1, ego_lane=3)
    put_vehicle(toy, 0, lane=0, s=40.0, speed=8.0)
    slowest, at = 10.0, 0.0
    for _ in range(500):
        run(toy, 1)
        actor = toy._worlds.actors[0, 0]
        if actor["lane"] != 0:
            break
        if actor["speed"] < slowest:
            slowest, at = float(actor["speed"]), float(actor["s"])
    assert slowest < 0.1
    assert 90.0 - (at + 2.5) == pytest.approx(1.0, abs=0.7)
    assert toy._worlds.actors["lane"][0, 0] != 0


def order_through(network: RoadNetwork, east_s: float, north_s: float) -> list[int]:
    """The slots in the order in which they enter the junction; none may touch."""
    toy = world(network, 2)
    put_ego(toy, -98.0)
    put_vehicle(toy, 0, lane=0, s=east_s, speed=8.0)
    put_vehicle(toy, 1, lane=3, s=north_s, speed=8.0)
    entered: list[int] = []
    for _ in range(700):
        run(toy, 1)
        actors = toy._worlds.actors[0, :2]
        for slot, own in ((0, 1), (1, 4)):
            if actors["lane"][slot] == own and slot not in entered:
                entered.append(slot)
        assert np.hypot(*(np.array([actors["x"][0], actors["y"][0]]) - [actors["x"][1], actors["y"][1]])) > 3.0
    return entered


def test_who_has_to_yield_goes_second() -> None:
    assert order_through(crossing(north=Right.YIELD), 40.0, 45.0) == [0, 1]
    assert order_through(crossing(east=Right.YIELD), 45.0, 40.0) == [1, 0]
    assert order_through(crossing(east=Right.STOP), 45.0, 40.0) == [1, 0]


def test_without_signs_first_come_first_served_and_both_get_through() -> None:
    assert order_through(crossing(), 50.0, 40.0) == [0, 1]
    assert order_through(crossing(), 40.0, 50.0) == [1, 0]
    assert sorted(order_through(crossing(), 45.0, 45.0)) == [0, 1]
    assert sorted(order_through(crossing(Right.STOP, Right.STOP), 45.0, 45.0)) == [0, 1]


def test_a_vehicle_yields_to_the_ego_that_has_priority() -> None:
    toy = world(crossing(north=Right.YIELD), 1)
    put_ego(toy, -50.0, speed=8.0)
    put_vehicle(toy, 0, lane=3, s=50.0, speed=8.0)
    for _ in range(160):
        toy.step(pedals(throttle=0.12))
        if toy._worlds.world["x"][0] < 0.0:
            assert toy._worlds.actors["lane"][0, 0] == 3
    assert not toy.events(0)


def test_traffic_is_put_back_near_the_ego_when_it_is_far() -> None:
    toy = world(STRAIGHT, 1)
    put_vehicle(toy, 0, lane=0, s=119.0, speed=10.0)
    first = int(toy._worlds.actors["id"][0, 0])
    run(toy, 40)
    actor = toy._worlds.actors[0, 0]
    assert actor["id"] != first
    assert 55.0 < np.hypot(actor["x"], actor["y"]) <= 125.0
