"""The lane graph and its cheapest ways: what `carla_rl.roads.tracing` searches. Lanes and metres only; knows nothing of positions nor of
routes."""

import heapq
from collections.abc import Sequence
from dataclasses import dataclass

from carla_rl.roads.network import RoadNetwork

CHANGE_M = 30.0
"""Length of a lane change where there is room."""
_CHANGE_COST = 20.0
_SQUEEZE_COST = 3.0
"""Cost of a lane change, and of every metre that it is shorter than CHANGE_M, in metres of driving."""
_SLACK_M = 1.0
"""A goal this little behind the start on the same lane is not a reason to drive round the block."""


@dataclass(frozen=True)
class Place:
    """A place on a lane: s in m along it. `cost` is what it costs to mean this place, in metres of driving."""

    lane: int
    s: float
    cost: float = 0.0


@dataclass(frozen=True)
class Leg:
    """Part of a way: from s0 on `lane` to s1 on `to`, which is the same lane or, where it is changed, another one of the same section."""

    lane: int
    to: int
    s0: float
    s1: float


class LaneGraph:
    """The lane graph as Python lists. A node is a lane entered at its start; permitted lane changes come before its end."""

    def __init__(self, network: RoadNetwork) -> None:
        self.length: list[float] = network.roads.length.tolist()
        self.left: list[int] = network.roads.left.tolist()
        self.right: list[int] = network.roads.right.tolist()
        self.successors = [network.successors(lane) for lane in range(len(self.length))]

    def side_by_side(self, lane: int, to: int) -> list[int]:
        """The lanes from `lane` to `to` of the same section, both included, in the order of the changes."""
        for side in (self.left, self.right):
            chain = [lane]
            while chain[-1] != to and side[chain[-1]] >= 0:
                chain.append(side[chain[-1]])
            if chain[-1] == to:
                return chain
        raise ValueError(f"no lane change leads from lane {lane} to lane {to}")

    def within(self, lane: int, room: float) -> list[tuple[int, float]]:
        """The lanes that changes within `room` metres lead to, with their cost; the lane itself first."""
        found = [(lane, 0.0)]
        for side in (self.left, self.right):
            changes, other = 1, side[lane]
            while other >= 0:
                short = max(0.0, CHANGE_M - room / changes)
                found.append((other, changes * (_CHANGE_COST + _SQUEEZE_COST * short)))
                changes, other = changes + 1, side[other]
        return found

    def search(self, start: Place, goals: Sequence[Place]) -> list[tuple[float, list[Leg]] | None]:
        """Cost and legs of the cheapest way from `start` to each goal, None where there is none (Dijkstra's algorithm)."""
        found = [self._within_section(start, goal) for goal in goals]
        goals_on: dict[int, list[int]] = {}
        for i, goal in enumerate(goals):
            goals_on.setdefault(goal.lane, []).append(i)
        came: dict[int, tuple[int, int]] = {}
        """By lane: the lane entered before it (-1: the start's) and the lane that was left to come here."""
        queue = self._exits(0.0, -1, start.lane, start.s)
        heapq.heapify(queue)
        while queue:
            cost, lane, before, via = heapq.heappop(queue)
            if all(way is not None and way[0] <= cost for way in found):
                break
            if lane in came:
                continue
            came[lane] = (before, via)
            for other, _ in self.within(lane, 0.0):
                for i in goals_on.get(other, ()):
                    total = cost + goals[i].s + self._change(lane, other, goals[i].s)
                    known = found[i]
                    if known is None or total < known[0]:
                        found[i] = (total, [*self._legs(came, start, lane), Leg(lane, other, 0.0, goals[i].s)])
            for exit_ in self._exits(cost, lane, lane, 0.0):
                heapq.heappush(queue, exit_)
        return found

    def _change(self, lane: int, to: int, room: float) -> float:
        return next(cost for other, cost in self.within(lane, room) if other == to)

    def _exits(self, cost: float, before: int, lane: int, s: float) -> list[tuple[float, int, int, int]]:
        """(cost, lane entered, `before`, lane left) of all ways out of a section that was reached at `s` on `lane` with `cost`."""
        room = self.length[lane] - s
        return [(cost + room + change, after, before, via) for via, change in self.within(lane, room) for after in self.successors[via]]

    def _within_section(self, start: Place, goal: Place) -> tuple[float, list[Leg]] | None:
        """The way to a goal in the section of the start, where it lies ahead."""
        if goal.lane not in (lane for lane, _ in self.within(start.lane, 0.0)):
            return None
        way = goal.s - start.s * self.length[goal.lane] / self.length[start.lane]
        if way < -_SLACK_M:
            return None
        room = max(way, 0.0)
        return room + self._change(start.lane, goal.lane, room), [Leg(start.lane, goal.lane, start.s, max(goal.s, goal.s - way))]

    def _legs(self, came: dict[int, tuple[int, int]], start: Place, lane: int) -> list[Leg]:
        """The legs from the start to the entry of a lane."""
        legs = []
        while lane >= 0:
            before, via = came[lane]
            legs.append(Leg(start.lane, via, start.s, self.length[via]) if before < 0 else Leg(before, via, 0.0, self.length[via]))
            lane = before
        return legs[::-1]
