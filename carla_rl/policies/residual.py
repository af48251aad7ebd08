"""SFT + delta: a frozen model, corrected within bounds by a head that learns. Knows nothing of how it learns."""

import copy
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from carla_rl import gaussian, privileged
from carla_rl.checkpoint import RlState
from carla_rl.errors import UsageError
from carla_rl.policies.delta import LONGEST_HIDDEN, DeltaConfig, DeltaWaypointHead, ValueHead, action_basis, correction
from carla_rl.policies.networks import by_rows, load_checked
from carla_rl.policies.sft import FrozenSft, Seen
from carla_rl.types import Bools, Observation, Plan

WAYPOINT_STRIDE = 4
"""The heads see every fourth waypoint of the SFT plan; the plan is smooth."""
_X_UNIT_M, _Y_UNIT_M = 10.0, 2.0
_LARGEST_FEATURE = 10.0


class ResidualPolicy:
    """waypoints = SFT(observation) + residual_ratio * correction(action); the action is the delta head's mean, or sampled around it.

    Before training the delta head gives zeros, so the drive is SFT's, bit for bit.
    """

    def __init__(self, sft: FrozenSft, config: DeltaConfig, *, seed: int = 0) -> None:
        """New heads on `sft`, initialised from `seed` without touching torch's own generator.

        Raises:
            UsageError: a hidden layer too wide.
        """
        if max(config.hidden) > LONGEST_HIDDEN:
            raise UsageError(
                f"hidden: {max(config.hidden)} units are more than {LONGEST_HIDDEN}; write less, so that rows stay independent"
            )
        self.sft = sft
        self.config = config
        self.name = f"sft-{sft.state.architecture}+delta"
        self.needs = sft.needs.union(sft.context_needs) if "context" in config.inputs else sft.needs
        self.horizon = sft.horizon
        self.basis = action_basis(config, self.horizon)
        actions = len(self.basis.shift)
        sizes = {
            "z": sft.out_dim,
            "waypoints": 2 * len(range(WAYPOINT_STRIDE - 1, self.horizon, WAYPOINT_STRIDE)),
            "context": sft.context_size,
        }
        self.feature_size = sum(sizes[name] for name in config.inputs)
        """D, numbers that the heads see."""
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.delta_head = DeltaWaypointHead(self.feature_size, config.hidden, actions * (2 if config.sigma == "state" else 1))
            self.value_head = ValueHead(self.feature_size + self.critic_facts, config.hidden)
        log_std = torch.full((actions,), config.log_std)
        self.log_std: Tensor = nn.Parameter(log_std) if config.sigma == "global" else log_std
        """(K,)"""
        self.residual_ratio = 1.0
        """Share of the correction that is driven, 0..1."""
        self.normalised = False
        """Whether the features' normaliser is set."""
        self._mean = np.zeros(self.feature_size, np.float32)
        self._scale = np.ones(self.feature_size, np.float32)
        self._noise: gaussian.Noise | None = None

    @classmethod
    def from_state(cls, state: RlState) -> "ResidualPolicy":
        """The policy of a checkpoint.

        Raises:
            UsageError: tensors that do not fit each other, the configuration or the SFT model.
        """
        config = DeltaConfig.checked(state.delta_config, f"{state.source}: delta_config")
        policy = cls(FrozenSft(state.sft), config)
        load_checked(policy.delta_head, state.delta_head, "delta_head", state.source)
        load_checked(policy.value_head, state.value_head, "value_head", state.source)
        if state.log_std.shape != policy.log_std.shape:
            raise UsageError(
                f"{state.source}: tensor log_std has shape {tuple(state.log_std.shape)}, expected {tuple(policy.log_std.shape)}"
            )
        with torch.no_grad():
            policy.log_std.copy_(state.log_std)
        policy.residual_ratio = state.residual_ratio
        if state.normaliser is not None:
            for name in ("mean", "scale"):
                found = state.normaliser.get(name)
                if found is None or found.shape != (policy.feature_size,):
                    raise UsageError(
                        f"{state.source}: tensor normaliser.{name} must have shape ({policy.feature_size},); give another checkpoint"
                    )
            policy.normalise(state.normaliser["mean"].numpy(), state.normaliser["scale"].numpy())
        return policy

    def state(self, train_stats: dict[str, Any] | None = None, training: dict[str, Any] | None = None) -> RlState:
        """Everything that `from_state` needs, to be written by `carla_rl.checkpoint.save_rl`."""
        return RlState(
            sft=self.sft.state,
            delta_head=self.delta_head.state_dict(),
            value_head=self.value_head.state_dict(),
            log_std=self.log_std,
            residual_ratio=self.residual_ratio,
            delta_config=self.config.model_dump(mode="json"),
            normaliser={"mean": torch.from_numpy(self._mean), "scale": torch.from_numpy(self._scale)} if self.normalised else None,
            train_stats=train_stats or {},
            training=training,
        )

    def normalise(self, mean: NDArray[np.float32], scale: NDArray[np.float32]) -> None:
        """From now on the heads see (features - mean) * scale, within +-10; both are (D,). Identity before."""
        self._mean = np.array(mean, np.float32)
        self._scale = np.array(scale, np.float32)
        self.normalised = True

    def sample_with(self, noise: gaussian.Noise | None) -> None:
        """Sample actions with this noise from now on; with None drive the mean."""
        self._noise = noise

    def reset(self, envs: Bools) -> None:
        """Nothing to forget: the policy has no memory."""

    @property
    def corrects(self) -> bool:
        """Whether the delta head gives anything but the zeros of before training."""
        last = cast(nn.Linear, self.delta_head.net[-1])
        return bool(last.weight.any() or last.bias.any())

    @property
    def scheduled(self) -> bool:
        """Whether the log standard deviation is PPO's to set, not to learn."""
        return self.config.sigma == "schedule"

    @property
    def critic_facts(self) -> int:
        """How many numbers of `carla_rl.privileged` the value head sees after the features."""
        return privileged.SIZE if self.config.critic_facts else 0

    def twin(self, device: torch.device) -> "ResidualPolicy":
        """A policy with heads of its own, equal to these, on another device: it learns, this one drives."""
        other = copy.copy(self)
        other.delta_head = copy.deepcopy(self.delta_head).to(device)
        other.value_head = copy.deepcopy(self.value_head).to(device)
        log_std = self.log_std.detach().clone().to(device)
        other.log_std = nn.Parameter(log_std) if self.config.sigma == "global" else log_std
        return other

    def distribution(self, features: Tensor) -> tuple[Tensor, Tensor]:
        """Mean (B, K) and log standard deviation, (K,) or (B, K), of the action for features (B, D)."""
        return self._parameters(self.delta_head(features))

    def plan(self, observation: Observation) -> Plan:
        """Plans of N envs; extras: `features` (N, D), `action` (N, K), `delta` (N, H, 2), `bounded` (N,).

        While sampling also `log_prob` (N,); the noise is drawn for all N envs together and rows depend on their number.
        """
        seen = self._see(observation)
        features = self._features(seen)
        raw = by_rows(self.delta_head.net, features)
        extras = {"features": features}
        action = np.ascontiguousarray(raw[:, : len(self.basis.shift)])
        if self._noise is not None:
            action, extras["log_prob"] = self._sample(raw, self._noise)
        delta, bounded = correction(action, seen.waypoints, *self.basis, self.config.limit, self.config.bound == "tanh")
        if self.residual_ratio != 1.0:
            delta *= np.float32(self.residual_ratio)
        extras |= {"action": action, "delta": delta, "bounded": bounded}
        return Plan(seen.waypoints + delta, seen.waypoints, extras)

    def features(self, observation: Observation) -> NDArray[np.float32]:
        """(M, D): what the heads see of any M observations."""
        return self._features(self._see(observation))

    def frozen(self, observation: Observation) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """What never changes about any M observations: features before they are normalised (M, D), and SFT's plans (M, H, 2) in m."""
        seen = self._see(observation)
        return self._joined(seen), seen.waypoints

    def scaled(self, joined: NDArray[np.float32]) -> NDArray[np.float32]:
        """(M, D): the features that the heads see, of those before they are normalised."""
        clipped: NDArray[np.float32] = np.clip((joined - self._mean) * self._scale, -_LARGEST_FEATURE, _LARGEST_FEATURE)
        return clipped

    def values(self, inputs: NDArray[np.float32]) -> NDArray[np.float32]:
        """(M,) values of features followed by the critic's facts, (M, D + P)."""
        return by_rows(self.value_head.net, inputs)[:, 0]

    def _see(self, observation: Observation) -> Seen:
        return self.sft.see(observation, context="context" in self.config.inputs)

    def _parameters(self, raw: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and log standard deviation from what the delta head gives."""
        if self.config.sigma != "state":
            return raw, self.log_std
        mean, change = raw.chunk(2, dim=-1)
        return mean, gaussian.bounded(self.log_std + change)

    def _features(self, seen: Seen) -> NDArray[np.float32]:
        """(N, D): what the heads see of what SFT saw."""
        return self.scaled(self._joined(seen))

    def _joined(self, seen: Seen) -> NDArray[np.float32]:
        """(N, D): the same before it is normalised."""
        units = np.array((1.0 / _X_UNIT_M, 1.0 / _Y_UNIT_M), np.float32)
        waypoints = (seen.waypoints[:, WAYPOINT_STRIDE - 1 :: WAYPOINT_STRIDE] * units).reshape(len(seen.z), -1)
        parts = {"z": seen.z, "waypoints": waypoints, "context": seen.context}
        return np.concatenate([parts[name] for name in self.config.inputs], axis=1)

    def _sample(self, raw: NDArray[np.float32], noise: gaussian.Noise) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Actions (N, K) around the mean and their log-probabilities (N,), of what the delta head gave."""
        with torch.inference_mode():
            mean, log_std = self._parameters(torch.from_numpy(raw))
            action = mean + log_std.exp() * noise.draw(*mean.shape)
            return action.numpy(), gaussian.log_prob(action, mean, log_std).numpy()
