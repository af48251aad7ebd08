import io
from itertools import islice

import numpy as np
import pytest
import torch
from ppo.fakes import FirstWaypoint, TinyPolicy, Worlds, endless, make_loop

from carla_rl import privileged
from carla_rl.errors import RunFailure, UsageError
from carla_rl.interfaces import EnvsLost
from carla_rl.loop import ClosedLoop
from carla_rl.ppo import PPOConfig, Trainer
from carla_rl.reward import RewardConfig
from carla_rl.types import Ending, Observation

REWARD = RewardConfig(progress_per_m=1.0, decision=0.0)
SPEEDS = np.array([0.0, 0.25, 0.5, 0.75, 1.0], np.float32)


def quadratic(speed, throttle, steer):
    """Best at throttle = 0.4 speed + 0.1 and steer = -0.3."""
    return 1.0 - (throttle - 0.4 * speed - 0.1) ** 2 - (steer + 0.3) ** 2


def steady(speed, throttle, steer):
    """One metre a decision, whatever is done."""
    return np.ones_like(speed)


def settings(**changed) -> PPOConfig:
    defaults = {"decisions": 64 * 32 * 40, "num_envs": 64, "rollout": 32, "minibatch": 512, "epochs": 6, "calibration": 0}
    return PPOConfig(**(defaults | {"delta_lr": 1e-2, "value_lr": 1e-2} | changed))


def make_trainer(worlds: Worlds, policy: TinyPolicy | None = None, seed: int = 0, **changed) -> Trainer:
    return Trainer(make_loop(worlds), policy or TinyPolicy(), REWARD, settings(num_envs=worlds.num_envs, **changed), seed)


def small(seed: int = 0, policy: TinyPolicy | None = None) -> Trainer:
    """Four updates of 64 decisions."""
    worlds = Worlds(8, quadratic, decisions=3)
    return make_trainer(worlds, policy, seed, decisions=256, rollout=8, minibatch=16)


def see(speeds: np.ndarray) -> Observation:
    return Observation(speed=speeds, yaw_rate=np.zeros_like(speeds))


def test_a_quadratic_bandit_is_solved_to_its_optimum():
    trainer = make_trainer(Worlds(64, quadratic), decisions=64 * 32 * 16)
    records = list(trainer.updates())
    driven = trainer.policy.plan(see(SPEEDS)).waypoints[:, 0]
    np.testing.assert_allclose(driven[:, 0], 0.4 * SPEEDS + 0.1, atol=0.03)
    np.testing.assert_allclose(driven[:, 1], -0.3, atol=0.03)
    # What is left is the price of the noise: the variance of two coordinates.
    assert records[-1].reward == pytest.approx(1.0 - 2.0 * np.exp(2.0 * trainer.config.log_std_end), abs=0.01)
    assert records[0].reward < 0.9


@pytest.mark.parametrize(("ending", "values"), [(Ending.ROUTE_TIMEOUT, (2.0, 2.0)), (Ending.COMPLETED, (1.0, 1.75))])
def test_values_bootstrap_at_truncation_only(ending, values):
    # A metre a decision at gamma 1/2 is worth 2 for ever. Episodes of three decisions that are cut off keep that value; those that end
    # are worth 1, 1.5 and 1.75 with one, two and three decisions to go, between which the features cannot tell: their mean is 1.4167.
    trainer = make_trainer(
        Worlds(16, steady, decisions=3, ending=ending), decisions=16 * 12 * 40, rollout=12, minibatch=96, gamma=0.5, scale_returns=False
    )
    list(trainer.updates())
    found = trainer.policy.values(trainer.policy.features(see(SPEEDS)))
    assert np.all((found > values[0] - 0.05) & (found < values[1] + 0.05))
    assert found.mean() == pytest.approx(2.0 if ending == Ending.ROUTE_TIMEOUT else 17 / 12, abs=0.06)


def test_the_frozen_part_does_not_change_by_a_bit():
    policy = TinyPolicy()
    before = policy.sft(torch.eye(2)).clone()
    weights = [parameter.clone() for parameter in policy.sft.parameters()]
    list(small(policy=policy).updates())
    assert all(torch.equal(old, new) for old, new in zip(weights, policy.sft.parameters(), strict=True))
    assert torch.equal(before, policy.sft(torch.eye(2)))


def heads(trainer: Trainer) -> list[torch.Tensor]:
    return [*trainer.policy.delta_head.parameters(), *trainer.policy.value_head.parameters()]


def test_the_same_seed_gives_the_same_bits():
    first, second, other = small(), small(), small(seed=1)
    for trainer in (first, second, other):
        list(islice(trainer.updates(), 3))
    assert all(torch.equal(a, b) for a, b in zip(heads(first), heads(second), strict=True))
    assert not all(torch.equal(a, b) for a, b in zip(heads(first), heads(other), strict=True))


def test_state_survives_a_file_without_pickle_and_goes_on_bit_for_bit():
    worlds, again = Worlds(8, quadratic, decisions=1), Worlds(8, quadratic, decisions=1)
    whole = make_trainer(worlds, decisions=256, rollout=8, minibatch=16)
    run = whole.updates()
    list(islice(run, 2))
    file = io.BytesIO()
    torch.save(whole.state_dict(), file)
    rest = list(run)

    # One-decision episodes: after two updates the worlds are at the episode that their count says.
    source = endless(iter(range(2 * 64, 10**6)))
    resumed = Trainer(make_loop(again, source), TinyPolicy(seed=5), REWARD, whole.config, seed=99)
    resumed.policy.sft.load_state_dict(whole.policy.sft.state_dict())
    file.seek(0)
    resumed.load_state_dict(torch.load(file, weights_only=True))
    records = list(resumed.updates())
    assert [record.update for record in records] == [3, 4]
    assert [record.stats for record in records] == [record.stats for record in rest]
    assert all(torch.equal(a, b) for a, b in zip(heads(whole), heads(resumed), strict=True))


def test_heads_that_go_on_elsewhere_keep_the_scale_that_their_values_speak_in():
    first = small()
    next(first.updates())
    moments, second = first.return_moments, small(seed=1)
    assert moments.count == 64
    second.begin_with(moments)
    assert second.return_moments == moments
    assert next(second.updates()).reward_scale != next(small(seed=1).updates()).reward_scale
    unscaled = make_trainer(Worlds(8, quadratic, decisions=3), decisions=256, rollout=8, minibatch=16, scale_returns=False)
    unscaled.begin_with(moments)
    assert next(unscaled.updates()).reward_scale == 1.0


def test_episodes_that_were_dropped_count_for_nothing():
    trainer = small()
    next(trainer.updates())
    # eight decisions in episodes of three: two are driven of the next one, which is dropped here
    again = small()
    again.load_state_dict(trainer.state_dict())
    again.drop_episodes()
    record = next(again.updates())
    assert {episode.decisions for episode in record.episodes} == {3}
    assert all(episode.reward == pytest.approx(100 * episode.route_completion, abs=1e-4) for episode in record.episodes)


def test_the_record_counts_what_happened():
    trainer = small()
    record = next(trainer.updates())
    assert (record.update, record.decisions) == (1, 64)
    # Eight decisions of eight envs in episodes of three: two ended in each env, six decisions long in all.
    assert len(record.episodes) == 16
    assert {episode.decisions for episode in record.episodes} == {3}
    assert {episode.ending for episode in record.episodes} == {Ending.COMPLETED}
    assert record.episodes[0].episode_id == "s0#0"
    assert all(episode.reward == pytest.approx(100 * episode.route_completion, abs=1e-4) for episode in record.episodes)
    scalars = record.scalars()
    assert scalars["ending/completed"] == 1.0
    assert scalars["episodes/decisions"] == 3.0
    assert scalars["reward/mean"] == pytest.approx(record.reward_terms["progress"])
    assert scalars["schedule/log_std"] == pytest.approx(-1.0)
    assert 0.0 < scalars["delta/lateral_m"] < 1.0
    assert 0.0 <= scalars["delta/bounded_share"] < 0.1
    assert all(np.isfinite(value) for value in scalars.values())


def test_calibration_normalises_the_features_once():
    trainer = make_trainer(Worlds(10, quadratic), decisions=160, rollout=8, minibatch=16, calibration=2)
    policy = trainer.policy
    records = trainer.updates()
    next(records)
    # Twenty episodes have seen each of the five speeds four times: mean .5, deviation sqrt(.125); the second feature never varies.
    np.testing.assert_allclose(policy.mean, [0.5, 1.0], atol=1e-6)
    np.testing.assert_allclose(policy.scale, [8.0**0.5, 10.0], rtol=1e-6)
    seen = policy.mean.copy()
    next(records)
    assert np.array_equal(policy.mean, seen)


def test_features_that_are_normalised_already_stay_as_they_are():
    trainer = make_trainer(Worlds(10, quadratic), decisions=160, rollout=8, minibatch=16, calibration=2)
    trainer.policy.normalise(np.array([0.25, 0.0], np.float32), np.array([2.0, 1.0], np.float32))
    next(trainer.updates())
    assert trainer.policy.mean.tolist() == [0.25, 0.0]
    assert trainer.policy.scale.tolist() == [2.0, 1.0]


def test_sampling_is_off_again_between_updates():
    trainer = small()
    next(trainer.updates())
    assert "log_prob" not in trainer.policy.plan(see(SPEEDS)).extras


def test_a_source_that_runs_dry_leaves_idle_envs_out_and_then_fails():
    worlds = Worlds(2, steady, decisions=4)
    loop = make_loop(worlds, islice(endless(), 3))
    trainer = Trainer(loop, TinyPolicy(), REWARD, settings(num_envs=2, rollout=8, minibatch=4), 0)
    updates = trainer.updates()
    record = next(updates)
    assert record.decisions == 12
    assert record.reward == pytest.approx(1.0)
    with pytest.raises(RunFailure, match="never ends"):
        next(updates)


def test_a_reward_that_is_not_a_number_names_the_episode():
    worlds = Worlds(2, lambda speed, throttle, steer: np.array([1.0, np.nan]))
    with pytest.raises(RunFailure, match=r"env 1, episode s1#0"):
        next(make_trainer(worlds, rollout=8, minibatch=4).updates())


def test_the_number_of_envs_must_agree():
    with pytest.raises(UsageError, match="num_envs is 64, but the loop drives 2"):
        Trainer(make_loop(Worlds(2, steady)), TinyPolicy(), REWARD, settings(), 0)


class Fragile(Worlds):
    """The world of env 1 dies in step 6, the second of its episode."""

    def __init__(self):
        super().__init__(2, steady, decisions=4)
        self.steps = 0

    def step(self, control):
        state = super().step(control)
        self.steps += 1
        if self.steps != 6:
            return state
        raise EnvsLost([1], state)


def test_what_a_lost_world_drove_is_dropped_and_counted():
    loop = ClosedLoop(Fragile(), FirstWaypoint(), endless(), ticks_per_decision=1, on_lost=lambda loss: None)
    trainer = Trainer(loop, TinyPolicy(), REWARD, settings(num_envs=2, rollout=8, minibatch=4, decisions=16), 0)
    record = next(trainer.updates())
    # of sixteen decisions two are void: the one in which the world died and the one before it, in the same episode
    assert (record.decisions, record.lost, record.dropped) == (14, 1, 2)
    assert record.scalars()["episodes/dropped_decisions"] == 2.0
    # a metre a decision, whether or not it was dropped later
    assert record.reward == pytest.approx(1.0)
    # env 0 finished two episodes, env 1 one: what followed the loss goes on
    assert [episode.decisions for episode in record.episodes] == [4, 4, 4]


def test_the_share_of_the_correction_grows():
    policy = TinyPolicy()
    worlds = Worlds(8, quadratic, decisions=3)
    trainer = make_trainer(worlds, policy, decisions=256, rollout=8, minibatch=16, residual_start=0.1, residual_until=1.0)
    assert [record.residual_ratio for record in trainer.updates()] == pytest.approx([0.1, 0.4, 0.7, 1.0])


def test_the_schedules_hold_before_the_first_update_and_come_back():
    policy = TinyPolicy()
    schedules = {"log_std_start": -1.5, "log_std_end": -2.5, "log_std_until": 1.0, "residual_start": 0.25, "residual_until": 1.0}
    trainer = make_trainer(Worlds(8, quadratic), policy, decisions=256, rollout=8, minibatch=16, **schedules)
    assert (policy.log_std.tolist(), policy.residual_ratio) == ([-1.5, -1.5], 0.25)
    list(islice(trainer.updates(), 2))
    # of four updates the second one is a third of the way
    assert policy.log_std.tolist() == pytest.approx([-1.5 - 1 / 3] * 2)
    assert policy.residual_ratio == pytest.approx(0.5)
    again = make_trainer(Worlds(8, quadratic), decisions=256, rollout=8, minibatch=16, **schedules)
    again.load_state_dict(trainer.state_dict())
    assert torch.equal(again.policy.log_std, policy.log_std)
    assert again.policy.residual_ratio == policy.residual_ratio


def test_a_standard_deviation_that_is_not_scheduled_is_left_alone():
    policy = TinyPolicy()
    policy.scheduled = False
    list(small(policy=policy).updates())
    assert torch.equal(policy.log_std, torch.zeros(2))


def test_a_critic_that_sees_the_facts():
    policy = TinyPolicy()
    policy.critic_facts = privileged.SIZE
    policy.value_head[0] = torch.nn.Linear(2 + privileged.SIZE, 16)
    # one metre a decision and 4 decisions: the time driven, which no feature shows, tells what is left
    trainer = make_trainer(
        Worlds(16, steady, decisions=4), policy, decisions=16 * 12 * 60, rollout=12, minibatch=96, gamma=1.0, scale_returns=False
    )
    record = list(trainer.updates())[-1]
    assert record.stats.explained_variance > 0.95


def test_heads_that_learn_elsewhere_drive_the_same():
    here, worlds = small(), Worlds(8, quadratic, decisions=3)
    config = settings(num_envs=8, decisions=256, rollout=8, minibatch=16)
    elsewhere = Trainer(make_loop(worlds), TinyPolicy(), REWARD, config, 0, device=torch.device("cpu"))
    records, others = list(here.updates()), list(elsewhere.updates())
    assert [record.stats for record in records] == [record.stats for record in others]
    assert all(torch.equal(a, b) for a, b in zip(heads(here), heads(elsewhere), strict=True))


class Doomed(Worlds):
    """Every step loses every world."""

    def step(self, control):
        raise EnvsLost(range(self.num_envs), super().step(control))


@pytest.mark.parametrize("calibration", [0, 2])
def test_a_rollout_of_which_nothing_is_left_is_told(calibration):
    loop = ClosedLoop(Doomed(2, steady), FirstWaypoint(), endless(), ticks_per_decision=1, on_lost=lambda loss: None)
    trainer = Trainer(loop, TinyPolicy(), REWARD, settings(num_envs=2, rollout=4, minibatch=4, calibration=calibration), 0)
    with pytest.raises(RunFailure, match="the simulator lost every world"):
        next(trainer.updates())
