"""Episodes that are driven until each is done or given up: what servers that die cost a run. Knows nothing of what is measured."""

from collections import deque
from collections.abc import Iterable, Iterator

from carla_rl.loop import Loss
from carla_rl.scenario.model import Episode

ATTEMPTS = 3
"""An episode whose world is lost so often is given up."""


class Attempts:
    """Episodes to drive: one whose world is lost is driven again, after the others, until its attempts are used up."""

    def __init__(self, episodes: Iterable[Episode], most: int) -> None:
        self._waiting, self._most = deque(episodes), most
        self._reasons: dict[str, list[str]] = {}
        self.quarantined: dict[str, tuple[str, ...]] = {}
        """By episode that was given up: why each attempt was void."""

    def __iter__(self) -> Iterator[Episode]:
        return self

    def __next__(self) -> Episode:
        if not self._waiting:
            raise StopIteration
        return self._waiting.popleft()

    def lose(self, loss: Loss) -> None:
        """An attempt was void; one that never began does not count, and is the next to be driven."""
        name = loss.episode.episode_id
        if not loss.begun:
            self._waiting.appendleft(loss.episode)
            return
        reasons = self._reasons.setdefault(name, [])
        # the lines after the first are the end of a server's log
        reasons.append(loss.reason.splitlines()[0])
        if loss.hopeless or len(reasons) >= self._most:
            self.quarantined[name] = tuple(reasons)
        else:
            self._waiting.append(loss.episode)

    def void(self, episode_id: str) -> tuple[str, ...]:
        """Why earlier attempts at an episode were void."""
        return tuple(self._reasons.get(episode_id, ()))
