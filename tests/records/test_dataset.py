import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import jsonschema
import numpy as np
import pytest
from metrics.drives import H, StraightPolicy, episode, loop, rollout

from carla_rl.errors import UsageError
from carla_rl.records.dataset import find_episodes, load_samples, read_episodes
from carla_rl.records.episode_files import EpisodeRecorder, extrinsics, intrinsics
from carla_rl.schemas import load_schema
from carla_rl.types import CameraSpec, Needs

FRONT = CameraSpec(width=16, height=8)
ALL = Needs(route=True, objects=3, lights=True, speed_limit=True, cameras=(FRONT,))


def record(folder: Path, count: int = 2, num_envs: int = 1, **options: Any) -> list[Path]:
    recorder = EpisodeRecorder(folder, num_envs, dataset="lines", split="training", cameras=(FRONT,), **options)
    episodes = [episode(f"line/{i}", seed=i) for i in range(count)]
    return [path for decision in rollout(loop(episodes, num_envs), StraightPolicy()) for path in recorder.update(decision)]


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("episodes")
    record(folder)
    return folder


def test_a_recording_keeps_the_contract(recorded: Path) -> None:
    first = find_episodes(str(recorded))[0]
    data = json.loads(first.read_text())
    jsonschema.validate(data, load_schema("episode"))
    assert data["episode_id"] == "line/0#0"
    assert data["source"] == {"dataset": "lines", "split": "training", "scene_id": "line/0#0", "town": "Line"}
    assert data["waypoint_spec"] == {"horizon_steps": H, "dt": 0.1, "frame": "ego", "units": "m"}
    assert len(data["frames"]) == 25
    frame = data["frames"][3]
    assert frame["t"] == 0.6
    assert frame["observations"]["state"] == {"speed": 2.0, "yaw_rate": 0.0}
    # one used row of four, rounded to 0.1 mm
    assert frame["observations"]["map"]["objects"] == [[12.3457, -1.5, 0.25, 3.0, 2.25, 1.0, 1.0]]
    assert frame["observations"]["map"]["light"] == [30.0, 3.0]
    assert frame["expert"]["waypoints"][:2] == [[0.2, 0.0], [0.4, 0.0]]
    assert frame["actions"] == {"throttle": 0.5, "steer": -0.125, "brake": 0.0}
    image = first.parent / frame["observations"]["cameras"]["front"]["image_path"]
    assert cv2.imread(str(image))[0, 0].tolist() == [0, 0, 200]  # opencv reads BGR: our picture is red
    assert sorted(path.name for path in recorded.iterdir() if path.name.startswith(".")) == []


def test_the_number_of_envs_changes_no_byte(recorded: Path, tmp_path: Path) -> None:
    record(tmp_path, 2, 2)
    for path in find_episodes(str(recorded)):
        assert (tmp_path / path.parent.name / path.name).read_bytes() == path.read_bytes()


def test_an_unfinished_episode_leaves_nothing_that_reads_as_one(tmp_path: Path) -> None:
    recorder = EpisodeRecorder(tmp_path, 1, dataset="lines", split="training", cameras=(FRONT,))
    for _, decision in zip(range(3), rollout(loop([episode()]), StraightPolicy()), strict=False):
        recorder.update(decision)
    with pytest.raises(UsageError, match="no episodes"):
        find_episodes(str(tmp_path))
    recorder.close()
    assert list(tmp_path.iterdir()) == []


def test_what_a_killed_recording_left_behind_is_not_taken_over(tmp_path: Path) -> None:
    (clean,) = record(tmp_path / "clean", 1)
    part = tmp_path / "again" / f".{clean.parent.name}.part" / "front"
    part.mkdir(parents=True)
    (part / "000999.png").write_bytes(b"of another drive")
    (again,) = record(tmp_path / "again", 1)
    pictures = [{path.name for path in (file.parent / "front").iterdir()} for file in (clean, again)]
    assert pictures[0] == pictures[1]


def test_the_expert_may_be_another_than_the_driver(tmp_path: Path) -> None:
    recorder = EpisodeRecorder(tmp_path, 1, dataset="lines", split="any", image_suffix=".jpg", cameras=(FRONT,))
    for decision in rollout(loop([episode()]), StraightPolicy((1.0, 0.0))):
        recorder.update(decision, expert=decision.plan.sft_waypoints)
    samples = load_samples(str(tmp_path), Needs(cameras=(FRONT,)))
    assert samples.waypoints[0, 0].tolist() == pytest.approx([0.2, 0.0])
    assert samples.image_paths["front"][0].suffix == ".jpg"


def test_recordings_do_not_mix(recorded: Path) -> None:
    with pytest.raises(UsageError, match="holds episodes already"):
        EpisodeRecorder(recorded, 1, dataset="lines", split="training")
    with pytest.raises(UsageError, match="image format"):
        EpisodeRecorder(recorded, 1, dataset="lines", split="training", image_suffix=".bmp")
    with pytest.raises(UsageError, match="a name is there twice"):
        EpisodeRecorder(recorded, 1, dataset="lines", split="training", cameras=(FRONT, FRONT))


def test_calibration_by_hand() -> None:
    # 90 degrees across 224 pixels: focal length 112; looking left and 30 degrees down from (1.5, 0, 1.6)
    camera = CameraSpec(pitch=-np.pi / 6, yaw=np.pi / 2)
    assert intrinsics(camera)[:4] == [112.0, 112.0, 112.0, 112.0]
    pose = np.array(extrinsics(camera)).reshape(4, 4)
    np.testing.assert_allclose(pose[:, 3], [1.5, 0, 1.6, 1])
    np.testing.assert_allclose(pose[:3, 0], [0, np.cos(np.pi / 6), -0.5], atol=1e-6)  # its x axis: where it looks
    np.testing.assert_allclose(pose[:3, 1], [-1, 0, 0], atol=1e-6)  # its left: backwards
    np.testing.assert_allclose(pose[:3, :3] @ pose[:3, :3].T, np.eye(3), atol=1e-5)
    assert np.linalg.det(pose[:3, :3]) == pytest.approx(1.0, abs=1e-5)


def test_all_frames_come_as_one_batch(recorded: Path) -> None:
    samples = load_samples(str(recorded / "*" / "episode.json"), ALL)
    # 10 m at 2 and at 3 m/s, 0.2 s a decision: 25 and 17 frames
    assert len(samples) == 42
    assert samples.episode_index.tolist() == [0] * 25 + [1] * 17
    assert samples.episode_ids == ("line/0#0", "line/1#0")
    assert samples.observation.speed.tolist() == [2.0] * 25 + [3.0] * 17
    assert samples.t[26] == pytest.approx(0.2)
    assert samples.skipped_frames == 0
    observation = samples.observation
    assert observation.objects is not None
    assert observation.objects.shape == (42, 3, 7)
    assert observation.objects[5, 0].tolist() == pytest.approx([12.3457, -1.5, 0.25, 3.0, 2.25, 1.0, 1.0])
    assert not observation.objects[:, 1:].any()
    assert observation.route is not None
    assert observation.route.dtype == np.float32
    batch = samples.batch(np.array([30, 0]))
    assert batch.speed.tolist() == [3.0, 2.0]
    assert batch.images["front"].shape == (2, 8, 16, 3)
    assert batch.images["front"][0, 0, 0].tolist() == [200, 0, 0]


def test_how_far_the_reading_has_come_is_told(recorded: Path) -> None:
    heard: list[None] = []
    load_samples(str(recorded), ALL, tell=lambda: heard.append(None))
    assert len(heard) == len(find_episodes(str(recorded))) == 2


def test_undeclared_things_are_not_read_and_images_are_scaled(recorded: Path) -> None:
    samples = load_samples(str(recorded), Needs(cameras=(CameraSpec(width=32, height=32),)))
    assert samples.observation.route is None
    assert samples.observation.objects is None
    assert samples.batch(np.array([0])).images["front"].shape == (1, 32, 32, 3)


def test_the_least_that_the_contract_requires_is_read(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text(
        json.dumps({"episode_id": "a", "domain": "driving", "frames": [{"t": 0, "observations": {}}], "more": 1})
    )
    (read,) = read_episodes(str(tmp_path / "*.json"))
    assert read.episode_id == "a"
    with pytest.raises(UsageError, match=r"no frame has expert\.waypoints"):
        load_samples(str(tmp_path / "*.json"), Needs())


def test_frames_without_an_expert_are_skipped_and_counted(tmp_path: Path) -> None:
    edit(tmp_path, lambda data: data["frames"][1].pop("expert"))
    samples = load_samples(str(tmp_path), ALL)
    assert (len(samples), samples.skipped_frames) == (2, 1)
    assert samples.t.tolist() == [0.0, 0.4]


def edit(folder: Path, change: Callable[[dict[str, Any]], Any]) -> None:
    """An episode of three frames with one thing changed."""
    state = {"speed": 2.0, "yaw_rate": 0.0}
    local_map = {
        "route": [[2.0 * i, 0.0] for i in range(50)],
        "route_left": 10.0,
        "objects": [[9.0, 1.0, 0.0, 3.0, 2.0, 1.0, 1.0]] * 5,
        "light": [100.0, 0.0],
        "stop_sign": [100.0, 0.0],
        "speed_limit": 13.9,
    }
    frame = {
        "t": 0.0,
        "observations": {"cameras": {"front": {"image_path": "a.png"}}, "state": state, "map": local_map},
        "expert": {"waypoints": [[0.2 * i, 0.0] for i in range(H)]},
    }
    spec = {"horizon_steps": H, "dt": 0.1, "frame": "ego", "units": "m"}
    frames = [json.loads(json.dumps(frame | {"t": 0.2 * i})) for i in range(3)]
    data = {"episode_id": "e", "domain": "driving", "waypoint_spec": spec, "frames": frames}
    change(data)
    (folder / "episode.json").write_text(json.dumps(data))


def put(*path: Any) -> Callable[[dict[str, Any]], None]:
    """Sets the last of `path` at the place that the others lead to."""

    def change(data: Any) -> None:
        for key in path[:-2]:
            data = data[key]
        data[path[-2]] = path[-1]

    return change


NAN = float("nan")
MAP = ("frames", 2, "observations", "map")
DEFECTS = {
    "no id": (put("episode_id", ""), r"episode_id is missing or not a string"),
    "no frames": (put("frames", []), r"frames is missing or empty"),
    "a frame that is none": (put("frames", 1, 3), r"frame 1 is a int"),
    "no t": (put("frames", 1, "t", "soon"), r"frame 1: t is missing or not a number"),
    "no observations": (put("frames", 1, "observations", None), r"frame 1: observations is missing"),
    "NaN waypoint": (put("frames", 2, "expert", "waypoints", 4, 1, NAN), r"frame 2: expert\.waypoints\[4\]\[1\] is NaN"),
    "NaN somewhere": (
        put("frames", 0, "observations", "state", "extra", -float("inf")),
        r"frame 0: observations\.state\.extra is -Infinity",
    ),
    "NaN time": (put("frames", 1, "t", NAN), r"frame 1: t is NaN"),
    "overflowing number": (put("frames", 1, "observations", "state", "speed", "HUGE"), r"frame 1: observations\.state\.speed"),
    "wrong H": (
        put("frames", 2, "expert", "waypoints", [[0.0, 0.0]] * 7),
        r"frame 2: expert\.waypoints: expected numbers of shape \(20, 2\).*\(7, 2\)",
    ),
    "wrong H all over": (put("waypoint_spec", "horizon_steps", 10), r"waypoint_spec\.horizon_steps is 10, the policy plans with 20"),
    "wrong spacing": (put("waypoint_spec", "dt", 0.5), r"waypoint_spec\.dt is 0\.5"),
    "wrong frame": (put("waypoint_spec", "frame", "world"), r"waypoint_spec\.frame is 'world'"),
    "a ragged route": (put(*MAP, "route", [[1.0], [2.0, 3.0]]), r"frame 2: observations\.map\.route: expected numbers of shape \(50, 2\)"),
    "no route": (put(*MAP, "route", None), r"frame 2: observations\.map\.route is missing"),
    "a short object": (put(*MAP, "objects", [[1.0, 2.0]]), r"frame 2: observations\.map\.objects: expected finite rows of 7"),
    "objects that are none": (put(*MAP, "objects", 5), r"frame 2: observations\.map\.objects: expected finite rows of 7"),
    "an object of an unknown kind": (
        put(*MAP, "objects", [[9.0, 1.0, 0.0, 3.0, 2.0, 1.0, 99.0]]),
        r"frame 2: observations\.map\.objects: 99 is no ObjectKind; write one of 0 none, 1 vehicle",
    ),
    "an object between two kinds": (put(*MAP, "objects", [[9.0, 1.0, 0.0, 3.0, 2.0, 1.0, 1.5]]), r"frame 2: .*: 1\.5 is no ObjectKind"),
    "a light of an unknown state": (put(*MAP, "light", [9.0, -7.0]), r"frame 2: observations\.map\.light: -7 is no LightState"),
    "a string": (put("frames", 1, "observations", "state", "speed", "3"), r"frame 1: .*speed: expected numbers of shape \(\)"),
    "a truth": (put("frames", 1, "observations", "state", "speed", True), r"frame 1: .*speed: expected numbers of shape \(\)"),
    "a number beyond float32": (put("frames", 1, "expert", "waypoints", 0, 0, 1e300), r"frame 1: expert\.waypoints: .*too large"),
    "a whole number beyond float64": (put("frames", 1, "observations", "state", "speed", 10**400), r"frame 1: .*speed: expected"),
    "an expert that is none": (put("frames", 1, "expert", [1]), r"frame 1: expert is a list"),
    "a specification that is none": (put("waypoint_spec", [1]), r"waypoint_spec is a list"),
    "a source that is none": (put("source", "Waymo"), r"source is a str"),
    "no image": (put("frames", 1, "observations", "cameras", {}), r"frame 1: observations\.cameras\.front\.image_path is missing"),
    "an image that is none": (
        put("frames", 1, "observations", "cameras", "front", "image_path", 3),
        r"frame 1: .*image_path: expected a path",
    ),
}


@pytest.mark.parametrize("name", DEFECTS)
def test_broken_episodes_get_a_sentence(tmp_path: Path, name: str) -> None:
    change, sentence = DEFECTS[name]
    edit(tmp_path, change)
    path = tmp_path / "episode.json"
    path.write_text(path.read_text().replace('"HUGE"', "1e999"))
    with pytest.raises(UsageError, match=rf"episode\.json: {sentence}"):
        load_samples(str(tmp_path), ALL)


def test_files_that_are_no_episodes(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"absent/\*\.json: no episodes there"):
        load_samples(str(tmp_path / "absent" / "*.json"), ALL)
    for text, sentence in (
        ("[]", "holds a list"),
        ('{"episode_id": "', "not JSON"),
        ('{"episode_id": ' + "9" * 5000 + "}", "not JSON"),
        ("[" * 100_000, "not JSON"),
    ):
        (tmp_path / "episode.json").write_text(text)
        with pytest.raises(UsageError, match=sentence):
            load_samples(str(tmp_path), ALL)
    edit(tmp_path, lambda data: None)
    (tmp_path / "again").mkdir()
    (tmp_path / "again" / "episode.json").write_bytes((tmp_path / "episode.json").read_bytes())
    with pytest.raises(UsageError, match=r"episode e is in .* already"):
        load_samples(str(tmp_path), ALL)


def test_an_image_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    edit(tmp_path, lambda data: None)
    samples = load_samples(str(tmp_path), ALL)
    with pytest.raises(UsageError, match=r"a\.png: missing or not an image"):
        samples.batch(np.array([0]))
    (tmp_path / "a.png").write_text("no image")
    with pytest.raises(UsageError, match=r"a\.png: missing or not an image"):
        samples.batch(np.array([0]))
