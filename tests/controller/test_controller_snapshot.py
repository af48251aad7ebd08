"""The error windows of a controller go on in another one."""

import numpy as np
import pytest

from carla_rl.controller import make_controller
from carla_rl.errors import UsageError
from carla_rl.types import Ego

PRESETS = ["default", "transfuser", "tcp", "pdm_lite"]


def pedals(controller, decision):
    """Of two envs whose plans bend and whose speeds differ, other ones at each decision."""
    t = np.arange(1, 21) * 0.1
    x = np.outer((3.0 + 0.2 * decision, 6.0), t)
    plans = np.stack((x, 0.05 * np.sin(decision) * x**2), -1)
    zero = np.zeros(2)
    control = controller.control(plans, 0.0, Ego(zero, zero, zero, np.array((2.5, 5.0 + 0.1 * decision)), zero, zero))
    return np.stack((control.throttle, control.steer, control.brake))


@pytest.mark.parametrize("name", PRESETS)
def test_it_goes_on_bit_for_bit(name):
    one, other, fresh = (make_controller(name, 2) for _ in range(3))
    for decision in range(7):
        pedals(one, decision)
    pedals(other, 3)
    kept = one.snapshot()
    other.restore(kept)
    expected = [pedals(one, decision) for decision in range(7, 12)]
    np.testing.assert_array_equal(expected, [pedals(other, decision) for decision in range(7, 12)])
    if name != "default":
        assert not np.array_equal(expected, [pedals(fresh, decision) for decision in range(7, 12)])
        again = make_controller(name, 2)
        again.restore(kept)
        assert np.array_equal(expected[0], pedals(again, 7)), "what was kept is a copy"


def test_windows_of_another_shape_are_refused():
    with pytest.raises(UsageError, match="'tcp' of 2 envs cannot go on from errors"):
        make_controller("tcp", 2).restore(make_controller("tcp", 3).snapshot())
    with pytest.raises(UsageError, match="'tcp'"):
        make_controller("tcp", 2).restore({})
