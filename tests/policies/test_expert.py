"""The expert's rules on hand-made observations, and its plans in closed loop with the default controller on a bicycle."""

import math
from collections.abc import Sequence

import numpy as np
import pytest

from carla_rl.controller import make_controller
from carla_rl.geometry import carry
from carla_rl.policies.expert import OBJECTS, Expert
from carla_rl.policies.expert_numbers import ExpertConfig
from carla_rl.policies.expert_path import ROWS, empty_path, lay_route
from carla_rl.types import (
    HORIZON,
    ROUTE_POINTS,
    ROUTE_SPACING_M,
    SIGHT_M,
    TICK_S,
    Ego,
    LightState,
    Needs,
    ObjectKind,
    Observation,
)

FRONT, REAR, GAIN = -0.0908, 1.4178, 0.36848
CAR = (2.4, 1.0, ObjectKind.VEHICLE)
WALKER = (0.3, 0.3, ObjectKind.PEDESTRIAN)
NOTHING = (SIGHT_M, 0.0)

Row = tuple[float, float, float, float, float, float, int]


def see(
    speed: float = 8.0,
    *,
    route: np.ndarray | None = None,
    objects: Sequence[Row] = (),
    light: tuple[float, float] = NOTHING,
    stop_sign: tuple[float, float] = NOTHING,
    limit: float = 12.5,
    yaw_rate: float = 0.0,
    room: tuple[float, float, float] = (1.75, 1.75, 1.75),
) -> Observation:
    """One env on a straight route, unless said otherwise."""
    if route is None:
        route = np.stack((ROUTE_SPACING_M * np.arange(ROUTE_POINTS), np.zeros(ROUTE_POINTS)), axis=-1)
    table = np.zeros((1, OBJECTS, 7), np.float32)
    for i, row in enumerate(objects):
        table[0, i] = row
    return Observation(
        speed=np.array([speed], np.float32),
        yaw_rate=np.array([yaw_rate], np.float32),
        route=route[None].astype(np.float32),
        route_left=np.array([500.0], np.float32),
        objects=table,
        light=np.array([light], np.float32),
        stop_sign=np.array([stop_sign], np.float32),
        speed_limit=np.array([limit], np.float32),
        room=np.tile(np.array(room, np.float32), (1, ROUTE_POINTS, 1)),
    )


def plan(observation: Observation, config: ExpertConfig | None = None) -> np.ndarray:
    """(H, 2)"""
    return Expert(config).plan(observation).waypoints[0]


def speeds(waypoints: np.ndarray) -> np.ndarray:
    """(H,) m/s between the waypoints, the first from the ego to the first of them."""
    return np.hypot(*np.diff(waypoints, axis=0, prepend=np.zeros((1, 2))).T) / 0.1


def arc(radius: float, before: float = 0.0) -> np.ndarray:
    """(50, 2): straight for `before` m, then to the left on a circle."""
    s = ROUTE_SPACING_M * np.arange(ROUTE_POINTS)
    phi = np.maximum(s - before, 0.0) / radius
    return np.stack((np.minimum(s, before) + radius * np.sin(phi), radius * (1.0 - np.cos(phi))), axis=-1)


def test_it_declares_what_it_reads() -> None:
    assert Expert.needs == Needs(route=True, objects=48, objects_m=120.0, lights=True, speed_limit=True, room=True)
    with pytest.raises(ValueError, match="expert needs"):
        plan(see().restrict(Needs(route=True)))


def test_shape_and_type() -> None:
    result = Expert().plan(see())
    assert result.waypoints.shape == (1, HORIZON, 2)
    assert result.waypoints.dtype == np.float32


def test_free_road_at_its_share_of_the_limit() -> None:
    # 0.8 of 12.5 m/s
    assert speeds(plan(see(10.0))) == pytest.approx(np.full(HORIZON, 10.0), abs=1e-3)


def test_free_road_from_standstill_accelerates() -> None:
    # 2.2 m/s^2 for 2 s
    assert plan(see(0.0))[-1, 0] == pytest.approx(4.4, abs=0.01)


def test_it_slows_to_a_lower_limit() -> None:
    v = speeds(plan(see(10.0, limit=8.0)))
    assert np.all(np.diff(v) <= 1e-3)
    assert v[-1] == pytest.approx(6.4, abs=0.3)


def test_curve_speed() -> None:
    # sqrt(2.5 * 10) = 5 m/s on the arc; 8 m ahead of it 8.06 m/s are allowed with 2.5 m/s^2
    assert speeds(plan(see(5.0, route=arc(10.0), yaw_rate=0.5)))[-1] == pytest.approx(5.0, abs=0.1)
    ahead = speeds(plan(see(8.0, route=arc(10.0, before=12.0))))
    assert ahead[0] > 7.6
    assert ahead[-1] < 5.6


def test_waypoints_lie_on_the_arc() -> None:
    slip = math.asin(1.4178275 / 10.0)
    route = arc(10.0)
    turned = route @ np.array([[math.cos(slip), math.sin(slip)], [-math.sin(slip), math.cos(slip)]])
    waypoints = plan(see(4.0, route=turned, yaw_rate=0.4))
    centre = np.array([0.0, 10.0]) @ np.array([[math.cos(slip), math.sin(slip)], [-math.sin(slip), math.cos(slip)]])
    assert np.hypot(*(waypoints - centre).T) == pytest.approx(np.full(HORIZON, 10.0), abs=0.02)


@pytest.mark.parametrize("state", [LightState.RED, LightState.YELLOW])
def test_it_stops_at_the_line(state: LightState) -> None:
    v, gap = 8.0, 30.0
    for _ in range(80):
        waypoints = plan(see(v, light=(gap, state)))
        v, gap = max(2.0 * float(speeds(waypoints)[0]) - v, 0.0), gap - float(waypoints[0, 0])
    assert v < 0.05
    # the bumper is 2.45 m ahead of the centre and stays up to 1 m short of the line
    assert 2.45 < gap < 3.5


def test_it_drives_through_a_light_that_it_cannot_stop_for() -> None:
    # 10 m/s needs 10 m at 5 m/s^2; the line is 5 m ahead of the bumper
    assert speeds(plan(see(10.0, light=(7.45, LightState.RED))))[-1] == pytest.approx(10.0, abs=0.01)
    # a yellow light 11.5 m ahead of the bumper asks for 4.35 m/s^2, a red one is worth it
    assert speeds(plan(see(10.0, light=(13.95, LightState.YELLOW))))[-1] == pytest.approx(10.0, abs=0.01)
    assert speeds(plan(see(10.0, light=(13.95, LightState.RED))))[-1] < 2.0


def test_a_green_light_is_nothing() -> None:
    assert np.array_equal(plan(see(light=(10.0, LightState.GREEN))), plan(see()))


def test_standing_at_a_red_light_is_a_plan_of_zeros() -> None:
    assert np.array_equal(plan(see(0.0, light=(3.0, LightState.RED))), np.zeros((HORIZON, 2)))


def test_a_stop_sign_is_stopped_at_and_then_left() -> None:
    owed = plan(see(5.0, stop_sign=(10.0, 1.0)))
    assert owed[-1, 0] < 7.0
    assert speeds(owed)[-1] < 1.5
    assert np.array_equal(plan(see(0.0, stop_sign=(3.1, 1.0))), np.zeros((HORIZON, 2)))
    assert plan(see(0.0, stop_sign=(3.1, 0.0)))[-1, 0] > 4.0


def test_it_follows_a_leader_at_the_idm_gap() -> None:
    # equilibrium of the interaction term at 6 m/s: 3 m + 6 m/s * 1 s between the bumpers
    def accelerates(gap: float) -> float:
        return float(speeds(plan(see(6.0, objects=[(2.45 + gap + 2.4, 0.0, 0.0, 6.0, *CAR)])))[-1]) - 6.0

    assert abs(accelerates(9.0)) < 0.05
    assert accelerates(6.0) < -0.5
    assert accelerates(14.0) > 0.5


def test_it_stops_behind_a_standing_vehicle() -> None:
    v, x = 8.0, 0.0
    for _ in range(150):
        waypoints = plan(see(v, objects=[(40.0 - x, 0.0, 0.0, 0.0, *CAR)]))
        v, x = max(2.0 * float(speeds(waypoints)[0]) - v, 0.0), x + float(waypoints[0, 0])
    assert v < 0.05
    assert 1.5 < 40.0 - x - 2.45 - 2.4 < 4.5


def test_a_vehicle_in_the_next_lane_is_passed() -> None:
    assert np.array_equal(plan(see(objects=[(10.0, 3.5, 0.0, 2.0, *CAR), (30.0, 3.5, math.pi, 8.0, *CAR)])), plan(see()))


def test_a_follower_is_not_fled_from() -> None:
    assert np.array_equal(plan(see(4.0, objects=[(-6.0, 0.0, 0.0, 9.0, *CAR)])), plan(see(4.0)))


def test_it_brakes_for_a_pedestrian_about_to_enter_its_way() -> None:
    # the pedestrian is in the way from 0.7 s to 3.3 s, 14 m ahead, where the ego at 8 m/s would be after 1.75 s
    free, braked = plan(see()), plan(see(objects=[(14.0, -3.0, math.pi / 2, 1.5, *WALKER)]))
    assert braked[-1, 0] < 11.0
    assert free[-1, 0] > 15.0
    # one that walks beside the road, and one that has crossed
    assert np.array_equal(plan(see(objects=[(14.0, -3.0, 0.0, 1.5, *WALKER)])), free)
    assert np.array_equal(plan(see(objects=[(14.0, -3.0, -math.pi / 2, 1.5, *WALKER)])), free)


def test_it_brakes_hard_for_a_pedestrian_right_ahead() -> None:
    v = speeds(plan(see(8.0, objects=[(9.0, 0.0, math.pi / 2, 1.0, *WALKER)])))
    assert v[9] < 8.0 - 0.95 * 4.5


def test_it_waits_for_crossing_traffic_and_goes_before_what_is_far() -> None:
    # in 1.7 s the vehicle from the left is where the ego would be, 13.6 m ahead
    crossing = plan(see(8.0, objects=[(14.0, 17.0, -math.pi / 2, 10.0, *CAR)]))
    assert crossing[-1, 0] < 11.5
    far = plan(see(8.0, objects=[(14.0, 58.0, -math.pi / 2, 10.0, *CAR)]))
    assert np.array_equal(far, plan(see(8.0)))


def test_oncoming_traffic_in_a_curve_keeps_its_lane() -> None:
    # on the lane 3.5 m to the left of the route, 40 degrees round the arc of 30 m, coming towards the ego: its straight line crosses ours
    phi, r = math.radians(40.0), 26.5
    oncoming = (r * math.sin(phi), 30.0 - r * math.cos(phi), phi - math.pi, 8.0, *CAR)
    route = arc(30.0)
    assert np.array_equal(plan(see(8.0, route=route, yaw_rate=0.27, objects=[oncoming])), plan(see(8.0, route=route, yaw_rate=0.27)))


def lane_change(shift: float, begin: float) -> np.ndarray:
    """(50, 2): straight, with a smooth lane change of 30 m from `begin` m on."""
    x = ROUTE_SPACING_M * np.arange(ROUTE_POINTS)
    t = np.clip((x - begin) / 30.0, 0.0, 1.0)
    return np.stack((x, shift * t * t * (3.0 - 2.0 * t)), axis=-1)


@pytest.mark.parametrize("side", [1.0, -1.0])
def test_it_gives_way_to_who_is_beside_it_on_the_lane_that_it_changes_to(side: float) -> None:
    beside: Row = (-2.0, 3.5 * side, 0.0, 10.0, *CAR)
    other_side: Row = (-2.0, -3.5 * side, 0.0, 10.0, *CAR)
    free = plan(see(10.0, route=lane_change(3.5 * side, 8.0)))
    assert plan(see(10.0, route=lane_change(3.5 * side, 8.0), objects=[beside]))[-1, 0] < free[-1, 0] - 2.0
    assert np.array_equal(plan(see(10.0, route=lane_change(3.5 * side, 8.0), objects=[other_side])), free)
    assert np.array_equal(plan(see(10.0, objects=[beside])), plan(see(10.0)))


@pytest.mark.parametrize(("begin", "end"), [(20.0, 300.0), (-50.0, 30.0), (20.0, 33.0)])
def test_a_curve_is_no_lane_change(begin: float, end: float) -> None:
    s = ROUTE_SPACING_M * np.arange(ROUTE_POINTS)
    heading = 0.02 * (np.clip(s, begin, end) - max(begin, 0.0))
    steps = ROUTE_SPACING_M * np.stack((np.cos(heading), np.sin(heading)), axis=-1)
    route = np.concatenate((np.zeros((1, 2)), np.cumsum(steps, axis=0)[:-1])).astype(np.float32)
    path = empty_path()
    lay_route(route, path)
    assert np.array_equal(path.shift, np.zeros(ROWS))


def test_the_shift_of_a_lane_change() -> None:
    path = empty_path()
    lay_route(lane_change(-3.5, 20.0).astype(np.float32), path)
    assert path.shift[-1] == pytest.approx(-3.5, abs=0.1)
    assert path.shift[70] == pytest.approx(-1.75, abs=0.3)
    assert path.shift[36] == pytest.approx(0.0, abs=0.1)


def test_it_returns_to_the_route_smoothly() -> None:
    beside = np.stack((ROUTE_SPACING_M * np.arange(ROUTE_POINTS), np.full(ROUTE_POINTS, -1.0)), axis=-1)
    waypoints = plan(see(5.0, route=beside))
    offset = waypoints[:, 1] + 1.0
    assert np.all(np.diff(offset) <= 1e-6)
    assert offset[0] > 0.97
    assert offset[-1] < 0.03
    assert np.abs(np.diff(waypoints[:, 1], 2)).max() < 0.06


def test_the_first_waypoint_moves_little_when_the_state_does() -> None:
    rng = np.random.default_rng(0)
    for _ in range(50):
        speed, y = rng.uniform(0.0, 10.0), rng.uniform(-1.0, 1.0)
        route = np.stack((ROUTE_SPACING_M * np.arange(ROUTE_POINTS), np.full(ROUTE_POINTS, y)), axis=-1)
        lead = (rng.uniform(6.0, 30.0), y, 0.0, rng.uniform(0.0, 8.0), *CAR)
        a, b = plan(see(speed, route=route, objects=[lead])), plan(see(speed + 0.01, route=route + 0.005, objects=[lead]))
        assert np.abs(a - b).max() < 0.1


def test_the_plan_is_the_same_bits_alone_or_among_others() -> None:
    rng = np.random.default_rng(1)
    rows = [
        see(
            rng.uniform(0.0, 12.0),
            route=arc(rng.uniform(8.0, 80.0)),
            light=(rng.uniform(5.0, 90.0), float(rng.integers(4))),
            objects=[(*rng.uniform((-20.0, -10.0, -3.0, 0.0), (40.0, 10.0, 3.0, 9.0)), *CAR) for _ in range(8)],
        )
        for _ in range(16)
    ]
    names = ("speed", "yaw_rate", "route", "route_left", "objects", "light", "stop_sign", "speed_limit", "room")
    together = Observation(**{name: np.concatenate([getattr(row, name) for row in rows]) for name in names})
    waypoints = Expert().plan(together).waypoints
    for i, row in enumerate(rows):
        assert np.array_equal(waypoints[i], plan(row))
    order = rng.permutation(16)
    assert np.array_equal(Expert().plan(together.take(order)).waypoints, waypoints[order])


def drive(line: np.ndarray, pose: tuple[float, float, float], speed: float, seconds: float, every: int) -> list[float]:
    """Expert and default controller on a bicycle along a fine polyline (P, 2); distance from it after each tick."""
    expert, controller = Expert(), make_controller("default", 1)
    x, y, yaw = pose
    yaw_rate, away = 0.0, []
    s = np.concatenate(([0.0], np.cumsum(np.hypot(*np.diff(line, axis=0).T))))
    for tick in range(round(seconds / TICK_S)):
        now = np.array([[x, y, yaw]])
        nearest = int(np.argmin(np.hypot(line[:, 0] - x, line[:, 1] - y)))
        if tick % every == 0:
            places = s[nearest] + ROUTE_SPACING_M * np.arange(ROUTE_POINTS)
            ahead = np.stack((np.interp(places, s, line[:, 0]), np.interp(places, s, line[:, 1])), axis=-1) - (x, y)
            c, n = math.cos(yaw), math.sin(yaw)
            waypoints = expert.plan(see(speed, route=ahead @ np.array([[c, -n], [n, c]]), yaw_rate=yaw_rate)).waypoints
            then = now
        one = np.ones(1)
        ego = Ego(x=x * one, y=y * one, yaw=yaw * one, speed=speed * one, yaw_rate=yaw_rate * one, acceleration=0.0 * one)
        control = controller.control(carry(waypoints, then, now), tick % every * TICK_S, ego)
        slip = math.atan(REAR / (FRONT + REAR) * math.tan(GAIN * control.steer[0]))
        yaw_rate = speed / REAR * math.sin(slip)
        x, y, yaw = x + speed * math.cos(yaw + slip) * TICK_S, y + speed * math.sin(yaw + slip) * TICK_S, yaw + yaw_rate * TICK_S
        speed = max(0.0, speed + (4.5 * control.throttle[0] - 0.06 * speed - 4.952 * control.brake[0]) * TICK_S)
        away.append(float(np.hypot(line[:, 0] - x, line[:, 1] - y).min()))
    return away


def turn(radius: float, angle: float) -> np.ndarray:
    """(P, 2): 40 m straight, a turn to the left, 150 m straight; points 5 cm apart."""
    s = np.arange(0.0, 190.0 + radius * angle, 0.05)
    phi = np.clip((s - 40.0) / radius, 0.0, angle)
    beyond = np.maximum(s - 40.0 - radius * angle, 0.0)
    x = np.minimum(s, 40.0) + radius * np.sin(phi) + beyond * math.cos(angle)
    return np.stack((x, radius * (1.0 - np.cos(phi)) + beyond * math.sin(angle)), axis=-1)


@pytest.mark.parametrize("every", [2, 4])
@pytest.mark.parametrize(("radius", "bound"), [(6.0, 0.5), (20.0, 0.3), (60.0, 0.2)])
def test_it_stays_on_turns(radius: float, bound: float, every: int) -> None:
    assert max(drive(turn(radius, math.pi / 2), (0.0, 0.0, 0.0), 0.0, 16.0, every)) < bound


@pytest.mark.parametrize("every", [2, 4])
@pytest.mark.parametrize("pose", [(0.0, 1.0, 0.0), (0.0, -1.0, 0.2), (0.0, 0.5, -0.3)])
def test_it_recovers_from_beside_the_route(pose: tuple[float, float, float], every: int) -> None:
    away = drive(turn(300.0, 0.2), pose, 6.0, 10.0, every)
    assert max(away[80:]) < 0.1
    assert max(away) < 1.3
