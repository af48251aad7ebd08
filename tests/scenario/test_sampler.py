from collections import Counter
from dataclasses import replace

import numpy as np
import pytest

from carla_rl.errors import UsageError
from carla_rl.roads.route import Route
from carla_rl.scenario.model import Episode, Rules, Scenario, ScriptedActor, Traffic
from carla_rl.scenario.sampler import FORGETTING, MID_ROUTE_SHARE, Curriculum, TrainingSampler, kind_of

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
    again.load_state_dict({**again.state_dict(), "drawn": 12})
    assert [facts(again.next()) for _ in range(8)] == stream[12:]
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


def test_a_start_leaves_a_metre_of_a_short_route() -> None:
    line = np.linspace(0.0, 4.0, 5)
    short = replace(
        ROUTE, x=line, y=0 * line, z=0 * line, yaw=0 * line, s=line, lane=np.zeros(5, np.int32), half_width=line + 1, speed_limit=line + 1
    )
    sampler = TrainingSampler([replace(EPISODES[0], route=short)], seed=0, mid_route=1.0)
    assert max(sampler.next().start_m for _ in range(200)) == 3.0


def test_mid_route_starts() -> None:
    sampler = TrainingSampler(EPISODES, seed=0, mid_route=0.7)
    starts = np.array([sampler.next().start_m for _ in range(2000)])
    moved = starts[starts > 0]
    assert 0.66 < len(moved) / 2000 < 0.74
    assert moved.max() < MID_ROUTE_SHARE * 200.0
    assert moved.mean() == pytest.approx(80.0, abs=4.0)


def test_starts_before_triggers() -> None:
    # triggers at 30 m and at 150 m: a start lies 20 to 60 m before one of them, not before the route
    actors = tuple(ScriptedActor(type="ControlLoss", x=x, y=0.0) for x in (30.0, 150.0))
    episode = replace(EPISODES[0], scenario=EPISODES[0].scenario.model_copy(update={"actors": actors}))
    sampler = TrainingSampler([episode], seed=0, mid_route=1.0, curriculum=Curriculum(trigger_share=1.0))
    starts = np.array([sampler.next().start_m for _ in range(1000)])
    early, late = starts[starts <= 10.0], starts[starts > 10.0]
    assert 440 < len(late) < 560
    assert 90.0 <= late.min() < 91.0
    assert 129.0 < late.max() <= 130.0
    # three quarters of those before the first trigger would lie before the route
    assert 0.68 < np.mean(early == 0.0) < 0.82
    assert early.max() <= 10.0


def test_half_of_the_starts_before_triggers_and_none_where_there_are_none() -> None:
    actors = (ScriptedActor(type="ControlLoss", x=200.0, y=0.0),)
    episode = replace(EPISODES[0], scenario=EPISODES[0].scenario.model_copy(update={"actors": actors}))
    sampler = TrainingSampler([episode], seed=0, mid_route=1.0, curriculum=Curriculum(trigger_share=0.5))
    starts = np.array([sampler.next().start_m for _ in range(1000)])
    # of the uniform half, 0 to 160 m, an eighth lies between 140 and 160 m, too
    assert 0.51 < np.mean(starts >= 139.0) < 0.62
    plain = TrainingSampler(EPISODES, seed=0, mid_route=1.0, curriculum=Curriculum(trigger_share=1.0))
    uniform = TrainingSampler(EPISODES, seed=0, mid_route=1.0)
    assert [plain.next().start_m for _ in range(50)] == [uniform.next().start_m for _ in range(50)]


def test_an_episode_is_cut_off_early_but_never_later_than_its_suite_says() -> None:
    rules = Rules(time_limit_s=100.0, blocked_after_s=7.0)
    ruled = replace(EPISODES[0], scenario=EPISODES[0].scenario.model_copy(update={"rules": rules}))
    limits = {
        limit: [
            TrainingSampler([episode], seed=0, curriculum=Curriculum(time_limit_s=limit)).next().scenario.rules
            for episode in (ruled, EPISODES[0])
        ]
        for limit in (None, 75.0, 150.0)
    }
    assert [[rules.time_limit_s for rules in pair] for pair in limits.values()] == [[100.0, None], [75.0, 75.0], [100.0, 150.0]]
    assert limits[75.0][0].blocked_after_s == 7.0


def test_bad_arguments() -> None:
    with pytest.raises(UsageError, match="no scenarios"):
        TrainingSampler([], seed=0)
    with pytest.raises(UsageError, match="mid_route"):
        TrainingSampler(EPISODES, seed=0, mid_route=1.5)


def scripted(scenario_id: str, *types: str) -> Episode:
    actors = tuple(ScriptedActor(type=name, x=1.0, y=0.0) for name in types)
    traffic = Traffic(vehicles=9, pedestrians=4)
    return Episode(Scenario(scenario_id=scenario_id, town="t", positions=ENDS, actors=actors, traffic=traffic), ROUTE)


MIXED = [scripted("a"), scripted("b"), scripted("c"), scripted("d", "ParkedObstacle", "Accident")]


def test_kinds() -> None:
    assert [kind_of(episode) for episode in MIXED] == ["plain", "plain", "plain", "Accident+ParkedObstacle"]


def test_what_fails_is_drawn_more_often() -> None:
    sampler = TrainingSampler(MIXED, seed=0, curriculum=Curriculum(hard_share=1.0))
    assert sampler.failures == {"plain": 1.0, "Accident+ParkedObstacle": 1.0}
    # both kinds fail as far as anyone knows: half of the draws are the one obstacle
    assert 430 < sum(sampler.draw().index == 3 for _ in range(1000)) < 570
    for _ in range(100):
        sampler.learn("a", success=True)
    assert sampler.failures["plain"] == pytest.approx(0.95**100)
    # now 1 against the least weight of .05
    drawn = [sampler.draw().index for _ in range(1000)]
    assert sum(index == 3 for index in drawn) / 1000 == pytest.approx(1.0 / (1.0 + FORGETTING), abs=0.02)
    assert set(drawn) == {0, 1, 2, 3}


def test_half_of_the_draws_may_stay_uniform() -> None:
    sampler = TrainingSampler(MIXED, seed=0, curriculum=Curriculum(hard_share=0.5))
    # .5 x 1/4 + .5 x 1/2
    assert sum(sampler.draw().index == 3 for _ in range(2000)) / 2000 == pytest.approx(0.375, abs=0.04)


def test_traffic_grows() -> None:
    sampler = TrainingSampler(MIXED, seed=0, curriculum=Curriculum(traffic_start=0.0, traffic_until=0.5))
    counts = []
    for sampler.progress in (0.0, 0.25, 0.5, 1.0):
        traffic = sampler.next().scenario.traffic
        counts.append((traffic.vehicles, traffic.pedestrians))
    assert counts == [(0, 0), (4, 2), (9, 4), (9, 4)]


def test_a_draw_is_recalled_and_a_state_goes_on() -> None:
    settings = Curriculum(hard_share=0.5, traffic_start=0.5)
    sampler, other = (TrainingSampler(MIXED, seed=1, mid_route=0.5, curriculum=settings) for _ in range(2))
    for _ in range(5):
        sampler.learn("d", success=True)
        draw = sampler.draw()
        assert other.recall(draw) == sampler.recall(draw)
    other.load_state_dict(sampler.state_dict())
    assert [other.draw() for _ in range(50)] == [sampler.draw() for _ in range(50)]
