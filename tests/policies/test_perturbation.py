"""Noise for recording: bounded, seeded by the episode, and never in the plan that is recorded."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from carla_rl.policies.perturbation import Perturbation, PerturbationConfig
from carla_rl.types import Plan

ALWAYS = PerturbationConfig(share=1.0, duration_s=0.5, lateral_m=1.5, speed_share=0.4)


def ahead(num_envs: int, speed: float = 8.0) -> Plan:
    """Straight on at `speed` m/s for 2 s."""
    x = speed * 0.1 * np.arange(1, 21, dtype=np.float32)
    return Plan(np.repeat(np.stack((x, np.zeros_like(x)), axis=-1)[None], num_envs, axis=0))


def started(num_envs: int, seeds: list[int], config: PerturbationConfig = ALWAYS) -> Perturbation:
    noise = Perturbation(num_envs, 0.1, config)
    noise.start(np.ones(num_envs, np.bool_), np.array(seeds, np.uint64))
    return noise


@given(st.integers(0, 2**63 - 1))
def test_the_disturbance_is_bounded_and_leaves_the_plan_given_alone(seed: int) -> None:
    plan = ahead(1)
    executed = started(1, [seed]).apply(plan)
    np.testing.assert_array_equal(plan.waypoints, ahead(1).waypoints)
    assert abs(executed.waypoints[0, -1, 1]) <= 1.5
    scale = executed.waypoints[0, :, 0] / plan.waypoints[0, :, 0]
    assert scale == pytest.approx(scale[0])
    assert 0.6 <= scale[0] <= 1.4


def test_the_bend_grows_with_the_square_of_time() -> None:
    y = started(1, [3]).apply(ahead(1)).waypoints[0, :, 1]
    assert y[9] == pytest.approx(y[19] / 4)  # half the time, a quarter of the way


def test_a_burst_lasts_as_long_as_it_says() -> None:
    noise = started(1, [5])
    ends = [float(noise.apply(ahead(1)).waypoints[0, -1, 1]) for _ in range(10)]
    assert len(set(ends[:5])) == 1  # 0.5 s at 0.1 s a decision
    assert len(set(ends[5:])) == 1
    assert ends[0] != ends[5]


def test_the_same_episode_is_disturbed_alike_in_any_env() -> None:
    alone = started(1, [42]).apply(ahead(1)).waypoints[0]
    among = started(3, [7, 8, 42]).apply(ahead(3)).waypoints
    np.testing.assert_array_equal(alone, among[2])
    assert (among[0] != among[1]).any()


def test_the_share_of_disturbed_time() -> None:
    noise = started(4000, list(range(4000)), PerturbationConfig(share=0.25))
    disturbed = (noise.apply(ahead(4000)).waypoints != ahead(4000).waypoints).any(axis=(1, 2))
    assert disturbed.mean() == pytest.approx(0.25, abs=0.03)


def test_a_standing_car_stays_where_it_is() -> None:
    assert not started(1, [3]).apply(ahead(1, speed=0.0)).waypoints.any()
