"""The standard task: dressed as a simulator it is Gymnasium's still, and both programs are told the same."""

import json

import gymnasium
import numpy as np
import pytest
import torch

from carla_rl.bench import peers
from carla_rl.bench.pendulum import SETTINGS, bench_pendulum, judge, train_ours
from carla_rl.bench.pendulum import PendulumSizes as Sizes
from carla_rl.bench.pendulum_task import Pendulums, TorquePolicy, Wheel, episodes
from carla_rl.cli.app import run
from carla_rl.loop import ClosedLoop
from carla_rl.reward import RewardConfig, rewards
from carla_rl.types import Ending, Plan


def test_the_loop_plays_gymnasiums_episodes() -> None:
    """Observations, rewards and the truncation of two envs against two of Gymnasium's own, with the same torques."""
    (one, two), real = (next(source) for source in (episodes(7),) * 2), [gymnasium.make("Pendulum-v1") for _ in range(2)]
    seen = [env.reset(seed=episode.scenario.seed)[0] for env, episode in zip(real, (one, two), strict=True)]
    loop = ClosedLoop(Pendulums(2), Wheel(), episodes(7), ticks_per_decision=1)
    draw = np.random.default_rng(0)
    for step in range(200):
        observation = loop.observation
        assert observation is not None
        assert observation.speed_limit is not None
        assert np.array_equal(np.stack((observation.speed, observation.yaw_rate, observation.speed_limit), -1), seen)
        share = draw.uniform(-1.5, 1.5, 2).astype(np.float32)
        plan = np.zeros((2, 1, 2), np.float32)
        plan[:, 0, 1] = share
        decision = loop.advance(Plan(plan))
        played = [env.step(np.array([2.0 * np.clip(value, -1, 1)], np.float32)) for env, value in zip(real, share, strict=True)]
        seen = [found[0] for found in played]
        earned = rewards(decision.before, decision.after, decision.active, RewardConfig(progress_per_m=1.0, decision=0.0)).total
        assert earned == pytest.approx([found[1] for found in played], abs=1e-4)
        assert decision.truncated.tolist() == [step == 199] * 2
    assert (decision.after.ending == Ending.ROUTE_TIMEOUT).all()
    assert decision.terminal is not None
    assert np.array_equal(decision.terminal.speed, [found[0] for found in seen])
    assert loop.started.all()


def test_the_policy_drives_what_it_says() -> None:
    policy = TorquePolicy(0)
    torch.nn.init.constant_(policy.delta_head.net[-1].bias, 0.25)
    seen = np.array([[1.0, 0.0, 4.0]], np.float32)
    assert policy.torque(seen).tolist() == [[0.5]]
    torch.nn.init.constant_(policy.delta_head.net[-1].bias, -3.0)
    assert policy.torque(seen).tolist() == [[-2.0]]


def test_the_judge_plays_the_same_for_everybody() -> None:
    still = judge(lambda seen: np.zeros(1, np.float32))
    assert still == judge(lambda seen: np.zeros(1, np.float32))
    # hanging down costs pi^2 a step
    assert -200.0 * np.pi**2 < still < -600.0


def test_it_stays_within_its_budget(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(SETTINGS, "epochs", 1)
    returns, act = train_ours(4 * SETTINGS["rollout"], 0)
    assert len(returns) == 20
    assert all(-17.0 * 200 < value < 0.0 for value in returns)
    assert act(np.array([1.0, 0.0, 0.0], np.float32)).shape == (1,)


def test_the_result_and_its_table(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(peers, "TRAINER", peers.Peer("no-such-peer", "no_such_peer", ()))
    monkeypatch.setattr("carla_rl.bench.pendulum.JUDGED_EPISODES", 1)
    monkeypatch.setitem(SETTINGS, "epochs", 1)
    assert run(["bench", "pendulum", "--seeds", "1", "--steps", "4096"]) == 0
    told = capsys.readouterr().out
    assert "not installed" in told
    assert "deterministic" in told


def test_beside_stable_baselines3(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("stable_baselines3")
    monkeypatch.setattr("carla_rl.bench.pendulum.JUDGED_EPISODES", 1)
    monkeypatch.setitem(SETTINGS, "epochs", 1)
    found = bench_pendulum(Sizes(4096, 1), lambda _: None)
    json.dumps(found, allow_nan=False)
    assert found["seeds"].keys() == {"carla_rl", "stable_baselines3"}
    assert found["summary"]["stable_baselines3"].keys() == {"last_episodes", "deterministic", "train_s"}
