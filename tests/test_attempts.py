"""Episodes whose worlds are lost are driven again, and given up in the end."""

from typing import Any, cast

from carla_rl.attempts import Attempts
from carla_rl.loop import Loss
from carla_rl.scenario.model import Episode


class Named:
    """An episode as far as its name goes."""

    def __init__(self, name: str) -> None:
        self.episode_id = name


def loss(episode: object, reason: str = "it died", *, hopeless: bool = False) -> Loss:
    return Loss(cast(Episode, episode), reason, hopeless)


def names(attempts: Attempts) -> list[str]:
    return [cast(Any, episode).episode_id for episode in attempts]


def test_a_lost_episode_comes_again_after_the_others() -> None:
    a, b = Named("a"), Named("b")
    attempts = Attempts(cast(Any, [a, b]), 3)
    assert next(attempts) is a
    attempts.lose(loss(a, "signal 9\n  the end of a log"))
    assert names(attempts) == ["b", "a"]
    assert attempts.void("a") == ("signal 9",)
    assert attempts.void("b") == ()
    assert attempts.quarantined == {}


def test_it_is_given_up_after_so_many_attempts() -> None:
    a = Named("a")
    attempts = Attempts(cast(Any, [a]), 2)
    for reason in ("first", "second"):
        assert next(attempts) is a
        attempts.lose(loss(a, reason))
    assert names(attempts) == []
    assert attempts.quarantined == {"a": ("first", "second")}


def test_what_cannot_be_played_is_tried_once() -> None:
    a = Named("a")
    attempts = Attempts(cast(Any, [a]), 3)
    next(attempts)
    attempts.lose(loss(a, "no such map", hopeless=True))
    assert names(attempts) == []
    assert attempts.quarantined == {"a": ("no such map",)}


def test_an_episode_that_never_began_is_the_next_and_has_used_up_no_attempt() -> None:
    a, b = Named("a"), Named("b")
    attempts = Attempts(cast(Any, [a, b]), 1)
    next(attempts)
    attempts.lose(Loss(cast(Episode, a), "its server is gone", False, begun=False))
    assert names(attempts) == ["a", "b"]
    assert attempts.void("a") == ()
    assert attempts.quarantined == {}
