"""Names on disk: run ids, and file names made from episode ids. Knows nothing of what the files hold."""

import hashlib
import re
import secrets
from datetime import datetime

from carla_rl.errors import UsageError

_PLAIN = re.compile(r"[A-Za-z0-9._-]{1,100}")


def new_run_id(kind: str, now: datetime | None = None) -> str:
    """`<kind>-<date>-<time>-<6 hex digits>` in local time, e.g. `ppo-delta-20260218-193000-abc123`."""
    return f"{kind}-{now or datetime.now():%Y%m%d-%H%M%S}-{secrets.token_hex(3)}"


def check_run_id(run_id: str) -> str:
    """The given run id, which names a folder.

    Raises:
        UsageError: not a plain name.
    """
    if not _PLAIN.fullmatch(run_id) or run_id.startswith("."):
        raise UsageError(f"run id {run_id!r}: not a plain name; use letters, digits, dot, dash and underscore, at most 100")
    return run_id


def file_stem(episode_id: str) -> str:
    """A file name for an episode: `ring-3#0` gives `ring-3-r0`. Different episodes have different names.

    A scenario id that is not made of plain characters gets them replaced by `_` and a piece of its hash appended.
    """
    scenario, _, repetition = episode_id.rpartition("#")
    if not repetition.isdecimal():
        scenario, repetition = episode_id, "0"
    if not _PLAIN.fullmatch(scenario) or scenario.startswith("."):
        digest = hashlib.sha256(scenario.encode()).hexdigest()[:8]
        scenario = f"{re.sub(r'[^A-Za-z0-9_-]', '_', scenario)[:80]}-{digest}"
    return f"{scenario}-r{repetition}"
