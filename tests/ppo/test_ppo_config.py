import pytest

from carla_rl.errors import UsageError
from carla_rl.ppo import PPOConfig


def test_updates_are_rounded_up():
    config = PPOConfig(decisions=1000, num_envs=10, rollout=20, minibatch=50)
    assert (config.batch, config.updates) == (200, 5)
    assert PPOConfig(decisions=1001, num_envs=10, rollout=20, minibatch=50).updates == 6


def test_schedules_by_hand():
    config = PPOConfig(
        decisions=1100, num_envs=10, rollout=10, minibatch=50, lr_end_factor=0.1, log_std_start=-1.0, log_std_end=-2.0, log_std_until=0.5
    )
    assert config.updates == 11
    assert [config.lr_factor(update) for update in (0, 5, 10)] == pytest.approx([1.0, 0.55, 0.1])
    assert [config.log_std(update) for update in (0, 1, 5, 10)] == pytest.approx([-1.0, -1.2, -2.0, -2.0])


def test_other_schedules_by_hand():
    config = PPOConfig(
        decisions=1100, num_envs=10, rollout=10, minibatch=50, lr_schedule="constant", residual_start=0.2, residual_until=0.4
    )
    assert [config.lr_factor(update) for update in (0, 5, 10)] == [1.0, 1.0, 1.0]
    assert [config.residual_ratio(update) for update in (0, 1, 4, 10)] == pytest.approx([0.2, 0.4, 1.0, 1.0])
    assert PPOConfig().residual_ratio(0) == 1.0


def test_zero_switches_the_limits_of_the_kl_off():
    off = PPOConfig.checked({"target_kl": 0, "rollback_kl": 0.0}, "ppo.toml")
    assert (off.target_kl, off.rollback_kl) == (None, None)
    assert PPOConfig.checked(off.model_dump(mode="json"), "config.json") == off
    assert PPOConfig.checked({"target_kl": 0.5, "rollback_kl": 0}, "ppo.toml").target_kl == 0.5
    with pytest.raises(UsageError, match=r"target_kl: .*greater than or equal to 0"):
        PPOConfig.checked({"target_kl": -1e-3}, "ppo.toml")


def test_a_single_update_takes_the_starting_values():
    config = PPOConfig(decisions=1, num_envs=1, rollout=2, minibatch=2)
    assert (config.lr_factor(0), config.log_std(0)) == (1.0, config.log_std_start)


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        ({"clip": 1.0}, "clip: .*less than 1"),
        ({"clip": 0.0}, "clip: .*greater than 0"),
        ({"gamma": 1.1}, "gamma: .*less than or equal to 1"),
        ({"delta_lr": float("nan")}, "delta_lr: .*finite"),
        ({"num_envs": 2, "rollout": 4, "minibatch": 9}, "minibatch: 9 is more than the 8 decisions of a rollout .* write 8 or less"),
        ({"log_std_start": -2.0, "log_std_end": -1.0}, "log_std_end: .* may only fall"),
        ({"target_kl": 0.5, "rollback_kl": 0.1}, "rollback_kl: 0.1 is below target_kl 0.5"),
        ({"kl_to_sft_target": 0.5}, "kl_to_sft_target: an adaptive weight grows from kl_to_sft, which is 0"),
        ({"decisions": 8192, "critic_warmup": 1}, "critic_warmup: 1 of the training's 1 updates leave none"),
        ({"learning_rate": 1e-3}, "learning_rate is not a known field"),
    ],
)
def test_what_cannot_work_is_refused_in_one_sentence(wrong, sentence):
    with pytest.raises(UsageError, match=f"ppo.toml: .*{sentence}"):
        PPOConfig.checked(wrong, "ppo.toml")
