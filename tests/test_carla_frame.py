import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from carla_rl.geometry import from_carla, to_carla


@pytest.mark.parametrize(
    ("yaw_deg", "yaw"),
    [
        (0, 0),
        (90, -math.pi / 2),
        (-90, math.pi / 2),
        (180, math.pi),
        (270, math.pi / 2),
        (360, 0),
        (-179.970947265625, math.radians(179.970947265625)),
    ],
)
def test_carlas_clockwise_degrees_are_our_counter_clockwise_radians(yaw_deg: float, yaw: float) -> None:
    assert from_carla(1.0, 2.0, yaw_deg) == pytest.approx((1.0, -2.0, yaw), abs=1e-12)


def test_south_of_carlas_origin_is_negative_and_zero_has_no_sign() -> None:
    assert from_carla(334.5, 288.9)[:2] == (334.5, -288.9)
    assert math.copysign(1.0, from_carla(0.0, 0.0)[1]) == 1.0


@given(st.floats(-1e4, 1e4), st.floats(-1e4, 1e4), st.floats(-3.14, 3.14))
def test_there_and_back(x: float, y: float, yaw: float) -> None:
    assert from_carla(*to_carla(x, y, yaw)) == pytest.approx((x, y, yaw), abs=1e-9)
