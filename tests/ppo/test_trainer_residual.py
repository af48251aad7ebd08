"""The trainer with the real policy: what is frozen stays so, and a new policy starts at SFT."""

from dataclasses import replace

import numpy as np
import torch
from ppo.fakes import Worlds, make_loop

from carla_rl.checkpoint import SftState, save_rl
from carla_rl.policies import features
from carla_rl.policies.delta import DeltaConfig
from carla_rl.policies.loading import load_heads
from carla_rl.policies.residual import ResidualPolicy
from carla_rl.policies.sft import ROUTE_OBJECTS, FrozenSft, new_model
from carla_rl.ppo import PPOConfig, Trainer
from carla_rl.reward import RewardConfig
from carla_rl.types import ROUTE_POINTS, ROUTE_SPACING_M, Ending, Observation


class Roads(Worlds):
    """As `Worlds`, on a straight and empty road."""

    def observe(self) -> Observation:
        n = self.num_envs
        route = np.zeros((n, ROUTE_POINTS, 2), np.float32)
        route[:, :, 0] = ROUTE_SPACING_M * np.arange(ROUTE_POINTS)
        return replace(
            super().observe(),
            route=route,
            route_left=np.full(n, 80.0, np.float32),
            objects=np.zeros((n, features.NEEDS.objects, 7), np.float32),
            light=np.tile(np.array([100.0, 0.0], np.float32), (n, 1)),
            stop_sign=np.tile(np.array([100.0, 0.0], np.float32), (n, 1)),
            speed_limit=np.full(n, 8.0, np.float32),
            room=np.full((n, ROUTE_POINTS, 3), 2.0, np.float32),
        )


def make_policy() -> ResidualPolicy:
    model = new_model(ROUTE_OBJECTS, horizon=20, out_dim=16, hidden=32, seed=0)
    sft = SftState(
        architecture=ROUTE_OBJECTS,
        encoder=model.encoder.state_dict(),
        head=model.head.state_dict(),
        features=features.LAYOUT,
        out_dim=16,
        horizon=20,
    )
    return ResidualPolicy(FrozenSft(sft), DeltaConfig(hidden=(32, 32)))


def sideways(speed: np.ndarray, throttle: np.ndarray, steer: np.ndarray) -> np.ndarray:
    """The farther to the left the first waypoint, the better."""
    return steer


def test_heads_that_learned_without_a_normaliser_drive_the_same_after_calibration(tmp_path):
    first = make_policy()
    with torch.no_grad():
        first.delta_head.net[-1].weight.fill_(0.05)
    save_rl(tmp_path / "rl.pt", first.state())
    policy = load_heads(tmp_path / "rl.pt", first.sft, first.config)
    loop = make_loop(Roads(4, sideways, decisions=4))
    seen = loop.observation
    before = policy.plan(seen)
    assert before.extras["delta"].any()
    # during the warm-up only the value head learns
    config = PPOConfig(decisions=4 * 4 * 2, num_envs=4, rollout=4, minibatch=4, calibration=4, critic_warmup=1)
    next(Trainer(loop, policy, RewardConfig(), config, seed=0).updates())
    assert policy.plan(seen).waypoints.tobytes() == before.waypoints.tobytes()


def test_no_frozen_tensor_changes_by_a_bit_and_the_drive_starts_at_sft():
    policy = make_policy()
    loop = make_loop(Roads(16, sideways, decisions=4, ending=Ending.ROUTE_TIMEOUT))
    seen = loop.observation
    before = policy.plan(seen)
    assert np.array_equal(before.waypoints, before.sft_waypoints)
    tensors = {name: tensor.clone() for name, tensor in policy.sft.model.state_dict().items()}
    fingerprint = policy.sft.fingerprint()
    config = PPOConfig(decisions=16 * 16 * 8, num_envs=16, rollout=16, minibatch=64, epochs=4)
    records = list(Trainer(loop, policy, RewardConfig(progress_per_m=1.0, decision=0.0), config, seed=0).updates())
    assert policy.sft.fingerprint() == fingerprint
    assert all(torch.equal(tensor, policy.sft.model.state_dict()[name]) for name, tensor in tensors.items())
    assert all(parameter.grad is None for parameter in policy.sft.model.parameters())
    after = policy.plan(seen)
    assert np.array_equal(after.sft_waypoints, before.sft_waypoints)
    assert (after.waypoints[:, -1, 1] > before.waypoints[:, -1, 1] + 0.05).all()
    assert records[-1].reward > records[0].reward
    assert 0.0 < records[0].scalars()["delta/lateral_m"] < 1.0
    assert records[0].bounded_share == 0.0
