"""How a loop waits for its sockets: awake for a moment where more is likely at once, else asleep. Knows nothing of what is waited for.

To be woken takes 30 to 60 us on a virtual machine, about as long as a client of the same machine takes to make its next call. Who waits
awake hears it at once, but uses a processor that others may need; so it gives way to them between two looks, and sees from how long it
was away whether there are any.
"""

import os
import time
from collections.abc import Callable
from selectors import BaseSelector, SelectorKey

AWAKE_S = 100e-6
"""It looks for so long before it sleeps,"""
SOON_S = 250e-6
"""if the wait before this one was no longer,"""
AWAY_S = 1e-3
"""and nobody took the processor for so long while it gave way: then others need it more,"""
PAUSE_S = 0.1
"""and it only sleeps for this time, and for twice as long each time that this happens again within PAUSE_S,"""
LONGEST_PAUSE_S = 10.0
"""up to this."""


class Waiting:
    """What becomes ready at a selector.

    Args:
        selector: where the sockets are registered.
        clock: gives the time, s.
        give_way: lets others have the processor who want it.
    """

    def __init__(
        self, selector: BaseSelector, clock: Callable[[], float] = time.monotonic, give_way: Callable[[], None] = os.sched_yield
    ) -> None:
        self._selector, self._clock, self._give_way = selector, clock, give_way
        self._soon = False
        """The last wait was short."""
        self._alone_from = 0.0
        """From this time on the processor counts as free."""
        self._pause_s = PAUSE_S

    def ready(self, longest_s: float | None) -> list[tuple[SelectorKey, int]]:
        """What is ready, after waiting at most `longest_s`; None: for as long as it takes."""
        if longest_s is not None and longest_s <= AWAKE_S:
            return self._selector.select(longest_s)
        before = self._clock()
        left_s = longest_s
        if self._soon and before >= self._alone_from:
            if found := self._awake(before):
                return found
            left_s = None if longest_s is None else max(before + longest_s - self._clock(), 0.0)
        found = self._selector.select(left_s)
        self._soon = self._clock() - before <= SOON_S
        return found

    def _awake(self, before: float) -> list[tuple[SelectorKey, int]]:
        """What becomes ready within AWAKE_S after `before`."""
        now = before
        while now - before < AWAKE_S:
            self._give_way()
            if found := self._selector.select(0.0):
                return found
            then, now = now, self._clock()
            if now - then > AWAY_S:
                again = now - self._alone_from < PAUSE_S
                self._pause_s = min(2.0 * self._pause_s, LONGEST_PAUSE_S) if again else PAUSE_S
                self._alone_from = now + self._pause_s
        return []
