import functools
import math
from dataclasses import fields, replace
from pathlib import Path

import pytest

from carla_rl.carla_sim.opendrive import compile_opendrive
from carla_rl.errors import UsageError
from carla_rl.roads.network import RoadNetwork
from carla_rl.roads.route import Route
from carla_rl.roads.tracing import trace
from carla_rl.scenario.episodes import make_episodes
from carla_rl.scenario.model import Episode, Scenario, ScriptedActor
from carla_rl.scenario.suite import Suite, load_suite
from toy_env.towns import load_town

SHARED = Path(__file__).parents[2] / "../shared"
networks = functools.cache(load_town)

ALONG = ((20.0, 88.2, 0.0), (150.0, 88.2, 0.0), (191.8, 180.0, 0.0))
CROSSING = ScriptedActor(name="steps out", type="DynamicObjectCrossing", x=60.0, y=88.2)
BRAKE = ScriptedActor(type="HardBreakRoute", x=130.0, y=88.2)


def suite_of(*actors: ScriptedActor) -> Suite:
    scenario = Scenario(scenario_id="s", town="grid", positions=ALONG, seed=5, actors=actors)
    return Suite("mine", "any", "", Path("mine.toml"), (scenario,), (trace(networks("grid"), ALONG, ""),))


def plays_all(episode: Episode) -> tuple[str, ...]:
    return ()


def plays_no_crossing(episode: Episode) -> tuple[str, ...]:
    return tuple(actor.type for actor in episode.scenario.actors if actor.type == "DynamicObjectCrossing")


def test_each_repetition_is_an_episode_with_a_seed_of_its_own() -> None:
    episodes = make_episodes(suite_of(CROSSING, BRAKE), networks, plays_all, repetitions=3)
    assert [episode.episode_id for episode in episodes] == ["s#0", "s#1", "s#2"]
    assert len({episode.seed for episode in episodes}) == 3
    assert all(episode.start_m == 0.0 and episode.skipped == () for episode in episodes)
    assert all(episode.scenario.actors == (CROSSING, BRAKE) for episode in episodes)
    # 170 m east and 92 m north, the corner cut
    assert 235 < episodes[0].route.length < 262


def test_what_cannot_be_played_is_refused() -> None:
    with pytest.raises(UsageError) as failure:
        make_episodes(suite_of(CROSSING, BRAKE), networks, plays_no_crossing)
    for part in ("mine.toml", "scenario s", "DynamicObjectCrossing", "--skip-unsupported"):
        assert part in str(failure.value)
    assert "HardBreakRoute" not in str(failure.value)


def test_or_left_out_and_listed() -> None:
    (episode,) = make_episodes(suite_of(CROSSING, BRAKE), networks, plays_no_crossing, skip_unsupported=True)
    assert episode.skipped == ("steps out",)
    assert episode.scenario.actors == (BRAKE,)
    (untouched,) = make_episodes(suite_of(BRAKE), networks, plays_no_crossing, skip_unsupported=True)
    assert (untouched.skipped, untouched.scenario.actors) == ((), (BRAKE,))


@pytest.mark.parametrize(("x", "y", "yaw"), [(60.0, 93.0, 0.0), (60.0, 88.2, math.pi), (60.0, 88.2, 0.2), (5.0, 88.2, 0.0)])
def test_a_trigger_off_the_route_is_refused(x: float, y: float, yaw: float) -> None:
    with pytest.raises(UsageError, match=r"mine\.toml: scenario s: the trigger of T at .* is not on the route"):
        make_episodes(suite_of(ScriptedActor(type="T", x=x, y=y, yaw=yaw)), networks, plays_all)


@pytest.mark.parametrize(
    ("actor", "told"),
    [
        (ScriptedActor(type="T", x=60.0, y=88.2), "no script is known for T"),
        (ScriptedActor(type="VehicleOpensDoorTwoWays", x=60.0, y=88.2, parameters={"direction": "up"}), "direction must be one of"),
        (ScriptedActor(type="YieldToEmergencyVehicle", x=60.0, y=88.2, parameters={"distance": "far"}), "distance must be a number"),
    ],
)
def test_a_script_that_cannot_be_played_is_found_before_anything_is_driven(actor: ScriptedActor, told: str) -> None:
    with pytest.raises(UsageError, match=told):
        make_episodes(suite_of(actor), networks, plays_all)


def test_a_route_too_short_to_drive_is_refused() -> None:
    suite = suite_of()
    route = suite.routes[0]
    short = Route(route.town, *(getattr(route, item.name)[:2] for item in fields(route) if item.name != "town"))
    with pytest.raises(UsageError, match=r"mine\.toml: scenario s: its route is 0\.\d\d m long; 1 m is the least"):
        make_episodes(replace(suite, routes=(replace(short, s=0.5 * short.s),)), networks, plays_all)


def test_repetitions_start_at_one() -> None:
    with pytest.raises(UsageError, match="repetitions is 0"):
        make_episodes(suite_of(), networks, plays_all, repetitions=0)


@functools.cache
def carla_town(name: str) -> RoadNetwork:
    return compile_opendrive(SHARED / "maps" / f"{name}.xodr.gz", name)


@pytest.mark.skipif(not SHARED.is_dir(), reason="../shared is not there")
@pytest.mark.parametrize(
    ("dialect", "towns", "routes", "actors", "omitted"), [("v1", "Town01", 6, 0, 6), ("v2", "Town01,Town02,Town04", 18, 182, 12)]
)
def test_longest6_on_the_real_maps(dialect: str, towns: str, routes: int, actors: int, omitted: int) -> None:
    pytest.importorskip("carla", reason="the carla wheel is not installed")
    suite = load_suite(SHARED / f"routes/longest6_{dialect}.xml", carla_town, towns)
    episodes = make_episodes(suite, carla_town, plays_all)
    assert len(episodes) == routes
    assert all(600 < episode.route.length < 4000 for episode in episodes)
    assert sum(len(episode.scenario.actors) for episode in episodes) == actors
    assert len(suite.omitted) == omitted


@pytest.mark.skipif(not SHARED.is_dir(), reason="../shared is not there")
def test_a_route_file_of_an_unknown_town_is_refused_by_route() -> None:
    with pytest.raises(UsageError, match=r"longest6_v2\.xml: scenario RouteScenario_12: no town is called 'Town03'"):
        load_suite(SHARED / "routes/longest6_v2.xml", load_town, "12")
