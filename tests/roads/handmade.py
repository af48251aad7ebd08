"""A road network written down by hand, for tests whose numbers are worked out by hand.

lane 4   y =  3.5   200 <- 0, the other way
lane 0   y =  0.0   0 -> 100      lane 2   100 -> 200
lane 1   y = -3.5   0 -> 100      lane 3   100 -> 200
lane 6   y = -6.5   0 -> 100, parking, half width 1.1
lane 5   x = 150, y from -50 to 50, on a bridge 6 m above
"""

import math

import numpy as np

from carla_rl.roads.network import LaneKind, RoadNetwork, Roads
from carla_rl.roads.spatial import build_index

_LANES = [
    # first point, last point, z, half width, kind, left, right, successors
    ((0.0, 0.0), (100.0, 0.0), 0.0, 1.75, LaneKind.DRIVING, -1, 1, [2]),
    ((0.0, -3.5), (100.0, -3.5), 0.0, 1.75, LaneKind.DRIVING, 0, -1, [3]),
    ((100.0, 0.0), (200.0, 0.0), 0.0, 1.75, LaneKind.DRIVING, -1, 3, []),
    ((100.0, -3.5), (200.0, -3.5), 0.0, 1.75, LaneKind.DRIVING, 2, -1, []),
    ((200.0, 3.5), (0.0, 3.5), 0.0, 1.75, LaneKind.DRIVING, -1, -1, []),
    ((150.0, -50.0), (150.0, 50.0), 6.0, 1.75, LaneKind.DRIVING, -1, -1, []),
    ((0.0, -6.5), (100.0, -6.5), 0.0, 1.1, LaneKind.PARKING, -1, -1, []),
]


def handmade() -> RoadNetwork:
    """The network drawn above, sampled every 2 m; 10 m/s everywhere."""
    points, s, yaw, lane_of, half = [], [], [], [], []
    for lane, (a, b, z, half_width, *_) in enumerate(_LANES):
        length = math.dist(a, b)
        count = round(length / 2) + 1
        share = np.linspace(0, 1, count)
        points.append(np.stack([a[0] + share * (b[0] - a[0]), a[1] + share * (b[1] - a[1]), np.full(count, z)], axis=-1))
        s.append(share * length)
        yaw.append(np.full(count, math.atan2(b[1] - a[1], b[0] - a[0])))
        lane_of.append(np.full(count, lane, np.int32))
        half.append(np.full(count, half_width))
    n = len(_LANES)
    x, y, z = (np.ascontiguousarray(column) for column in np.concatenate(points).T)
    kind = np.array([lane[4] for lane in _LANES], np.int8)
    sample_lane = np.concatenate(lane_of)
    roads = Roads(
        road=np.arange(n, dtype=np.int32),
        section=np.zeros(n, np.int32),
        lane_id=np.full(n, -1, np.int32),
        kind=kind,
        junction=np.full(n, -1, np.int32),
        length=np.array([part[-1] for part in s]),
        speed_limit=np.full(n, 10.0),
        left=np.array([lane[5] for lane in _LANES], np.int32),
        right=np.array([lane[6] for lane in _LANES], np.int32),
        opposite=np.full(n, -1, np.int32),
        left_marking=np.zeros(n, np.int8),
        right_marking=np.zeros(n, np.int8),
        entry=np.zeros(n, np.int8),
        signal=np.full(n, -1, np.int32),
        succ_start=np.cumsum([0] + [len(lane[7]) for lane in _LANES]).astype(np.int32),
        succ=np.array([after for lane in _LANES for after in lane[7]], np.int32),
        conflict_start=np.zeros(n + 1, np.int32),
        conflict=np.zeros(0, np.int32),
        start=np.cumsum([0] + [len(part) for part in s]).astype(np.int32),
        x=x,
        y=y,
        z=z,
        yaw=np.concatenate(yaw),
        s=np.concatenate(s),
        half_width=np.concatenate(half),
        sample_lane=sample_lane,
        **build_index(kind, sample_lane, x, y)._asdict(),
        signal_id=np.zeros(0, np.int32),
        signal_junction=np.zeros(0, np.int32),
        signal_phase=np.zeros(0, np.int32),
        signal_phases=np.zeros(0, np.int32),
        signal_x=np.zeros(0),
        signal_y=np.zeros(0),
    )
    return RoadNetwork("handmade", roads, (np.array([[0.0, 0.0], [1.0, 0.0], [1.0, 2.0]]),), "0" * 64)
