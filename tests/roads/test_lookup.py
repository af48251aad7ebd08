"""Look-ups on the network of `handmade`; the expected numbers follow from its drawing."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from roads.handmade import handmade

from carla_rl.roads import lookup

NETWORK = handmade()
ROADS = NETWORK.roads


def test_nearest_sample_is_the_nearest_of_all_lanes():
    sample = lookup.nearest_sample(ROADS, 50.4, 0.2, 0.0)
    assert ROADS.sample_lane[sample] == 0
    assert ROADS.s[sample] == 50.0


def test_nothing_is_near_beside_the_road_nor_outside_the_grid():
    assert lookup.nearest_sample(ROADS, 50.0, 40.0, 0.0) == -1
    assert lookup.nearest_sample(ROADS, -5000.0, 0.0, 0.0) == -1
    assert lookup.nearest_lane(ROADS, 50.0, 40.0, 0.0, 0.0, math.pi)[0] == -1
    assert lookup.lane_beneath(ROADS, 5000.0, 0.0, 0.0) == (-1, math.inf, 0.0, 0.0, False)


def test_nearest_lane_gives_place_and_signed_offset():
    lane, s, lateral, distance = lookup.nearest_lane(ROADS, 51.0, 1.0, 0.0, 0.0, math.pi)
    assert (lane, s, lateral, distance) == (0, pytest.approx(51.0), pytest.approx(1.0), pytest.approx(1.0))


def test_nearest_lane_by_direction():
    # 1.7 is nearer to lane 0, but only lane 4 leads west; left of west is south
    lane, s, lateral, _ = lookup.nearest_lane(ROADS, 51.0, 1.7, 0.0, math.pi, math.pi / 2)
    assert (lane, s, lateral) == (4, pytest.approx(149.0), pytest.approx(1.8))


@pytest.mark.parametrize(("z", "lane"), [(6.0, 5), (3.5, 5), (0.0, 2), (2.9, 2), (20.0, -1)])
def test_a_bridge_is_another_level(z, lane):
    assert lookup.nearest_lane(ROADS, 150.1, 0.2, z, 0.0, math.pi)[0] == lane


def test_poses_are_interpolated_and_clipped():
    assert lookup.pose_at(ROADS, 4, 37.5) == (pytest.approx(162.5), 3.5, 0.0, pytest.approx(math.pi))
    assert lookup.pose_at(ROADS, 0, -3.0)[0] == 0.0
    assert lookup.pose_at(ROADS, 0, 103.0)[0] == 100.0
    assert lookup.half_width_at(ROADS, 6, 55.0) == pytest.approx(1.1)


def test_projection_onto_a_given_lane():
    assert lookup.project(ROADS, 1, 33.0, -2.5) == (pytest.approx(33.0), pytest.approx(1.0), pytest.approx(1.0))
    assert lookup.project(ROADS, 1, 103.0, 0.5)[::2] == (pytest.approx(100.0), pytest.approx(5.0))


def test_lane_beneath_knows_parking_lanes():
    lane, distance, half_width, yaw, in_junction = lookup.lane_beneath(ROADS, 20.0, -7.0, 0.0)
    assert (lane, distance, half_width, yaw, in_junction) == (6, pytest.approx(0.5), pytest.approx(1.1), 0.0, False)


@settings(max_examples=60, deadline=None)
@given(st.floats(-5, 205), st.floats(-12, 9))
def test_nearest_lane_equals_brute_force(x, y):
    level = [lane for lane in range(7) if lane != 5]
    brute = min(lookup.project(ROADS, lane, x, y)[2] for lane in level)
    found = lookup.nearest_lane(ROADS, x, y, 0.0, 0.0, math.pi)[3]
    if brute < ROADS.cell_m - 1.0:
        assert found == pytest.approx(brute, abs=1e-9)
    else:
        assert found >= brute - 1e-9


def test_every_sample_is_listed_in_the_cells_around_it():
    for sample in range(0, len(ROADS.x), 17):
        for dx, dy in ((0, 0), (ROADS.cell_m, 0), (-ROADS.cell_m, ROADS.cell_m)):
            column = int((ROADS.x[sample] + dx - ROADS.cell_x0) // ROADS.cell_m)
            row = int((ROADS.y[sample] + dy - ROADS.cell_y0) // ROADS.cell_m)
            cell = row * ROADS.cell_nx + column
            assert sample in ROADS.cell_sample[ROADS.cell_start[cell] : ROADS.cell_start[cell + 1]]
    assert np.all(np.diff(ROADS.cell_start) >= 0)
