"""Road networks small enough to work out by hand, and episodes on them.

`straight`: lane 0 east along y = 0 from x = 0 to 600, lane 1 west along y = 3.5; 10 m/s; each 3.5 m wide.
`two_lanes`: see there.
`crossing`: lanes 0, 1, 2 east along y = 0 (x -100 .. -10 .. 10 .. 200), lanes 3, 4, 5 north along x = 0 likewise; junction 7 holds 1 and 4.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from carla_rl.roads.network import LaneKind, Right, RoadNetwork, Roads
from carla_rl.roads.route import Route
from carla_rl.roads.spatial import build_index
from carla_rl.scenario.model import Episode, Rules, Scenario, ScriptedActor, Traffic
from carla_rl.types import Control, Needs
from carla_rl.world.state import Role
from toy_env.simulator import ToySimulator

LIMIT = 10.0
HALF_WIDTH = 1.75
ALL = Needs(route=True, objects=4, lights=True, speed_limit=True)
EMPTY = Traffic(vehicles=0)


@dataclass(frozen=True)
class Lane:
    """A straight lane from a to b, in m."""

    a: tuple[float, float]
    b: tuple[float, float]
    after: tuple[int, ...] = ()
    junction: int = -1
    entry: Right = Right.PRIORITY
    signal: int = -1
    opposite: int = -1
    conflicts: tuple[int, ...] = ()
    limit: float = LIMIT
    kind: LaneKind = LaneKind.DRIVING


def csr(rows: Sequence[Sequence[int]]) -> tuple[Any, Any]:
    return np.cumsum([0, *map(len, rows)]).astype(np.int32), np.array([item for row in rows for item in row], np.int32)


def build(town: str, lanes: Sequence[Lane], signals: Sequence[tuple[int, int, int]] = ()) -> RoadNetwork:
    """A network of straight lanes sampled every 2 m; signals are (junction, phase, phases)."""
    lines = []
    for lane in lanes:
        length = math.dist(lane.a, lane.b)
        s = np.linspace(0.0, length, max(round(length / 2.0), 1) + 1)
        share = s / length
        lines.append((s, lane.a[0] + share * (lane.b[0] - lane.a[0]), lane.a[1] + share * (lane.b[1] - lane.a[1])))
    count = len(lanes)
    sizes = [len(s) for s, _, _ in lines]
    sample_lane = np.repeat(np.arange(count, dtype=np.int32), sizes)
    x, y = np.concatenate([line[1] for line in lines]), np.concatenate([line[2] for line in lines])
    yaw = np.array([math.atan2(lane.b[1] - lane.a[1], lane.b[0] - lane.a[0]) for lane in lanes])
    kind = np.array([lane.kind for lane in lanes], np.int8)
    none = np.full(count, -1, np.int32)
    succ_start, succ = csr([lane.after for lane in lanes])
    conflict_start, conflict = csr([lane.conflicts for lane in lanes])
    columns = np.array(signals, np.int32).reshape(-1, 3).T.copy()
    roads = Roads(
        road=np.arange(count, dtype=np.int32),
        section=np.zeros(count, np.int32),
        lane_id=none.copy(),
        kind=kind,
        junction=np.array([lane.junction for lane in lanes], np.int32),
        length=np.array([line[0][-1] for line in lines]),
        speed_limit=np.array([lane.limit for lane in lanes]),
        left=none.copy(),
        right=none.copy(),
        opposite=np.array([lane.opposite for lane in lanes], np.int32),
        left_marking=np.zeros(count, np.int8),
        right_marking=np.zeros(count, np.int8),
        entry=np.array([lane.entry for lane in lanes], np.int8),
        signal=np.array([lane.signal for lane in lanes], np.int32),
        succ_start=succ_start,
        succ=succ,
        conflict_start=conflict_start,
        conflict=conflict,
        start=np.cumsum([0, *sizes]).astype(np.int32),
        x=x,
        y=y,
        z=np.zeros(len(x)),
        yaw=yaw[sample_lane],
        s=np.concatenate([line[0] for line in lines]),
        half_width=np.full(len(x), HALF_WIDTH),
        sample_lane=sample_lane,
        **build_index(kind, sample_lane, x, y)._asdict(),
        signal_id=np.arange(len(signals), dtype=np.int32),
        signal_junction=columns[0],
        signal_phase=columns[1],
        signal_phases=columns[2],
        signal_x=np.zeros(len(signals)),
        signal_y=np.zeros(len(signals)),
    )
    return RoadNetwork(town, roads, (), "0" * 64)


def straight() -> RoadNetwork:
    return build("straight", [Lane((0.0, 0.0), (600.0, 0.0), opposite=1), Lane((600.0, 3.5), (0.0, 3.5), opposite=0)])


def crossing(east: Right = Right.PRIORITY, north: Right = Right.PRIORITY, lights: bool = False) -> RoadNetwork:
    return build(
        "crossing",
        [
            Lane((-100.0, 0.0), (-10.0, 0.0), after=(1,)),
            Lane((-10.0, 0.0), (10.0, 0.0), after=(2,), junction=7, entry=east, signal=0 if lights else -1, conflicts=(4,)),
            Lane((10.0, 0.0), (200.0, 0.0)),
            Lane((0.0, -100.0), (0.0, -10.0), after=(4,)),
            Lane((0.0, -10.0), (0.0, 10.0), after=(5,), junction=7, entry=north, signal=1 if lights else -1, conflicts=(1,)),
            Lane((0.0, 10.0), (0.0, 200.0)),
        ],
        [(7, 0, 2), (7, 1, 2)] if lights else (),
    )


def two_lanes() -> RoadNetwork:
    """Lane 0 east along y = 0 and lane 1 beside it along y = 3.5, from x = 0 to 600; 10 m/s."""
    network = build("two lanes", [Lane((0.0, 0.0), (600.0, 0.0)), Lane((0.0, 3.5), (600.0, 3.5))])
    left, right = np.array([1, -1], np.int32), np.array([-1, 0], np.int32)
    return replace(network, roads=network.roads._replace(left=left, right=right))


def route(network: RoadNetwork, lanes: Sequence[int], s0: float = 0.0, s1: float | None = None) -> Route:
    """Points 1 m apart along the lanes, from s0 m on the first to s1 m (its end) on the last."""
    roads = network.roads
    found: list[tuple[float, float, float, int]] = []
    for number, lane in enumerate(lanes):
        first = s0 if number == 0 else 1.0
        last = s1 if number == len(lanes) - 1 and s1 is not None else float(roads.length[lane])
        k = roads.start[lane]
        yaw = float(roads.yaw[k])
        x, y = float(roads.x[k]), float(roads.y[k])
        found += [(x + s * math.cos(yaw), y + s * math.sin(yaw), yaw, lane) for s in np.arange(first, last + 1e-9, 1.0)]
    rows = np.array(found)
    lane_of = rows[:, 3].astype(np.int32)
    s = np.concatenate([[0.0], np.cumsum(np.hypot(np.diff(rows[:, 0]), np.diff(rows[:, 1])))])
    return Route(
        town=network.town,
        x=rows[:, 0].copy(),
        y=rows[:, 1].copy(),
        z=np.zeros(len(rows)),
        yaw=rows[:, 2].copy(),
        s=s,
        lane=lane_of,
        half_width=np.full(len(rows), HALF_WIDTH),
        speed_limit=roads.speed_limit[lane_of].copy(),
    )


def episode(
    line: Route,
    *,
    traffic: Traffic = EMPTY,
    rules: Rules | None = None,
    actors: tuple[ScriptedActor, ...] = (),
    seed: int = 1,
    start_m: float = 0.0,
    repetition: int = 0,
) -> Episode:
    ends = ((float(line.x[0]), float(line.y[0]), 0.0), (float(line.x[-1]), float(line.y[-1]), 0.0))
    scenario = Scenario(
        scenario_id="small", town=line.town, positions=ends, seed=seed, traffic=traffic, actors=actors, rules=rules or Rules()
    )
    return Episode(scenario, line, repetition=repetition, start_m=start_m)


def simulator(network: RoadNetwork, num_envs: int = 1, **options: Any) -> ToySimulator:
    return ToySimulator(num_envs, options.pop("needs", ALL), lambda town: network, **options)


def started(network: RoadNetwork, *episodes: Episode, **options: Any) -> ToySimulator:
    """A simulator with one env an episode, all reset."""
    toy = simulator(network, len(episodes), **options)
    toy.reset(np.arange(len(episodes)), episodes)
    return toy


def pedals(num_envs: int = 1, throttle: float = 0.0, steer: float = 0.0, brake: float = 0.0) -> Control:
    return Control(np.full(num_envs, throttle), np.full(num_envs, steer), np.full(num_envs, brake))


def put_ego(toy: ToySimulator, x: float, y: float = 0.0, yaw: float = 0.0, speed: float = 0.0, env: int = 0) -> None:
    """Move the ego of an env, and the place on the route where it is looked for; what it has driven so far stays."""
    row = toy._worlds.world[env : env + 1]
    row["x"], row["y"], row["yaw"], row["speed"] = x, y, yaw, speed
    row["near"] = row["deviation_point"] = np.argmin(np.hypot(toy._fleet.episodes[env].route.x - x, toy._fleet.episodes[env].route.y - y))  # type: ignore[union-attr]


def put_vehicle(toy: ToySimulator, slot: int, lane: int, s: float, speed: float = 0.0, half_length: float = 2.5, env: int = 0) -> Any:
    """Put a car of traffic on a lane; returns its row (1,)."""
    roads = toy.network("").roads
    row = toy._worlds.actors[env, slot : slot + 1]
    k = roads.start[lane]
    row["kind"], row["role"], row["id"] = 1, Role.TRAFFIC, slot
    row["lane"], row["sample"], row["s"], row["lateral"] = lane, k, s, 0.0
    row["x"], row["y"], row["yaw"] = roads.x[k] + s * math.cos(roads.yaw[k]), roads.y[k] + s * math.sin(roads.yaw[k]), roads.yaw[k]
    row["speed"], row["acceleration"], row["eagerness"] = speed, 0.0, 1.0
    row["half_length"], row["half_width"] = half_length, 1.0
    row["stuck_tick"], row["entry"], row["stop_done"], row["brake_until"] = -1, -1, -1, 0
    return row
