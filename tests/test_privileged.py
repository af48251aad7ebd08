import numpy as np
import pytest
from ppo.fakes import step

from carla_rl.privileged import SIZE, facts
from carla_rl.types import Infraction


def test_facts_by_hand():
    infractions = np.zeros((1, len(Infraction)), np.int64)
    infractions[0, 1] = 1
    state = step(
        1,
        lateral=[-1.0],
        heading_error=[0.25],
        outside_share=[0.5],
        route_completion=[0.4],
        tick=[400],
        infractions=infractions,
        speed=[4.0],
    )
    # 60 of 100 m left, 20 s driven, 6 m/s below the limit of 10
    assert facts(state).tolist() == [pytest.approx([-0.5, 0.5, 0.5, 0.4, 0.6, 0.2, 1.0, 0.6])]


def test_facts_stay_near_one():
    seen = facts(step(3, lateral=[100.0, -100.0, 0.0], route_length=[1e5, 10.0, 10.0], infractions=np.full((3, len(Infraction)), 7)))
    assert seen.shape == (3, SIZE)
    assert seen.dtype == np.float32
    assert np.abs(seen).max() <= 5.0
