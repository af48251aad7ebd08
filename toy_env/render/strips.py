"""A town's ground as coloured quadrilaterals in painting order: surfaces of lanes, markings, crosswalks, stop lines.

Plain geometry from a `RoadNetwork`; knows nothing of pixels. Everything is vectorised over the samples of the network.
"""

from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from carla_rl.roads.network import LaneKind, Marking, Right, RoadNetwork, Roads
from toy_env.render.palette import Ground

DASH_M, GAP_M = 3.0, 4.5
LINE_M, CURB_M = 0.15, 0.2
STOP_LINE_M = 0.4
STRIPE_M = 0.5
"""Width of a stripe of a crosswalk and of the gap beside it."""

_SURFACES = (
    (LaneKind.SIDEWALK, Ground.SIDEWALK),
    (LaneKind.SHOULDER, Ground.SHOULDER),
    (LaneKind.PARKING, Ground.PARKING),
    (LaneKind.DRIVING, Ground.ROAD),
)


class Quads(NamedTuple):
    """Q convex quadrilaterals; a later one covers an earlier one."""

    corners: NDArray[np.float64]
    """(Q, 4, 2) m, map frame."""
    colour: NDArray[np.uint8]
    """(Q,) `Ground`."""
    z: NDArray[np.float64]
    """(Q,) m."""


class _Segments(NamedTuple):
    """The stretches between neighbouring samples of a lane: first and second sample."""

    a: NDArray[np.int64]
    b: NDArray[np.int64]


def ground_quads(network: RoadNetwork) -> Quads:
    """The ground of a town in painting order."""
    roads = network.roads
    inner = np.flatnonzero(roads.sample_lane[:-1] == roads.sample_lane[1:])
    segments = _Segments(inner, inner + 1)
    parts = [_surface(roads, segments, kind, colour) for kind, colour in _SURFACES]
    parts += [_crosswalk(roads, polygon) for polygon in network.crosswalks if len(polygon) >= 3]
    parts += _markings(roads, segments)
    parts.append(stop_lines(roads, entry_lanes(roads)))
    return Quads(*(np.concatenate([getattr(part, name) for part in parts]) for name in Quads._fields))


def edge(roads: Roads, samples: NDArray[np.int64], share: float) -> NDArray[np.float64]:
    """(n, 2) points at the samples, `share` half widths to the left of the centre line."""
    offset = share * roads.half_width[samples]
    return np.stack(
        (roads.x[samples] - np.sin(roads.yaw[samples]) * offset, roads.y[samples] + np.cos(roads.yaw[samples]) * offset), axis=-1
    )


def entry_lanes(roads: Roads) -> NDArray[np.int64]:
    """Lanes with a signal, stop or yield at their entry, one for each place and rule (lanes that fork from one point share their line)."""
    ruled = np.flatnonzero((roads.entry != Right.PRIORITY) & (roads.kind == LaneKind.DRIVING))
    first = roads.start[ruled]
    place = np.round(np.stack((roads.x[first], roads.y[first], np.cos(roads.yaw[first]), np.sin(roads.yaw[first])), axis=-1), 1)
    keys = np.concatenate((place, roads.signal[ruled, None], roads.entry[ruled, None]), axis=1)
    _, unique = np.unique(keys, axis=0, return_index=True)
    return ruled[np.sort(unique)].astype(np.int64)


def stop_lines(roads: Roads, lanes: NDArray[np.int64]) -> Quads:
    """One white line across the entry of each lane, just before it."""
    first = roads.start[lanes].astype(np.int64)
    back = -STOP_LINE_M * np.stack((np.cos(roads.yaw[first]), np.sin(roads.yaw[first])), axis=-1)
    left, right = edge(roads, first, 0.95), edge(roads, first, -0.95)
    return _quads(np.stack((left, right, right + back, left + back), axis=1), Ground.WHITE, roads.z[first])


def _quads(corners: NDArray[np.float64], colour: Ground, z: NDArray[np.float64]) -> Quads:
    return Quads(corners.reshape(-1, 4, 2), np.full(len(corners), int(colour), np.uint8), np.asarray(z, np.float64))


def _surface(roads: Roads, segments: _Segments, kind: LaneKind, colour: Ground) -> Quads:
    chosen = roads.kind[roads.sample_lane[segments.a]] == kind
    a, b = segments.a[chosen], segments.b[chosen]
    corners = np.stack((edge(roads, a, 1.0), edge(roads, a, -1.0), edge(roads, b, -1.0), edge(roads, b, 1.0)), axis=1)
    return _quads(corners, colour, 0.5 * (roads.z[a] + roads.z[b]))


def _markings(roads: Roads, segments: _Segments) -> list[Quads]:
    """Lines on the edges of lanes outside junctions, where crossing lanes would scribble over each other."""
    lane = roads.sample_lane[segments.a]
    parts = []
    for side, marking in ((1.0, roads.left_marking), (-1.0, roads.right_marking)):
        drawn = roads.junction < 0
        centre = np.zeros(len(drawn), np.bool_)
        if side > 0:
            other = roads.opposite
            shared = (other >= 0) & (roads.left < 0)
            centre = shared & (roads.kind == LaneKind.DRIVING)
            # both lanes beside the centre line carry it, running against each other: one of them draws it, or dashes would fill the gaps
            drawn = drawn & ~(
                shared & (marking == marking[other]) & (roads.opposite[other] == np.arange(len(other))) & (other < np.arange(len(other)))
            )
        for kind in (Marking.CURB, Marking.SOLID, Marking.BROKEN):
            for colour, where in ((Ground.WHITE, ~centre), (Ground.YELLOW, centre)):
                chosen = (drawn & (marking == kind) & where)[lane]
                part = _Segments(segments.a[chosen], segments.b[chosen])
                parts.append(_line(roads, part, side, kind, Ground.CURB if kind == Marking.CURB else colour))
    return parts


def _line(roads: Roads, segments: _Segments, side: float, kind: Marking, colour: Ground) -> Quads:
    """Quads along one edge of the segments, cut into dashes where the marking is broken."""
    a, b = segments.a, segments.b
    start, end = np.zeros(len(a)), np.ones(len(a))
    if kind == Marking.BROKEN:
        period = DASH_M + GAP_M
        s0, s1 = roads.s[a], roads.s[b]
        pieces = []
        for dash in (np.floor(s0 / period), np.floor(s0 / period) + 1.0):
            low, high = np.maximum(s0, dash * period), np.minimum(s1, dash * period + DASH_M)
            kept = np.flatnonzero(high > low)
            pieces.append((kept, (low - s0)[kept] / (s1 - s0)[kept], (high - s0)[kept] / (s1 - s0)[kept]))
        kept, start, end = (np.concatenate(column) for column in zip(*pieces, strict=True))
        a, b = a[kept], b[kept]
    width = CURB_M if kind == Marking.CURB else LINE_M
    pa, pb = edge(roads, a, side), edge(roads, b, side)
    p = pa + (pb - pa) * start[:, None]
    q = pa + (pb - pa) * end[:, None]
    along = pb - pa
    normal = np.stack((-along[:, 1], along[:, 0]), axis=-1) * (0.5 * width / np.maximum(np.hypot(along[:, 0], along[:, 1]), 1e-9))[:, None]
    return _quads(np.stack((p + normal, p - normal, q - normal, q + normal), axis=1), colour, 0.5 * (roads.z[a] + roads.z[b]))


def _crosswalk(roads: Roads, polygon: NDArray[np.float64]) -> Quads:
    """Stripes across the long side of the smallest rectangle around the polygon."""
    (cx, cy), size, angle = cv2.minAreaRect(polygon.astype(np.float32))
    turn = np.radians(angle)
    along, across = np.array((np.cos(turn), np.sin(turn))), np.array((-np.sin(turn), np.cos(turn)))
    length, width = size
    if length < width:
        along, across, length, width = across, -along, width, length
    count = max(1, int((length + STRIPE_M) // (2.0 * STRIPE_M)))
    centres = (np.arange(count) - 0.5 * (count - 1)) * 2.0 * STRIPE_M
    middle = np.array((cx, cy)) + centres[:, None] * along
    a, w = 0.5 * STRIPE_M * along, 0.5 * width * across
    nearest = int(np.argmin((roads.x - cx) ** 2 + (roads.y - cy) ** 2))
    return _quads(
        np.stack((middle + a + w, middle + a - w, middle - a - w, middle - a + w), axis=1), Ground.WHITE, np.full(count, roads.z[nearest])
    )
