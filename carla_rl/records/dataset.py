"""Reading recorded episodes: the file contract checked with a sentence for each defect, then all frames as one batch.

Checks whole episodes as arrays, so tens of thousands of frames take seconds; only a defect is looked for frame by frame.
Images are left on the disk until a batch asks for them. Knows no policy.
"""

import glob
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from carla_rl.errors import UsageError
from carla_rl.records.collector import collector_paused
from carla_rl.records.frames import Frames
from carla_rl.types import HORIZON, WAYPOINT_S, Ints, Needs, Observation


@dataclass(frozen=True)
class EpisodeFile:
    """One episode as its file tells it; the contract's required fields are there."""

    path: Path
    data: dict[str, Any]

    @property
    def episode_id(self) -> str:
        """Unique within a data set."""
        return str(self.data["episode_id"])

    @property
    def frames(self) -> list[dict[str, Any]]:
        """At least one; each has `t` and `observations`."""
        frames: list[dict[str, Any]] = self.data["frames"]
        return frames


@dataclass(frozen=True)
class Samples:
    """All usable frames of a data set as one batch of B rows, in the order of the files and of their frames."""

    observation: Observation
    """B rows without images; `batch` gives them with images."""
    waypoints: NDArray[np.float32]
    """(B, H, 2) m, ego frame: the expert's plan."""
    episode_index: NDArray[np.int64]
    """(B,) into `episode_ids`."""
    t: NDArray[np.float64]
    """(B,) s since the start of the episode."""
    episode_ids: tuple[str, ...]
    files: tuple[Path, ...]
    """The file of each episode."""
    image_paths: dict[str, tuple[Path, ...]]
    """By camera: B paths."""
    skipped_frames: int
    """Frames without an expert plan, which cannot be compared or learnt from."""
    datasets: tuple[str, ...]
    """What the episodes say made them (`source.dataset`), sorted, each once; `unknown` where one does not say."""
    needs: Needs

    def __len__(self) -> int:
        return len(self.t)

    def batch(self, rows: Ints) -> Observation:
        """The observation of the given rows, images included, scaled to the size that the policy's cameras declare.

        Raises:
            UsageError: an image that is missing or no image.
        """
        images = {
            camera.name: np.stack([_read_image(self.image_paths[camera.name][row], camera.width, camera.height) for row in rows])
            for camera in self.needs.cameras
        }
        return replace(self.observation.take(rows), images=images)


def find_episodes(pattern: str) -> list[Path]:
    """The episode files of a glob (`**` goes through folders); a folder means all `episode.json` in it.

    Raises:
        UsageError: nothing there.
    """
    if not pattern:
        raise UsageError("the pattern of the episodes is empty; give a folder of carla-rl record, or a quoted glob")
    where = str(Path(glob.escape(pattern)) / "**" / "episode.json") if Path(pattern).is_dir() else pattern
    paths = sorted(Path(path) for path in glob.glob(where, recursive=True) if Path(path).is_file())
    if not paths:
        raise UsageError(
            f"{pattern}: no episodes there; give a folder of carla-rl record, or a quoted glob such as 'episodes/*/episode.json'"
        )
    return paths


def read_episodes(pattern: str, tell: Callable[[], None] = lambda: None) -> Iterator[EpisodeFile]:
    """The episodes of a glob, one after the other, checked against the contract's required fields.

    `tell` is called after each: a large recording takes minutes.

    Raises:
        UsageError: nothing there, or a defect: file, frame and field are named.
    """
    seen: dict[str, Path] = {}
    for path in find_episodes(pattern):
        episode = read_episode(path)
        if episode.episode_id in seen:
            raise UsageError(f"{path}: episode {episode.episode_id} is in {seen[episode.episode_id]} already; name each episode once")
        seen[episode.episode_id] = path
        yield episode
        tell()


def read_episode(path: Path) -> EpisodeFile:
    """One episode file.

    Raises:
        UsageError: unreadable, no JSON, a number that is not finite, or a required field missing.
    """
    strange: list[str] = []
    try:
        data = json.loads(path.read_bytes(), parse_constant=strange.append)
    except OSError as error:
        raise UsageError(f"{path}: cannot be read ({error.strerror or error})") from error
    except (ValueError, RecursionError) as error:
        raise UsageError(f"{path}: not JSON ({error}); the file is truncated or is no episode") from error
    if strange:
        # the parser does not say where the constant stood
        where = _where_not_finite(json.loads(path.read_bytes()))
        raise UsageError(f"{path}: {where} is {strange[0]}; an episode holds finite numbers only, record it again")
    _check_required(path, data)
    return EpisodeFile(path, data)


def load_samples(pattern: str, needs: Needs, horizon: int = HORIZON, tell: Callable[[], None] = lambda: None) -> Samples:
    """All frames of a glob that have an expert plan, as one batch with what `needs` declares. Undeclared fields are not read.

    `tell` is called after each episode.

    Raises:
        UsageError: nothing there; a declared field missing, of the wrong shape or not finite; a horizon or waypoint spacing that is not
            the policy's; no frame with an expert plan.
    """
    parts: list[Frames] = []
    skipped = 0
    datasets: set[str] = set()
    with collector_paused():
        for episode in read_episodes(pattern, tell):
            check_waypoint_spec(episode, horizon)
            usable = [i for i, frame in enumerate(episode.frames) if (frame.get("expert") or {}).get("waypoints") is not None]
            skipped += len(episode.frames) - len(usable)
            if usable:
                datasets.add(str((episode.data.get("source") or {}).get("dataset", "unknown")))
                parts.append(Frames.read(episode.path, episode.episode_id, episode.frames, usable, needs, horizon))
    if not parts:
        raise UsageError(f"{pattern}: no frame has expert.waypoints; record episodes with the expert")
    columns = {name: np.concatenate([part.columns[name] for part in parts]) for name in parts[0].columns}
    waypoints, t = columns.pop("waypoints").astype(np.float32), columns.pop("t")
    seen: dict[str, Any] = {name: values.astype(np.float32) for name, values in columns.items()}
    return Samples(
        observation=Observation(**seen),
        waypoints=waypoints,
        episode_index=np.repeat(np.arange(len(parts)), [len(part) for part in parts]),
        t=t,
        episode_ids=tuple(part.episode_id for part in parts),
        files=tuple(part.path for part in parts),
        image_paths={camera.name: tuple(path for part in parts for path in part.images[camera.name]) for camera in needs.cameras},
        skipped_frames=skipped,
        datasets=tuple(sorted(datasets)),
        needs=needs,
    )


def check_waypoint_spec(episode: EpisodeFile, horizon: int) -> None:
    """The episode's plans must be those that the policy makes.

    Raises:
        UsageError: another horizon, spacing in time, frame or unit.
    """
    spec = episode.data.get("waypoint_spec") or {}
    expected = {"horizon_steps": horizon, "dt": WAYPOINT_S, "frame": "ego", "units": "m"}
    for field, value in expected.items():
        if spec.get(field, value) != value:
            raise UsageError(
                f"{episode.path}: waypoint_spec.{field} is {spec[field]!r}, the policy plans with {value!r}; give episodes recorded for it"
            )


def split_by_episode(episode_index: NDArray[np.int64], share: float, seed: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Rows to learn from and rows held out: `share` of the episodes, at least one, whole episodes only.

    Raises:
        UsageError: fewer than two episodes.
    """
    episodes = np.unique(episode_index)
    if len(episodes) < 2:
        raise UsageError(f"whole episodes are held out, which needs at least 2 (found {len(episodes)}); record more")
    count = min(max(round(share * len(episodes)), 1), len(episodes) - 1)
    chosen = np.random.default_rng(seed).permutation(episodes)[:count]
    held_out = np.isin(episode_index, chosen)
    return np.flatnonzero(~held_out), np.flatnonzero(held_out)


def _check_required(path: Path, data: Any) -> None:
    if not isinstance(data, dict):
        raise UsageError(f"{path}: holds a {type(data).__name__}, expected an object")
    for field in ("episode_id", "domain"):
        if not isinstance(data.get(field), str) or not data[field]:
            raise UsageError(f"{path}: {field} is missing or not a string; the episode contract requires it")
    for field in ("source", "waypoint_spec"):
        if not isinstance(data.get(field) or {}, dict):
            raise UsageError(f"{path}: {field} is a {type(data[field]).__name__}, expected an object")
    frames = data.get("frames")
    if not isinstance(frames, list) or not frames:
        raise UsageError(f"{path}: frames is missing or empty; an episode has at least one frame")
    for i, frame in enumerate(frames):
        if not isinstance(frame, dict):
            raise UsageError(f"{path}: frame {i} is a {type(frame).__name__}, expected an object")
        if type(frame.get("t")) not in (float, int):
            raise UsageError(f"{path}: frame {i}: t is missing or not a number; write the seconds since the start")
        if not isinstance(frame.get("observations"), dict):
            raise UsageError(f"{path}: frame {i}: observations is missing or not an object")
        if not isinstance(frame.get("expert") or {}, dict):
            raise UsageError(f"{path}: frame {i}: expert is a {type(frame['expert']).__name__}, expected an object")


def _where_not_finite(value: Any, place: str = "") -> str:
    """The place of the first number that is not finite, e.g. `frame 3: expert.waypoints[2][0]`; empty where there is none."""
    if isinstance(value, float) and not np.isfinite(value):
        return place or "the top level"
    items: Iterator[tuple[str, Any]]
    if isinstance(value, dict):
        items = ((f"{place}.{key}" if place and not place.endswith(": ") else f"{place}{key}", item) for key, item in value.items())
    elif isinstance(value, list):
        items = ((f"frame {i}: " if place == "frames" else f"{place}[{i}]", item) for i, item in enumerate(value))
    else:
        return ""
    return next((found for where, item in items if (found := _where_not_finite(item, where))), "")


def _read_image(path: Path, width: int, height: int) -> NDArray[np.uint8]:
    """(height, width, 3) RGB."""
    image = cv2.imread(str(path), cv2.IMREAD_COLOR) if path.is_file() else None
    if image is None:
        raise UsageError(f"{path}: missing or not an image; record the episode again")
    if image.shape[:2] != (height, width):
        shrinks = image.shape[0] > height or image.shape[1] > width
        image = cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR)
    rgb: NDArray[np.uint8] = cv2.cvtColor(image, cv2.COLOR_BGR2RGB)
    return rgb
