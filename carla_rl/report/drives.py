"""A step log made small enough for a page: `static/drive.js` reads it. Rounded for drawing; every number that is printed is computed
from the full log first.
"""

import numpy as np
from numpy.typing import NDArray

from carla_rl.records.steps import StepLog
from carla_rl.report.moments import correction, plan_errors, scores_so_far
from carla_rl.report.pack import Table, pack
from carla_rl.types import TICK_S

SHOWN_M = 75.0
"""Actors farther from the ego than this are left out."""
EVERY = 2
"""Every second waypoint is kept."""
PLAN_GRAIN_M = 0.05
PLACE_GRAIN_M = 0.02


def pack_drive(log: StepLog, score: str) -> str:
    """The drive as text; `score` names the definition of the score so far."""
    tables = [
        Table("tick", np.rint(log.t / TICK_S), down=2),
        Table("place", log.ego[:, :2], PLACE_GRAIN_M, down=2),
        # unwrapped: no jump at half a turn
        Table("yaw", np.unwrap(log.ego[:, 2].astype(np.float64)), 0.002, down=2),
        Table("speed", log.ego[:, 3], 0.02, down=1),
        Table("acceleration", log.ego[:, 5], 0.05, down=1),
        Table("completion", log.facts[:, 0], 0.0005, down=1),
        Table("lateral", log.facts[:, 1], 0.02, down=1),
        Table("limit", log.facts[:, 2], 0.1, down=1),
        Table("score", scores_so_far(log, score), 0.05, down=1),
        Table("control", log.control, 0.01, down=1),
        Table("route", _thinned(log.route), 0.05, down=2),
        *_plans(log),
        *_actors(log),
        Table("lights", log.lights, down=1),
    ]
    for name, values, grain in (
        ("reward", log.reward, 0.002),
        ("correction", correction(log), 0.02),
        ("plan_error", plan_errors(log), 0.02),
    ):
        if values is not None:
            tables.append(Table(name, values, grain, down=1))
    return pack(tables)


def _plans(log: StepLog) -> list[Table]:
    """Every second waypoint: (T, H / 2) of x and of y, differenced twice along the plan and once in time."""
    named = (("plan", log.waypoints), ("sft", log.sft_waypoints), ("expert", log.expert_waypoints))
    return [
        Table(f"{name}_{axis}", plans[:, EVERY - 1 :: EVERY, i], PLAN_GRAIN_M, down=1, across=2)
        for name, plans in named
        if plans is not None
        for i, axis in enumerate("xy")
    ]


def _actors(log: StepLog) -> list[Table]:
    """Actors as tracks: what stays the same once an actor, what moves once a decision, sorted by actor and time."""
    decision = np.repeat(np.arange(len(log.control)), np.diff(log.actor_start))
    rows = log.actors
    near = np.hypot(rows[:, 2] - log.ego[decision, 0], rows[:, 3] - log.ego[decision, 1]) <= SHOWN_M
    decision, rows = decision[near], rows[near]
    order = np.lexsort((decision, rows[:, 0]))
    decision, rows = decision[order], rows[order]
    first = np.flatnonzero(np.diff(rows[:, 0], prepend=np.nan) != 0)
    count = np.diff(np.concatenate((first, [len(rows)])))
    return [
        Table("track", np.stack((rows[first, 0], rows[first, 1], count), axis=-1)),
        Table("track_size", rows[first, 6:8], 0.05),
        Table("track_decision", decision, down=1),
        Table("track_place", rows[:, 2:4], PLACE_GRAIN_M, down=2),
        Table("track_yaw", rows[:, 4], 0.02, down=1),
    ]


def _thinned(route: NDArray[np.float32]) -> NDArray[np.float32]:
    """Every second point of a route and its last one: x, y, half width."""
    rows = np.unique(np.concatenate((np.arange(0, len(route), 2), [len(route) - 1])))
    thin: NDArray[np.float32] = route[rows][:, [0, 1, 3]]
    return thin
