"""The folder of this user on this machine in which leases of ports and facts about running servers are kept. Knows nothing of either."""

import os
import stat
import tempfile
from pathlib import Path

from carla_rl.errors import UsageError


def runtime_folder(base: Path | None = None) -> Path:
    """`<temporary folder>/carla-rl-<uid>`, made if need be, for its owner alone.

    Args:
        base: instead of the temporary folder of this machine.

    Raises:
        UsageError: it cannot be made, or it is somebody else's: files in it would say which processes to end.
    """
    folder = (base or Path(tempfile.gettempdir())) / f"carla-rl-{os.getuid()}"
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        status = folder.lstat()
    except OSError as error:
        raise UsageError(f"{folder}: cannot be made ({error.strerror or error}); set TMPDIR to a folder that you may write to") from error
    if not stat.S_ISDIR(status.st_mode) or status.st_uid != os.getuid() or status.st_mode & 0o022:
        raise UsageError(f"{folder}: others may write to it, so it is not used; remove it, or set TMPDIR to a folder of your own")
    return folder
