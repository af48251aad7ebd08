"""Observations and checkpoints that tests of policies are made of."""

from pathlib import Path

import numpy as np
import torch

from carla_rl.checkpoint import SftState
from carla_rl.policies import features
from carla_rl.policies.sft import FrozenSft, new_model
from carla_rl.types import Observation


def observations(n: int, *, seed: int = 0, camera: str | None = None) -> Observation:
    """N different, plausible observations with everything in them."""
    rng = np.random.default_rng(seed)
    s = np.arange(50) * 2.0
    route = np.stack([np.broadcast_to(s, (n, 50)), rng.normal(size=(n, 1)) * s**2 / 200], -1)
    objects = rng.normal(size=(n, 24, 7)) * [20, 8, 1, 3, 1, 0.3, 0]
    objects[..., 4:6] = np.abs(objects[..., 4:6]) + 0.4
    objects[..., 6] = rng.integers(0, 5, (n, 24))
    objects[objects[..., 6] == 0] = 0
    images = {} if camera is None else {camera: rng.integers(0, 256, (n, 224, 224, 3), dtype=np.uint8)}
    return Observation(
        speed=rng.uniform(0, 12, n).astype(np.float32),
        yaw_rate=rng.normal(size=n).astype(np.float32) * np.float32(0.2),
        route=route.astype(np.float32),
        route_left=rng.uniform(0, 300, n).astype(np.float32),
        objects=objects.astype(np.float32),
        light=np.stack([rng.uniform(0, 100, n), rng.integers(0, 4, n)], -1).astype(np.float32),
        stop_sign=np.stack([rng.uniform(0, 100, n), rng.integers(0, 2, n)], -1).astype(np.float32),
        speed_limit=np.full(n, 13.0, np.float32),
        images=images,
        room=rng.uniform(1.5, 12.0, (n, 50, 3)).astype(np.float32),
    )


def sft_state(architecture: str = "route_objects", *, horizon: int = 20, out_dim: int = 128, hidden: int = 64) -> SftState:
    """An SFT model with random weights, as a checkpoint holds it."""
    model = new_model(architecture, horizon, out_dim, hidden, seed=1)
    images = architecture == "tiny_multicam"
    return SftState(
        architecture=architecture,
        encoder=model.encoder.state_dict(),
        head=model.head.state_dict(),
        cameras=("front",) if images else (),
        features=None if images else features.LAYOUT,
        out_dim=out_dim,
        horizon=horizon,
    )


def frozen(architecture: str = "route_objects", **sizes: int) -> FrozenSft:
    return FrozenSft(sft_state(architecture, **sizes))


def upstream_model(path: Path, *, out_dim: int = 128, horizon: int = 20) -> Path:
    """A `model.pt` as the SFT stage upstream writes it."""
    state = sft_state("tiny_multicam", out_dim=out_dim, horizon=horizon, hidden=256)
    torch.save({"encoder": state.encoder, "head": state.head, "out_dim": out_dim, "cam": "front", "horizon_steps": horizon}, path)
    return path


def upstream_latest(path: Path) -> Path:
    """A `checkpoints/latest.pt` as the SFT stage upstream writes it, with paths in its cfg."""
    state = sft_state("tiny_multicam", hidden=256)
    cfg = {"cam": "front", "horizon_steps": 20, "out_dir": Path("/runs/sft"), "pretrained_encoder": None, "lr": 1e-3}
    optimiser = {"state": {0: {"step": torch.tensor(3.0)}}, "param_groups": [{"lr": 1e-3}]}
    torch.save({"step": 7, "cfg": cfg, "model": {"encoder": state.encoder, "head": state.head}, "optim": optimiser}, path)
    return path


def legacy_heads(path: Path, *, in_dim: int = 128, horizon: int = 20) -> Path:
    """Heads as the earlier delta trainer writes them."""
    torch.manual_seed(5)
    states = []
    for outputs in (2 * horizon, 1):
        sizes = (in_dim, 128, 64, outputs)
        weights = {f"net.{2 * i}.weight": torch.randn(sizes[i + 1], sizes[i]) * 0.1 for i in range(3)}
        states.append(weights | {f"net.{2 * i}.bias": torch.randn(sizes[i + 1]) * 0.1 for i in range(3)})
    torch.save({"delta_head": states[0], "value_head": states[1], "train_stats": {"episodes": 3}}, path)
    return path
