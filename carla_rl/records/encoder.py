"""A film file: H.264 in an .mp4, which browsers and phones play. Encodes on a thread of its own; knows nothing of what is on the frames.

The encoder is x264, in FFmpeg, as PyAV's wheels have it. It is set for speed: a film is made in the time that a user waits for it.
"""

from collections import deque
from collections.abc import Iterator
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from contextlib import contextmanager, nullcontext
from fractions import Fraction
from pathlib import Path
from typing import Final

import av
import cv2
import numpy as np
from av.video.stream import VideoStream
from numpy.typing import NDArray

from carla_rl.errors import RunFailure

QUEUED = 24
"""Frames that may wait for the encoder."""
CODEC: Final = "libx264"
OPTIONS = {"preset": "ultrafast", "crf": "23"}
KEY_S = 2.0
"""s between two frames from which a player can start when the time line is dragged."""
SMPTE170M, LIMITED = 6, 1
"""FFmpeg's names of the colours that OpenCV makes: without them a player guesses."""


class Encoder:
    """Takes frames one by one, in their order."""

    def __init__(self, container: av.container.OutputContainer, stream: VideoStream, thread: Executor) -> None:
        self._container, self._stream, self._thread = container, stream, thread
        self._waiting: deque[Future[None]] = deque()
        self.frames = 0
        """How many were given."""

    def add(self, picture: NDArray[np.uint8]) -> None:
        """One more frame (height, width, 3) BGR, which must not change any more.

        Raises:
            av.FFmpegError: an earlier frame could not be encoded or written.
        """
        self._waiting.append(self._thread.submit(self._encode, picture, self.frames))
        self.frames += 1
        if len(self._waiting) > QUEUED:
            self._waiting.popleft().result()

    def finish(self) -> None:
        """Wait for all frames and write what the encoder still holds.

        Raises:
            av.FFmpegError: a frame could not be encoded or written.
        """
        for one in self._waiting:
            one.result()
        self._container.mux(self._stream.encode())

    def _encode(self, picture: NDArray[np.uint8], number: int) -> None:
        frame = av.VideoFrame.from_numpy_buffer(cv2.cvtColor(picture, cv2.COLOR_BGR2YUV_I420), format="yuv420p")
        frame.pts = number
        self._container.mux(self._stream.encode(frame))


@contextmanager
def encoder(
    path: Path, width: int, height: int, fps: int | Fraction, about: dict[str, str], thread: Executor | None = None
) -> Iterator[Encoder]:
    """An encoder of a film of even width and height; the file is complete when the block ends without an error.

    Args:
        path: of the file.
        width: px.
        height: px.
        fps: frames a second.
        about: what the file says of itself (`title`, `comment`).
        thread: has one worker and may be shared by several films; without it the film has one of its own.

    Raises:
        RunFailure: the frames cannot be encoded, or not be written.
    """
    try:
        # the index comes first, so that a browser can begin before it has the whole file
        with (
            av.open(str(path), "w", format="mp4", options={"movflags": "+faststart"}) as container,
            nullcontext(thread) if thread else ThreadPoolExecutor(max_workers=1) as worker,
        ):
            stream = container.add_stream(CODEC, rate=Fraction(fps), options=OPTIONS)
            stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
            stream.time_base = 1 / Fraction(fps)
            context = stream.codec_context
            # one thread: the same film whatever the machine, and the other core draws
            context.gop_size, context.thread_count = round(KEY_S * fps), 1
            context.colorspace, context.color_range = SMPTE170M, LIMITED
            container.metadata.update(about)
            film = Encoder(container, stream, worker)
            yield film
            film.finish()
    except av.FFmpegError as error:
        raise RunFailure(f"{path.name}: the film cannot be made ({error}); PyAV's wheel has the encoder: pip install av") from error
