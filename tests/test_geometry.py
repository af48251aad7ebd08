"""Plane geometry against numbers worked out by hand."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from carla_rl.geometry import boxes_overlap, carry, to_local, to_map, wrap

coordinate = st.floats(-1e4, 1e4)
angle = st.floats(-50, 50)


@pytest.mark.parametrize(
    ("raw", "wrapped"), [(0.0, 0.0), (math.pi, math.pi), (-math.pi, math.pi), (3 * math.pi / 2, -math.pi / 2), (7.0, 7.0 - 2 * math.pi)]
)
def test_wrap(raw: float, wrapped: float) -> None:
    assert wrap(raw) == pytest.approx(wrapped)


@given(angle)
def test_wrap_keeps_the_direction_and_the_interval(raw: float) -> None:
    assert -math.pi < wrap(raw) <= math.pi
    assert math.cos(wrap(raw)) == pytest.approx(math.cos(raw), abs=1e-9)


def test_to_local_puts_left_on_positive_y() -> None:
    # heading north at (10, 5): a point 3 m further north is ahead, one 2 m to the west is on the left
    assert to_local(8.0, 8.0, 10.0, 5.0, math.pi / 2) == pytest.approx((3.0, 2.0))


@given(coordinate, coordinate, coordinate, coordinate, angle)
def test_to_map_inverts_to_local(x: float, y: float, ox: float, oy: float, oyaw: float) -> None:
    assert to_map(*to_local(x, y, ox, oy, oyaw), ox, oy, oyaw) == pytest.approx((x, y), abs=1e-6)


@pytest.mark.parametrize(
    ("dx", "dy", "yaw", "overlap"),
    [
        (3.9, 0.0, 0.0, True),  # two 4 x 2 boxes in line: they meet at 4 m
        (4.0, 0.0, 0.0, False),
        (0.0, 1.9, 0.0, True),
        (0.0, 2.1, 0.0, False),
        (2.9, 0.0, math.pi / 2, True),  # crosswise in line: 2 + 1
        (3.1, 0.0, math.pi / 2, False),
        # at 45 degrees the other's corner points at us: reach (2 + 1) / sqrt 2 = 2.12 beyond our 2
        (4.1, 0.0, math.pi / 4, True),
        (4.2, 0.0, math.pi / 4, False),
    ],
)
def test_boxes_overlap(dx: float, dy: float, yaw: float, overlap: bool) -> None:
    assert boxes_overlap(0.0, 0.0, 0.0, 2.0, 1.0, dx, dy, yaw, 2.0, 1.0) is overlap
    assert boxes_overlap(dx, dy, yaw, 2.0, 1.0, 0.0, 0.0, 0.0, 2.0, 1.0) is overlap


def test_carry_keeps_waypoints_where_they_are_on_the_map() -> None:
    waypoints = np.array([[[5.0, 1.0]]], np.float32)
    then = np.array([[0.0, 0.0, 0.0]])
    now = np.array([[2.0, 0.0, math.pi / 2]])  # moved 2 m ahead and turned left by 90 degrees
    assert carry(waypoints, then, now)[0, 0] == pytest.approx([1.0, -3.0])
