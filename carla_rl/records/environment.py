"""What a run ran on: versions, machine, and the git state of this program's source. Reads the machine, changes nothing.

Knows no environment variable; what cannot be found out is null, never guessed.
"""

import os
import platform
import subprocess
import sys
from importlib import metadata
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import carla_rl

PACKAGES = ("numpy", "numba", "torch", "scipy", "opencv-python-headless", "carla")
GIT_TIMEOUT_S = 5.0


def describe_environment() -> dict[str, Any]:
    """Versions, machine and git state, as JSON values."""
    return {
        "versions": {
            "carla_rl": carla_rl.__version__,
            "python": platform.python_version(),
            **{name: _version(name) for name in PACKAGES},
        },
        "machine": {
            "system": platform.platform(),
            "cpu": _cpu_model(),
            "cores": len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count(),
        },
        "git": git_state(Path(carla_rl.__file__)),
    }


def git_state(source: Path) -> dict[str, Any]:
    """Repository, commit, branch and whether tracked files were changed, of the repository that `source` is a tracked file of.

    All null where there is no git, no repository, or the file is only installed somewhere inside a foreign one.
    """
    nothing = {"repo": None, "commit": None, "branch": None, "dirty": None}
    folder = source.parent
    if _git(folder, "ls-files", "--error-unmatch", "--", source.name) is None:
        return nothing
    changed = _git(folder, "status", "--porcelain", "--untracked-files=no")
    remote = _git(folder, "config", "--get", "remote.origin.url")
    top = _git(folder, "rev-parse", "--show-toplevel")
    return {
        "repo": _without_credentials(remote) if remote else (Path(top).name if top else None),
        "commit": _git(folder, "rev-parse", "HEAD"),
        # empty on a detached head
        "branch": _git(folder, "branch", "--show-current") or None,
        "dirty": None if changed is None else bool(changed),
    }


def _git(folder: Path, *arguments: str) -> str | None:
    """What git prints, or None where it fails, is missing or does not answer in time."""
    try:
        done = subprocess.run(
            ("git", "-C", str(folder), *arguments),
            capture_output=True,
            text=True,
            timeout=GIT_TIMEOUT_S,
            check=True,
            stdin=subprocess.DEVNULL,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip()


def _without_credentials(url: str) -> str:
    """A remote's address without user name and password."""
    parts = urlsplit(url)
    if not parts.hostname:
        return url
    return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def _cpu_model() -> str | None:
    """The processor's name as Linux tells it, elsewhere what Python knows."""
    info = Path("/proc/cpuinfo")
    if info.is_file():
        for line in info.read_text(errors="replace").splitlines():
            name, _, value = line.partition(":")
            if name.strip() == "model name":
                return value.strip()
    return platform.processor() or None
