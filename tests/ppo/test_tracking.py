"""A linear-quadratic task, whose optimum the Riccati equation gives, solved by the trainer.

x' = x + u, cost x^2 + r (u^2 + w^2), discount gamma, w a second control of no use. The optimum is u = -k x and w = 0 for ever, also under
noise. Episodes are cut off after two decisions, which is no ending of the task: only a bootstrap there leaves the optimum in place.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import cycle, islice

import numpy as np
import pytest
from numpy.testing import assert_allclose
from ppo.fakes import TinyPolicy, Worlds, endless, make_loop

from carla_rl.ppo import PPOConfig, Trainer
from carla_rl.reward import RewardConfig
from carla_rl.scenario.model import Episode
from carla_rl.types import Control, Ending, Observation

GAMMA, CONTROL_COST, DECISIONS = 0.9, 1.0, 2
X = np.linspace(-1.0, 1.0, 21)


def riccati(gamma: float, r: float) -> tuple[float, float]:
    """The value -p x^2 of the best behaviour and its gain k: min over u of x^2 + r u^2 + gamma p (x + u)^2 is p x^2."""
    p = 1.0
    for _ in range(1000):
        p = 1.0 + r * gamma * p / (r + gamma * p)
    return p, gamma * p / (r + gamma * p)


def finite(gamma: float, r: float, decisions: int) -> list[float]:
    """The best gains where nothing counts after so many decisions, the first decision's first."""
    p, gains = 0.0, []
    for _ in range(decisions):
        gains.append(gamma * p / (r + gamma * p))
        p = 1.0 + r * gamma * p / (r + gamma * p)
    return gains[::-1]


class Tracking(Worlds):
    """The task: x is seen as the speed, u is the throttle, w the wheel. The time limit ends an episode."""

    def __init__(self, num_envs: int) -> None:
        super().__init__(num_envs, self.pay, DECISIONS, Ending.ROUTE_TIMEOUT)

    def pay(self, x: np.ndarray, u: np.ndarray, w: np.ndarray) -> np.ndarray:
        return -(x**2) - CONTROL_COST * (u**2 + w**2)

    def reset(self, envs: np.ndarray, episodes: Sequence[Episode]):
        state = super().reset(envs, episodes)
        # from 0, .25 .. 1 to -1 .. 1
        self._speed[envs] = 2.0 * self._speed[envs] - 1.0
        return state

    def step(self, control: Control):
        driving = ~self._over
        state = super().step(control)
        self._speed = np.where(driving, self._speed + control.throttle, self._speed)
        return state


def see(x: np.ndarray) -> Observation:
    return Observation(speed=x.astype(np.float32), yaw_rate=np.zeros(len(x), np.float32))


def test_the_equation_by_hand() -> None:
    # one step: k = 0, cost x^2; two: p = 1, k = .9 / 1.9, p = 1 + .9 / 1.9
    assert finite(0.9, 1.0, 2) == pytest.approx([0.9 / 1.9, 0.0])
    p, k = riccati(0.9, 1.0)
    # the fixed point: .9 p^2 - .8 p - 1 = 0
    assert p == pytest.approx((0.8 + np.sqrt(0.64 + 3.6)) / 1.8)
    assert k == pytest.approx(0.9 * p / (1.0 + 0.9 * p))
    # the cost of driving the gain: (1 + k^2) / (1 - .9 (1 - k)^2)
    assert p == pytest.approx((1.0 + k**2) / (1.0 - 0.9 * (1.0 - k) ** 2))


def test_the_fake_is_the_task() -> None:
    worlds = Tracking(1)
    loop = make_loop(worlds)
    assert worlds.observe().speed.tolist() == [-1.0]
    for x, u, w, following in ((-1.0, 0.5, 0.5, -0.5), (-0.5, 1.0, 0.0, 0.5)):
        before = worlds._done[0]
        after = worlds.step(Control(np.array([u]), np.array([w]), np.zeros(1)))
        assert 100.0 * (after.facts.route_completion[0] - before) == pytest.approx(-(x**2) - u**2 - w**2)
        assert worlds.observe().speed.tolist() == [following]
    assert loop.active.all()


@dataclass(frozen=True)
class Trained:
    policy: TinyPolicy
    reward_scale: float


@pytest.fixture(scope="module")
def trained() -> Trained:
    policy = TinyPolicy(hidden=32)
    config = PPOConfig(
        decisions=150_000,
        num_envs=256,
        rollout=8,
        calibration=0,
        epochs=6,
        minibatch=512,
        gamma=GAMMA,
        target_kl=None,
        delta_lr=5e-3,
        value_lr=1e-2,
        log_std_start=-1.0,
        log_std_end=-3.0,
    )
    reward = RewardConfig(progress_per_m=1.0, decision=0.0)
    *_, last = Trainer(make_loop(Tracking(256), cycle(islice(endless(), 5))), policy, reward, config, seed=0).updates()
    return Trained(policy, last.reward_scale)


def test_the_gain_is_riccatis(trained: Trained) -> None:
    """On top of a frozen plan that is wrong by a constant, which the correction has to take away, too."""
    _, gain = riccati(GAMMA, CONTROL_COST)
    driven = trained.policy.plan(see(X)).waypoints[:, 0]
    assert np.polyfit(X, driven[:, 0], 1)[0] == pytest.approx(-gain, abs=0.03)
    # were the time limit an ending, the gain would be smaller by far more even in the first decision, where x is largest
    assert max(finite(GAMMA, CONTROL_COST, DECISIONS)) < gain - 0.1
    assert_allclose(driven[:, 0], -gain * X, atol=0.06)
    assert_allclose(driven[:, 1], 0.0, atol=0.06)


def test_its_cost_is_the_least(trained: Trained) -> None:
    """Driven without noise for so long that what follows is nothing."""
    p, _ = riccati(GAMMA, CONTROL_COST)
    state, cost = X.copy(), np.zeros(len(X))
    for n in range(100):
        u, w = trained.policy.plan(see(state)).waypoints[:, 0].astype(np.float64).T
        cost += GAMMA**n * (state**2 + CONTROL_COST * (u**2 + w**2))
        state = state + u
    assert (cost > p * X**2 - 1e-9).all()
    assert_allclose(cost.mean(), (p * X**2).mean(), rtol=0.02)


def test_the_value_is_that_of_the_optimum(trained: Trained) -> None:
    """-p x^2, less what the exploration that is left costs everywhere."""
    p, _ = riccati(GAMMA, CONTROL_COST)
    values = trained.policy.values(trained.policy.features(see(X))) / trained.reward_scale
    assert np.polyfit(X**2, values, 1)[0] == pytest.approx(-p, rel=0.05)
    assert_allclose(values - values.mean(), -p * (X**2 - (X**2).mean()), atol=0.15)
