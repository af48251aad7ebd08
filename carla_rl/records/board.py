"""Scalars for TensorBoard, in its own file format, written where they are told: no thread of its own, so a full disk is told at once.

Knows nothing of what the numbers mean.
"""

import os
import socket
import time
from pathlib import Path
from types import TracebackType
from typing import Self

from tensorboard.compat.proto.event_pb2 import Event, SessionLog
from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.summary.writer.record_writer import RecordWriter

from carla_rl.records.atomic import cannot_write, make_folder


class Board:
    """One event file in a folder. A context manager, which closes the file."""

    def __init__(self, folder: Path, *, hide_after: int | None = None) -> None:
        """A new file; with `hide_after` TensorBoard shows nothing of the older files beyond that step.

        Raises:
            UsageError: the folder cannot be written.
        """
        make_folder(folder)
        self._path = folder / f"events.out.tfevents.{time.time_ns()}.{socket.gethostname()}.{os.getpid()}"
        try:
            # without a buffer there is nothing left to fail when the file is closed
            self._file = self._path.open("xb", buffering=0)
        except OSError as error:
            raise cannot_write(self._path, error) from error
        self._records = RecordWriter(self._file)
        self._write(Event(wall_time=time.time(), file_version="brain.Event:2"))
        if hide_after is not None:
            start = SessionLog(status=SessionLog.START)
            self._write(Event(wall_time=time.time(), step=hide_after + 1, session_log=start))

    def add(self, step: int, numbers: dict[str, float]) -> None:
        """Numbers by name at a step.

        Raises:
            UsageError: the disk is full or the folder gone.
        """
        values = [Summary.Value(tag=name, simple_value=number) for name, number in numbers.items()]
        self._write(Event(wall_time=time.time(), step=step, summary=Summary(value=values)))

    def _write(self, event: Event) -> None:
        try:
            self._records.write(event.SerializeToString())
        except OSError as error:
            raise cannot_write(self._path, error) from error

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, traceback: TracebackType | None) -> None:
        self._file.close()
