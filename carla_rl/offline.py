"""Offline evaluation: a policy plans on recorded observations, and its plans are set against the expert's.

Receives its parts; knows no command line and no checkpoint.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from carla_rl.errors import RunFailure, UsageError
from carla_rl.interfaces import Policy
from carla_rl.metrics.offline import OfflineMetrics, offline_metrics
from carla_rl.metrics.plan_errors import PlanErrors, plan_errors
from carla_rl.records.dataset import Samples

Plans = NDArray[np.float32]

BATCH = 256
"""Samples a plan, unless a caller says otherwise; only memory and time depend on it."""


@dataclass(frozen=True, slots=True)
class OfflineResult:
    """The errors of a policy on recorded episodes; those of its SFT plan beside them where it corrects one."""

    policy: str
    datasets: tuple[str, ...]
    """What made the episodes, as they say themselves."""
    episodes: int
    skipped_frames: int
    """Frames without an expert plan."""
    metrics: OfflineMetrics
    errors: PlanErrors
    """Across and along, at fixed speed, and TRE."""
    sft_metrics: OfflineMetrics | None
    """Of the plan before the correction; None where the policy has no such plan."""

    def to_json(self) -> dict[str, Any]:
        """Plain JSON values."""
        return {
            "policy": self.policy,
            "domain": "driving",
            "datasets": list(self.datasets),
            "episodes": self.episodes,
            "skipped_frames": self.skipped_frames,
            **self.metrics.to_json(),
            "errors": self.errors.to_json(),
            "sft": self.sft_metrics.to_json() if self.sft_metrics else None,
        }


def evaluate_offline(policy: Policy, samples: Samples, *, batch: int = BATCH) -> OfflineResult:
    """Plan on every sample and measure. Each frame counts as the first of an episode: a policy with a memory starts without one.

    Raises:
        UsageError: the policy reads what the samples were not loaded with, or plans another horizon.
        RunFailure: the policy planned a waypoint that is not a number.
    """
    plan, before_correction = plans_of(policy, samples, batch=batch)
    return OfflineResult(
        policy=policy.name,
        datasets=samples.datasets,
        episodes=len(samples.episode_ids),
        skipped_frames=samples.skipped_frames,
        metrics=offline_metrics(plan, samples.waypoints),
        errors=plan_errors(plan, samples.waypoints),
        sft_metrics=None if before_correction is None else offline_metrics(before_correction, samples.waypoints),
    )


def plans_of(policy: Policy, samples: Samples, *, batch: int = BATCH) -> tuple[Plans, Plans | None]:
    """The policy's plans (B, H, 2) on every sample, and those before its correction where it corrects one.

    Raises:
        UsageError: as `evaluate_offline`.
        RunFailure: likewise.
    """
    if policy.horizon != samples.waypoints.shape[1]:
        raise UsageError(
            f"policy {policy.name} plans {policy.horizon} waypoints, the episodes hold {samples.waypoints.shape[1]}; give matching episodes"
        )
    if policy.needs.union(samples.needs) != samples.needs:
        raise UsageError(
            f"policy {policy.name} needs {policy.needs}, the samples were loaded with {samples.needs}; load them for the policy"
        )
    plan = np.empty(samples.waypoints.shape, np.float32)
    before_correction: list[Plans] = []
    for start in range(0, len(samples), batch):
        rows = np.arange(start, min(start + batch, len(samples)))
        policy.reset(np.ones(len(rows), np.bool_))
        planned = policy.plan(samples.batch(rows).restrict(policy.needs))
        plan[rows] = planned.waypoints
        if planned.sft_waypoints is not None:
            before_correction.append(planned.sft_waypoints)
    if not np.isfinite(plan).all():
        raise RunFailure(f"policy {policy.name} planned a waypoint that is not a finite number; check its checkpoint")
    return plan, np.concatenate(before_correction) if before_correction else None
