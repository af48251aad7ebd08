"""stable-baselines3's PPO on Pendulum-v1, as RL Zoo tuned it. Imported only where the package is installed."""

import numpy as np
import torch
from numpy.typing import NDArray
from stable_baselines3 import PPO
from stable_baselines3.common.env_util import make_vec_env
from torch import nn

from carla_rl.bench.pendulum_task import ENV_ID, HIDDEN, LAST_EPISODES, SETTINGS, Act


def train_theirs(steps: int, seed: int) -> tuple[list[float], Act]:
    """Train for so many steps, rounded up to whole rollouts: returns of the last episodes, and the mean policy."""
    s = SETTINGS
    ppo = PPO(
        "MlpPolicy",
        make_vec_env(ENV_ID, n_envs=int(s["num_envs"]), seed=seed),
        learning_rate=s["lr"],
        n_steps=int(s["rollout"]),
        batch_size=int(s["minibatch"]),
        n_epochs=int(s["epochs"]),
        gamma=s["gamma"],
        gae_lambda=s["gae_lambda"],
        clip_range=s["clip"],
        use_sde=True,
        sde_sample_freq=4,
        stats_window_size=LAST_EPISODES,
        policy_kwargs={"net_arch": {"pi": [*HIDDEN], "vf": [*HIDDEN]}, "activation_fn": nn.Tanh},
        seed=seed,
        device=torch.device("cpu"),
    )
    ppo.learn(steps)
    assert ppo.ep_info_buffer is not None

    def act(seen: NDArray[np.float32]) -> NDArray[np.float32]:
        return ppo.predict(seen, deterministic=True)[0]

    return [float(episode["r"]) for episode in ppo.ep_info_buffer], act
