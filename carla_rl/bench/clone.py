"""A model to refine where no file is given: the real architecture, cloned within seconds from a rule that keeps to the route.

Networks of fresh weights would be as fast, but the worlds would not: an ego that leaves its route at once has nothing around it and is
reset all the time. The clone is no good driver and does not have to be.
"""

import numpy as np
import torch
from numpy.typing import NDArray

from carla_rl.bench.driving import goal_speed
from carla_rl.checkpoint import SftState
from carla_rl.loop import ClosedLoop
from carla_rl.policies import features
from carla_rl.policies.sft import ROUTE_OBJECTS, FrozenSft, RouteObjects, SftPolicy, new_model
from carla_rl.types import HORIZON, ROUTE_SPACING_M, WAYPOINT_S, ObjectColumn, ObjectKind, Observation, Plan

DESCRIPTION = "a clone, made within seconds, of a rule that follows the route, stops for lights and keeps off what is in its way"
OUT_DIM, HIDDEN = 128, 256
"""Sizes of z and of the hidden layers: the defaults of `carla-rl sft`."""
ENVS = 256
DECISIONS = 40
"""Of each of the two drives that the clone learns from: the rule's, then its own."""

_STEPS = 600
"""Gradient steps after each drive."""
_BATCH = 512
_LR = 2e-3
_THROTTLE, _BRAKE = 2.0, 4.0
"""m/s^2 with which the rule moves to the speed that it wants."""
_HALF_WIDTH_M = 2.0
"""What is no further off the ego's line is in its way."""
_GAP_M = 7.0
"""Centre to centre, at which it wants to stand."""


def rule_plan(seen: Observation) -> NDArray[np.float32]:
    """(N, HORIZON, 2) m: along the route, at the speed that light, limit and the nearest object in the way allow."""
    assert seen.route is not None
    times = WAYPOINT_S * np.arange(1, HORIZON + 1)
    speed = seen.speed.astype(np.float64)[:, None]
    lack = _allowed_speed(seen)[:, None] - speed
    along = np.cumsum(speed + np.clip(lack, -_BRAKE * times, _THROTTLE * times), axis=1) * WAYPOINT_S / ROUTE_SPACING_M
    before = np.minimum(along.astype(np.int64), seen.route.shape[1] - 2)
    rows = np.arange(len(seen))[:, None]
    start, end = seen.route[rows, before], seen.route[rows, before + 1]
    places: NDArray[np.float32] = (start + (end - start) * (along - before)[..., None]).astype(np.float32)
    return places


def quick_clone(loop: ClosedLoop) -> SftState:
    """The clone, learned on what the loop's envs come across; always the same for the same episodes."""
    model = new_model(ROUTE_OBJECTS, HORIZON, OUT_DIM, HIDDEN, seed=0)
    assert isinstance(model, RouteObjects)
    generator = torch.Generator().manual_seed(0)
    optimiser = torch.optim.AdamW(model.parameters(), lr=_LR, fused=True)
    inputs, targets = _drive(loop, None)
    _fit(model, optimiser, inputs, targets, generator)
    # what comes of its own mistakes the rule has never met
    own = _drive(loop, SftPolicy(FrozenSft(_state(model))))
    _fit(model, optimiser, torch.cat((inputs, own[0])), torch.cat((targets, own[1])), generator)
    return _state(model)


def _allowed_speed(seen: Observation) -> NDArray[np.float64]:
    """(N,) m/s."""
    assert seen.objects is not None
    ahead, aside = seen.objects[..., ObjectColumn.X].astype(np.float64), np.abs(seen.objects[..., ObjectColumn.Y])
    in_the_way = (seen.objects[..., ObjectColumn.KIND] != ObjectKind.NONE) & (ahead > 0.0) & (aside < _HALF_WIDTH_M)
    gap = np.where(in_the_way, ahead - _GAP_M, np.inf).min(axis=1)
    # as for lights: braking with 3 m/s^2 stops within the gap
    allowed: NDArray[np.float64] = np.minimum(goal_speed(seen), np.sqrt(6.0 * np.maximum(gap, 0.0)))
    return allowed


def _drive(loop: ClosedLoop, clone: SftPolicy | None) -> tuple[torch.Tensor, torch.Tensor]:
    """Features and the rule's waypoints of what is seen while the clone drives, or the rule itself where there is none yet."""
    inputs, targets = [], []
    for _ in range(DECISIONS):
        assert loop.observation is not None
        seen = loop.observation
        inputs.append(features.route_objects(seen))
        targets.append(rule_plan(seen))
        loop.advance(Plan(targets[-1]) if clone is None else clone.plan(seen))
    return torch.from_numpy(np.concatenate(inputs)), torch.from_numpy(np.concatenate(targets))


def _fit(
    model: RouteObjects, optimiser: torch.optim.Optimizer, inputs: torch.Tensor, targets: torch.Tensor, generator: torch.Generator
) -> None:
    for _ in range(_STEPS):
        rows = torch.randint(len(inputs), (_BATCH,), generator=generator)
        loss = torch.linalg.vector_norm(model(inputs[rows]) - targets[rows], dim=-1).mean()
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        optimiser.step()


def _state(model: RouteObjects) -> SftState:
    return SftState(architecture=ROUTE_OBJECTS, encoder=model.encoder.state_dict(), head=model.head.state_dict(), features=features.LAYOUT)
