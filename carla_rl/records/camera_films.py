"""What a camera saw during each episode of a run: an .mp4 an episode beside the step logs, one frame a decision.

Frame k is what was there to see when plan k was made. Written while the episode is driven, into a hidden file that gets its name when the
episode has ended, so that a kill leaves no half film; the encoding loses detail, these are pictures for people. Knows no policy and no
simulator by name.
"""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import Self

import av
import cv2
import numpy as np
from numpy.typing import NDArray

from carla_rl.errors import RunFailure, UsageError
from carla_rl.loop import Decision
from carla_rl.records.atomic import cannot_write, make_folder
from carla_rl.records.encoder import Encoder, encoder
from carla_rl.records.names import file_stem
from carla_rl.types import TICK_S, CameraSpec

FOLDER = "camera"


def film_path(run: Path, episode_id: str) -> Path:
    """Where the film of an episode is, if it was kept."""
    return run / FOLDER / f"{file_stem(episode_id)}.mp4"


class CameraFilms:
    """Fed with the loop's decisions, leaves a film of each episode that ends. A context manager: what was not finished is removed."""

    def __init__(self, run: Path, camera: CameraSpec, ticks_per_decision: int, simulator: str) -> None:
        """Film what `camera` of the observation sees into the run directory; `simulator` is what made the pictures.

        Raises:
            UsageError: the folder cannot be written.
        """
        make_folder(run / FOLDER)
        self._run, self._camera, self._simulator = run, camera, simulator
        self._fps = 1 / (Fraction(TICK_S).limit_denominator(1000) * ticks_per_decision)
        self._thread = ThreadPoolExecutor(max_workers=1)
        self._open: dict[int, _Film] = {}
        """By env: the film of its episode."""

    def update(self, decision: Decision) -> None:
        """Take in one decision. When this returns, the films of the episodes that ended with it are on the disk.

        Raises:
            UsageError: the folder cannot be written any more.
            RunFailure: a frame cannot be encoded or written, as on a full disk.
        """
        for env in map(int, np.flatnonzero(decision.started | decision.lost)):
            if env in self._open:
                self._open.pop(env).discard()
        pictures = decision.observation.images[self._camera.name]
        for env in map(int, np.flatnonzero(decision.active)):
            if env not in self._open:
                self._open[env] = self._begin(decision, env)
            self._open[env].add(pictures[env])
            if decision.ended[env]:
                self._open.pop(env).finish()

    def _begin(self, decision: Decision, env: int) -> "_Film":
        episode = decision.episodes[env]
        assert episode is not None
        about = {"title": f"{episode.episode_id}, camera {self._camera.name}", "comment": f"made by carla-rl on the {self._simulator}"}
        width, height = self._camera.width // 2 * 2, self._camera.height // 2 * 2
        return _Film(film_path(self._run, episode.episode_id), width, height, self._fps, about, self._thread)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, traceback: TracebackType | None) -> None:
        for film in self._open.values():
            film.discard()
        self._open.clear()
        self._thread.shutdown()


class _Film:
    """The film of one episode under way."""

    def __init__(self, path: Path, width: int, height: int, fps: Fraction, about: dict[str, str], thread: ThreadPoolExecutor) -> None:
        self._path, self._half = path, path.with_name(f".{path.stem}.part.mp4")
        self._width, self._height = width, height
        self._stack = ExitStack()
        self._film: Encoder = self._stack.enter_context(encoder(self._half, width, height, fps, about, thread))

    def add(self, picture: NDArray[np.uint8]) -> None:
        """One more frame (height, width, 3) RGB; an odd row or column is cut off, the encoder takes none.

        Raises:
            RunFailure: an earlier frame could not be encoded or written.
        """
        try:
            self._film.add(cv2.cvtColor(picture[: self._height, : self._width], cv2.COLOR_RGB2BGR))
        except av.FFmpegError as error:
            raise RunFailure(f"{self._path}: the film cannot be written ({error}); give an --out folder with space") from error

    def finish(self) -> None:
        """Complete the file and give it its name; where that fails nothing is left."""
        try:
            self._stack.close()
        except RunFailure:
            self._half.unlink(missing_ok=True)
            raise
        try:
            self._half.replace(self._path)
        except OSError as error:
            raise cannot_write(self._path, error) from error

    def discard(self) -> None:
        """Remove what there is; that it could not have been completed does not matter."""
        with suppress(RunFailure):
            self._stack.close()
        self._half.unlink(missing_ok=True)


class KeptFilm:
    """The frames of a film that a run kept, looked up by decision; decisions are asked for in their order."""

    def __init__(self, path: Path, decisions: int) -> None:
        """Open a film of an episode of so many decisions.

        Raises:
            UsageError: it cannot be read, or is of another drive.
        """
        self._path = path
        try:
            self._container = av.open(str(path))
            stream = self._container.streams.video[0]
        except (av.FFmpegError, OSError, IndexError) as error:
            raise UsageError(f"{path}: no film ({error}); it is damaged, leave it out with --no-camera") from error
        if stream.frames != decisions:
            raise UsageError(
                f"{path}: holds {stream.frames} pictures, the drive has {decisions} decisions; files of two runs were mixed, leave it out "
                "with --no-camera"
            )
        self._frames: Iterator[av.VideoFrame] = self._container.decode(stream)
        self._decision = -1
        self._picture: NDArray[np.uint8] = np.zeros((stream.height, stream.width, 3), np.uint8)

    def at(self, decision: int) -> NDArray[np.uint8]:
        """(height, width, 3) BGR: what was seen when that plan was made.

        Raises:
            UsageError: the file is damaged.
            ValueError: an earlier decision than the last one asked for.
        """
        if decision < self._decision:
            raise ValueError(f"decision {decision} was asked for after {self._decision}; films are read forwards")
        try:
            while self._decision < decision:
                frame = next(self._frames)
                self._decision += 1
                if self._decision == decision:
                    self._picture = frame.to_ndarray(format="bgr24").astype(np.uint8, copy=False)
        except (av.FFmpegError, StopIteration) as error:
            raise UsageError(f"{self._path}: damaged at picture {self._decision + 1}; leave it out with --no-camera") from error
        return self._picture
