"""When the server's loop waits awake, and when it sleeps: against a clock that only moves when somebody waits or gives way."""

from selectors import SelectorKey
from typing import Any, cast

import pytest

from toy_env.server.transport.waiting import AWAKE_S, AWAY_S, LONGEST_PAUSE_S, PAUSE_S, SOON_S, Waiting

MESSAGE = [(cast(SelectorKey, "message"), 1)]
LOOK_S = 10e-6


class World:
    """A clock, a selector at which a message comes at a time, and others who take the processor when they are given way."""

    def __init__(self) -> None:
        self.now, self.comes, self.taken_s = 100.0, 0.0, LOOK_S
        self.looks, self.sleeps = 0, 0
        self.waiting = Waiting(cast(Any, self), lambda: self.now, self.give_way)

    def give_way(self) -> None:
        self.now += self.taken_s

    def select(self, longest_s: float | None) -> list[tuple[SelectorKey, int]]:
        if longest_s == 0.0:
            self.looks += 1
            return MESSAGE if self.now >= self.comes else []
        self.sleeps += 1
        until = self.now + longest_s if longest_s is not None else self.comes
        self.now = max(self.now, min(until, self.comes))
        return MESSAGE if self.now >= self.comes else []

    def message_after(self, seconds: float, longest_s: float | None = None) -> tuple[int, int]:
        """Wait for a message that comes so much later; how often it was looked for and how often slept."""
        self.looks, self.sleeps, self.comes = 0, 0, self.now + seconds
        found = self.waiting.ready(longest_s)
        assert bool(found) == (self.now >= self.comes)
        return self.looks, self.sleeps


@pytest.fixture
def quick() -> World:
    """A world whose last message came soon."""
    world = World()
    assert world.message_after(0.5 * SOON_S) == (0, 1)
    return world


def test_the_first_wait_and_those_after_a_long_one_sleep(quick: World) -> None:
    assert World().message_after(1e-5) == (0, 1)
    quick.message_after(1.0)
    assert quick.message_after(1e-5) == (0, 1)


def test_what_comes_at_once_is_found_awake(quick: World) -> None:
    assert quick.message_after(3.5 * LOOK_S) == (4, 0)
    assert quick.message_after(0.5 * LOOK_S) == (1, 0)


def test_what_comes_later_is_slept_for_after_all(quick: World) -> None:
    looks, sleeps = quick.message_after(2.0 * AWAKE_S)
    assert looks == pytest.approx(AWAKE_S / LOOK_S, abs=1)
    assert sleeps == 1
    assert quick.message_after(1e-5)[1] == 0, "200 us are soon"


def test_it_never_waits_longer_than_it_may(quick: World) -> None:
    before = quick.now
    assert quick.message_after(1.0, longest_s=0.01)[1] == 1
    assert quick.now - before == pytest.approx(0.01, abs=1e-9)
    assert quick.message_after(1.0, longest_s=0.5 * AWAKE_S) == (0, 1), "too short to begin looking"


def test_who_is_put_aside_sleeps_for_a_while_then_tries_again(quick: World) -> None:
    def put_aside() -> None:
        quick.taken_s = 3.0 * AWAY_S
        quick.message_after(10.0 * AWAY_S)
        quick.taken_s = LOOK_S

    def awake_again_after() -> float:
        since, step = quick.now, 0.25 * PAUSE_S
        while True:
            quick.now += step
            # a short sleep, or a look: the last wait was soon in either case
            if quick.message_after(0.5 * LOOK_S)[0]:
                return quick.now - since

    put_aside()
    assert awake_again_after() == pytest.approx(PAUSE_S, abs=0.3 * PAUSE_S)
    for doubled in (2.0, 4.0, 8.0):
        put_aside()
        assert awake_again_after() == pytest.approx(doubled * PAUSE_S, abs=0.3 * PAUSE_S)
    for _ in range(8):
        put_aside()
        longest = awake_again_after()
    assert longest == pytest.approx(LONGEST_PAUSE_S, abs=0.3 * PAUSE_S)
    quick.now += 2.0 * PAUSE_S
    put_aside()
    assert awake_again_after() == pytest.approx(PAUSE_S, abs=0.3 * PAUSE_S), "a processor that was free for a while counts as free"
