"""`carla-rl bench pendulum`: our Trainer on a standard task, beside stable-baselines3's PPO with the same budget."""

import itertools
from collections.abc import Callable
from dataclasses import dataclass
from time import perf_counter
from typing import Any

import gymnasium
import numpy as np

from carla_rl.bench.machine import describe_machine
from carla_rl.bench.peers import trainer
from carla_rl.bench.pendulum_task import ENV_ID, HIDDEN, LAST_EPISODES, SETTINGS, Act, Pendulums, TorquePolicy, Wheel, episodes
from carla_rl.bench.repeat import summary
from carla_rl.loop import ClosedLoop
from carla_rl.ppo import PPOConfig, Trainer
from carla_rl.reward import RewardConfig

JUDGED_EPISODES = 50
"""That the deterministic policy plays at the end, the same ones for both."""
FIRST_JUDGED_SEED = 1_000_000


@dataclass(frozen=True, slots=True)
class PendulumSizes:
    """How much is trained."""

    steps: int = 100_000
    """Of each training, of all its envs together: RL Zoo's budget."""
    seeds: int = 3


def bench_pendulum(sizes: PendulumSizes, tell: Callable[[str], None]) -> dict[str, Any]:
    """Train every seed in both programs, one after the other; returns are sums of rewards over the 200 steps of an episode.

    `tell` hears what is trained next. The result is JSON-able.
    """
    trainings = {"carla_rl": train_ours}
    peer = trainer()
    if peer["version"] is not None:
        # what a user does not have is not imported
        from carla_rl.bench.pendulum_sb3 import train_theirs

        trainings["stable_baselines3"] = train_theirs
    rows: dict[str, list[dict[str, float]]] = {name: [] for name in trainings}
    for seed, (name, train) in itertools.product(range(sizes.seeds), trainings.items()):
        tell(f"seed {seed}: {name}")
        began = perf_counter()
        last, act = train(sizes.steps, seed)
        took = perf_counter() - began
        rows[name].append({"seed": seed, "last_episodes": float(np.mean(last)), "deterministic": judge(act), "train_s": took})
    means = {name: {key: summary([row[key] for row in found]).to_json("median") for key in found[0]} for name, found in rows.items()}
    return {
        "benchmark": "pendulum",
        "machine": describe_machine(),
        "settings": SETTINGS | {"steps": sizes.steps, "hidden": HIDDEN},
        "seeds": rows,
        "summary": {name: {key: value for key, value in found.items() if key != "seed"} for name, found in means.items()},
        "peer": peer,
    }


def judge(act: Act) -> float:
    """Mean return of the deterministic policy over episodes that are the same for everybody."""
    env = gymnasium.make(ENV_ID)
    total = 0.0
    for episode in range(JUDGED_EPISODES):
        seen, _ = env.reset(seed=FIRST_JUDGED_SEED + episode)
        over = False
        while not over:
            seen, reward, terminated, truncated, _ = env.step(act(seen))
            total += float(reward)
            over = terminated or truncated
    env.close()
    return total / JUDGED_EPISODES


def train_ours(steps: int, seed: int) -> tuple[list[float], Act]:
    """Train for so many steps, rounded up to whole rollouts: returns of the last episodes, and the mean policy."""
    s = SETTINGS
    config = PPOConfig(
        decisions=steps,
        num_envs=int(s["num_envs"]),
        rollout=int(s["rollout"]),
        epochs=int(s["epochs"]),
        minibatch=int(s["minibatch"]),
        gamma=s["gamma"],
        gae_lambda=s["gae_lambda"],
        clip=s["clip"],
        delta_lr=s["lr"],
        value_lr=s["lr"],
        lr_schedule="constant",
        calibration=0,
        target_kl=None,
        rollback_kl=None,
    )
    pendulums, policy = Pendulums(config.num_envs), TorquePolicy(seed)
    loop = ClosedLoop(pendulums, Wheel(), episodes(seed), ticks_per_decision=1)
    # one metre of progress is one point of reward, and living costs nothing: it is in the task's own reward
    updates = Trainer(loop, policy, RewardConfig(progress_per_m=1.0, decision=0.0), config, seed).updates()
    returns = [episode.reward for record in updates for episode in record.episodes]
    pendulums.close()
    return returns[-LAST_EPISODES:], lambda seen: policy.torque(seen[None])[0]
