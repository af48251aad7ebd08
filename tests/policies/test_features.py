"""The feature vector against numbers worked out by hand."""

import numpy as np
import pytest
from policy_parts import observations

from carla_rl.policies import features as f
from carla_rl.types import LightState, ObjectKind, Observation


def one(objects=(), *, speed=10.0, route=None, light=(100.0, 0.0), stop_sign=(100.0, 0.0)) -> Observation:
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
    )


def slots(row: np.ndarray) -> np.ndarray:
    start = f.EGO + f.ROUTE
    return row[start : start + (f.CORRIDOR_SLOTS + f.RISK_SLOTS) * f.SLOT].reshape(-1, f.SLOT)


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
        table[0], [1 - 20 / 60, 5 / 25, 0.125, 0.5, 0, 1, 0, 0.8, 0.6, 1, 0, 0, 0, 0, 1 - 5.205 / 15], rtol=1e-5, atol=1e-7
    )
    assert not table[1].any()
    np.testing.assert_allclose(table[2], [1 - 10 / 60, 5 / 15, -1.0, 0, 0.2, 0, 1, 0.1, 0.2, 0, 1, 0, 0, 0, threat], rtol=1e-5, atol=1e-7)
    assert not table[3:].any()


def test_objects_follow_the_bend_of_the_route():
    # 20 m ahead, then left: the object 10 m up the side road stands on the route, 30 m along it, and drives along it
    s = np.arange(50) * 2.0
    route = np.stack([np.minimum(s, 20.0), np.maximum(s - 20.0, 0.0)], -1)
    table = slots(f.route_objects(one([(20.0, 10.0, np.pi / 2, 4.0, 2.0, 1.0, ObjectKind.VEHICLE)], route=route))[0])
    np.testing.assert_allclose(table[0, :7], [0.5, 5 / 35, 0.0, 0.4, 0.0, 1.0, 0.0], atol=1e-6)


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
        ((-12.0, 0.5, 0.0, 12.0, 2.0, 1.0, ObjectKind.VEHICLE), False),
        ((30.0, 25.0, np.pi / 2, 9.0, 2.0, 1.0, ObjectKind.VEHICLE), False),
        ((12.0, 1.5, 0.0, 0.0, 2.0, 1.0, ObjectKind.VEHICLE), True),
    ],
    ids=["parked aside", "walker at the kerb", "follower", "going away", "parked in the way"],
)
def test_what_does_not_matter_is_left_out(thing, kept):
    assert slots(f.route_objects(one([thing]))[0]).any() == kept


def test_what_will_cross_comes_before_what_keeps_its_lane():
    crossing = (20.0, -8.0, np.pi / 2, 4.0, 2.0, 1.0, ObjectKind.VEHICLE)
    beside = (4.0, 5.0, 0.0, 10.0, 1.0, 0.4, ObjectKind.BICYCLE)
    table = slots(f.route_objects(one([beside, crossing]))[0])
    assert table[2, 9] == 1.0
    assert table[3, 12] == 1.0
    assert table[2, -1] > table[3, -1]


def test_more_objects_than_slots():
    crowd = [(4.0 + 2 * i, 0.0, 0.0, 0.0, 1.0, 1.0, ObjectKind.BICYCLE) for i in range(24)]
    table = slots(f.route_objects(one(crowd))[0])
    assert (table[:, 12] == 1.0).all()
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
            assert slot[9:-1].tolist() == [float(other == kind) for other in ObjectKind if other is not ObjectKind.NONE]
