"""Writing files so that a reader, or the next start after a kill, never finds half of one.

A file is written beside its place, forced to the disk and then renamed over it; a line is appended and forced to the disk.
Knows nothing of what is written.
"""

import json
import os
import tempfile
from pathlib import Path
from typing import Any

from carla_rl.errors import UsageError


def write_bytes(path: Path, data: bytes) -> None:
    """Replace `path` by a file that holds `data`; the old file stays until the new one is complete.

    Raises:
        UsageError: the place cannot be written.
    """
    temporary = None
    try:
        handle, temporary = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".tmp", dir=path.parent)
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        # mkstemp makes files that only their owner may read
        Path(temporary).chmod(0o644)
        Path(temporary).replace(path)
        _sync_folder(path.parent)
    except OSError as error:
        raise cannot_write(path, error) from error
    finally:
        if temporary is not None:
            Path(temporary).unlink(missing_ok=True)


def write_json(path: Path, data: Any) -> None:
    """Replace `path` by `data` as indented JSON. NaN and infinity are not JSON and are refused.

    Raises:
        UsageError: the place cannot be written.
        ValueError: a number that is not finite.
    """
    write_bytes(path, (json.dumps(data, indent=2, allow_nan=False, ensure_ascii=False) + "\n").encode())


def append_lines(path: Path, *lines: str) -> None:
    """Append lines and force them to the disk before returning; where that fails, the file is as it was.

    Raises:
        UsageError: the place cannot be written.
        ValueError: a line holds a line break.
    """
    if any("\n" in line for line in lines):
        raise ValueError("a line must not hold a line break")
    data = "".join(f"{line}\n" for line in lines).encode()
    try:
        # without a buffer nothing is written behind our back when the file is closed
        with path.open("ab", buffering=0) as file:
            size = file.tell()
            try:
                written = 0
                while written < len(data):
                    written += file.write(data[written:])
                os.fsync(file.fileno())
            except OSError:
                file.truncate(size)
                raise
    except OSError as error:
        raise cannot_write(path, error) from error


def cannot_write(path: Path, error: OSError) -> UsageError:
    """What to tell the user of a file that could not be written."""
    return UsageError(f"{path}: cannot be written ({error.strerror or error}); give a folder that you may write to, with space")


def make_folder(path: Path) -> None:
    """Make a folder and those above it, and prove that it can be written to.

    Raises:
        UsageError: it cannot be made or written to.
    """
    try:
        path.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=path):
            pass
    except OSError as error:
        raise UsageError(f"{path}: cannot be written ({error.strerror or error}); give an --out folder that you may write to") from error


def _sync_folder(folder: Path) -> None:
    """Force a rename in the folder to the disk."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
