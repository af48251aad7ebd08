"""One process at a time in a run directory: two that went on with the same run would mix their lines. Knows nothing of what they write."""

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from carla_rl.errors import UsageError


@contextmanager
def sole_writer(folder: Path) -> Iterator[None]:
    """Nobody else drives or trains into the run directory while this lasts; the end of a process, a kill too, lets it go.

    Raises:
        UsageError: another process does already, or the run's config.json cannot be opened.
    """
    path = folder / "config.json"
    try:
        # a file that is never replaced; for writing, as a lock on a network's file system needs
        file = path.open("r+b")
    except OSError as error:
        raise UsageError(f"{path}: cannot be opened for writing ({error.strerror or error}); give a run that you may write to") from error
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise UsageError(f"{folder}: another process drives or trains into it; wait for its end, or end it") from None
        yield
