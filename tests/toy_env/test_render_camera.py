"""The front camera against projections worked out by hand.

`CameraSpec()` is 224 x 224 with a field of view of 90 degrees: a focal length of 112 pixels, the optical axis at (112, 112).
It stands 1.5 m ahead of the ego's centre, 1.6 m above the road. A pixel shows what its centre sees, so row r covers [r, r + 1).
"""

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from small_roads import Lane, build, crossing, straight

from carla_rl.errors import UsageError
from carla_rl.roads.network import Right, RoadNetwork
from carla_rl.scenario.model import Weather
from carla_rl.types import CameraSpec, Ego, LightState, ObjectKind, Scene
from toy_env.render import Renderer, atmosphere

SPEC = CameraSpec()
NETWORK = straight()
RENDERER = Renderer()
PAINTED = slice(113, None)
"""Rows below the horizon."""


def egos(*poses: tuple[float, float, float]) -> Ego:
    x, y, yaw = (np.array(column, np.float64) for column in zip(*poses, strict=True))
    still = np.zeros(len(poses))
    return Ego(x, y, yaw, still, still, still)


EGO = egos((100.0, 0.0, 0.0))


def actor(kind: ObjectKind, ahead: float, left: float, length: float, width: float, number: int = 3, yaw: float = 0.0) -> list[float]:
    """A row of `Scene.actors`, `ahead` and `left` m from the camera of EGO."""
    return [number, kind, 101.5 + ahead, left, yaw, 0.0, length, width]


def scene(*actors: list[float], lights: tuple[int, ...] = (), envs: int = 1) -> Scene:
    rows = np.array(actors, np.float32).reshape(1, -1, 8)
    return Scene(np.repeat(rows, envs, axis=0), np.tile(np.array(lights, np.int8), (envs, 1)))


def picture(*actors: list[float], spec: CameraSpec = SPEC, weather: Weather | None = None) -> NDArray[np.uint8]:
    sky = None if weather is None else atmosphere(weather)[None]
    return RENDERER.camera(NETWORK, spec, EGO, np.zeros(1), scene(*actors), sky)[0]


def drawn(*actors: list[float], spec: CameraSpec = SPEC) -> NDArray[np.bool_]:
    """Where the picture differs from that of the empty road."""
    different: NDArray[np.bool_] = (picture(*actors, spec=spec) != picture(spec=spec)).any(axis=-1)
    return different


def is_grass(pixel: NDArray[np.uint8]) -> bool:
    return int(pixel[1]) > int(pixel[0]) + 15 > int(pixel[2])


def test_road_that_ends_10_m_ahead_ends_on_the_row_worked_out_by_hand():
    # 112 + 112 * 1.6 / 10 = 129.92
    network = build("short", [Lane((0.0, 0.0), (111.5, 0.0))])
    middle = Renderer().camera(network, SPEC, EGO, np.zeros(1), scene())[0][:, 112]
    assert not is_grass(middle[131])
    assert is_grass(middle[127])


def test_edge_of_the_road_is_on_the_column_worked_out_by_hand():
    # row 139.5 lies 112 * 1.6 / 27.5 = 6.516 m ahead; the lane's edge, 1.75 m to the right, is 30.08 pixels right of the middle
    row = picture()[139]
    assert not is_grass(row[140])
    assert is_grass(row[144])


def test_box_20_m_ahead_has_the_size_worked_out_by_hand():
    # near face 20 m away: bottom 112 + 112 * 1.6 / 20 = 120.96, top 112 + 112 * 0.5 / 20 = 114.8, sides 112 +- 112 * 0.5 / 20 = 112 +- 2.8
    mask = drawn(actor(ObjectKind.STATIC, 20.5, 0.0, 0.5, 0.5))
    assert np.flatnonzero(mask[:, 112]).tolist() == [115, 116, 117, 118, 119, 120]
    assert np.flatnonzero(mask[117]).tolist() == [109, 110, 111, 112, 113, 114]


@pytest.mark.parametrize(
    ("kind", "length", "width", "top"),
    [
        (ObjectKind.VEHICLE, 2.4, 1.0, 1.6),
        (ObjectKind.VEHICLE, 4.5, 1.2, 3.4),
        (ObjectKind.VEHICLE, 1.1, 0.4, 1.7),
        (ObjectKind.PEDESTRIAN, 0.3, 0.3, 1.75),
        (ObjectKind.BICYCLE, 0.9, 0.3, 1.7),
        (ObjectKind.STATIC, 0.5, 0.5, 1.1),
        (ObjectKind.STATIC, 2.4, 1.0, 1.6),
    ],
)
def test_each_kind_has_its_height(kind: ObjectKind, length: float, width: float, top: float):
    # at about 8 m a metre is 14 pixels; the highest part may stand up to a length away from the centre
    rows = np.flatnonzero(drawn(actor(kind, 8.0 + length, 0.0, length, width)).any(axis=1))
    highest = [112 + 112 * (1.6 - top) / away for away in (8.0, 8.0 + 2.0 * length)]
    assert min(highest) - 1.0 <= rows[0] <= max(highest) + 1.0


def test_what_is_left_of_the_ego_is_in_the_left_half():
    assert not drawn(actor(ObjectKind.PEDESTRIAN, 10.0, 3.0, 0.3, 0.3))[:, 112:].any()
    assert not drawn(actor(ObjectKind.PEDESTRIAN, 10.0, -3.0, 0.3, 0.3))[:, :112].any()


@given(st.floats(4.0, 40.0), st.floats(-0.8, 0.8), st.floats(-math.pi, math.pi))
def test_pedestrian_covers_the_pixel_of_its_middle(ahead: float, aside: float, yaw: float):
    left = aside * ahead
    mask = drawn(actor(ObjectKind.PEDESTRIAN, ahead, left, 0.3, 0.3, yaw=yaw))
    assert mask[int(112 + 112 * (1.6 - 1.13) / ahead), int(112 - 112 * left / ahead)]
    assert mask.sum() <= (2.0 + 112 * 1.9 / (ahead - 0.5)) * (3.0 + 112 * 1.3 / (ahead - 0.5))


def test_nearer_hides_farther_in_any_order_of_the_table():
    near = actor(ObjectKind.VEHICLE, 10.0, 0.0, 2.4, 1.0, number=1)
    far = actor(ObjectKind.STATIC, 20.0, 0.0, 0.3, 0.3, number=2)
    np.testing.assert_array_equal(picture(near, far), picture(near))
    np.testing.assert_array_equal(picture(far, near), picture(near))


def test_what_is_behind_beside_or_unused_is_not_drawn():
    assert not drawn(actor(ObjectKind.VEHICLE, -8.0, 0.0, 2.4, 1.0)).any()
    assert not drawn(actor(ObjectKind.VEHICLE, 5.0, 30.0, 2.4, 1.0)).any()
    assert not drawn([0.0] * 8).any()
    assert not drawn(actor(ObjectKind.VEHICLE, 200.0, 0.0, 2.4, 1.0)).any()


def test_a_box_that_reaches_behind_the_camera_is_cut_not_lost():
    mask = drawn(actor(ObjectKind.VEHICLE, 0.0, 2.0, 4.5, 1.2))
    assert mask[112, 0]
    assert not mask[:, 120:].any()


def test_camera_that_looks_left_sees_what_is_left():
    pedestrian = actor(ObjectKind.PEDESTRIAN, 0.0, 6.0, 0.3, 0.3)
    sideways = replace(SPEC, name="left", yaw=math.pi / 2)
    assert not drawn(pedestrian).any()
    columns = np.flatnonzero(drawn(pedestrian, spec=sideways).any(axis=0))
    # its shadow is 0.8 m wide and begins 5.6 m away: 8 pixels to each side
    assert (columns[0], columns[-1]) == (104, 119)


def test_camera_of_other_size_mount_and_lens():
    # 400 x 300 at 60 degrees: focal length 200 / tan 30 = 346.41; mounted 0.5 m behind the centre, 0.5 m left, 2 m high
    spec = CameraSpec("wide", 400, 300, 60.0, x=-0.5, y=0.5, z=2.0)
    image = drawn([1, ObjectKind.STATIC, 100.0 - 0.5 + 10.5, 0.0, 0.0, 0.0, 0.5, 0.5], spec=spec)
    assert image.shape == (300, 400)
    # near face 10 m ahead, 0.5 m right of the axis: columns 200 + 346.41 * (0 .. 1) / 10; bottom 150 + 69.28, top edge 150 + 31.18
    assert np.flatnonzero(image[190]).tolist() == list(range(200, 235))
    rows = np.flatnonzero(image[:, 215])
    assert rows[-1] in (219, 220)
    assert 177 <= rows[0] <= 181


def test_pitch_moves_the_horizon_by_the_focal_length_times_its_tangent():
    # looking down by 0.2 rad: 112 - 112 * tan 0.2 = 89.3
    image = picture(spec=replace(SPEC, pitch=-0.2))
    sky, ground = image[87, 5].astype(int), image[91, 5].astype(int)
    assert sky[2] > sky[1]
    assert ground[1] > ground[2]


def test_lamp_and_stop_line_take_the_colour_of_the_signal():
    network = crossing(Right.SIGNAL, Right.SIGNAL, lights=True)
    network = replace(network, roads=network.roads._replace(signal_x=np.array([-10.0, 3.0]), signal_y=np.array([-3.0, -10.0])))
    renderer, ego = Renderer(), egos((-26.5, 0.0, 0.0))

    def lit(state: LightState) -> tuple[list[int], NDArray[np.uint8]]:
        image = renderer.camera(network, SPEC, ego, np.zeros(1), scene(lights=(state, LightState.NONE)))[0]
        r, g, b = (image[..., c].astype(int) for c in range(3))
        masks = (g > r + 80) & (g > 170), (r > 200) & (g > 150) & (b < 110), (r > 200) & (g < 110) & (b < 110)
        return [int(mask.sum()) for mask in masks], image

    dark, _ = lit(LightState.NONE)
    assert dark == [0, 0, 0]
    for place, state in enumerate((LightState.GREEN, LightState.YELLOW, LightState.RED)):
        counts, image = lit(state)
        assert counts[place] > 30
        assert sum(counts) == counts[place]
        # the stop line, 15 m ahead: 112 + 112 * 1.6 / 15 = 123.9
        assert not np.array_equal(image[124, 112], lit(LightState.NONE)[1][124, 112])
        # the lamp, 3 m right: column 112 + 22.4; the head hangs between 3.4 m and 5.2 m: rows 98.6 to 85.1, red on top
        column = image[86:98, 134].astype(int)
        brightest = int(np.argmax(column.max(axis=1)))
        assert [8, 5, 2][place] - 1 <= brightest + 1 <= [8, 5, 2][place] + 4


def test_stop_sign_is_red_and_shows_its_back_grey():
    network = crossing(Right.STOP)

    def red(yaw: float, x: float) -> int:
        image = Renderer().camera(network, SPEC, egos((x, 0.0, yaw)), np.zeros(1), scene())[0].astype(int)
        return int(((image[..., 0] > 150) & (image[..., 1] < 60)).sum())

    assert red(0.0, -22.0) > 20
    assert red(math.pi, 2.0) == 0


def test_an_env_has_the_same_bits_alone_in_a_batch_and_in_any_order():
    random = np.random.Generator(np.random.Philox(3))
    poses = [
        (float(x), float(y), float(yaw))
        for x, y, yaw in zip(random.uniform(50, 550, 7), random.uniform(-2, 5, 7), random.uniform(-3, 3, 7), strict=True)
    ]
    actors = np.zeros((7, 6, 8), np.float32)
    for env, (x, y, _) in enumerate(poses):
        actors[env, :, 0], actors[env, :, 1] = np.arange(6), (1, 1, 2, 3, 4, 1)
        actors[env, :, 2], actors[env, :, 3] = x + random.uniform(-30, 30, 6), y + random.uniform(-10, 10, 6)
        actors[env, :, 4], actors[env, :, 6], actors[env, :, 7] = (
            random.uniform(-3, 3, 6),
            random.uniform(0.3, 4, 6),
            random.uniform(0.3, 1.2, 6),
        )
    lights = np.zeros((7, 0), np.int8)
    sky = np.stack([atmosphere(Weather(fog_density=10.0 * env, sun_altitude_angle=15.0 * env)) for env in range(7)])
    together = Renderer().camera(NETWORK, SPEC, egos(*poses), np.zeros(7), Scene(actors, lights), sky)
    backwards = Renderer().camera(NETWORK, SPEC, egos(*poses[::-1]), np.zeros(7), Scene(actors[::-1], lights), sky[::-1])
    np.testing.assert_array_equal(together, backwards[::-1])
    for env in (0, 3, 6):
        alone = Renderer().camera(
            NETWORK, SPEC, egos(poses[env]), np.zeros(1), Scene(actors[env : env + 1], lights[:1]), sky[env : env + 1]
        )
        np.testing.assert_array_equal(alone[0], together[env])


def test_fog_hides_and_night_darkens():
    car = actor(ObjectKind.VEHICLE, 40.0, 0.0, 2.4, 1.0)
    rows = slice(110, 118)

    def contrast(weather: Weather) -> float:
        return float(np.abs(picture(car, weather=weather)[rows].astype(float) - picture(weather=weather)[rows]).sum())

    assert contrast(Weather(fog_density=100.0)) < 0.3 * contrast(Weather())
    assert contrast(Weather(fog_density=100.0, fog_distance=60.0)) > 0.8 * contrast(Weather())
    assert picture(weather=Weather(sun_altitude_angle=-30.0)).mean() < 0.5 * picture().mean()


def bridge() -> RoadNetwork:
    """The crossing, its northward road 8 m up."""
    network = crossing()
    z = np.where(network.roads.sample_lane >= 3, 8.0, 0.0)
    return replace(network, roads=network.roads._replace(z=z))


def test_under_a_bridge_neither_its_road_nor_its_traffic_is_drawn():
    renderer, network, ego = Renderer(), bridge(), egos((-20.0, 0.0, 0.0))
    above = [1, ObjectKind.VEHICLE, 0.0, 3.0, math.pi / 2, 0.0, 2.4, 1.0]
    below = [1, ObjectKind.VEHICLE, 0.0, 0.0, 0.0, 0.0, 2.4, 1.0]
    alone = renderer.camera(build("alone", [Lane((-100.0, 0.0), (200.0, 0.0))]), SPEC, ego, np.zeros(1), scene())
    empty = renderer.camera(network, SPEC, ego, np.zeros(1), scene())
    assert (np.abs(empty.astype(int) - alone)[0, PAINTED] > 12).mean() < 0.01
    np.testing.assert_array_equal(renderer.camera(network, SPEC, ego, np.zeros(1), scene(above)), empty)
    assert (renderer.camera(network, SPEC, ego, np.zeros(1), scene(below)) != empty).any()
    on_top = renderer.camera(network, SPEC, egos((0.0, -10.0, math.pi / 2)), np.full(1, 8.0), scene(above))
    assert (on_top != renderer.camera(network, SPEC, egos((0.0, -10.0, math.pi / 2)), np.full(1, 8.0), scene())).any()


def test_height_of_the_ground_follows_place_and_heading():
    renderer, network = Renderer(), bridge()
    ego = egos((0.5, 0.5, 0.0), (0.5, 0.5, math.pi / 2), (0.0, 80.0, 0.3), (500.0, 0.0, 0.0))
    assert renderer.ground_z(network, ego).tolist() == [0.0, 8.0, 8.0, 0.0]


@pytest.mark.parametrize(
    ("spec", "word"),
    [
        (CameraSpec(width=0), "pixels"),
        (CameraSpec(fov_deg=180.0), "fov_deg"),
        (CameraSpec(z=0.0), "above the ground"),
        (CameraSpec(pitch=1.6), "pitch"),
    ],
)
def test_a_camera_that_cannot_be_drawn_is_refused(spec: CameraSpec, word: str):
    with pytest.raises(UsageError, match=word):
        picture(spec=spec)
