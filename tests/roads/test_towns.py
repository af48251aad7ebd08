"""The shipped towns: fresh, connected, with rights of way, and small."""

import gzip
import hashlib
import math
from importlib import resources
from pathlib import Path

import numpy as np
import pytest
from scipy.sparse import csr_matrix
from scipy.sparse.csgraph import connected_components

import toy_env.towns
from carla_rl.errors import UsageError
from carla_rl.roads.network import LaneKind, Right
from toy_env.towns import TOWNS, load_town

FOLDER = Path(str(resources.files(toy_env.towns)))


def digest(network):
    """SHA-256 of all arrays of a network, in order."""
    total = hashlib.sha256(f"{network.town} {network.source_sha256}".encode())
    for array in (*network.roads, *network.crosswalks):
        total.update(np.ascontiguousarray(array).tobytes())
    return total.hexdigest()


@pytest.mark.parametrize("town", TOWNS)
def test_the_network_is_what_the_map_compiles_to(town):
    pytest.importorskip("carla", reason="needs the carla wheel, the OpenDRIVE engine")
    from carla_rl.carla_sim.opendrive import compile_opendrive

    assert digest(compile_opendrive(FOLDER / f"{town}.xodr.gz")) == digest(load_town(town))


@pytest.mark.parametrize("town", TOWNS)
def test_the_map_is_what_the_generator_writes(town):
    pytest.importorskip("scenariogeneration", reason="needs the towns extra")
    from toy_env.towns import generate

    assert gzip.decompress((FOLDER / f"{town}.xodr.gz").read_bytes()).decode() == getattr(generate, town)().xml()


@pytest.mark.parametrize("town", TOWNS)
def test_shipped_files_are_small_and_from_the_same_source(town):
    packed = (FOLDER / f"{town}.xodr.gz").read_bytes()
    assert packed[4:8] == bytes(4), "gzip without a time"
    assert len(packed) < 1_000_000
    assert (FOLDER / f"{town}.npz").stat().st_size < 1_000_000
    assert load_town(town).source_sha256 == hashlib.sha256(gzip.decompress(packed)).hexdigest()


@pytest.mark.parametrize("town", TOWNS)
def test_every_lane_leads_to_every_other_one(town):
    network = load_town(town)
    roads = network.roads
    driving = np.flatnonzero(roads.kind == LaneKind.DRIVING)
    links = [(a, b) for a in driving for b in (*network.successors(a), roads.left[a], roads.right[a]) if b >= 0]
    n = len(roads.road)
    graph = csr_matrix((np.ones(len(links)), np.array(links).T), shape=(n, n))
    _, label = connected_components(graph, directed=True, connection="strong")
    # the two directions of the roads without junctions are worlds of their own
    assert len(set(label[driving])) == {"ring": 2, "highway": 2}.get(town, 1)
    assert all(network.successors(lane) for lane in driving)
    assert set(roads.succ) == set(driving)


@pytest.mark.parametrize("town", TOWNS)
def test_lanes_join_without_gaps_or_kinks(town):
    network = load_town(town)
    roads = network.roads
    for lane in np.flatnonzero(roads.kind == LaneKind.DRIVING):
        end = roads.start[lane + 1] - 1
        for after in network.successors(lane):
            begin = roads.start[after]
            assert math.hypot(roads.x[end] - roads.x[begin], roads.y[end] - roads.y[begin]) < 0.01
            assert abs(math.remainder(roads.yaw[end] - roads.yaw[begin], 2 * math.pi)) < 0.01
    assert np.diff(roads.s).max() <= 2.0
    assert np.all(roads.half_width[roads.kind[roads.sample_lane] == LaneKind.DRIVING] == 1.75)


def entries(town):
    roads = load_town(town).roads
    inside = (roads.junction >= 0) & (roads.kind == LaneKind.DRIVING)
    return roads, inside


@pytest.mark.parametrize(
    ("town", "counts"),
    [
        ("ring", {}),
        ("highway", {Right.PRIORITY: 24}),
        ("roundabout", {Right.PRIORITY: 20, Right.SIGNAL: 6, Right.STOP: 4, Right.YIELD: 6}),
        ("grid", {Right.PRIORITY: 48, Right.SIGNAL: 90, Right.STOP: 26, Right.YIELD: 16}),
    ],
)
def test_rights_of_way_at_junctions(town, counts):
    roads, inside = entries(town)
    assert {Right(right): int(n) for right, n in zip(*np.unique(roads.entry[inside], return_counts=True), strict=True)} == counts
    lit = roads.entry == Right.SIGNAL
    assert np.all(lit == (roads.signal >= 0))
    assert np.all(roads.signal_junction[roads.signal[lit]] == roads.junction[lit])
    # every arm is a phase of its own: lanes that are green together come from one arm and do not cross
    for a in np.flatnonzero(lit):
        crossing = roads.conflict[roads.conflict_start[a] : roads.conflict_start[a + 1]]
        assert not np.any(roads.signal_phase[roads.signal[crossing]] == roads.signal_phase[roads.signal[a]])


@pytest.mark.parametrize("town", ["grid", "roundabout"])
def test_conflicts_are_mutual_and_within_a_junction(town):
    roads, inside = entries(town)
    pairs = {
        (int(a), int(b)) for a in np.flatnonzero(inside) for b in roads.conflict[roads.conflict_start[a] : roads.conflict_start[a + 1]]
    }
    assert pairs
    assert pairs == {(b, a) for a, b in pairs}
    assert all(roads.junction[a] == roads.junction[b] and a != b for a, b in pairs)


def test_the_grid_has_what_cities_have():
    network = load_town("grid")
    roads = network.roads
    assert np.sum(roads.kind == LaneKind.PARKING) == 16
    assert np.sum(roads.kind == LaneKind.SIDEWALK) > 50
    assert len(network.crosswalks) == 31
    assert {round(limit * 3.6) for limit in roads.speed_limit} == {30, 50}
    assert np.sum(roads.left >= 0) == np.sum(roads.right >= 0) == 16
    for polygon in network.crosswalks:
        # 3 m wide, as long as the street is wide without its pavements
        sides = sorted(np.hypot(*(polygon - np.roll(polygon, 1, axis=0)).T))
        assert sides[0] == pytest.approx(3.0, abs=0.01)
        assert min(abs(sides[-1] - width) for width in (7.0, 11.4, 14.0)) < 0.01


def test_the_highway_is_fast_and_its_ramps_lead_back():
    roads = load_town("highway").roads
    driving = roads.kind == LaneKind.DRIVING
    assert {round(limit * 3.6) for limit in roads.speed_limit[driving]} == {60, 100}
    assert roads.length[driving].max() > 1000.0


def test_an_unknown_town_is_named():
    with pytest.raises(UsageError, match="'Town99'; the towns are ring, grid"):
        load_town("Town99")
