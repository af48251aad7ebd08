"""Writing episodes in the file contract: one folder an episode, `episode.json` and its images, complete or not there at all.

The observations stand under `state` and `map` with the names of `carla_rl.types.Observation`, rounded to 0.1 mm (0.0001 of each unit).
Camera calibration is written as the Waymo open data set does it, which the earlier stages read: intrinsics [fu, fv, cu, cv, k1, k2, p1, p2,
k3] in pixels, extrinsics the 4 x 4 pose of the camera (x forward, y left, z up) in the ego frame, row by row.
Knows no policy and no simulator.
"""

import json
import math
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from carla_rl.errors import UsageError
from carla_rl.loop import Decision
from carla_rl.records.atomic import make_folder, write_bytes
from carla_rl.records.buffer import EpisodeBuffer
from carla_rl.records.names import file_stem
from carla_rl.scenario.model import Episode
from carla_rl.types import TICK_S, WAYPOINT_S, CameraSpec, ObjectColumn, Observation

DECIMALS = 4
_MAP = ("route", "route_left", "objects", "light", "stop_sign", "speed_limit", "room")
_SUFFIXES = (".png", ".jpg")


class EpisodeRecorder:
    """Fed with the loop's decisions, writes a folder for each episode that ends.

    Images go to the disk as they come, into a hidden folder that gets its name when the episode is complete; a kill leaves no half episode.
    """

    def __init__(
        self,
        folder: Path,
        num_envs: int,
        *,
        dataset: str,
        split: str,
        cameras: Sequence[CameraSpec] = (),
        image_suffix: str = ".png",
    ) -> None:
        """Record into `folder`, which is made and must not hold episodes yet. `dataset` says what made them, e.g. `carla-rl-toy`.

        Raises:
            UsageError: the folder cannot be written or holds episodes; an image format that is not offered; two cameras of one name.
        """
        if len({camera.name for camera in cameras}) < len(cameras):
            raise UsageError(f"cameras {', '.join(camera.name for camera in cameras)}: a name is there twice; record each camera once")
        if image_suffix not in _SUFFIXES:
            raise UsageError(f"image format {image_suffix!r}: unknown; give one of {', '.join(_SUFFIXES)}")
        make_folder(folder)
        if any(folder.glob("*/episode.json")):
            raise UsageError(f"{folder}: holds episodes already; give an empty folder, so that two recordings do not mix")
        self._folder = folder
        self._split = split
        self._dataset = dataset
        self._cameras = tuple(cameras)
        self._suffix = image_suffix
        self._buffer = EpisodeBuffer(num_envs)
        self._parts: list[Path | None] = [None] * num_envs
        self._frames = np.zeros(num_envs, np.int64)

    def update(self, decision: Decision, *, expert: NDArray[np.floating] | None = None) -> list[Path]:
        """Take in one decision; returns the `episode.json` files of the episodes that ended with it.

        `expert` is the expert's plan (N, H, 2) m, ego frame, at the state of the decision; without it the plan driven is the expert's.

        Raises:
            UsageError: the disk is full or the folder gone.
        """
        self._frames[decision.started] = 0
        self._buffer.add(decision.started & decision.active, _batch(decision, decision.plan.waypoints if expert is None else expert))
        if self._cameras:
            for env in np.flatnonzero(decision.active):
                self._write_images(decision, int(env))
        self._frames[decision.active] += 1
        written = [self._finish(decision, int(env)) for env in np.flatnonzero(decision.ended)]
        self._buffer.forget()
        return written

    def close(self) -> None:
        """Remove the images of episodes that were not finished; safe to call twice."""
        for part in self._parts:
            if part is not None:
                shutil.rmtree(part, ignore_errors=True)

    def _write_images(self, decision: Decision, env: int) -> None:
        episode = decision.episodes[env]
        assert episode is not None
        if decision.started[env]:
            self._parts[env] = part = self._part(episode)
            # what a killed recording left behind
            shutil.rmtree(part, ignore_errors=True)
            for camera in self._cameras:
                make_folder(part / camera.name)
        part = self._parts[env] or self._part(episode)
        for camera in self._cameras:
            bgr = cv2.cvtColor(decision.observation.images[camera.name][env], cv2.COLOR_RGB2BGR)
            done, data = cv2.imencode(self._suffix, bgr)
            if not done:
                raise RuntimeError(f"opencv could not encode an image of camera {camera.name}")
            path = part / _image_path(camera.name, int(self._frames[env]), self._suffix)
            try:
                path.write_bytes(data.tobytes())
            except OSError as error:
                raise UsageError(f"{path}: cannot be written ({error.strerror or error}); give a folder with space") from error

    def _part(self, episode: Episode) -> Path:
        return self._folder / f".{file_stem(episode.episode_id)}.part"

    def _finish(self, decision: Decision, env: int) -> Path:
        episode = decision.episodes[env]
        assert episode is not None
        rows = self._buffer.pop(env)
        horizon = len(rows[0]["expert"])
        data = {
            "episode_id": episode.episode_id,
            "domain": "driving",
            "source": {"dataset": self._dataset, "split": self._split, "scene_id": episode.episode_id, "town": episode.scenario.town},
            "cameras": [camera.name for camera in self._cameras],
            "waypoint_spec": {"horizon_steps": horizon, "dt": WAYPOINT_S, "frame": "ego", "units": "m"},
            "frames": [self._frame(i, row) for i, row in enumerate(rows)],
        }
        part, final = self._part(episode), self._folder / file_stem(episode.episode_id)
        make_folder(part)
        write_bytes(part / "episode.json", json.dumps(data, allow_nan=False, separators=(",", ":")).encode())
        self._parts[env] = None
        try:
            part.rename(final)
        except OSError as error:
            raise UsageError(f"{final}: is there already ({error.strerror or error}); give an empty folder") from error
        return final / "episode.json"

    def _frame(self, index: int, row: dict[str, NDArray[Any]]) -> dict[str, Any]:
        cameras = {
            camera.name: {
                "image_path": _image_path(camera.name, index, self._suffix),
                "intrinsics": intrinsics(camera),
                "extrinsics": extrinsics(camera),
            }
            for camera in self._cameras
        }
        if "objects" in row:
            row["objects"] = row["objects"][row["objects"][:, ObjectColumn.KIND] != 0]
        throttle, steer, brake = _plain(row["control"])
        return {
            "t": _plain(row["tick"] * TICK_S),
            "observations": {
                "cameras": cameras,
                "state": {"speed": _plain(row["speed"]), "yaw_rate": _plain(row["yaw_rate"])},
                "map": {name: _plain(row[name]) for name in _MAP if name in row},
            },
            "expert": {"waypoints": _plain(row["expert"])},
            "actions": {"throttle": throttle, "steer": steer, "brake": brake},
        }


def intrinsics(camera: CameraSpec) -> list[float]:
    """[fu, fv, cu, cv, k1, k2, p1, p2, k3] in pixels; a pinhole has no distortion."""
    focal = camera.width / 2.0 / math.tan(math.radians(camera.fov_deg) / 2.0)
    return [round(value, 6) for value in (focal, focal, camera.width / 2.0, camera.height / 2.0, 0.0, 0.0, 0.0, 0.0, 0.0)]


def extrinsics(camera: CameraSpec) -> list[float]:
    """Pose of the camera (x forward, y left, z up) in the ego frame: a 4 x 4 matrix row by row. Yaw first, then pitch, upwards positive."""
    cy, sy = math.cos(camera.yaw), math.sin(camera.yaw)
    cp, sp = math.cos(camera.pitch), math.sin(camera.pitch)
    matrix = (
        (cy * cp, -sy, -cy * sp, camera.x),
        (sy * cp, cy, -sy * sp, camera.y),
        (sp, 0.0, cp, camera.z),
        (0.0, 0.0, 0.0, 1.0),
    )
    return [round(value, 6) for line in matrix for value in line]


def _batch(decision: Decision, expert: NDArray[np.floating]) -> dict[str, NDArray[Any]]:
    """What an episode file keeps of a decision; never the images, which would fill the memory."""
    observation, control = decision.observation, decision.control
    batch: dict[str, NDArray[Any]] = {
        "tick": decision.before.facts.tick,
        "speed": observation.speed,
        "yaw_rate": observation.yaw_rate,
        "expert": expert,
        "control": np.stack((control.throttle, control.steer, control.brake), axis=-1),
    }
    return batch | _map_arrays(observation)


def _map_arrays(observation: Observation) -> dict[str, NDArray[Any]]:
    arrays = {name: getattr(observation, name) for name in _MAP}
    return {name: values for name, values in arrays.items() if values is not None}


def _plain(values: Any) -> Any:
    """Numbers and lists of numbers for JSON, rounded; -0.0 becomes 0.0."""
    return (np.round(np.asarray(values, np.float64), DECIMALS) + 0.0).tolist()


def _image_path(camera: str, index: int, suffix: str) -> str:
    return f"{camera}/{index:06d}{suffix}"
