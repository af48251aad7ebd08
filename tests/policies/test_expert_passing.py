"""What the expert leaves its lane for: on hand-made observations, and in closed loop with the default controller on a bicycle.

The road runs east along y = 0. Lanes are 3.5 m wide; a vehicle parked 1.2 m to the right of the lane's middle ends 0.2 m to its right.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pytest

from carla_rl.controller import make_controller
from carla_rl.geometry import boxes_overlap, carry
from carla_rl.policies.expert import OBJECTS, Expert
from carla_rl.policies.expert_forecast import cuts_in, empty_seen, follows, survey
from carla_rl.policies.expert_numbers import ExpertConfig
from carla_rl.policies.expert_passing import (
    Obstacle,
    _oncoming_way,
    find_obstacle,
    has_room,
    is_pressed,
    swerve_for_others,
    swerve_past,
    wait_before,
)
from carla_rl.policies.expert_path import Swerve, build_path, empty_path, lay_route, swerve_length
from carla_rl.types import ROUTE_POINTS, ROUTE_SPACING_M, SIGHT_M, TICK_S, Ego, LightState, ObjectKind, Observation

K = ExpertConfig().numbers()
FRONT, REAR, GAIN = -0.0908, 1.4178, 0.36848
OWN_LANE = (1.75, 1.75, 1.75)
TWO_WAYS = (1.75, 1.75, 5.25)
LANE_LEFT = (1.75, 5.25, 5.25)
LANE_RIGHT = (5.25, 1.75, 1.75)
NOTHING = (SIGHT_M, 0.0)


@dataclass
class Thing:
    """Something on the road that keeps its speed along its heading."""

    x: float
    y: float
    kind: ObjectKind
    speed: float = 0.0
    yaw: float = 0.0
    half_length: float = 2.4
    half_width: float = 1.0

    def row(self, x: float, y: float, yaw: float) -> tuple[float, ...]:
        dx, dy = self.x - x, self.y - y
        c, s = math.cos(yaw), math.sin(yaw)
        return dx * c + dy * s, dy * c - dx * s, self.yaw - yaw, self.speed, self.half_length, self.half_width, self.kind


def parked(x: float) -> Thing:
    return Thing(x, -1.2, ObjectKind.VEHICLE)


def block(x: float, y: float = 0.0) -> Thing:
    return Thing(x, y, ObjectKind.STATIC, half_length=1.0)


def see(
    things: Sequence[Thing],
    room: tuple[float, float, float],
    *,
    x: float = 0.0,
    y: float = 0.0,
    yaw: float = 0.0,
    speed: float = 8.0,
    yaw_rate: float = 0.0,
    light: tuple[float, float] = NOTHING,
) -> Observation:
    ahead = np.stack((ROUTE_SPACING_M * np.arange(ROUTE_POINTS), np.full(ROUTE_POINTS, -y)), axis=-1)
    c, s = math.cos(yaw), math.sin(yaw)
    table = np.zeros((1, OBJECTS, 7), np.float32)
    near = sorted((thing for thing in things if abs(thing.x - x) < 120.0), key=lambda thing: abs(thing.x - x))
    for i, thing in enumerate(near):
        table[0, i] = thing.row(x, y, yaw)
    return Observation(
        speed=np.array([speed], np.float32),
        yaw_rate=np.array([yaw_rate], np.float32),
        route=(ahead @ np.array([[c, -s], [s, c]]))[None].astype(np.float32),
        route_left=np.array([500.0], np.float32),
        objects=table,
        light=np.array([light], np.float32),
        stop_sign=np.array([NOTHING], np.float32),
        speed_limit=np.array([10.0], np.float32),
        room=np.tile(np.array(room, np.float32), (1, ROUTE_POINTS, 1)),
    )


def plan(observation: Observation) -> np.ndarray:
    return Expert().plan(observation).waypoints[0]


@dataclass
class Drive:
    """What came of a drive."""

    x: np.ndarray
    y: np.ndarray
    speed: np.ndarray
    hit: bool


def drive(
    things: list[Thing], room: tuple[float, float, float], seconds: float, *, speed: float = 8.0, red_at: float | None = None
) -> Drive:
    """Expert and default controller on a bicycle from x = 0 on; a decision every other tick."""
    expert, controller = Expert(), make_controller("default", 1)
    x, y, yaw, yaw_rate, hit = 0.0, 0.0, 0.0, 0.0, False
    path = []
    for tick in range(round(seconds / TICK_S)):
        now = np.array([[x, y, yaw]])
        if tick % 2 == 0:
            light = NOTHING if red_at is None or red_at < x else (red_at - x, float(LightState.RED))
            observation = see(things, room, x=x, y=y, yaw=yaw, speed=speed, yaw_rate=yaw_rate, light=light)
            waypoints, then = expert.plan(observation).waypoints, now
        one = np.ones(1)
        ego = Ego(x=x * one, y=y * one, yaw=yaw * one, speed=speed * one, yaw_rate=yaw_rate * one, acceleration=0.0 * one)
        control = controller.control(carry(waypoints, then, now), tick % 2 * TICK_S, ego)
        slip = math.atan(REAR / (FRONT + REAR) * math.tan(GAIN * control.steer[0]))
        yaw_rate = speed / REAR * math.sin(slip)
        x, y, yaw = x + speed * math.cos(yaw + slip) * TICK_S, y + speed * math.sin(yaw + slip) * TICK_S, yaw + yaw_rate * TICK_S
        speed = max(0.0, speed + (4.5 * control.throttle[0] - 0.06 * speed - 4.952 * control.brake[0]) * TICK_S)
        for thing in things:
            thing.x += thing.speed * math.cos(thing.yaw) * TICK_S
            thing.y += thing.speed * math.sin(thing.yaw) * TICK_S
            hit = hit or boxes_overlap(x, y, yaw, 2.45, 1.03, thing.x, thing.y, thing.yaw, thing.half_length, thing.half_width)
        path.append((x, y, speed))
    return Drive(*np.array(path).T, hit)


def obstacle_of(*things: Thing, light: tuple[float, float] = NOTHING) -> Obstacle:
    observation = see(things, OWN_LANE, light=light)
    assert observation.route is not None
    assert observation.objects is not None
    assert observation.light is not None
    line, seen = empty_path(), empty_seen(OBJECTS)
    lay_route(observation.route[0], line)
    survey(observation.objects[0], line, seen)
    return find_obstacle(observation.objects[0], seen, observation.light[0], K)


def test_what_an_obstacle_is() -> None:
    found = obstacle_of(parked(30.0))
    # the box ends 2.4 m before and behind its centre, 1 m beside it
    assert found[:5] == pytest.approx((27.6, 32.4, -2.2, -0.2, 0.0), abs=1e-5)
    assert obstacle_of(block(30.0)).first == pytest.approx(29.0)
    assert obstacle_of(Thing(30.0, -0.9, ObjectKind.BICYCLE, 2.8)).speed == pytest.approx(2.8)
    for waits in (
        Thing(30.0, 0.0, ObjectKind.VEHICLE),
        Thing(30.0, -1.2, ObjectKind.VEHICLE, 3.0),
        Thing(30.0, 0.0, ObjectKind.PEDESTRIAN, half_length=0.3, half_width=0.3),
        Thing(30.0, -3.5, ObjectKind.STATIC),
        Thing(30.0, 0.0, ObjectKind.BICYCLE, 2.8, math.pi / 2),
    ):
        assert obstacle_of(waits).first == math.inf


def test_who_stands_behind_an_obstacle_is_passed_with_it_but_not_who_waits_at_a_light() -> None:
    # 2 m between the two
    queue = (Thing(23.2, 0.0, ObjectKind.VEHICLE), parked(30.0))
    assert obstacle_of(*queue).first == pytest.approx(20.8)
    assert obstacle_of(*queue, light=(26.0, float(LightState.RED))).first == pytest.approx(27.6)
    assert obstacle_of(Thing(10.0, 0.0, ObjectKind.VEHICLE), parked(30.0)).first == pytest.approx(27.6)


def test_obstacles_near_one_another_are_passed_in_one_go() -> None:
    assert obstacle_of(parked(20.0), parked(40.0)).last == pytest.approx(42.4)
    assert obstacle_of(parked(15.0), parked(45.0)).last == pytest.approx(17.4)


def test_the_swerve() -> None:
    swerve = swerve_past(Obstacle(27.6, 32.4, -2.2, -0.2, 0.0, 0.4), True, 8.0, 8.0, K)
    # 0.4 m beside the box; the front reaches it 2.45 m ahead of the centre, less 0.15 m; the rear leaves it after 2.45 m and 0.5 m more
    assert swerve[2:4] == pytest.approx((25.0, 35.35))
    assert swerve.aside == pytest.approx(-0.2 + 1.03 + 0.4)
    # sqrt(6 * 1.23 / 2) seconds of 8 m/s
    assert swerve.out - swerve.begins == pytest.approx(8.0 * math.sqrt(3.0 * 1.23))
    assert swerve_length(1.0, 0.0, K) == pytest.approx(math.sqrt(24.0))
    # a bicycle at 3 m/s, 25 m ahead of the front, is reached at 8 m/s after 5 s and 15 m
    moving = swerve_past(Obstacle(27.6, 32.4, -2.2, -0.2, 3.0, 0.4), True, 8.0, 8.0, K)
    assert moving.out == pytest.approx(40.0)


def test_it_waits_where_it_can_swing_out_at_4_mps() -> None:
    # 1.2 m and sqrt(6 * 3.2 / 2) s of 4 m/s
    assert wait_before(3.2, K) == pytest.approx(1.2 + 4.0 * math.sqrt(9.6))


def test_the_way_of_oncoming_traffic_that_gathers_speed() -> None:
    # at the limit; 2 m/s^2 for 3 s, then 2 s at 10 m/s; for 2 s of the 3
    assert _oncoming_way(10.0, 10.0, 5.0, K) == pytest.approx(50.0)
    assert _oncoming_way(4.0, 10.0, 5.0, K) == pytest.approx((4.0 + 10.0) / 2.0 * 3.0 + 20.0)
    assert _oncoming_way(4.0, 10.0, 2.0, K) == pytest.approx((4.0 + 8.0) / 2.0 * 2.0)
    assert _oncoming_way(14.0, 10.0, 2.0, K) == pytest.approx(28.0)


def test_who_steers_into_the_way() -> None:
    # 3.5 m to the left, 1 m half as wide: 1.12 m from where it would be in the ego's way
    assert not cuts_in(3.5, 0.0, 1.0, 10.0, K)
    assert not cuts_in(3.5, -math.radians(1.0), 1.0, 10.0, K)
    # within 20 m it comes 20 * tan(3 deg) = 1.05 m nearer, or 1.22 m
    assert not cuts_in(3.5, -math.radians(3.0), 1.0, 10.0, K)
    assert cuts_in(3.5, -math.radians(3.5), 1.0, 10.0, K)
    assert cuts_in(-3.5, math.radians(3.5), 1.0, 10.0, K)
    # away from it; standing
    assert not cuts_in(3.5, math.radians(10.0), 1.0, 10.0, K)
    assert not cuts_in(3.5, -math.radians(10.0), 1.0, 0.0, K)


def test_who_looks_out_for_the_ego_from_behind() -> None:
    assert follows(5.0, -0.9, 0.0, 20.0, 0.0, K)
    assert not follows(-1.0, -0.9, 0.0, 5.0, 5.0, K)
    assert not follows(5.0, 2.0, 0.0, 5.0, 5.0, K)
    # at an angle: from 6 m/s more it needs 3 m
    assert follows(3.1, 0.0, 0.2, 11.0, 5.0, K)
    assert not follows(2.9, 0.0, 0.2, 11.0, 5.0, K)


def test_a_begun_swerve_goes_on_as_it_was_begun() -> None:
    line, before, after = empty_path(), empty_path(), empty_path()
    route = np.stack((ROUTE_SPACING_M * np.arange(ROUTE_POINTS), np.zeros(ROUTE_POINTS)), axis=-1).astype(np.float32)
    lay_route(route, line)
    build_path(line, 0.0, 0.0, Swerve(2.0, 0.0, 12.0, 30.0, 42.0), K, before)
    # 6 m farther it is 1 m aside and heads 1.5 * 2 / 12 to the left
    yaw = math.atan(0.25)
    c, s = math.cos(yaw), math.sin(yaw)
    lay_route(((route - (0.0, 1.0)) @ np.array([[c, -s], [s, c]])).astype(np.float32), line)
    build_path(line, 0.0, 0.0, Swerve(2.0, -6.0, 6.0, 24.0, 36.0), K, after)
    assert after.offset[:60] == pytest.approx(before.offset[12:72], abs=1e-3)


def test_room() -> None:
    room = np.tile(np.array(TWO_WAYS, np.float32), (ROUTE_POINTS, 1))
    left = Swerve(1.3, 5.0, 20.0, 30.0, 45.0)
    # 1.3 m and half the ego's width are 0.58 m more than half a lane
    assert not has_room(room, left, False, K)
    assert has_room(room, left, True, K)
    assert not has_room(room, left._replace(aside=-1.3), True, K)
    assert has_room(room, left._replace(aside=-0.6), False, K)
    # too long to be seen to its end
    assert not has_room(room, left._replace(until=70.0, ends=85.0), True, K)


@pytest.mark.parametrize(("room", "side"), [(LANE_LEFT, 1.0), (TWO_WAYS, 1.0), (LANE_RIGHT, -1.0)])
def test_it_goes_round_a_block_and_comes_back(room: tuple[float, float, float], side: float) -> None:
    result = drive([block(60.0)], room, 18.0)
    assert not result.hit
    assert result.x[-1] > 110.0
    assert (side * result.y).max() == pytest.approx(1.0 + 1.03 + 0.4, abs=0.2)
    assert abs(result.y[-1]) < 0.1
    assert (-side * result.y).max() < 0.3


def test_it_waits_for_oncoming_traffic_with_room_to_swing_out_and_then_goes() -> None:
    def oncoming() -> list[Thing]:
        return [Thing(70.0 + 12.0 * i, 3.5, ObjectKind.VEHICLE, 7.0, math.pi) for i in range(4)]

    result = drive([block(50.0), *oncoming()], TWO_WAYS, 25.0)
    assert not result.hit
    waits = result.x[np.argmin(result.speed[:200])]
    assert result.speed[:200].min() < 0.5
    assert 5.0 < 49.0 - 2.45 - waits < 12.0
    assert result.x[-1] > 80.0
    assert abs(result.y[-1]) < 0.2


def test_it_never_drives_into_oncoming_traffic_that_does_not_brake() -> None:
    for begins in range(60, 130, 7):
        result = drive([parked(50.0), Thing(float(begins), 3.5, ObjectKind.VEHICLE, 8.0, math.pi)], TWO_WAYS, 22.0)
        assert not result.hit, begins
        assert result.x[-1] > 70.0, begins


def test_it_does_not_move_over_in_front_of_a_faster_vehicle() -> None:
    free = plan(see([block(25.0)], LANE_LEFT))
    beside = plan(see([block(25.0), Thing(-12.0, 3.5, ObjectKind.VEHICLE, 13.0)], LANE_LEFT))
    assert free[-1, 1] > 0.8
    assert abs(beside[:, 1]).max() < 0.05
    assert beside[-1, 0] < free[-1, 0] - 1.0


def test_it_stays_behind_where_there_is_no_room_and_behind_who_may_go_on() -> None:
    for things, room in (([block(40.0)], OWN_LANE), ([Thing(40.0, 0.0, ObjectKind.VEHICLE)], TWO_WAYS)):
        result = drive(things, room, 15.0)
        assert not result.hit
        assert result.speed[-1] < 0.05
        assert abs(result.y).max() < 0.05


def test_it_does_not_pass_towards_a_red_light() -> None:
    result = drive([parked(50.0)], TWO_WAYS, 15.0, red_at=54.0)
    assert result.speed[-1] < 0.05
    assert abs(result.y).max() < 0.05


def test_it_passes_a_slow_bicycle() -> None:
    rider = Thing(30.0, -1.0, ObjectKind.BICYCLE, 2.8, half_length=0.8, half_width=0.3)
    result = drive([rider], TWO_WAYS, 20.0)
    assert not result.hit
    assert result.x[-1] > rider.x + 20.0
    assert abs(result.y[-1]) < 0.1


def test_it_moves_within_its_lane_for_an_open_door() -> None:
    door = Thing(25.0, -1.4, ObjectKind.STATIC, half_length=0.1, half_width=0.45)
    result = drive([door], OWN_LANE, 8.0, speed=6.0)
    assert not result.hit
    assert result.x[-1] > 40.0
    assert 0.3 < result.y.max() < 0.7


def test_it_makes_way_for_an_oncoming_vehicle_on_its_lane() -> None:
    # 0.17 m of its lane are driven on: 2.05 - 1.0 = 1.05 m from the middle
    invader = Thing(30.0, 2.2, ObjectKind.VEHICLE, 8.0, math.pi)
    waypoints = plan(see([invader], OWN_LANE))
    assert waypoints[-1, 1] < -0.25
    assert waypoints[:, 1].min() > -0.65
    assert abs(plan(see([Thing(30.0, 3.5, ObjectKind.VEHICLE, 8.0, math.pi)], OWN_LANE))[:, 1]).max() < 1e-3


def test_it_makes_way_for_an_emergency_vehicle() -> None:
    siren = Thing(-30.0, 0.0, ObjectKind.EMERGENCY, 15.0)
    aside = plan(see([siren], LANE_RIGHT))
    assert aside[-1, 1] < -0.9
    assert np.hypot(*(aside[-1] - aside[-2])) < 0.7
    # nowhere to go, and one that has passed
    assert abs(plan(see([siren], OWN_LANE))[:, 1]).max() < 1e-3
    assert abs(plan(see([Thing(20.0, 0.0, ObjectKind.EMERGENCY, 15.0)], LANE_RIGHT))[:, 1]).max() < 1e-3


def test_it_makes_way_to_the_left_where_there_is_no_lane_to_the_right() -> None:
    siren = Thing(-80.0, 0.0, ObjectKind.EMERGENCY, 15.0)
    assert plan(see([siren], LANE_LEFT))[-1, 1] > 0.9
    # behind somebody who is beside it
    result = drive([siren, Thing(-2.0, 3.5, ObjectKind.VEHICLE, 8.0)], LANE_LEFT, 9.0)
    assert not result.hit
    assert result.y.max() > 3.0


def test_an_emergency_vehicle_in_a_bend_behind_it() -> None:
    # on a circle of 500 m to the left, 80 m behind: 0.16 rad and 6.4 m to the left of the line's straight beginning
    siren = Thing(-80.0, 6.4, ObjectKind.EMERGENCY, 15.0, -0.16)
    seen = see([siren], LANE_RIGHT)
    assert seen.route is not None
    assert seen.objects is not None
    assert seen.room is not None
    line, where = empty_path(), empty_seen(OBJECTS)
    lay_route(seen.route[0], line)
    survey(seen.objects[0], line, where)
    assert swerve_for_others(seen.objects[0], where, seen.room[0], 8.0, K)[0]


def test_pressed_from_behind_it_drives_at_the_limit() -> None:
    free = plan(see([], OWN_LANE))
    fast = Thing(-15.0, 0.0, ObjectKind.VEHICLE, 10.0)
    assert plan(see([fast], OWN_LANE))[-1, 0] > free[-1, 0] + 1.0
    seen = see([fast, Thing(-15.0, 3.5, ObjectKind.VEHICLE, 12.0)], OWN_LANE)
    assert seen.route is not None
    assert seen.objects is not None
    line, where = empty_path(), empty_seen(OBJECTS)
    lay_route(seen.route[0], line)
    survey(seen.objects[0], line, where)
    assert is_pressed(seen.objects[0], where, 8.0, K)
    assert not is_pressed(seen.objects[0], where, 9.6, K)


def test_it_lets_in_who_cuts_in() -> None:
    # 14 m ahead on the lane beside at its own speed, steering over
    free = plan(see([], LANE_LEFT))
    beside = plan(see([Thing(14.0, 3.5, ObjectKind.VEHICLE, 6.0)], LANE_LEFT))
    cuts = plan(see([Thing(14.0, 3.3, ObjectKind.VEHICLE, 6.0, -0.15)], LANE_LEFT))
    assert beside[-1, 0] == pytest.approx(free[-1, 0], abs=0.1)
    assert cuts[-1, 0] < free[-1, 0] - 3.0


def test_it_judges_oncoming_traffic_farther_than_60_m_away() -> None:
    # it stands 8.65 m before a parked car and is back on its lane 25 m on, after some 4.5 s; who comes at the limit of 10 m/s is there
    # a second later from 25 + 55 m
    for far, goes in ((70.0, False), (105.0, True)):
        seen = see([parked(13.5), Thing(far, 3.5, ObjectKind.VEHICLE, 10.0, math.pi)], TWO_WAYS, speed=0.0)
        assert (plan(seen)[-1, 0] > 1.0) == goes, far


def test_it_expects_who_comes_from_the_side_to_turn_onto_its_road() -> None:
    joins = Thing(14.0, 9.0, ObjectKind.VEHICLE, 6.0, 0.3 - math.pi / 2)
    free = plan(see([], OWN_LANE))
    assert plan(see([joins], OWN_LANE))[-1, 0] < free[-1, 0] - 2.0


def test_it_stops_behind_a_vehicle_that_has_stopped_suddenly() -> None:
    # from 8 m/s, 15.15 m between the bumpers; 4.8 m/s^2 and 0.4 s need 9.9 m
    result = drive([Thing(20.0, 0.0, ObjectKind.VEHICLE)], OWN_LANE, 6.0)
    assert not result.hit
    assert 1.0 < 20.0 - 2.4 - 2.45 - result.x[-1] < 5.0
