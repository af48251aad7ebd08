"""The feature vector against numbers worked out by hand."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from policy_parts import observations

from carla_rl.policies import feature_objects as fo
from carla_rl.policies import features as f
from carla_rl.types import LightState, ObjectKind, Observation


def one(objects=(), *, speed=10.0, route=None, light=(100.0, 0.0), stop_sign=(100.0, 0.0), room=(2.0, 2.0, 2.0)) -> Observation:
    s = np.arange(50) * 2.0
    straight = np.stack([s, np.zeros(50)], -1)
    table = np.zeros((1, 24, 7), np.float32)
    for row, thing in enumerate(objects):
        table[0, row] = thing
    return Observation(
        speed=np.array([speed], np.float32),
        yaw_rate=np.array([0.25], np.float32),
        route=(straight if route is None else route)[None].astype(np.float32),
        route_left=np.array([45.0], np.float32),
        objects=table,
        light=np.array([light], np.float32),
        stop_sign=np.array([stop_sign], np.float32),
        speed_limit=np.array([15.0], np.float32),
        room=np.broadcast_to(np.array(room, np.float32), (1, 50, 3)),
    )


def slots(row: np.ndarray) -> np.ndarray:
    start = f.EGO + f.ROUTE + f.ROOM
    return row[start : start + f.OBJECTS].reshape(-1, fo.SLOT)


def test_empty_straight_road():
    row = f.route_objects(one())[0]
    assert row.shape == (f.SIZE,)
    np.testing.assert_allclose(row[:5], [1.0, 1.5, 0.5, 0.5, 0.25], rtol=1e-6)
    assert not row[5:].any()


def test_route_points_are_offsets_from_a_straight_one():
    s = np.arange(50) * 2.0
    route = np.stack([0.5 * s, 0.25 * s], -1)
    row = f.route_objects(one(route=route))[0, f.EGO : f.EGO + f.ROUTE]
    # at s = 8 m: x is 4 m short of it and y 2 m, both over 2 + 8 / 4 = 4 m
    np.testing.assert_allclose(row[6:8], [-1.0, 0.5])
    # at s = 64 m, the last: -32 / 18 and 16 / 18
    np.testing.assert_allclose(row[-2:], [-32 / 18, 16 / 18], rtol=1e-6)


def test_leader_goes_into_the_corridor_and_a_walker_at_the_side_does_not():
    leader = (20.0, 0.5, 0.0, 5.0, 2.4, 0.9, ObjectKind.VEHICLE)
    # the leader comes closest after 3 s: 5 m ahead, of which 1 counts half; and the tie-break. The walker after half a second
    threat = 1 - (np.hypot(0.5, 2.0) + 0.75 + 0.14) / 15
    walker = (10.0, -4.0, np.pi / 2, 1.0, 0.3, 0.3, ObjectKind.PEDESTRIAN)
    table = slots(f.route_objects(one([walker, leader]))[0])
    np.testing.assert_allclose(
        table[0],
        # it is in the corridor and stays; the ego's bumper is there in 1.75 s
        [1 - 20 / 60, 5 / 25, 0.125, 0.5 / 30, 0.5, 0, 1, 0, 0.8, 0.6, 1, 0, 0, 0, 0, 1 - 5.205 / 15, 1, 0, 20 / 30, 1.75 / 4],
        rtol=1e-5,
        atol=1e-7,
    )
    assert not table[1].any()
    # 4 m aside at 1 m/s it is in the corridor, 1.8 m either side for its size, after 2.2 s and out again after 5.8 s; the ego's bumper
    # is there after 0.75 s
    way = [2 / 4.2, 2 / 7.8, 10 / 30, (0.75 - 2.2) / 4]
    np.testing.assert_allclose(
        table[2],
        [1 - 10 / 60, 5 / 15, -1.0, -4 / 30, 0, 0.2, 0, 1, 0.1, 0.2, 0, 1, 0, 0, 0, threat, *way],
        rtol=1e-5,
        atol=1e-6,
    )
    assert not table[3:].any()


def test_objects_follow_the_bend_of_the_route():
    # 20 m ahead, then left: the object 10 m up the side road stands on the route, 30 m along it, and drives along it
    s = np.arange(50) * 2.0
    route = np.stack([np.minimum(s, 20.0), np.maximum(s - 20.0, 0.0)], -1)
    table = slots(f.route_objects(one([(20.0, 10.0, np.pi / 2, 4.0, 2.0, 1.0, ObjectKind.VEHICLE)], route=route))[0])
    np.testing.assert_allclose(table[0, :8], [0.5, 5 / 35, 0.0, 0.0, 0.4, 0.0, 1.0, 0.0], atol=1e-6)


def test_behind_the_ego_is_negative_along_and_never_in_the_corridor():
    # beside and behind, faster than the ego: it comes closest after a second
    table = slots(f.route_objects(one([(-12.0, 3.0, 0.0, 20.0, 2.0, 1.0, ObjectKind.VEHICLE)]))[0])
    assert not table[:2].any()
    np.testing.assert_allclose(table[2, :2], [1.2, 5 / 17], rtol=1e-6)


@pytest.mark.parametrize(
    ("thing", "kept"),
    [
        ((12.0, 6.0, 0.0, 0.0, 2.0, 1.0, ObjectKind.VEHICLE), False),
        ((12.0, 6.0, 0.0, 0.0, 0.3, 0.3, ObjectKind.PEDESTRIAN), True),
        ((-12.0, 0.5, 0.0, 11.0, 2.0, 1.0, ObjectKind.VEHICLE), False),
        ((-12.0, 0.5, 0.0, 16.0, 2.0, 1.0, ObjectKind.VEHICLE), True),
        ((30.0, 25.0, np.pi / 2, 9.0, 2.0, 1.0, ObjectKind.VEHICLE), False),
        ((12.0, 1.5, 0.0, 0.0, 2.0, 1.0, ObjectKind.VEHICLE), True),
    ],
    ids=["parked aside", "walker at the kerb", "follower", "closing in from behind", "going away", "parked in the way"],
)
def test_what_does_not_matter_is_left_out(thing, kept):
    assert slots(f.route_objects(one([thing]))[0]).any() == kept


def test_what_will_cross_comes_before_what_keeps_its_lane():
    crossing = (20.0, -8.0, np.pi / 2, 4.0, 2.0, 1.0, ObjectKind.VEHICLE)
    beside = (4.0, 5.0, 0.0, 10.0, 1.0, 0.4, ObjectKind.BICYCLE)
    table = slots(f.route_objects(one([beside, crossing]))[0])
    assert table[2, 10] == 1.0
    assert table[3, 13] == 1.0
    assert table[2, 15] > table[3, 15]


def test_a_fast_car_far_aside_is_seen_in_time():
    # 60 m to the right of a place 16 m ahead, at 15 m/s: in the corridor (1.5 + 2 m either side) in 3.77 s, out in 4.23 s; an ego that
    # stands is there, 13.5 m with its bumper, in 6.75 s at the 2 m/s that are assumed of it
    car = (16.0, -60.0, np.pi / 2, 15.0, 2.0, 1.0, ObjectKind.VEHICLE)
    table = slots(f.route_objects(one([car], speed=0.0))[0])
    enters, leaves = 56.5 / 15, 63.5 / 15
    np.testing.assert_allclose(table[2, 2:4], [-3.0, -2.0], rtol=1e-6)
    np.testing.assert_allclose(table[2, 15], 1 - (1.2 * enters + 1.6) / 15, rtol=1e-5)
    np.testing.assert_allclose(table[2, 16:], [2 / (2 + enters), 2 / (2 + leaves), 16 / 30, (6.75 - enters) / 4], rtol=1e-5)


@given(d=st.floats(-50, 50), vd=st.floats(-20, 20), reach=st.floats(0.5, 5))
def test_passage_is_what_a_simulation_shows(d, vd, reach):
    enters, leaves = fo._passage(d, vd, reach)
    assert 0.0 <= enters <= leaves
    for t in np.linspace(0.0, 60.0, 61):
        gap = abs(d + vd * t) - reach
        if abs(gap) > 1e-2 and abs(vd) >= 1e-3:
            assert (enters < t < leaves or (t == 0.0 == enters)) == (gap < 0.0)


def test_room_is_told_where_the_road_goes():
    row = f.route_objects(one(room=(1.5, 4.0, 14.0)))[0, f.EGO + f.ROUTE : f.EGO + f.ROUTE + f.ROOM]
    np.testing.assert_allclose(row.reshape(-1, 3), [[-0.125, 0.5, 2.0]] * 6)


def test_more_objects_than_slots():
    crowd = [(4.0 + 2 * i, 0.0, 0.0, 0.0, 1.0, 1.0, ObjectKind.BICYCLE) for i in range(24)]
    table = slots(f.route_objects(one(crowd))[0])
    assert (table[:, 13] == 1.0).all()
    np.testing.assert_allclose(table[:2, 0], [1 - 4 / 60, 1 - 6 / 60], rtol=1e-6)


@pytest.mark.parametrize(
    ("light", "expected"),
    [
        ((100.0, LightState.NONE), [0, 0, 0, 0, 0, 0]),
        ((23.0, LightState.GREEN), [0.54, 2 / 22, 1, 0, 0, 0]),
        # stopping from 10 m/s within 20 m, three before the line, takes 2.5 m/s^2
        ((23.0, LightState.YELLOW), [0.54, 2 / 22, 0, 1, 0, 0.5]),
        ((23.0, LightState.RED), [0.54, 2 / 22, 0, 0, 1, 0.5]),
        ((0.0, LightState.RED), [1.0, 1.0, 0, 0, 1, 2.0]),
    ],
)
def test_traffic_light(light, expected):
    row = f.route_objects(one(light=light))[0]
    np.testing.assert_allclose(row[-10:-4], expected, rtol=1e-6)


@pytest.mark.parametrize(
    ("stop_sign", "expected"), [((100.0, 0.0), [0, 0, 0, 0]), ((23.0, 1.0), [0.54, 2 / 22, 1, 0.5]), ((23.0, 0.0), [0.54, 2 / 22, 0, 0])]
)
def test_stop_sign(stop_sign, expected):
    np.testing.assert_allclose(f.route_objects(one(stop_sign=stop_sign))[0, -4:], expected, rtol=1e-6)


def test_drive_context():
    row = f.drive_context(one())[0]
    np.testing.assert_allclose(row[:2], [1.0, 0.5])
    assert not row[2:].any()


def test_rows_do_not_depend_on_each_other():
    everyone = observations(40)
    whole = f.route_objects(everyone)
    assert np.isfinite(whole).all()
    order = np.random.default_rng(2).permutation(40)
    assert np.array_equal(f.route_objects(everyone.take(order)), whole[order])
    assert np.array_equal(f.route_objects(everyone.take(np.array([7]))), whole[7:8])


def test_lacking_parts_are_said():
    bare = Observation(speed=np.zeros(1, np.float32), yaw_rate=np.zeros(1, np.float32))
    with pytest.raises(ValueError, match="lacks"):
        f.route_objects(bare)
    with pytest.raises(ValueError, match="lacks"):
        f.drive_context(bare)


def test_each_kind_of_object_has_its_place():
    """A kind without one would be written over what follows."""
    for kind in ObjectKind:
        if kind is not ObjectKind.NONE:
            slot = slots(f.route_objects(one([(10.0, 0.0, 0.0, 0.0, 2.0, 1.0, kind)]))[0])[0]
            assert slot[10:15].tolist() == [float(other == kind) for other in ObjectKind if other is not ObjectKind.NONE]
