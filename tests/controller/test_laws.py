"""Each control law against numbers worked out by hand."""

import math

import numpy as np
import pytest

from carla_rl.controller import PRESETS, make_controller
from carla_rl.controller.laws import TURN, Gains, pid
from carla_rl.errors import UsageError
from carla_rl.types import Control, Ego


def ego(*speeds: float) -> Ego:
    zero = np.zeros(len(speeds))
    return Ego(x=zero, y=zero, yaw=zero, speed=np.array(speeds, np.float64), yaw_rate=zero, acceleration=zero)


def straight(speed: float, angle: float = 0.0, horizon: int = 20) -> np.ndarray:
    """(1, H, 2): constant speed in a constant direction."""
    t = 0.1 * np.arange(1, horizon + 1)
    return np.stack((speed * t * math.cos(angle), speed * t * math.sin(angle)), axis=-1)[None]


def pedals(control: Control) -> tuple[float, float, float]:
    return float(control.throttle[0]), float(control.steer[0]), float(control.brake[0])


def test_pid_window_filled_with_zeros() -> None:
    errors, count = np.zeros((2, 4)), np.zeros(2, np.int64)
    gains = Gains(kp=2.0, ki=0.5, kd=3.0, window=4, zero_filled=True)
    assert pid(errors, count, TURN, 1.0, gains) == pytest.approx(2 * 1 + 0.5 * 1 / 4 + 3 * (1 - 0))
    assert pid(errors, count, TURN, 3.0, gains) == pytest.approx(2 * 3 + 0.5 * 4 / 4 + 3 * (3 - 1))
    for error in (5.0, 7.0):
        pid(errors, count, TURN, error, gains)
    # the window now holds 3, 5, 7, -1: the first error has left
    assert pid(errors, count, TURN, -1.0, gains) == pytest.approx(2 * -1 + 0.5 * 14 / 4 + 3 * (-1 - 7))


def test_pid_window_that_starts_empty() -> None:
    errors, count = np.zeros((2, 4)), np.zeros(2, np.int64)
    gains = Gains(kp=2.0, ki=0.5, kd=3.0, window=4, zero_filled=False)
    assert pid(errors, count, TURN, 1.0, gains) == pytest.approx(2 * 1 + 0.5 * 1)
    assert pid(errors, count, TURN, 3.0, gains) == pytest.approx(2 * 3 + 0.5 * 2 + 3 * 2)


def test_transfuser_accelerates_by_its_speed_pid() -> None:
    # desired 2 |w(0.5 s) - w(1 s)| = 8 m/s, speed 7.9: error 0.1; 5 * 0.1 + 0.5 * 0.1 / 20 + 1 * 0.1 = 0.6025
    controller = make_controller("transfuser", 1)
    assert pedals(controller.control(straight(8.0), 0.0, ego(7.9))) == pytest.approx((0.6025, 0.0, 0.0))
    # second tick at 7.95: error 0.05; 0.25 + 0.5 * 0.15 / 20 + (0.05 - 0.1)
    assert pedals(controller.control(straight(8.0), 0.0, ego(7.95))) == pytest.approx((0.20375, 0.0, 0.0))


def test_transfuser_clips_its_error_and_its_throttle() -> None:
    # error 8 is clipped to 0.25: 1.25 + 0.00625 + 0.25 > 0.75
    assert pedals(make_controller("transfuser", 1).control(straight(8.0), 0.0, ego(0.0))) == (0.75, 0.0, 0.0)


@pytest.mark.parametrize("name", ["transfuser", "tcp"])
def test_half_second_laws_brake_below_their_dead_zone_and_above_their_ratio(name: str) -> None:
    for desired, speed, braking in ((0.39, 0.0, True), (0.41, 0.0, False), (5.0, 5.6, True), (5.0, 5.4, False), (0.0, 3.0, True)):
        throttle, _, brake = pedals(make_controller(name, 1).control(straight(desired), 0.0, ego(speed)))
        assert brake == (1.0 if braking else 0.0)
        assert not (braking and throttle > 0.0)


def test_transfuser_steers_to_the_middle_of_its_waypoints_positive_to_the_left() -> None:
    # straight on at 9 degrees: error 0.1; 1.25 * 0.1 + 0.75 * 0.1 / 20 + 0.3 * 0.1 = 0.15875
    left = pedals(make_controller("transfuser", 1).control(straight(8.0, math.radians(9.0)), 0.0, ego(7.9)))
    right = pedals(make_controller("transfuser", 1).control(straight(8.0, math.radians(-9.0)), 0.0, ego(7.9)))
    assert left[1] == pytest.approx(0.15875)
    assert right[1] == pytest.approx(-0.15875)


def test_transfuser_feeds_no_steering_error_while_braking_or_standing() -> None:
    plan = straight(8.0, math.radians(9.0))
    assert pedals(make_controller("transfuser", 1).control(plan, 0.0, ego(9.0)))[1] == 0.0
    assert pedals(make_controller("transfuser", 1).control(plan, 0.0, ego(0.0)))[1] == 0.0


def test_transfuser_reads_the_waypoints_of_its_own_time_base() -> None:
    plan = np.zeros((1, 20, 2))
    plan[0, :, 0] = 100.0
    plan[0, 4], plan[0, 9] = (3.0, 0.0), (6.0, 4.0)
    # desired 2 * 5 = 10 m/s, brake above 11; aim (4.5, 2): atan2(2, 4.5) = 23.9625 deg, 0.266250
    assert pedals(make_controller("transfuser", 1).control(plan, 0.0, ego(11.1)))[2] == 1.0
    throttle, steer, _ = pedals(make_controller("transfuser", 1).control(plan, 0.0, ego(10.0)))
    assert throttle == 0.0
    assert steer == pytest.approx((1.25 + 0.75 / 20 + 0.3) * 0.266250, abs=1e-5)


def test_tcp_takes_its_mean_speed_and_the_first_of_the_pair_nearest_four_metres() -> None:
    plan = np.zeros((1, 20, 2))
    plan[0, 4], plan[0, 9], plan[0, 14], plan[0, 19] = (1.0, 0.0), (3.0, 1.0), (5.0, 1.0), (9.0, 1.0)
    # midpoints (2, .5), (4, 1), (7, 1): norms 2.06, 4.12, 7.07: the aim is (3, 1), 18.4349 deg, 0.204833
    # desired 2 (sqrt(5) + 2 + 4) / 3 = 5.490712; at 5.4 the error is 0.090712
    throttle, steer, brake = pedals(make_controller("tcp", 1).control(plan, 0.0, ego(5.4)))
    assert steer == pytest.approx((0.75 + 0.75 / 40 + 0.3) * 0.204833, abs=1e-5)
    assert throttle == pytest.approx((5.0 + 0.5 / 40 + 1.0) * 0.090712, abs=1e-5)
    assert brake == 0.0


def test_tcp_steers_while_braking() -> None:
    throttle, steer, brake = pedals(make_controller("tcp", 1).control(straight(8.0, math.radians(9.0)), 0.0, ego(20.0)))
    assert (throttle, brake) == (0.0, 1.0)
    assert steer == pytest.approx((0.75 + 0.75 / 40 + 0.3) * 0.1)


def test_pdm_lite_pedals() -> None:
    def drive(desired: float, speed: float) -> tuple[float, float, float]:
        return pedals(make_controller("pdm_lite", 1).control(straight(desired), 0.0, ego(speed)))

    assert drive(0.0, 0.0) == (0.0, 0.0, 1.0)
    # an error of 3.6 km/h, above 1.89
    assert drive(10.0, 9.0) == (1.0, 0.0, 0.0)
    # 10.4 / 10 > 1.0313
    assert drive(10.0, 10.4) == (0.0, 0.0, 1.0)
    # 36 km/h, error 0: 1.1990342 * 0.36 - 0.8057602 * 0.1296
    assert drive(10.0, 10.0)[0] == pytest.approx(0.327226, abs=1e-5)
    # a target of 0.1 m/s is raised to 0.278: 1.0008 km/h, so u = 0, e = 1.0008: 1.710819 * 1.0008 + 0.921890 * 1.0008^2 / 10^4 > 1
    assert drive(0.1, 0.0)[0] == 1.0


def test_pdm_lite_look_ahead_and_steer() -> None:
    plan = np.zeros((1, 20, 2))
    plan[0, :, 0] = 0.5 * np.arange(1, 21)
    plan[0, :, 1] = np.where(plan[0, :, 0] > 3.0, 1.0, 0.0)
    # at 5 m/s the look-ahead is 0.0975532 * 18 + 0.1915288 = 1.947, raised to 2.4 m: on the straight part
    assert pedals(make_controller("pdm_lite", 1).control(plan, 0.0, ego(5.0)))[1] == 0.0
    # at 10 m/s 3.70344 m, between (3.5, 1), 3.64005 m away, and (4, 1), 4.12311 m: 0.131218 of the way, (3.565609, 1), 15.6666 deg
    steer = pedals(make_controller("pdm_lite", 1).control(plan, 0.0, ego(10.0)))[1]
    assert steer == pytest.approx((3.118357 + 0.640607) * math.degrees(math.atan2(1.0, 3.565609)) / 90.0, abs=1e-5)


def test_default_pedals() -> None:
    def drive(desired: float, speed: float) -> tuple[float, float, float]:
        return pedals(make_controller("default", 1).control(straight(desired), 0.0, ego(speed)))

    # steady at 10 m/s: the throttle that pays for the drag, 0.6 / 4.5
    assert drive(10.0, 10.0) == pytest.approx((0.6 / 4.5, 0.0, 0.0))
    # an error of 0.4 m/s over 0.4 s: 1 + 0.06 * 9.6
    assert drive(10.0, 9.6) == pytest.approx((1.576 / 4.5, 0.0, 0.0))
    # -2.5 + 0.6 + 0.06 = -1.84
    assert drive(10.0, 11.0) == pytest.approx((0.0, 0.0, 1.84 / 4.952))
    # -0.25 + 0.06 * 10.1 > 0; and within the band that is left to the drag
    assert drive(10.0, 10.1)[2] == 0.0
    assert drive(10.0, 10.3) == (0.0, 0.0, 0.0)


def test_default_creeps_where_others_stand() -> None:
    creeping = pedals(make_controller("default", 1).control(straight(0.1), 0.0, ego(0.0)))
    assert creeping == (0.15, 0.0, 0.0)
    assert pedals(make_controller("transfuser", 1).control(straight(0.1), 0.0, ego(0.0)))[2] == 1.0


def test_default_steers_the_centre_onto_the_arc_through_the_point_ahead() -> None:
    # a circle of 10 m radius to the left, met by a centre that moves along +x: its heading lags by the slip angle asin(1.4178275 / 10)
    slip = math.asin(1.4178275 / 10.0)
    phi = 0.4 * np.arange(1, 21) / 10.0
    x, y = 10.0 * np.sin(phi), 10.0 - 10.0 * np.cos(phi)
    plan = np.stack((x * math.cos(slip) - y * math.sin(slip), x * math.sin(slip) + y * math.cos(slip)), axis=-1)[None]
    wheel = math.atan(math.tan(slip) * (1.4178275 - 0.090769015) / 1.4178275)
    assert pedals(make_controller("default", 1).control(plan, 0.0, ego(4.0)))[1] == pytest.approx(wheel / 0.36848336, rel=5e-3)
    plan[..., 1] *= -1.0
    assert pedals(make_controller("default", 1).control(plan, 0.0, ego(4.0)))[1] == pytest.approx(-wheel / 0.36848336, rel=5e-3)


@pytest.mark.parametrize("name", PRESETS)
def test_steer_is_positive_to_the_left(name: str) -> None:
    assert pedals(make_controller(name, 1).control(straight(5.0, 0.2), 0.0, ego(4.9)))[1] > 0.05
    assert pedals(make_controller(name, 1).control(straight(5.0, -0.2), 0.0, ego(4.9)))[1] < -0.05


@pytest.mark.parametrize("name", PRESETS)
@pytest.mark.parametrize("speed", [0.0, 3.0])
def test_a_plan_that_stands_still_brakes_fully(name: str, speed: float) -> None:
    throttle, steer, brake = pedals(make_controller(name, 1).control(np.zeros((1, 20, 2)), 0.0, ego(speed)))
    assert (throttle, steer, brake) == (0.0, 0.0, 1.0)


@pytest.mark.parametrize("name", ["default", "pdm_lite"])
def test_a_plan_that_runs_backwards_brakes(name: str) -> None:
    throttle, _, brake = pedals(make_controller(name, 1).control(straight(-4.0), 0.0, ego(3.0)))
    assert (throttle, brake) == (0.0, 1.0)


@pytest.mark.parametrize("name", PRESETS)
def test_an_unknown_place_names_the_env(name: str) -> None:
    plans = np.repeat(straight(5.0), 3, axis=0)
    plans[1, 7, 1] = math.nan
    with pytest.raises(ValueError, match="env 1"):
        make_controller(name, 3).control(plans, 0.0, ego(5.0, 5.0, 5.0))


@pytest.mark.parametrize(("name", "horizon"), [("default", 6), ("transfuser", 9), ("tcp", 19), ("pdm_lite", 9)])
def test_a_plan_that_is_too_short_is_refused(name: str, horizon: int) -> None:
    with pytest.raises(ValueError, match=name):
        make_controller(name, 1).control(straight(5.0, horizon=horizon), 0.05, ego(5.0))
    make_controller(name, 1).control(straight(5.0, horizon=horizon + 1), 0.05, ego(5.0))


def test_a_wrong_shape_is_refused() -> None:
    with pytest.raises(ValueError, match=r"\(2, H >= 2, 2\)"):
        make_controller("default", 2).control(straight(5.0), 0.0, ego(5.0))


def test_an_unknown_preset_lists_those_there_are() -> None:
    with pytest.raises(UsageError, match="default, transfuser, tcp, pdm_lite"):
        make_controller("stanley", 1)


@pytest.mark.parametrize("name", PRESETS)
def test_pedals_are_the_same_bits_alone_or_among_others(name: str) -> None:
    rng = np.random.default_rng(3)
    plans = np.cumsum(rng.uniform((0.0, -0.3), (1.2, 0.3), (5, 8, 20, 2)), axis=2)
    speeds = rng.uniform(0.0, 12.0, (5, 8))
    many, alone = make_controller(name, 8), make_controller(name, 1)
    for plan, speed in zip(plans, speeds, strict=True):
        a = many.control(plan, 0.05, ego(*speed))
        b = alone.control(plan[3:4], 0.05, ego(speed[3]))
        assert pedals(b) == (a.throttle[3], a.steer[3], a.brake[3])


@pytest.mark.parametrize("name", PRESETS)
def test_reset_forgets_only_the_envs_named(name: str) -> None:
    both, plan = make_controller(name, 2), np.repeat(straight(5.0, 0.1), 2, axis=0)
    for angle in (0.0, 0.3):
        both.control(np.repeat(straight(5.0, angle), 2, axis=0), 0.0, ego(4.9, 4.9))
    both.reset(np.array([True, False]))
    after = both.control(plan, 0.0, ego(4.9, 4.9))
    fresh = make_controller(name, 1).control(plan[:1], 0.0, ego(4.9))
    assert after.steer[0] == fresh.steer[0]
    assert after.throttle[0] == fresh.throttle[0]
    if name != "default":
        assert after.steer[1] != fresh.steer[0]


def test_how_long_a_plan_has_to_be():
    """`default` looks 0.6 s ahead while the plan ages to the decision's last tick; the others read the plan's own waypoints."""
    shortest = {name: make_controller(name, 1).shortest_plan_s(0.2) for name in PRESETS}
    assert shortest == pytest.approx({"default": 0.75, "transfuser": 1.0, "tcp": 2.0, "pdm_lite": 1.0})
    assert make_controller("transfuser", 1).shortest_plan_s(1.2) == pytest.approx(1.2)


@pytest.mark.parametrize("name", PRESETS)
def test_a_plan_of_that_length_is_followed_and_a_shorter_one_is_not(name):
    controller = make_controller(name, 1)
    horizon = math.ceil(controller.shortest_plan_s(0.2) / 0.1 - 1e-9)
    plan = np.cumsum(np.full((1, horizon, 2), (0.5, 0.0)), axis=1)
    controller.control(plan, 0.15, ego(5.0))
    with pytest.raises(ValueError, match="ahead, but it ends after"):
        controller.control(plan[:, :-1], 0.15, ego(5.0))
