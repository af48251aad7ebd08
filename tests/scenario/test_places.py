import math
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest

from carla_rl.roads.network import RoadNetwork
from carla_rl.roads.route import Route
from carla_rl.scenario import places


def route_of(points: list[tuple[float, float]], lanes: list[int] | None = None) -> Route:
    """A route through points; its heading is that of the segment that follows."""
    x, y = np.array(points, dtype=np.float64).T
    yaw = np.arctan2(np.diff(y), np.diff(x))
    s = np.concatenate(([0.0], np.cumsum(np.hypot(np.diff(x), np.diff(y)))))
    ones = np.ones(len(x))
    lane = np.array(lanes or [0] * len(x), dtype=np.int32)
    return Route("t", x, y, 0 * ones, np.append(yaw, yaw[-1]), s, lane, 1.75 * ones, 8.0 * ones)


# 200 m east, then 100 m north
CORNER = route_of([(float(i), 0.0) for i in range(201)] + [(200.0, float(i)) for i in range(1, 101)])


def network_with(junctions: list[int]) -> RoadNetwork:
    roads: Any = SimpleNamespace(junction=np.array(junctions, dtype=np.int32))
    return cast(RoadNetwork, SimpleNamespace(roads=roads))


def test_pose_at() -> None:
    assert places.pose_at(CORNER, 60.25) == (60.25, 0.0, 0.0)
    assert places.pose_at(CORNER, 210.5) == pytest.approx((200.0, 10.5, math.pi / 2))
    assert places.pose_at(CORNER, 300.0) == pytest.approx((200.0, 100.0, math.pi / 2))


@pytest.mark.parametrize(
    ("x", "y", "degrees", "expected"),
    [
        (50.3, 3.9, 0, True),
        (50.3, 4.1, 0, False),
        (50.3, 0.0, 9.9, True),
        (50.3, 0.0, 10.1, False),
        (50.3, 0.0, -365, True),
        (50.3, 0.0, 180, False),
        (196.1, 50, 90, True),
        (-3.9, 0, 0, True),
        (-4.1, 0, 0, False),
    ],
)
def test_a_trigger_lies_within_four_metres_and_ten_degrees(x: float, y: float, degrees: float, expected: bool) -> None:
    assert places.on_route(CORNER, x, y, math.radians(degrees)) is expected


def test_a_trigger_lies_on_the_first_pass_in_its_direction() -> None:
    """100 m east, round a block to the south, and east along the same street again; a street that crosses it goes north."""
    block = [(100.0, -50.0), (-20.0, -50.0), (-20.0, 0.3), (0.0, 0.3), (60.0, 0.3), (60.0, -60.0), (60.2, -60.0), (60.2, 60.0)]
    twice = route_of([(0.0, 0.0), (50.0, 0.0), (100.0, 0.0), *block])
    # nearer to the second pass by 0.2 m
    assert places.place_of(twice, 30.0, 0.25, 0.0) == pytest.approx(30.0)
    assert places.place_of(twice, 30.0, 2.0, 0.0) == pytest.approx(30.0)
    # on the way north the route is where it was on its way east, too
    assert places.place_of(twice, 60.2, 0.1, math.pi / 2) > 400.0
    with pytest.raises(ValueError, match="nowhere has the heading"):
        places.place_of(twice, 30.0, 0.0, math.radians(135.0))


def test_distance_is_to_the_line_and_not_to_its_points() -> None:
    coarse = route_of([(0, 0), (100, 0)])
    assert places.distance_to(coarse, 50.0, 3.0) == 3.0
    assert places.distance_to(coarse, 104.0, 3.0) == 5.0


def test_open_stretches_end_before_the_bend_and_the_destination() -> None:
    free = places.open_stretches(network_with([-1]), CORNER)
    # 40 m straight on: up to 160 m before the corner at 200 m, and from 200 m on up to 260 m
    assert free[free < 200].min() == 30.0
    assert free[free < 200].max() == 159.0 or free[free < 200].max() == 160.0
    assert free[free >= 200].min() in (200.0, 201.0)
    assert free.max() == 260.0


def test_open_stretches_keep_out_of_junctions() -> None:
    lanes = [0 if i < 100 else 1 if i < 120 else 2 for i in range(301)]
    straight = route_of([(float(i), 0.0) for i in range(301)], lanes)
    free = places.open_stretches(network_with([-1, 17, -1]), straight)
    assert (free.min(), free[free < 100].max(), free[free > 100].min(), free.max()) == (30.0, 59.0, 120.0, 260.0)
