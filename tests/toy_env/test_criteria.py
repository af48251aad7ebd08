"""Each criterion along the route against a situation worked out by hand."""

import numpy as np
import pytest
from small_roads import ALL, LIMIT, Lane, build, crossing, episode, pedals, put_ego, put_vehicle, route, simulator, started, straight

from carla_rl.roads.network import LaneKind, Right
from carla_rl.scenario.model import Rules, Traffic
from carla_rl.types import MAX_EVENTS, RARE_EVENTS, Ending, Infraction, Step
from toy_env.simulator import ToySimulator

STRAIGHT = straight()
LINE = route(STRAIGHT, [0], s1=200.0)


def roll(toy: ToySimulator, ticks: int, env: int = 0, until_end: bool = False) -> Step:
    """Keep the ego's speed as it is."""
    for _ in range(ticks):
        step = toy.step(pedals(toy.num_envs, throttle=0.06 * float(toy._worlds.world["speed"][env]) / 4.5))
        if until_end and step.ending[env]:
            break
    return step


def count(step: Step, kind: Infraction) -> int:
    return int(step.facts.infractions[0, kind])


# --- route completion


def test_completion_is_the_share_of_the_points_passed() -> None:
    toy = started(STRAIGHT, episode(LINE))
    put_ego(toy, 0.0, speed=10.0)
    step = roll(toy, 21)  # 10.5 m: points 0 .. 10 are passed
    assert step.facts.route_completion[0] == 10.0 / 200.0


def test_completion_is_rounded_to_a_hundredth_of_a_percent() -> None:
    toy = started(STRAIGHT, episode(route(STRAIGHT, [0], s1=300.0)))
    put_ego(toy, 0.0, speed=10.0)
    assert roll(toy, 3).facts.route_completion[0] == 0.0033  # 1 of 300


def test_complete_above_99_percent_within_10_m() -> None:
    toy = started(STRAIGHT, episode(LINE, start_m=190.0))
    put_ego(toy, 190.0, speed=10.0)
    step = roll(toy, 100, until_end=True)
    assert step.ending[0] == Ending.COMPLETED
    assert step.facts.route_completion[0] == 1.0
    # of the remaining 10 m more than 99 % is the last point only
    assert step.ego.x[0] == pytest.approx(200.5)
    long = started(STRAIGHT, episode(LINE))
    put_ego(long, 197.0, speed=10.0)
    long._worlds.world["passed"] = 196
    step = roll(long, 100, until_end=True)
    assert step.ego.x[0] == pytest.approx(199.5)  # the first point above 198 m


def test_points_that_are_skipped_are_not_passed() -> None:
    toy = started(STRAIGHT, episode(LINE))
    put_ego(toy, 50.0, speed=0.0)
    # it looks two points ahead, so a jump forward is caught up by two points a tick
    assert toy.step(pedals()).facts.route_completion[0] == 2.0 / 200.0


# --- deviation


def test_deviation_at_30_m() -> None:
    toy = started(STRAIGHT, episode(LINE))
    put_ego(toy, 0.0, y=29.9)
    assert toy.step(pedals()).ending[0] == Ending.NONE
    put_ego(toy, 0.0, y=30.1)
    step = toy.step(pedals())
    assert step.ending[0] == Ending.ROUTE_DEVIATION
    assert count(step, Infraction.ROUTE_DEVIATION) == 1
    assert [event.kind for event in toy.events(0)] == [Infraction.ROUTE_DEVIATION]


def test_deviation_after_30_percent_beyond_15_m() -> None:
    toy = started(STRAIGHT, episode(LINE))
    put_ego(toy, 0.0, y=16.0, speed=10.0)
    step = roll(toy, 1000, until_end=True)
    assert step.ending[0] == Ending.ROUTE_DEVIATION
    assert step.ego.x[0] == pytest.approx(60.6, abs=0.5)  # 30 % of 200 m, when the next point is the nearest
    near = started(STRAIGHT, episode(LINE))
    put_ego(near, 0.0, y=14.0, speed=10.0)
    assert roll(near, 200).ending[0] == Ending.NONE


# --- blocked, time


def test_blocked_after_standing_so_long() -> None:
    toy = started(STRAIGHT, episode(LINE, rules=Rules(blocked_after_s=2.0)))
    step = roll(toy, 60, until_end=True)
    assert (step.facts.tick[0], step.ending[0], count(step, Infraction.VEHICLE_BLOCKED)) == (41, Ending.VEHICLE_BLOCKED, 1)


def test_a_fixed_time_limit() -> None:
    toy = started(STRAIGHT, episode(LINE, rules=Rules(time_limit_s=1.5)))
    step = roll(toy, 60, until_end=True)
    assert (step.facts.tick[0], step.ending[0], count(step, Infraction.ROUTE_TIMEOUT)) == (30, Ending.ROUTE_TIMEOUT, 1)


def test_the_time_limit_grows_by_the_time_at_a_tenth_of_the_limit() -> None:
    toy = started(STRAIGHT, episode(LINE))
    assert toy._worlds.world["limit_s"][0] == 300.0
    put_ego(toy, 0.0, speed=10.0)
    roll(toy, 21)
    assert toy._worlds.world["limit_s"][0] == pytest.approx(300.0 + 10.0 / (0.1 * LIMIT))
    put_ego(toy, 10.5)
    toy._worlds.world["tick"] = 6199  # the next tick is at 310.0 s, which is not over
    assert toy.step(pedals(brake=1.0)).ending[0] == Ending.NONE
    assert toy.step(pedals(brake=1.0)).ending[0] == Ending.ROUTE_TIMEOUT


# --- lanes


def outside_share(y: float, yaw: float = 0.0) -> float:
    toy = started(STRAIGHT, episode(LINE))
    put_ego(toy, 10.0, y=y, yaw=yaw, speed=10.0)
    toy._worlds.world["lanes_point"] = 10
    return float(roll(toy, 40).facts.outside_share[0])


def test_outside_is_half_a_metre_beyond_the_lane_edge() -> None:
    assert outside_share(-2.2) == 0.0
    assert outside_share(-2.3) == 1.0


def test_outside_share_is_of_the_way_driven_and_one_event() -> None:
    toy = started(STRAIGHT, episode(LINE))
    put_ego(toy, 0.0, speed=10.0)
    roll(toy, 61)  # to 30.5 m inside
    put_ego(toy, 30.5, y=-4.0, speed=10.0)
    step = roll(toy, 20)  # 10 m outside
    assert step.facts.outside_share[0] == pytest.approx(10.0 / 40.0)
    put_ego(toy, 40.5, speed=10.0)
    step = roll(toy, 80)  # and 40 m inside again
    assert step.facts.outside_share[0] == pytest.approx(10.0 / 80.0)
    (event,) = toy.events(0)
    assert (event.kind, event.value) == (Infraction.OUTSIDE_ROUTE_LANES, pytest.approx(0.125))
    assert event.x == pytest.approx(31.5, abs=0.01)  # where the first point outside was passed


def test_the_oncoming_lane_is_the_wrong_lane_and_coming_back_is_right() -> None:
    toy = started(STRAIGHT, episode(LINE))
    put_ego(toy, 0.0, speed=10.0)
    roll(toy, 21)
    put_ego(toy, 10.5, y=3.5, speed=10.0)
    step = roll(toy, 20)
    assert step.facts.outside_share[0] == pytest.approx(10.0 / 20.0)
    put_ego(toy, 20.5, y=0.0, speed=10.0)
    step = roll(toy, 40)
    assert step.facts.outside_share[0] == pytest.approx(10.0 / 40.0)


def test_a_parking_lane_is_not_outside() -> None:
    town = build("parking", [Lane((0.0, 0.0), (300.0, 0.0)), Lane((0.0, -3.5), (300.0, -3.5), kind=LaneKind.PARKING)])
    toy = started(town, episode(route(town, [0])))
    put_ego(toy, 0.0, y=-3.5, speed=10.0)
    assert roll(toy, 40).facts.outside_share[0] == 0.0


# --- red light, stop sign


def at_line(network, state_wanted: int) -> ToySimulator:
    """A simulator whose light for the eastbound ego shows the wanted state for the next second, the ego's centre 10 m before the line."""
    line = route(network, [0, 1, 2])
    for seed in range(200):
        toy = started(network, episode(line, seed=seed, start_m=80.0))
        now = toy.scene().lights[0, 0]
        toy._worlds.world["tick"] = 60
        if now == state_wanted == toy.scene().lights[0, 0]:
            toy._worlds.world["tick"] = 0
            put_ego(toy, -20.0, speed=10.0)
            return toy
    raise AssertionError("no such seed")


def test_a_red_light_is_run_when_the_tail_crosses_the_line() -> None:
    toy = at_line(crossing(lights=True), 3)
    # the tail segment reaches from 1.96 m to 3.45 m behind the centre: it cuts the line at x = -10 once the centre is at -8.04
    step = roll(toy, 23)
    assert (step.ego.x[0], count(step, Infraction.RED_LIGHT)) == (pytest.approx(-8.5), 0)
    step = roll(toy, 1)
    assert (step.ego.x[0], count(step, Infraction.RED_LIGHT)) == (pytest.approx(-8.0), 1)
    step = roll(toy, 30)
    assert count(step, Infraction.RED_LIGHT) == 1
    assert toy.events(0)[0].other == 0


def test_green_and_yellow_may_be_passed() -> None:
    assert count(roll(at_line(crossing(lights=True), 1), 40), Infraction.RED_LIGHT) == 0


def test_red_that_turns_after_the_tail_does_not_count_nor_one_beside_the_line() -> None:
    toy = at_line(crossing(lights=True), 3)
    put_ego(toy, -20.0, y=2.2, speed=10.0)  # the line reaches 1.2 x 1.75 = 2.1 m to each side
    assert count(roll(toy, 40), Infraction.RED_LIGHT) == 0


def stop_crossing(halt_at: float | None) -> tuple[int, list[float]]:
    """Drive over a stop line at x = -10, halting with the centre at `halt_at`: infractions; whether a stop was owed before and after."""
    network = crossing(east=Right.STOP)
    toy = started(network, episode(route(network, [0, 1, 2]), start_m=70.0))
    owed = [float(toy.observe().stop_sign[0, 1])]  # type: ignore[index]
    if halt_at is not None:
        put_ego(toy, halt_at, speed=0.0)
        toy.step(pedals())
    seen = toy.observe().stop_sign
    assert seen is not None
    owed.append(float(seen[0, 1]))
    put_ego(toy, halt_at or -20.0, speed=8.0)
    return count(roll(toy, 40), Infraction.STOP_SIGN), owed


def test_a_stop_sign_wants_a_halt_within_4_m() -> None:
    # the front is 2.45 m ahead of the centre: 4 m before the line is a centre at -16.45
    assert stop_crossing(None) == (1, [1.0, 1.0])
    assert stop_crossing(-16.5) == (1, [1.0, 1.0])
    assert stop_crossing(-16.4) == (0, [1.0, 0.0])
    assert stop_crossing(-13.0) == (0, [1.0, 0.0])


def test_the_distance_to_the_stop_line() -> None:
    network = crossing(east=Right.STOP)
    seen = started(network, episode(route(network, [0, 1, 2]), start_m=70.0)).observe().stop_sign
    assert seen is not None
    assert seen[0].tolist() == [20.0, 1.0]


# --- minimum speed, endings by infraction, overflow


def test_minimum_speed_is_judged_by_quarters_against_the_traffic() -> None:
    toy = started(STRAIGHT, episode(LINE, rules=Rules(min_speed=True), traffic=Traffic(vehicles=1)))
    put_ego(toy, 0.0, speed=5.0)
    for _ in range(1050):
        put_vehicle(toy, 0, lane=1, s=550.0 - float(toy._worlds.world["x"][0]), speed=10.0)
        step = roll(toy, 1)
        if step.ending[0]:
            break
    assert step.ending[0] == Ending.COMPLETED
    shares = [event.value for event in toy.events(0) if event.kind == Infraction.MIN_SPEED]
    assert shares == pytest.approx([0.5] * 4, abs=0.01)


@pytest.mark.parametrize(("stops_at", "quarters"), [(189.0, 3), (193.0, 4)])
def test_the_last_quarter_counts_where_95_percent_were_driven(stops_at: float, quarters: int) -> None:
    rules = Rules(min_speed=True, blocked_after_s=1.0)
    toy = started(STRAIGHT, episode(LINE, rules=rules, traffic=Traffic(vehicles=1)))
    put_ego(toy, 0.0, speed=5.0)
    for _ in range(1050):
        x = float(toy._worlds.world["x"][0])
        put_vehicle(toy, 0, lane=1, s=550.0 - x, speed=10.0)
        if x > stops_at:
            put_ego(toy, x)
        step = toy.step(pedals(brake=1.0)) if x > stops_at else roll(toy, 1)
        if step.ending[0]:
            break
    assert step.ending[0] == Ending.VEHICLE_BLOCKED
    assert count(step, Infraction.MIN_SPEED) == quarters


def test_the_pace_of_the_traffic_is_the_mean_of_its_means() -> None:
    """Half of the quarter one car at 10 m/s, then it and three that stand: 10 and 2.5 m/s, 6.25 on the mean; the ego has 5."""
    toy = started(STRAIGHT, episode(LINE, rules=Rules(min_speed=True), traffic=Traffic(vehicles=4)))
    put_ego(toy, 0.0, speed=5.0)
    while not toy.events(0):
        x = float(toy._worlds.world["x"][0])
        toy._worlds.world["vehicles"] = 1 if x < 25.0 else 4
        for slot in range(4):
            put_vehicle(toy, slot, lane=1, s=550.0 - x - 20.0 * slot, speed=0.0 if slot else 10.0)
        roll(toy, 1)
        assert toy._worlds.world["x"][0] < 60.0
    (event,) = toy.events(0)
    assert (event.kind, event.value) == (Infraction.MIN_SPEED, pytest.approx(5.0 / 6.25, abs=0.02))


def test_an_infraction_that_the_rules_name_ends_the_episode() -> None:
    rules = Rules(ends_on=(Infraction.OUTSIDE_ROUTE_LANES,))
    toy = started(STRAIGHT, episode(LINE, rules=rules), episode(LINE))
    for env in range(2):
        put_ego(toy, 10.0, y=-5.0, speed=10.0, env=env)
        toy._worlds.world["lanes_point"][env] = 10
    step = roll(toy, 5)
    assert step.ending.tolist() == [Ending.INFRACTION, Ending.NONE]


def test_place_beside_the_route() -> None:
    toy = started(STRAIGHT, episode(LINE))
    put_ego(toy, 40.25, y=-1.5, yaw=0.3)
    step = toy.step(pedals())
    assert step.facts.lateral[0] == pytest.approx(-1.5)
    assert step.facts.heading_error[0] == pytest.approx(0.3)
    assert step.facts.speed_limit[0] == LIMIT
    seen = toy.observe()
    assert seen.route is not None
    assert seen.route_left is not None
    assert seen.route_left[0] == pytest.approx(200.0 - 40.25)
    # the second point is 2 m ahead along the route and 1.5 m to the left of it, turned by -0.3 rad
    by_hand = np.array([2.0 * np.cos(0.3) + 1.5 * np.sin(0.3), 1.5 * np.cos(0.3) - 2.0 * np.sin(0.3)])
    assert seen.route[0, 1] == pytest.approx(by_hand, abs=1e-5)


def test_past_the_destination_the_route_goes_straight_on() -> None:
    toy = started(STRAIGHT, episode(LINE, start_m=150.0))
    seen = toy.observe()
    assert seen.route is not None
    assert seen.route[0, :, 0] == pytest.approx(2.0 * np.arange(50))


def test_more_events_than_room_are_still_counted() -> None:
    toy = simulator(STRAIGHT, needs=ALL)
    drive = episode(LINE, traffic=Traffic(vehicles=1))
    toy.reset(np.array([0]), [drive])
    for k in range(110):
        put_ego(toy, x := 10.0 + 30.0 * (k % 2), speed=10.0)
        row = put_vehicle(toy, 0, lane=0, s=x + 4.0)
        row["id"], row["old_x"], row["old_y"], row["old_yaw"] = k, row["x"], row["y"], row["yaw"]
        step = toy.step(pedals())
    assert count(step, Infraction.COLLISION_VEHICLE) == 110
    assert len(toy.events(0)) == MAX_EVENTS - RARE_EVENTS == 96
    # and there is room for what says why it ended
    put_ego(toy, 100.0, y=40.0)
    step = toy.step(pedals())
    assert step.ending[0] == Ending.ROUTE_DEVIATION
    assert toy.events(0)[-1].kind == Infraction.ROUTE_DEVIATION
