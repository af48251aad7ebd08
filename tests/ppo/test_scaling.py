import numpy as np
import pytest

from carla_rl.ppo.scaling import ReturnMoments, ReturnScale


def feed(scale, rewards, ended=None, active=None):
    rewards = np.array(rewards, np.float32)
    scale.update(
        rewards,
        np.ones(rewards.shape, np.bool_) if active is None else np.array(active, np.bool_),
        np.zeros(rewards.shape, np.bool_) if ended is None else np.array(ended, np.bool_),
    )


def test_discounted_returns_by_hand():
    scale = ReturnScale(1, gamma=0.5)
    assert scale.scale == 1.0
    feed(scale, [[2], [3]])
    # Returns so far: 2 and 2 * .5 + 3 = 4; their standard deviation is 1.
    assert scale.scale == pytest.approx(1.0)
    feed(scale, [[6], [8]])
    # It goes on: 4 * .5 + 6 = 8, 8 * .5 + 8 = 12. Of 2, 4, 8, 12: mean 6.5, variance (20.25 + 6.25 + 2.25 + 30.25) / 4 = 14.75
    assert scale.scale == pytest.approx(14.75**-0.5)


def test_an_ending_starts_the_return_anew_and_idle_envs_do_not_count():
    scale = ReturnScale(2, gamma=0.5)
    feed(scale, [[2, 100], [4, 0]], ended=[[1, 1], [0, 0]], active=[[1, 0], [1, 0]])
    assert scale.scale == pytest.approx(1.0)


def test_state_brings_it_back():
    first, second = ReturnScale(2, 0.9), ReturnScale(2, 0.9)
    feed(first, [[1, 2], [3, 5]])
    second.load_state_dict(first.state_dict())
    for scale in (first, second):
        feed(scale, [[4, 4], [0, 1]])
    assert first.scale == second.scale


def test_another_training_begins_with_the_moments_and_not_with_the_episodes():
    first, second = ReturnScale(1, 0.5), ReturnScale(3, 0.5)
    feed(first, [[2], [3]])
    # the returns 2 and 4
    assert first.moments == ReturnMoments(count=2, mean=3.0, squares=2.0)
    second.begin_with(first.moments)
    assert second.scale == 1.0
    # 9, 3 and 6 are no continuation of 4: of 2, 4, 9, 3, 6 the mean is 4.8 and the squared distances sum up to 30.8
    feed(second, [[9, 3, 6]])
    assert second.moments.mean == pytest.approx(4.8)
    assert second.scale == pytest.approx((30.8 / 5) ** -0.5)


def test_dropped_episodes_take_their_discounted_return_with_them():
    dropped, fresh = ReturnScale(2, 0.5), ReturnScale(2, 0.5)
    on, off = np.ones((1, 2), np.bool_), np.zeros((1, 2), np.bool_)
    dropped.update(np.array([[8.0, 4.0]], np.float32), on, off)
    # the same two returns, ended: 8 and 4, then 1 and 1
    fresh.update(np.array([[8.0, 4.0]], np.float32), on, on)
    dropped.drop_episodes()
    for scale in (dropped, fresh):
        scale.update(np.ones((1, 2), np.float32), on, off)
    assert dropped.scale == fresh.scale == 1.0 / np.std([8.0, 4.0, 1.0, 1.0])
