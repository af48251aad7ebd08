"""Behaviour cloning: an SFT model learned from recorded episodes, judged on episodes that it never saw.

Knows nothing of simulators; which frames there are is `carla_rl.records.dataset`'s business.
"""

import copy
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field
from torch import Tensor

from carla_rl.checkpoint import TINY_MULTICAM, SftState, fingerprint, save_sft
from carla_rl.config import Config
from carla_rl.errors import UsageError
from carla_rl.policies import feature_objects, features
from carla_rl.policies.images import stack_images, to_input
from carla_rl.policies.sft import RouteObjects, TinyMulticam, needs_of, new_model
from carla_rl.records.atomic import make_folder, write_json
from carla_rl.records.dataset import Samples, split_by_episode
from carla_rl.types import Ints, Needs

_EVALUATION_ROWS = 512


class SftConfig(Config):
    """How a model is cloned."""

    architecture: Literal["route_objects", "tiny_multicam"] = "route_objects"
    epochs: int = Field(default=30, ge=1, description="passes over the training episodes")
    batch: int = Field(default=512, ge=2, description="frames a step")
    lr: float = Field(default=2e-3, gt=0, le=1, description="AdamW's highest learning rate; it warms up, then falls along a cosine")
    weight_decay: float = Field(default=1e-4, ge=0, description="AdamW's weight decay")
    held_out: float = Field(default=0.1, gt=0, lt=1, description="share of the episodes that the model never learns from")
    out_dim: int = Field(default=128, ge=1, le=512, description="size of z")
    hidden: int = Field(default=256, ge=1, le=512, description="units of the hidden layers")
    object_dropout: float = Field(
        default=0.3, ge=0, lt=1, description="share of the objects beside the way hidden while learning, a third of it of those in the way"
    )
    camera: str = Field(default="front", description="what tiny_multicam looks through")
    seed: int = Field(default=0, ge=0, lt=2**63, description="of the split, the initial weights and the order of the frames")


@dataclass(frozen=True, slots=True)
class EpochReport:
    """How an epoch went, for progress and train_metrics.json."""

    epoch: int
    """1-based."""
    loss: float
    """Mean distance on the training frames, m, while they were learned from."""
    ade: float
    """On the held-out frames, m."""
    fde: float
    lr: float


@dataclass(frozen=True, slots=True)
class SftResult:
    """What came of a training."""

    checkpoint: Path
    metrics: dict[str, Any]
    """As written to train_metrics.json."""


def train_sft(
    samples: Samples, config: SftConfig, out_dir: Path, progress: Callable[[EpochReport], None] = lambda report: None
) -> SftResult:
    """Clone the expert of `samples`; write `model.pt` (the best epoch on held-out episodes) and `train_metrics.json` into `out_dir`.

    The samples are those of `load_samples` with `samples_needs(config)`. The loss is the mean distance between planned and
    recorded waypoints, so that a wrong guess at a fork counts once and not squared.
    The same samples, configuration and number of torch's threads give the same weights.

    Raises:
        UsageError: no frame, one episode only, a number that is not finite, an image that cannot be read, a folder that cannot be written.
    """
    _check(samples)
    make_folder(out_dir)
    started = time.monotonic()
    train, held_out = split_by_episode(samples.episode_index, config.held_out, config.seed)
    model = new_model(config.architecture, samples.waypoints.shape[1], config.out_dim, config.hidden, config.seed)
    inputs = _inputs(model, samples, config)
    targets = torch.from_numpy(np.ascontiguousarray(samples.waypoints, np.float32))
    best, reports = _fit(model, inputs, targets, train, held_out, config, progress)
    model.load_state_dict(best)
    path = out_dir / "model.pt"
    save_sft(path, _state(model, config, samples.waypoints.shape[1]))
    chosen = min(reports, key=lambda report: report.ade)
    metrics = {
        "architecture": config.architecture,
        "datasets": list(samples.datasets),
        "ade": chosen.ade,
        "fde": chosen.fde,
        "best_epoch": chosen.epoch,
        "frames": {"train": len(train), "held_out": len(held_out)},
        "episodes": {rows_of: len(np.unique(samples.episode_index[rows])) for rows_of, rows in (("train", train), ("held_out", held_out))},
        "parameters": sum(parameter.numel() for parameter in model.parameters()),
        "fingerprint": fingerprint(model),
        "seconds": round(time.monotonic() - started, 2),
        "config": config.model_dump(mode="json"),
        "epochs": [{"epoch": r.epoch, "loss": r.loss, "ade": r.ade, "fde": r.fde, "lr": r.lr} for r in reports],
    }
    write_json(out_dir / "train_metrics.json", metrics)
    return SftResult(path, metrics)


def samples_needs(config: SftConfig) -> Needs:
    """What the samples have to be loaded with for this architecture.

    Raises:
        UsageError: a camera whose mount is not known.
    """
    return needs_of(config.architecture, (config.camera,), "camera")


def errors(waypoints: Tensor, targets: Tensor) -> tuple[float, float]:
    """ADE and FDE in metres of waypoints (B, H, 2): the mean distance over all waypoints, and over the last ones."""
    distance = torch.linalg.vector_norm((waypoints - targets).double(), dim=-1)
    return float(distance.mean()), float(distance[:, -1].mean())


def _fit(
    model: TinyMulticam | RouteObjects,
    inputs: Callable[[Ints], tuple[Tensor, ...]],
    targets: Tensor,
    train: NDArray[np.int64],
    held_out: NDArray[np.int64],
    config: SftConfig,
    progress: Callable[[EpochReport], None],
) -> tuple[dict[str, Tensor], list[EpochReport]]:
    """Train; the weights of the epoch with the lowest held-out ADE, and a report for each epoch."""
    steps = -(-len(train) // config.batch)
    optimizer = torch.optim.AdamW(model.parameters(), lr=config.lr, weight_decay=config.weight_decay, fused=True)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, config.lr, total_steps=steps * config.epochs + 1, pct_start=0.1, cycle_momentum=False, final_div_factor=100.0
    )
    order = np.random.default_rng((config.seed, 1))
    hide = _hiding(model, config)
    reports: list[EpochReport] = []
    best: dict[str, Tensor] = {}
    for epoch in range(1, config.epochs + 1):
        lr = float(schedule.get_last_lr()[0])
        total = 0.0
        model.train()
        for rows in np.array_split(order.permutation(train), steps):
            loss = torch.linalg.vector_norm(model(*hide(inputs(rows))) - targets[rows], dim=-1).mean()
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            optimizer.step()
            schedule.step()
            total += float(loss.detach()) * len(rows)
        ade, fde = _evaluate(model, inputs, targets, held_out)
        if not np.isfinite(ade):
            raise UsageError(f"lr: {config.lr} made the training diverge in epoch {epoch}; write less")
        if not reports or ade < min(report.ade for report in reports):
            best = copy.deepcopy(model.state_dict())
        reports.append(EpochReport(epoch, total / len(train), ade, fde, lr))
        progress(reports[-1])
    return best, reports


def _hiding(model: TinyMulticam | RouteObjects, config: SftConfig) -> Callable[[tuple[Tensor, ...]], tuple[Tensor, ...]]:
    """Hides objects at random, so that the model does not tell episodes apart by who else was there; images stay as they are."""
    if isinstance(model, TinyMulticam):
        return lambda inputs: inputs
    generator = torch.Generator().manual_seed(config.seed)
    rates = torch.full((feature_objects.CORRIDOR_SLOTS + feature_objects.RISK_SLOTS, 1), config.object_dropout)
    rates[: feature_objects.CORRIDOR_SLOTS] /= 3.0
    start = features.EGO + features.ROUTE + features.ROOM

    def hide(inputs: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        # indexing by rows has made a copy, which is ours to change
        (table,) = inputs
        slots = table[:, start : start + len(rates) * feature_objects.SLOT].view(-1, len(rates), feature_objects.SLOT)
        slots *= torch.rand(len(table), len(rates), 1, generator=generator) >= rates
        return inputs

    return hide


def _evaluate(
    model: TinyMulticam | RouteObjects, inputs: Callable[[Ints], tuple[Tensor, ...]], targets: Tensor, rows: NDArray[np.int64]
) -> tuple[float, float]:
    model.eval()
    with torch.inference_mode():
        blocks = [model(*inputs(rows[i : i + _EVALUATION_ROWS])) for i in range(0, len(rows), _EVALUATION_ROWS)]
        return errors(torch.cat(blocks), targets[rows])


def _inputs(model: TinyMulticam | RouteObjects, samples: Samples, config: SftConfig) -> Callable[[Ints], tuple[Tensor, ...]]:
    """What the model reads of given rows: features computed once, images read when they are due."""
    if isinstance(model, RouteObjects):
        table = torch.from_numpy(features.route_objects(samples.observation))
        if not bool(torch.isfinite(table).all()):
            raise UsageError("the episodes hold NaN or infinity in an observation; remove the frames or record again")
        return lambda rows: (table[rows],)

    def images(rows: Ints) -> tuple[Tensor, ...]:
        pixels, valid = stack_images(samples.batch(rows), (config.camera,))
        return to_input(pixels), torch.from_numpy(valid)

    return images


def _state(model: TinyMulticam | RouteObjects, config: SftConfig, horizon: int) -> SftState:
    images = config.architecture == TINY_MULTICAM
    return SftState(
        architecture=config.architecture,
        encoder=model.encoder.state_dict(),
        head=model.head.state_dict(),
        cameras=(config.camera,) if images else (),
        features=None if images else features.LAYOUT,
        out_dim=config.out_dim,
        horizon=horizon,
    )


def _check(samples: Samples) -> None:
    if not np.isfinite(samples.waypoints).all():
        raise UsageError("the episodes hold NaN or infinity in the expert's waypoints; remove the frames or record again")
