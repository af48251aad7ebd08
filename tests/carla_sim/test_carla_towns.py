"""CARLA's own towns and the Longest6 routes: every light is found, no lane is a dead end, every route is traced as it was meant."""

import itertools
import math
import xml.etree.ElementTree as ET
from pathlib import Path

import numpy as np
import pytest
from lane_lookup import nearest_lane, pose_at

from carla_rl.carla_sim.opendrive import compile_opendrive
from carla_rl.roads.network import LaneKind, Right
from carla_rl.roads.tracing import trace

SHARED = Path(__file__).parents[2] / ".." / "shared"
TOWNS = ("Town01", "Town02", "Town04")

pytest.importorskip("carla", reason="needs the carla wheel, the OpenDRIVE engine")
pytestmark = pytest.mark.skipif(not (SHARED / "maps").is_dir(), reason="needs CARLA's maps and routes in ../shared")


@pytest.fixture(scope="module")
def towns():
    return {town: compile_opendrive(SHARED / "maps" / f"{town}.xodr.gz") for town in TOWNS}


def longest6(version):
    """(id, town, positions in our frame): CARLA's y is turned."""
    for route in ET.parse(SHARED / "routes" / f"longest6_{version}.xml").getroot().findall("route"):
        nodes = route.findall("waypoint") or route.findall("waypoints/position")
        if route.get("town") in TOWNS:
            yield route.get("id"), route.get("town"), [(float(n.get("x")), -float(n.get("y")), float(n.get("z"))) for n in nodes]


@pytest.mark.parametrize(("town", "junctions", "lanes"), [("Town01", 12, 72), ("Town02", 8, 48), ("Town04", 12, 121)])
def test_every_lane_of_a_signalised_junction_has_its_signal(towns, town, junctions, lanes):
    roads = towns[town].roads
    lit = np.isin(roads.junction, roads.signal_junction) & (roads.kind == LaneKind.DRIVING)
    assert len(set(roads.signal_junction)) == junctions
    assert lit.sum() == lanes
    assert np.all(roads.entry[lit] == Right.SIGNAL)
    assert np.all(roads.signal_junction[roads.signal[lit]] == roads.junction[lit])
    assert np.all(roads.signal[roads.entry != Right.SIGNAL] == -1)
    assert np.all(roads.signal_phase < roads.signal_phases)
    assert set(roads.signal_phases) <= {3, 4}


@pytest.mark.parametrize("town", TOWNS)
def test_the_network_hangs_together(towns, town):
    network = towns[town]
    roads = network.roads
    driving = np.flatnonzero(roads.kind == LaneKind.DRIVING)
    assert set(roads.succ) == set(driving)
    for lane in driving:
        assert network.successors(lane)
        end = roads.start[lane + 1] - 1
        for after in network.successors(lane):
            begin = roads.start[after]
            assert math.hypot(roads.x[end] - roads.x[begin], roads.y[end] - roads.y[begin]) < 0.01
            assert abs(math.remainder(roads.yaw[end] - roads.yaw[begin], 2 * math.pi)) < 0.01
        for lane_beside, back in ((roads.left[lane], roads.right), (roads.right[lane], roads.left)):
            assert lane_beside == -1 or back[lane_beside] == lane
    assert np.diff(roads.s).max() <= 2.0
    assert roads.length[driving].min() > 0.0


def test_speed_signs_rule_in_town01(towns):
    # its road types say 25 mph everywhere, its signs 30, 60 and 90 km/h
    roads = towns["Town01"].roads
    assert set((roads.speed_limit[roads.kind == LaneKind.DRIVING] * 3.6).round(1)) == {30.0, 60.0, 90.0}


def test_bridges_of_town04_are_told_apart(towns):
    roads = towns["Town04"].roads
    above = np.flatnonzero((roads.z > 9.0) & (roads.kind[roads.sample_lane] == LaneKind.DRIVING))
    crossed = 0
    for i in above[::5]:
        high, along, _, _ = nearest_lane(roads, roads.x[i], roads.y[i], roads.z[i], 0.0, math.pi)
        low = nearest_lane(roads, roads.x[i], roads.y[i], 0.0, 0.0, math.pi)[0]
        assert pose_at(roads, high, along)[2] > 9.0 - 0.5
        crossed += low >= 0
        assert low != high
    assert crossed > 0


@pytest.fixture(scope="module")
def routes(towns):
    """(version, id) -> positions and the route traced through them."""
    drives = [(version, *drive) for version in ("v1", "v2") for drive in longest6(version)]
    return {(v, name): (positions, trace(towns[town], positions, f"longest6 {v} route {name}")) for v, name, town, positions in drives}


def test_all_longest6_routes_are_traced_as_meant(routes):
    assert len(routes) == 36
    for (_, name), (positions, route) in routes.items():
        straight = sum(math.dist(a[:2], b[:2]) for a, b in itertools.pairwise(positions))
        # route 22 circles a roundabout more than once; the others bend a little only
        assert straight <= route.length < (1.13 if name == "22" else 1.07) * straight
        hop = np.hypot(np.diff(route.x), np.diff(route.y))
        assert 0.0 < hop.min() <= hop.max() <= 1.0
        for x, y, _ in positions:
            assert np.hypot(route.x - x, route.y - y).min() < 1.0
        turns = np.diff(np.unwrap(np.arctan2(np.diff(route.y), np.diff(route.x))))
        assert np.abs(turns).max() < 0.5


def test_both_dialects_of_longest6_are_the_same_routes(routes):
    for (version, name), (_, route) in routes.items():
        assert version == "v2" or route.lanes == routes["v2", name][1].lanes
