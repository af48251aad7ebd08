"""Keeps what recorders need of each decision until the env's episode ends, then hands out that episode's rows.

Arrays are kept as the loop yields them, batched, and are taken apart only when an episode ends: recording costs no work per env and
decision. Knows nothing of what is recorded.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

Batch = Mapping[str, NDArray[Any]]


class EpisodeBuffer:
    """Batched arrays (N, ...) by name, one set a decision, from the earliest unfinished episode's start on."""

    def __init__(self, num_envs: int) -> None:
        self._first = np.full(num_envs, -1, np.int64)
        """Decision at which each env's episode started; -1 where none is under way."""
        self._batches: list[Batch] = []
        self._dropped = 0
        """Decisions forgotten so far: batch i is decision `_dropped + i`."""

    def add(self, started: NDArray[np.bool_], batch: Batch) -> None:
        """Keep one decision of all envs; `started` (N,) says which envs begin an episode with it."""
        self._first[started] = self._dropped + len(self._batches)
        self._batches.append(batch)

    def pop(self, env: int) -> list[dict[str, NDArray[Any]]]:
        """The rows of the env's episode, one dictionary a decision; the env is free for the next episode.

        Raises:
            ValueError: the start of the episode was not seen.
        """
        if self._first[env] < 0:
            raise ValueError("the recorder has not seen the start of an episode; attach it before the loop's first decision")
        rows = [{name: values[env] for name, values in batch.items()} for batch in self._batches[self._first[env] - self._dropped :]]
        self._first[env] = -1
        return rows

    def forget(self) -> None:
        """Drop the decisions that no unfinished episode needs; call it when the ended envs have been popped."""
        running = self._first[self._first >= 0]
        keep = int(running.min()) - self._dropped if len(running) else len(self._batches)
        del self._batches[:keep]
        self._dropped += keep
