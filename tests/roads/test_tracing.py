"""Routes on the network of `handmade` and on the shipped towns."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from lane_lookup import project
from roads.handmade import handmade

from carla_rl.errors import UsageError
from carla_rl.roads.tracing import draw_route, route_key, trace
from toy_env.towns import TOWNS, load_town

NETWORK = handmade()
NETWORKS = {name: load_town(name) for name in TOWNS}


def check_points(route):
    """What every route promises."""
    hop = np.hypot(np.diff(route.x), np.diff(route.y))
    assert hop.max() <= 1.0
    assert hop.min() > 0.0
    assert route.s[0] == 0.0
    np.testing.assert_allclose(np.diff(route.s), hop)
    assert np.all(np.abs(route.yaw) <= math.pi)
    assert len({len(getattr(route, name)) for name in ("x", "y", "z", "yaw", "s", "lane", "half_width", "speed_limit")}) == 1


def test_straight_on_over_a_joint():
    route = trace(NETWORK, [(10, 0, 0), (150, 0.3, 0)], "test")
    check_points(route)
    assert route.lanes == (0, 2)
    assert route.length == pytest.approx(140.0)
    assert (route.x[0], route.x[-1]) == (10.0, 150.0)
    assert np.all(route.y == 0.0)
    assert np.all(route.speed_limit == 10.0)
    assert np.all(route.half_width == 1.75)


def test_a_lane_change_takes_thirty_metres_from_where_it_may_begin():
    route = trace(NETWORK, [(10, 0, 0), (90, -3.5, 0), (150, -3.5, 0)], "test")
    check_points(route)
    assert route.lanes == (0, 1, 3)
    assert np.all(np.diff(route.y) <= 1e-12)
    assert np.interp(25.0, route.x, route.y) == pytest.approx(-1.75, abs=0.05)
    assert np.interp(40.0, route.x, route.y) == pytest.approx(-3.5, abs=1e-3)
    assert np.all(route.yaw == 0.0)
    # straight on for 140 m, and a sideways move of 3.5 m in 30 m adds about 0.24 m
    assert 140.1 < route.length < 140.5


def test_a_short_lane_change_is_squeezed_between_its_positions():
    route = trace(NETWORK, [(10, 0, 0), (20, 0, 0), (34, -3.5, 0), (90, -3.5, 0)], "test")
    check_points(route)
    assert np.interp(20.0, route.x, route.y) == pytest.approx(0.0, abs=1e-3)
    assert np.interp(34.0, route.x, route.y) == pytest.approx(-3.5, abs=1e-3)


def test_the_other_direction_and_the_bridge():
    assert trace(NETWORK, [(150, 3.5, 0), (20, 3.5, 0)], "test").lanes == (4,)
    bridge = trace(NETWORK, [(150, -30, 6), (150, 30, 6)], "test")
    assert bridge.lanes == (5,)
    assert np.all(bridge.z == 6.0)
    # where nothing is on the level of the position the nearest level counts: many files write z = 0 everywhere
    assert trace(NETWORK, [(150, -30, 0), (150, 30, 0)], "test").lanes == (5,)


def test_a_position_slightly_behind_the_last_one_does_no_harm():
    route = trace(NETWORK, [(10, 0, 0), (50, 0, 0), (49.5, 0, 0), (80, 0, 0)], "test")
    check_points(route)
    assert route.length == pytest.approx(70.0, abs=0.6)


def test_positions_beside_the_lane_are_snapped_to_the_nearest_lanes():
    # -9 is off all driving lanes: the nearest is lane 1
    assert trace(NETWORK, [(10, -9, 0), (80, -9, 0)], "test").lanes == (1,)


@pytest.mark.parametrize(
    ("positions", "says"),
    [
        ([(10, 0, 0)], "at least two"),
        ([(10, 0, 0), (50, 40, 0)], r"my file: position 2 of 2 \(50.0, 40.0\) is more than 10 m"),
        ([(150, 0, 0), (10, 0, 0)], r"my file: position 2 of 2 \(10.0, 0.0\) cannot be reached"),
        ([(10, 0, 0), (80, 0, 0), (60, 3.5, 0)], "position 3 of 3"),
        ([(10, 0, 0), (10, 0, 0)], "same place"),
    ],
)
def test_impossible_positions_are_named(positions, says):
    with pytest.raises(UsageError, match=says):
        trace(NETWORK, positions, "my file")


def test_route_keys_tell_lanes_apart_and_nothing_else():
    keys = [route_key(trace(NETWORK, [(x, 0, 0), (150, y, 0)], "test")) for x, y in ((10, 0), (30, 0), (10, -3.5))]
    assert keys[0] == keys[1] != keys[2]
    assert keys[0] == "160eaf8e6cdf4c44"


@pytest.mark.parametrize("town", TOWNS)
@settings(max_examples=8, deadline=None)
@given(seed=st.integers(0, 2**40))
def test_a_drawn_route_is_traced_back(town, seed):
    network = NETWORKS[town]
    positions = draw_route(network, seed, 200.0, 500.0)
    assert positions == draw_route(network, seed, 200.0, 500.0)
    route = trace(network, positions, "test")
    check_points(route)
    assert 200.0 <= route.length <= 500.0
    assert network.roads.junction[route.lane[0]] == network.roads.junction[route.lane[-1]] == -1
    last = route.lane[-1]
    assert 4.9 < project(network.roads, last, route.x[-1], route.y[-1])[0] < network.roads.length[last] - 4.9
    assert len(set(route.lanes)) == len(route.lanes)
    for a, b in itertools.pairwise(route.lanes):
        assert b in network.successors(a) or b in (network.roads.left[a], network.roads.right[a])
    # through each position
    for x, y, _ in positions:
        assert np.hypot(route.x - x, route.y - y).min() < 0.6


def test_different_seeds_draw_different_routes_with_turns():
    routes = [trace(NETWORKS["grid"], draw_route(NETWORKS["grid"], seed, 300.0, 500.0), "test") for seed in range(20)]
    assert len({route_key(route) for route in routes}) >= 19
    turns = [np.abs(np.diff(np.unwrap(route.yaw))).sum() for route in routes]
    assert np.mean(turns) > math.pi / 2


def test_a_route_longer_than_the_town_is_refused():
    with pytest.raises(UsageError, match="ring: found no route"):
        draw_route(NETWORKS["ring"], 0, 5000.0, 6000.0)
