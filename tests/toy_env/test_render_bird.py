"""The bird's-eye view and the painted ground against places worked out by hand."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from small_roads import Lane, build, crossing, straight

from carla_rl.errors import UsageError
from carla_rl.roads.network import Marking, Right, RoadNetwork
from carla_rl.types import Ego, LightState, ObjectKind, Scene
from toy_env.render import BirdSpec, Renderer
from toy_env.render.bird import EGO_COLOUR
from toy_env.render.palette import LIGHTS, Ground
from toy_env.render.strips import DASH_M, GAP_M, ground_quads
from toy_env.render.things import actor_colours

SPEC = BirdSpec(200, 200, 0.25, ahead=0.5)
"""The ego's centre is at (100, 100); a metre is 4 pixels."""
NETWORK = straight()
RENDERER = Renderer()


def egos(*poses: tuple[float, float, float]) -> Ego:
    x, y, yaw = (np.array(column, np.float64) for column in zip(*poses, strict=True))
    still = np.zeros(len(poses))
    return Ego(x, y, yaw, still, still, still)


def view(
    ego: Ego, *actors: list[float], network: RoadNetwork = NETWORK, lights: tuple[int, ...] = (), spec: BirdSpec = SPEC
) -> NDArray[np.uint8]:
    scene = Scene(np.array(actors, np.float32).reshape(1, -1, 8), np.array([lights], np.int8))
    renderer = RENDERER if network is NETWORK else Renderer()
    return renderer.bird(network, spec, ego, np.zeros(1), scene)[0]


@given(st.floats(-3.1, 3.1))
def test_things_are_where_they_are_in_the_ego_frame_whatever_its_heading(yaw: float):
    # 10 m ahead and 5 m left: 40 pixels up, 20 pixels left
    c, s = np.cos(yaw), np.sin(yaw)
    actor = [5.0, ObjectKind.STATIC, 100.0 + 10.0 * c - 5.0 * s, 10.0 * s + 5.0 * c, yaw, 0.0, 0.6, 0.6]
    image = view(egos((100.0, 0.0, yaw)), actor)
    assert image[60, 80].tolist() == actor_colours(np.array(actor, np.float32)).tolist()
    assert image[100, 94].tolist() != list(EGO_COLOUR)
    assert image[104, 100].tolist() == list(EGO_COLOUR)


def test_road_is_as_wide_as_it_is():
    # lanes from y = -1.75 to 5.25: columns 100 - 21 to 100 + 7
    row = view(egos((100.0, 0.0, 0.0)))[20].astype(int)
    green = row[:, 1] > row[:, 0] + 15
    assert 77 <= np.flatnonzero(~green)[0] <= 80
    assert 105 <= np.flatnonzero(~green)[-1] <= 108


def test_signal_and_stop_line_take_its_colour():
    network = crossing(Right.SIGNAL, lights=True)
    network = replace(network, roads=network.roads._replace(signal_x=np.array([-10.0, 0.0]), signal_y=np.array([-5.0, 0.0])))
    for state in (LightState.GREEN, LightState.YELLOW, LightState.RED):
        image = view(egos((-20.0, 0.0, 0.0)), network=network, lights=(state, 0))
        # 10 m ahead: row 60; the lamp 5 m right: column 120
        assert image[60, 120].tolist() == LIGHTS[state].tolist()
        assert (image[58:62, 100] == LIGHTS[state]).all(axis=-1).any()


def test_lines_are_drawn_in_their_colour():
    ego = egos((100.0, 0.0, 1.0), (300.0, 0.0, 0.0))
    points = np.array([[[5.0, 0.0], [20.0, 0.0]], [[5.0, 5.0], [20.0, 5.0]]])
    scene = Scene(np.zeros((2, 1, 8), np.float32), np.zeros((2, 0), np.int8))
    first, second = RENDERER.bird(NETWORK, SPEC, ego, np.zeros(2), scene, [(points, (250, 0, 200), 3)])
    assert first[50, 100].tolist() == [250, 0, 200]
    assert second[50, 80].tolist() == [250, 0, 200]
    assert second[50, 100].tolist() != [250, 0, 200]


@pytest.mark.parametrize("spec", [{"width": 0}, {"metres_per_px": 0.0}, {"ahead": 1.5}])
def test_a_view_that_cannot_be_drawn_is_refused(spec: dict[str, float]):
    with pytest.raises(UsageError, match="bird's-eye view"):
        BirdSpec(**spec)  # type: ignore[arg-type]


def marked(left: Marking, *, opposite: bool) -> RoadNetwork:
    lanes = [Lane((0.0, 0.0), (60.0, 0.0), opposite=1), Lane((60.0, 3.5), (0.0, 3.5), opposite=0)]
    network = build("marked", lanes if opposite else lanes[:1])
    if not opposite:
        network = replace(network, roads=network.roads._replace(opposite=np.array([-1], np.int32)))
    return replace(network, roads=network.roads._replace(left_marking=np.full(len(network.roads.kind), left, np.int8)))


@pytest.mark.parametrize("opposite", [False, True])
def test_broken_line_is_dashed_and_drawn_once(opposite: bool):
    # 60 m at 7.5 m a dash and a gap: 8 dashes of 3 m, whether one lane or both beside the line carry it
    quads = ground_quads(marked(Marking.BROKEN, opposite=opposite))
    line = quads.corners[quads.colour == (Ground.YELLOW if opposite else Ground.WHITE)]
    lengths = np.ptp(line[..., 0], axis=1)
    assert lengths.sum() == pytest.approx(8 * DASH_M)
    assert DASH_M + GAP_M == 7.5
    np.testing.assert_allclose(line[..., 1].mean(axis=1), 1.75)
    starts = line[..., 0].min(axis=1)
    assert np.all(starts % 7.5 < 3.0)


def test_crosswalk_has_stripes_along_the_traffic():
    # 9.5 m by 3 m across the road: 10 stripes of 0.5 m with 0.5 m between them
    polygon = np.array([[50.0, -3.0], [53.0, -3.0], [53.0, 6.5], [50.0, 6.5]])
    network = replace(NETWORK, crosswalks=(polygon,))
    quads = ground_quads(network)
    stripes = quads.corners[quads.colour == Ground.WHITE]
    assert len(stripes) == 10
    np.testing.assert_allclose(np.ptp(stripes[..., 0], axis=1), 3.0, atol=1e-5)
    np.testing.assert_allclose(np.ptp(stripes[..., 1], axis=1), 0.5, atol=1e-5)
    assert stripes[..., 1].min() == pytest.approx(-3.0, abs=1e-5)
    assert stripes[..., 1].max() == pytest.approx(6.5, abs=1e-5)


def test_lanes_that_fork_from_one_point_share_their_stop_line():
    lanes = [
        Lane((0.0, 0.0), (20.0, 0.0), after=(1, 2)),
        Lane((20.0, 0.0), (40.0, 0.0), junction=1, entry=Right.STOP),
        Lane((20.0, 0.0), (40.0, 0.001), junction=1, entry=Right.STOP),
    ]
    quads = ground_quads(build("fork", lanes))
    assert int((quads.colour == Ground.WHITE).sum()) == 1
