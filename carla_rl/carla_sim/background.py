"""The background of an env: where its vehicles start and are put back, drawn from the episode's seed, and how scripts act on them.

The Traffic Manager drives them; here they are only kept around the ego, as many as the episode asks for, as the toy keeps its own.
On the server actors are *numbered*, vehicles that found room first; in the records they have *slots*, also those that found none.
"""

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from carla_rl.types import ObjectKind
from carla_rl.world.slots import LOST_M, RECYCLE_RING_M, RESET_RING_M, STUCK_TICKS
from carla_rl.world.state import ACTOR, Role

ROOM_M = 8.0
"""m that a spawn point must be away from all others that are there."""
NONE = int(ObjectKind.NONE)
STREAM = 0xCA51A
MODELS = (
    "vehicle.mini.cooper_s",
    "vehicle.nissan.micra",
    "vehicle.seat.leon",
    "vehicle.audi.tt",
    "vehicle.toyota.prius",
    "vehicle.tesla.model3",
    "vehicle.lincoln.mkz_2017",
    "vehicle.volkswagen.t2",
    "vehicle.carlamotors.carlacola",
    "vehicle.vespa.zx125",
)
"""Cars, a van, a truck and a motorcycle that CARLA has had since 0.9.10."""
LOOK_TICKS = 20
"""Each vehicle is looked at so often whether it has gone too far."""
AROUND_M = RESET_RING_M[1]
"""Pedestrians start within this distance of the ego."""
Rows = Any
"""A record, or rows of records, with fields as attributes."""


class Background:
    """The vehicles and pedestrians of one env."""

    def __init__(self) -> None:
        self._draw = np.random.default_rng(0)
        self._points: NDArray[np.float64] = np.zeros((0, 4))
        self._vehicles = 0
        self._slots: NDArray[np.int64] = np.zeros(0, np.int64)
        """(M,) by number."""
        self._numbers: NDArray[np.int64] = np.zeros(0, np.int64)

    def begin(self, seed: int, points: NDArray[np.float64], world: Rows, count: int) -> tuple[NDArray[np.float64], list[str]]:
        """A new episode on a map with these spawn points (P, 4): poses (V, 4) and blueprints (V,) of at most `count` vehicles to spawn."""
        self._draw = np.random.default_rng([seed, STREAM])
        self._points, self._vehicles, self._slots = points, int(world["vehicles"]), np.zeros(0, np.int64)
        self._numbers = self._slots
        chosen = self._free(world, np.zeros(0, ACTOR), RESET_RING_M)[:count]
        models = [MODELS[int(number)] for number in self._draw.integers(0, len(MODELS), len(chosen))]
        return points[chosen], models

    def register(self, actors: NDArray[np.void], world: Rows, bodies: NDArray[np.float64]) -> None:
        """Fill the slots with what the server has spawned: (M, 3) half lengths, half widths and kinds by number; kind 0 found no room."""
        walks = bodies[:, 2] == ObjectKind.PEDESTRIAN
        cars = len(bodies) - int(walks.sum())
        self._slots = np.concatenate((np.arange(cars), self._vehicles + np.arange(len(bodies) - cars)))
        self._numbers = np.arange(len(bodies))
        rows = np.zeros(len(bodies), ACTOR)
        for name in ("seed", "draws"):
            rows[name] = actors[name][self._slots]
        for name in ("entry", "stop_done", "stuck_tick"):
            rows[name] = -1
        rows["id"] = int(world["next_id"]) + np.arange(len(rows))
        rows["half_length"], rows["half_width"], rows["kind"] = bodies.T
        rows["role"] = np.where(walks, Role.WALKER, Role.TRAFFIC)
        actors[self._slots] = rows
        world["next_id"] += len(rows)
        world["placed"] = int((bodies[:, 2] != ObjectKind.NONE).sum())

    def take(self, actors: NDArray[np.void], others: NDArray[np.float64]) -> None:
        """Where all are now: (M, 6), see `messages.Seen.others`. Who is not there any more leaves an empty slot for good."""
        rows = actors[self._slots]
        rows["x"], rows["y"], rows["z"], rows["yaw"], rows["speed"] = others[:, :5].T
        gone = others[:, 5] == 0.0
        rows["kind"][gone], rows["half_length"][gone] = NONE, 0.0
        actors[self._slots] = rows

    def slot_of(self, number: int) -> int:
        """Where an actor of the server is in the records."""
        return int(self._slots[number])

    def changes(self, world: Rows, actors: NDArray[np.void]) -> tuple[NDArray[np.float64], list[tuple[int, bool]], list[int]]:
        """Vehicles that are put elsewhere (K, 5), that change lane, and that brake; see `messages.Orders`."""
        rows = actors[self._slots]
        tick = int(world["tick"])
        here = rows["kind"] != NONE
        cars = (rows["half_length"] > 0.0) & (self._slots < self._vehicles)
        looked_at = (tick + self._numbers) % LOOK_TICKS == 0
        away = np.hypot(rows["x"] - world["x"], rows["y"] - world["y"])
        # a script wants it away, or it is too far off or stuck
        leaves = cars & (~here | (looked_at & ((away > LOST_M) | (rows["still_ticks"] > STUCK_TICKS))))
        moved = [place for number in np.flatnonzero(leaves) for place in self._put(world, actors, int(number))]
        aside = np.flatnonzero(cars & here & (rows["lateral"] != 0.0))
        braking = np.flatnonzero(cars & here & ((rows["brake_until"] > tick) | rows["held"]))
        changes = [(int(number), bool(rows["lateral"][number] > 0.0)) for number in aside]
        return np.array(moved, np.float64).reshape(-1, 5), changes, braking.tolist()

    def _put(self, world: Rows, actors: NDArray[np.void], number: int) -> list[tuple[float, ...]]:
        """Put a vehicle on a free spawn point farther off, as another one; nowhere else to go, it stays."""
        free = self._free(world, actors, RECYCLE_RING_M)
        beyond = free if len(free) else self._free(world, actors, (RECYCLE_RING_M[0], math.inf))
        if not len(beyond):
            return []
        place = self._points[beyond[0]]
        row = actors[self._slots[number]]
        row["x"], row["y"], row["z"], row["yaw"] = place
        row["kind"], row["speed"], row["still_ticks"], row["lateral"], row["brake_until"] = ObjectKind.VEHICLE, 0.0, 0, 0.0, 0
        row["id"] = world["next_id"]
        world["next_id"] += 1
        return [(float(number), *place.tolist())]

    def _free(self, world: Rows, actors: NDArray[np.void], ring: tuple[float, float]) -> NDArray[np.int64]:
        """Spawn points at these distances from the ego that nobody is near, in an order that is drawn."""
        away = np.hypot(self._points[:, 0] - world["x"], self._points[:, 1] - world["y"])
        free = np.flatnonzero((ring[0] <= away) & (away <= ring[1]))
        others = actors[actors["kind"] != NONE]
        if len(others) and len(free):
            near = np.hypot(self._points[free, 0, None] - others["x"], self._points[free, 1, None] - others["y"]).min(axis=1)
            free = free[near > ROOM_M]
        return np.asarray(self._draw.permutation(free), np.int64)
