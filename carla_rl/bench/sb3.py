"""stable-baselines3's PPO as a peer: it corrects the same frozen plans in the same closed loop as our training does.

Its environments are our loop itself, without a layer in between that could slow it down. Imported only where the package is installed.
"""

import time
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from gymnasium import spaces
from numpy.typing import NDArray
from stable_baselines3 import PPO
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.vec_env import VecEnv
from torch import nn

from carla_rl.bench.train_sizes import Timed, TrainSizes
from carla_rl.checkpoint import SftState
from carla_rl.loop import ClosedLoop
from carla_rl.policies.delta import DeltaConfig, DeltaWaypointHead, action_basis, correction
from carla_rl.policies.residual import ResidualPolicy
from carla_rl.policies.sft import FrozenSft
from carla_rl.reward import RewardConfig, rewards
from carla_rl.types import Plan

LARGEST_FEATURE = 10.0
"""As `ResidualPolicy` cuts them."""


class LoopEnvs(VecEnv):
    """A closed loop with a frozen model as stable-baselines3 wants environments: features in, corrections out, resets unasked."""

    def __init__(self, loop: ClosedLoop, state: SftState, reward: RewardConfig) -> None:
        config = DeltaConfig()
        self._loop, self._reward, self._config = loop, reward, config
        self._policy = ResidualPolicy(FrozenSft(state), config)
        self._basis = action_basis(config, self._policy.horizon)
        actions = len(self._basis.shift)
        # the corrections come from outside: the smallest head stands in for ours
        self._policy.delta_head = DeltaWaypointHead(self._policy.feature_size, (), actions)
        self._actions = np.zeros((len(loop.started), actions), np.float32)
        seen = spaces.Box(-LARGEST_FEATURE, LARGEST_FEATURE, (self._policy.feature_size,), np.float32)
        super().__init__(len(loop.started), seen, spaces.Box(-config.limit, config.limit, (actions,), np.float32))

    def reset(self) -> NDArray[np.float32]:
        """What all envs see; the loop has begun their episodes."""
        return self._see()

    def step_async(self, actions: NDArray[np.float32]) -> None:
        """Remember the corrections (N, K)."""
        self._actions = np.ascontiguousarray(actions, np.float32)

    def step_wait(self) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.bool_], list[dict[str, Any]]]:
        """Drive them for one decision. Terminal observations are given for the truncated, which bootstrap; nobody reads the others."""
        sft = self._plan.waypoints
        delta, _ = correction(self._actions, sft, *self._basis, self._config.limit, self._config.bound == "tanh")
        decision = self._loop.advance(Plan(sft + delta, sft))
        earned = rewards(decision.before, decision.after, decision.active, self._reward)
        infos: list[dict[str, Any]] = [{} for _ in range(self.num_envs)]
        if decision.terminal is not None:
            features = self._policy.features(decision.terminal.restrict(self._policy.needs))
            for row, env in zip(features, np.flatnonzero(decision.truncated), strict=True):
                infos[env] = {"terminal_observation": row, "TimeLimit.truncated": True}
        return self._see(), earned.total, decision.ended, infos

    def close(self) -> None:
        """The worlds are the caller's."""

    def get_attr(self, attr_name: str, indices: Any = None) -> list[Any]:
        """Only that nothing is rendered."""
        if attr_name != "render_mode":
            raise AttributeError(attr_name)
        return [None] * self.num_envs

    def set_attr(self, attr_name: str, value: Any, indices: Any = None) -> None:
        """There is nothing to set."""
        raise AttributeError(attr_name)

    def env_method(self, method_name: str, *method_args: Any, indices: Any = None, **method_kwargs: Any) -> list[Any]:
        """There is nothing to call."""
        raise AttributeError(method_name)

    def env_is_wrapped(self, wrapper_class: type[Any], indices: Any = None) -> list[bool]:
        """Nothing is wrapped."""
        return [False] * self.num_envs

    def _see(self) -> NDArray[np.float32]:
        assert self._loop.observation is not None
        self._plan = self._policy.plan(self._loop.observation.restrict(self._policy.needs))
        features: NDArray[np.float32] = self._plan.extras["features"]
        return features


class RolloutEnd(BaseCallback):
    """Notes when the driving of a rollout ended."""

    at = 0.0

    def _on_rollout_end(self) -> None:
        self.at = time.perf_counter()

    def _on_step(self) -> bool:
        return True


class Theirs:
    """stable-baselines3's training with the settings of ours, measured update by update."""

    def __init__(self, loop: ClosedLoop, state: SftState, sizes: TrainSizes) -> None:
        config, delta = sizes.config, DeltaConfig()
        self._batch = config.batch
        self._rollout_end = RolloutEnd()
        self._ppo = PPO(
            "MlpPolicy",
            LoopEnvs(loop, state, RewardConfig()),
            learning_rate=config.delta_lr,
            n_steps=config.rollout,
            batch_size=config.minibatch,
            n_epochs=config.epochs,
            gamma=config.gamma,
            gae_lambda=config.gae_lambda,
            clip_range=config.clip,
            ent_coef=config.entropy_coef,
            vf_coef=config.value_coef,
            max_grad_norm=config.max_grad_norm,
            policy_kwargs=network(delta.hidden, nn.SiLU, delta.log_std),
            seed=0,
            device=torch.device("cpu"),
        )

    def update(self) -> Timed:
        """See `carla_rl.bench.train.Learner.update`."""
        began = time.perf_counter()
        self._ppo.learn(self._batch, callback=self._rollout_end, reset_num_timesteps=False)
        return Timed(self._batch, self._rollout_end.at - began, time.perf_counter() - self._rollout_end.at)


def network(hidden: Sequence[int], activation: type[nn.Module], log_std: float) -> dict[str, Any]:
    """Two networks of these layers, the actor's and the critic's, and the action's log standard deviation at the start."""
    return {"net_arch": {"pi": [*hidden], "vf": [*hidden]}, "activation_fn": activation, "log_std_init": log_std}
