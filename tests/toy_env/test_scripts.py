"""Scripted actors: the pure rules, and how the toy plays them."""

import math

import pytest
from small_roads import episode, pedals, put_ego, put_vehicle, route, started, straight

from carla_rl.errors import UsageError
from carla_rl.scenario.behaviours import (
    LEAD_M,
    arrival_speed,
    arrives_within,
    aside_at,
    control_noise,
    crossing_pace,
    flow_gap,
    has_let_by,
    leads,
    runner_speed,
    steps_out,
    stopping_distance,
)
from carla_rl.scenario.model import ScriptedActor, Traffic
from carla_rl.types import Infraction, ObjectColumn, ObjectKind
from toy_env.simulator import ToySimulator

STRAIGHT = straight()
LINE = route(STRAIGHT, [0])
PEDESTRIAN = ScriptedActor(type="DynamicObjectCrossing", x=50.0, y=0.0)


def test_stopping_distance_by_hand() -> None:
    assert stopping_distance(8.0) == 8.0 + 8.0  # 1 s, then 64 / 8 m


def test_it_steps_out_in_time_to_meet_and_in_time_to_stop() -> None:
    # 2 m/s over 6 m takes 3 s, in which an ego at 10 m/s drives 30 m; it needs 22.5 m to stop
    assert steps_out(30.0, 10.0, 6.0, 2.0)
    assert not steps_out(30.5, 10.0, 6.0, 2.0)
    # over 2 m it would set off at 10 m: too late to stop, so it sets off at 22.5 + 2 m
    assert steps_out(24.5, 10.0, 2.0, 2.0)
    assert not steps_out(24.6, 10.0, 2.0, 2.0)
    # nobody waits for an ego that crawls, and nobody steps out behind it
    assert steps_out(8.0, 0.5, 6.0, 2.0)
    assert not steps_out(8.1, 0.5, 6.0, 2.0)
    assert not steps_out(-0.1, 0.5, 6.0, 2.0)


def test_the_pace_lets_both_meet() -> None:
    # 18 m at 8 m/s take 2.25 s, in which 1.13 m/s go 2.55 m
    assert crossing_pace(18.0, 8.0, 2.55, 2.0) == pytest.approx(2.55 / 2.25)
    assert crossing_pace(5.0, 8.0, 2.55, 2.0) == 2.0
    assert crossing_pace(8.0, 0.0, 2.55, 2.0) == 0.8


def test_the_speed_of_who_runs_a_red_light() -> None:
    # the ego needs 3 s for 30 m, in which 13 m/s go 39 m; never slower than 0.6 of 16 m/s
    assert runner_speed(30.0, 10.0, 39.0, 16.0) == pytest.approx(13.0)
    assert runner_speed(30.0, 5.0, 39.0, 16.0) == pytest.approx(9.6)
    assert runner_speed(10.0, 10.0, 39.0, 16.0) == 16.0
    assert runner_speed(0.0, 10.0, 39.0, 16.0) == 16.0


def test_who_leads() -> None:
    assert leads(LEAD_M, 1.0, 1.75)
    assert not leads(LEAD_M + 0.1, 0.0, 1.75)
    assert not leads(-1.0, 0.0, 1.75)
    assert not leads(10.0, 1.8, 1.75)


def pedestrian_ahead() -> ToySimulator:
    toy = started(STRAIGHT, episode(LINE, actors=(PEDESTRIAN,)))
    return toy


def test_the_pedestrian_waits_at_the_edge_12_m_behind_the_trigger() -> None:
    toy = pedestrian_ahead()
    (row,) = toy.scene().actors[0][:1]
    assert row[1] == ObjectKind.PEDESTRIAN
    assert row[2] == pytest.approx(62.0)
    assert row[3] == pytest.approx(-(1.75 + 0.8))
    for _ in range(40):
        toy.step(pedals(brake=1.0))
    assert toy.scene().actors[0, 0, 3] == pytest.approx(row[3])


def test_a_driver_who_does_not_react_hits_it_and_one_who_reacts_does_not() -> None:
    asleep = pedestrian_ahead()
    put_ego(asleep, 20.0, speed=8.0)
    for _ in range(120):
        asleep.step(pedals(throttle=0.11))
    assert [event.kind for event in asleep.events(0)] == [Infraction.COLLISION_PEDESTRIAN]

    awake = pedestrian_ahead()
    put_ego(awake, 20.0, speed=8.0)
    seen_for = 0
    for _ in range(200):
        objects = awake.observe().objects
        assert objects is not None
        seen_for += objects[0, :, ObjectColumn.SPEED].max() > 0
        awake.step(pedals(brake=0.8) if seen_for > 20 else pedals(throttle=0.11))
    assert awake.events(0) == ()


def test_the_pedestrian_leaves_the_road_on_the_other_side() -> None:
    toy = pedestrian_ahead()
    put_ego(toy, 52.0)
    for _ in range(220):
        toy.step(pedals(brake=1.0))
    assert toy.scene().actors[0, 0, 3] == pytest.approx(3.5 + 1.75 + 0.8, abs=0.11)
    assert toy.scene().actors[0, 0, 5] == 0.0


def test_the_leading_vehicle_brakes_hard_for_four_seconds() -> None:
    script = ScriptedActor(type="HardBreakRoute", x=60.0, y=0.0, parameters={"duration": 4.0})
    toy = started(STRAIGHT, episode(LINE, actors=(script,), traffic=Traffic(vehicles=1, speed_factor=1.0)))
    put_ego(toy, 59.0, speed=3.0)
    put_vehicle(toy, 0, lane=0, s=85.0, speed=9.0)
    speeds = []
    for _ in range(120):
        toy.step(pedals(throttle=0.0))
        speeds.append(float(toy._worlds.actors["speed"][0, 0]))
    # 9 m/s against 6 m/s^2: at rest 1.5 s after the trigger, and off again after 4 s
    rest = [tick for tick, speed in enumerate(speeds) if speed == 0.0]
    assert rest[0] == pytest.approx(7 + 30, abs=4)
    assert rest[-1] - 7 == pytest.approx(80, abs=6)
    assert speeds[-1] > 1.0


def test_scripts_behind_a_start_midway_are_over() -> None:
    toy = started(STRAIGHT, episode(LINE, actors=(PEDESTRIAN,), start_m=100.0))
    assert not toy.scene().actors.any()


def test_a_parameter_that_is_no_number_is_refused() -> None:
    wrong = PEDESTRIAN.model_copy(update={"parameters": {"distance": "far"}})
    with pytest.raises(UsageError, match="distance must be a number above 0"):
        started(STRAIGHT, episode(LINE, actors=(wrong,)))


def test_when_the_ego_is_near() -> None:
    # 3 s at 5 m/s are 15 m
    assert arrives_within(14.9, 5.0, 3.0, 10.0)
    assert not arrives_within(15.1, 5.0, 3.0, 10.0)
    assert arrives_within(9.9, 0.0, 3.0, 10.0)
    assert arrives_within(-5.0, 0.0, 3.0, 0.0)


def test_a_change_over_by_hand() -> None:
    assert aside_at(5.0, 10.0, 20.0, 3.0, 0.0) == 3.0
    # half way, and a quarter: 3 t^2 - 2 t^3 = 5 / 32
    assert aside_at(20.0, 10.0, 20.0, 3.0, 0.0) == pytest.approx(1.5)
    assert aside_at(15.0, 10.0, 20.0, 3.0, 0.0) == pytest.approx(3.0 - 3.0 * 5.0 / 32.0)
    assert aside_at(40.0, 10.0, 20.0, 3.0, 0.0) == 0.0
    assert aside_at(40.0, 10.0, 0.0, 3.0, 0.0) == 3.0


def test_the_speed_to_arrive_together() -> None:
    # the ego needs 4 s for 40 m, so 30 m take 7.5 m/s
    assert arrival_speed(30.0, 40.0, 10.0, 20.0) == pytest.approx(7.5)
    assert arrival_speed(30.0, 5.0, 10.0, 20.0) == 20.0
    assert arrival_speed(30.0, -1.0, 10.0, 20.0) == 20.0


def test_gaps_and_noise_and_who_is_ahead() -> None:
    assert [flow_gap(25.0, 50.0, share) for share in (0.0, 0.5)] == [25.0, 37.5]
    # Box and Muller: draws of 0 give 0
    assert control_noise(0.05, 0.01, 0.2, 0.0, 0.0) == 0.05
    assert control_noise(0.05, 0.01, 0.7, 0.0, 0.0) == -0.05
    assert control_noise(0.0, 1.0, 0.2, 1.0 - math.exp(-0.5), 0.0) == pytest.approx(1.0)
    assert has_let_by(10.0, 10.1)
    assert not has_let_by(10.0, 9.9)
