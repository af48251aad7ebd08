import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose

from carla_rl.ppo.gae import estimate


def one_env(rewards, values, ended, terminal, last, *, gamma=0.5, gae_lambda=0.5):
    """Advantages and returns of a single env, each (T,)."""
    result = estimate(
        np.array(rewards, np.float32)[:, None],
        np.array(values, np.float32)[:, None],
        active=np.ones((len(rewards), 1), np.bool_),
        ended=np.array(ended, np.bool_)[:, None],
        terminal_values=np.array(terminal, np.float32)[:, None],
        last_values=np.array([last], np.float32),
        gamma=gamma,
        gae_lambda=gae_lambda,
    )
    return result.advantages[:, 0], result.returns[:, 0]


def test_three_decisions_without_an_ending():
    # surprises: 1 + .5*2 - 4 = -2;  2 + .5*8 - 2 = 4;  3 + .5*6 - 8 = -2.   A2 = -2;  A1 = 4 + .25*-2 = 3.5;  A0 = -2 + .25*3.5 = -1.125
    advantages, returns = one_env([1, 2, 3], [4, 2, 8], [0, 0, 0], [0, 0, 0], last=6)
    assert_allclose(advantages, [-1.125, 3.5, -2.0])
    assert_allclose(returns, [2.875, 5.5, 6.0])


def test_termination_is_worth_nothing_more():
    # The last surprise is 3 - 8 = -5, whatever is seen next.   A1 = 4 + .25*-5 = 2.75;  A0 = -2 + .25*2.75 = -1.3125
    advantages, _ = one_env([1, 2, 3], [4, 2, 8], [0, 0, 1], [0, 0, 0], last=1000)
    assert_allclose(advantages, [-1.3125, 2.75, -5.0])


def test_truncation_bootstraps_with_the_terminal_observation():
    # The last surprise is 3 + .5*20 - 8 = 5.   A1 = 4 + .25*5 = 5.25;  A0 = -2 + .25*5.25 = -.6875
    advantages, _ = one_env([1, 2, 3], [4, 2, 8], [0, 0, 1], [0, 0, 20], last=1000)
    assert_allclose(advantages, [-0.6875, 5.25, 5.0])


def test_nothing_flows_over_an_episode_boundary():
    # Terminated in the middle: 2 - 2 = 0, so A1 = 0 and A0 = 1 + .5*2 - 4 = -2; the next episode stands alone: 3 + .5*6 - 8 = -2.
    assert_allclose(one_env([1, 2, 3], [4, 2, 8], [0, 1, 0], [0, 0, 0], last=6)[0], [-2.0, 0.0, -2.0])
    # Truncated in the middle: 2 + .5*12 - 2 = 6, so A0 = -2 + .25*6 = -.5.
    assert_allclose(one_env([1, 2, 3], [4, 2, 8], [0, 1, 0], [0, 12, 0], last=6)[0], [-0.5, 6.0, -2.0])


def test_an_idle_env_has_no_advantage_and_disturbs_nobody():
    both = estimate(
        np.array([[1, 7], [2, 7], [3, 7]], np.float32),
        np.array([[4, 9], [2, 9], [8, 9]], np.float32),
        active=np.array([[1, 1], [1, 0], [1, 0]], np.bool_),
        ended=np.array([[0, 1], [0, 0], [0, 0]], np.bool_),
        terminal_values=np.zeros((3, 2), np.float32),
        last_values=np.array([6, 99], np.float32),
        gamma=0.5,
        gae_lambda=0.5,
    )
    assert_allclose(both.advantages, [[-1.125, -2.0], [3.5, 0.0], [-2.0, 0.0]])
    assert_allclose(both.returns, [[2.875, 7.0], [5.5, 0.0], [6.0, 0.0]])


def by_definition(rewards, values, ended, terminal, last, gamma, gae_lambda):
    """A_t = sum over k of (gamma lambda)^k surprise_(t+k), up to the first ending; one env, plain Python."""
    out = []
    for t in range(len(rewards)):
        total, weight = 0.0, 1.0
        for k in range(t, len(rewards)):
            following = terminal[k] if ended[k] else (values[k + 1] if k + 1 < len(rewards) else last)
            total += weight * (rewards[k] + gamma * following - values[k])
            weight *= gamma * gae_lambda
            if ended[k]:
                break
        out.append(total)
    return out


@settings(deadline=None)
@given(seed=st.integers(0, 2**32), decisions=st.integers(1, 12), gamma=st.floats(0, 1), gae_lambda=st.floats(0, 1))
def test_equals_the_sum_that_defines_it(seed, decisions, gamma, gae_lambda):
    draw = np.random.default_rng(seed)
    shape = (decisions, 3)
    rewards, values = draw.normal(size=shape).astype(np.float32), draw.normal(size=shape).astype(np.float32)
    ended = draw.random(shape) < 0.3
    terminal = np.where(ended & (draw.random(shape) < 0.5), draw.normal(size=shape), 0.0).astype(np.float32)
    last = draw.normal(size=3).astype(np.float32)
    result = estimate(
        rewards,
        values,
        active=np.ones(shape, np.bool_),
        ended=ended,
        terminal_values=terminal,
        last_values=last,
        gamma=gamma,
        gae_lambda=gae_lambda,
    )
    for env in range(3):
        column = (array[:, env] for array in (rewards, values, ended, terminal))
        assert_allclose(result.advantages[:, env], by_definition(*column, last[env], gamma, gae_lambda), atol=2e-5)
    assert_allclose(result.returns, result.advantages + values, atol=1e-6)
