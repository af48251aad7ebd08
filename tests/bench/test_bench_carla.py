"""What is made of the measurements of `bench carla`; the measurements themselves are no test."""

import itertools

import numpy as np
import pytest

from carla_rl.bench.carla import PICTURES, CarlaSizes, _made_up, _scaling
from carla_rl.errors import UsageError
from carla_rl.types import CameraSpec, Needs

pytest.importorskip("carla")


def test_scaling_is_the_share_of_so_many_times_one_server() -> None:
    loops = {str(count): {"ticks_per_s": rate} for count, rate in ((1, 20.0), (2, 38.0), (4, 60.0))}
    assert _scaling(loops) == {"1": 1.0, "2": 0.95, "4": 0.75}
    # without a loop of one server the smallest stands for it
    assert _scaling({"2": {"ticks_per_s": 40.0}, "4": {"ticks_per_s": 60.0}}) == {"2": 1.0, "4": 0.75}


@pytest.mark.parametrize("sizes", [{"ticks": 0}, {"servers": (0,)}, {"paced_ms": 0.0}, {"paced_servers": (1, 0)}])
def test_nothing_to_measure_is_refused(sizes: dict[str, object]) -> None:
    with pytest.raises(UsageError, match=r"must be 1 or more"):
        CarlaSizes(**sizes)  # type: ignore[arg-type]


def test_a_camera_never_shows_the_same_twice_in_a_row() -> None:
    # a model does not encode a picture again that has not changed, and nothing would be measured
    shown = [seen.images["front"] for seen in itertools.islice(_made_up(Needs(cameras=(CameraSpec("front"),))), PICTURES + 1)]
    assert not any(np.array_equal(before, after) for before, after in itertools.pairwise(shown))
