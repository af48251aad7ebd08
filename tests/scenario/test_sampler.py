from collections import Counter

import numpy as np
import pytest

from carla_rl.errors import UsageError
from carla_rl.roads.route import Route
from carla_rl.scenario.model import Episode, Scenario
from carla_rl.scenario.sampler import MID_ROUTE_SHARE, TrainingSampler

LINE = np.linspace(0.0, 200.0, 201)
ROUTE = Route("t", LINE, 0 * LINE, 0 * LINE, 0 * LINE, LINE, np.zeros(201, np.int32), LINE + 1, LINE + 1)
ENDS = ((0.0, 0.0, 0.0), (200.0, 0.0, 0.0))
EPISODES = [Episode(Scenario(scenario_id=f"s{n}", town="t", positions=ENDS, seed=n), ROUTE, skipped=("gone",)) for n in range(4)]


def facts(episode: Episode) -> tuple[str, int, float]:
    return episode.episode_id, episode.seed, episode.start_m


def test_the_stream_depends_on_the_seed_and_goes_on_from_its_counter() -> None:
    sampler = TrainingSampler(EPISODES, seed=3, mid_route=0.5)
    stream = [facts(sampler.next()) for _ in range(20)]
    again = TrainingSampler(EPISODES, seed=3, mid_route=0.5)
    again.drawn = 12
    assert [facts(again.next()) for _ in range(8)] == stream[12:]
    assert [facts(again.draw(n)) for n in range(20)] == stream, "a draw is known by its number"
    assert again.drawn == 20
    assert [again.number(again.draw(n)) for n in (0, 7)] == [0, 7]
    other = TrainingSampler(EPISODES, seed=4, mid_route=0.5)
    assert [facts(other.next()) for _ in range(20)] != stream


def test_draws_are_uniform_and_every_drive_is_new() -> None:
    sampler = TrainingSampler(EPISODES, seed=0)
    drawn = [sampler.next() for _ in range(2000)]
    assert all(430 < count < 570 for count in Counter(item.scenario.scenario_id for item in drawn).values())
    assert len({item.seed for item in drawn}) == len({item.episode_id for item in drawn}) == 2000
    assert min(item.repetition for item in drawn) == 1
    assert {item.start_m for item in drawn} == {0.0}
    assert {item.skipped for item in drawn} == {("gone",)}


def test_mid_route_starts() -> None:
    sampler = TrainingSampler(EPISODES, seed=0, mid_route=0.7)
    starts = np.array([sampler.next().start_m for _ in range(2000)])
    moved = starts[starts > 0]
    assert 0.66 < len(moved) / 2000 < 0.74
    assert moved.max() < MID_ROUTE_SHARE * 200.0
    assert moved.mean() == pytest.approx(80.0, abs=4.0)


def test_bad_arguments() -> None:
    with pytest.raises(UsageError, match="no scenarios"):
        TrainingSampler([], seed=0)
    with pytest.raises(UsageError, match="mid_route"):
        TrainingSampler(EPISODES, seed=0, mid_route=1.5)
