from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numba
import numpy as np
import pytest
from simulator_contract import ALL_NEEDS, RestorableContract, same

from carla_rl.errors import UsageError
from carla_rl.roads.network import RoadNetwork
from carla_rl.roads.tracing import draw_route, trace
from carla_rl.scenario.model import Episode, Rules, Scenario, ScriptedActor, Traffic
from carla_rl.types import CameraSpec, Control, Ego, Ending, Needs
from toy_env.simulator import ToySimulator
from toy_env.towns import load_town

_NETWORKS: dict[str, RoadNetwork] = {}


def networks(town: str) -> RoadNetwork:
    if town not in _NETWORKS:
        _NETWORKS[town] = load_town(town)
    return _NETWORKS[town]


def draw(town: str, seed: int) -> Episode:
    positions = draw_route(networks(town), seed, 150.0, 400.0)
    scenario = Scenario(scenario_id=f"{town}-{seed}", town=town, positions=positions, seed=seed, traffic=Traffic(vehicles=6, pedestrians=3))
    return Episode(scenario, trace(networks(town), positions, "the test"))


EPISODES = [draw("grid", 1), draw("ring", 2), draw("grid", 3), draw("roundabout", 4), draw("highway", 5)]


class TestToySimulator(RestorableContract):
    ticks = 200

    def make(self, num_envs: int, needs: Needs) -> ToySimulator:
        return ToySimulator(num_envs, needs, networks)

    def episodes(self) -> Sequence[Episode]:
        return EPISODES

    def test_many_envs_on_one_or_two_threads_give_the_same_bits_as_one(self, monkeypatch: pytest.MonkeyPatch) -> None:
        if numba.config.NUMBA_NUM_THREADS < 2:
            pytest.skip("needs two threads")
        monkeypatch.setattr("carla_rl.world.compiled.PARALLEL_FROM", 2)
        count = 20
        order = [EPISODES[k % 5] for k in range(count)]
        results = []
        for threads, envs in ((1, np.arange(count)), (2, np.arange(count)[::-1])):
            toy = ToySimulator(count, ALL_NEEDS, networks, threads=threads)
            toy.reset(envs, [order[env] for env in envs])
            results.append((self.drive(toy, 100), toy.observe(), toy.scene()))
        for one, two in zip(*results, strict=True):
            same(one, two)
        for env in range(5):
            alone = self.make(1, ALL_NEEDS)
            self.start(alone, [order[env]])
            same(results[0][0], self.drive(alone, 100), [env])

    def test_a_start_midway_drives_the_rest(self) -> None:
        toy = self.make(1, ALL_NEEDS)
        episode = replace(EPISODES[0], start_m=60.5)
        step = toy.reset(np.array([0]), [episode])
        assert step.facts.route_length[0] == pytest.approx(episode.route.length - 60.5)
        assert step.facts.lateral[0] == pytest.approx(0.0, abs=1e-6)
        seen = toy.observe()
        assert seen.route_left is not None
        assert seen.route_left[0] == pytest.approx(episode.route.length - 60.5, abs=0.1)

    def test_an_ended_env_stands_still(self) -> None:
        toy = self.make(1, ALL_NEEDS)
        short = EPISODES[0].scenario.model_copy(update={"rules": EPISODES[0].scenario.rules.model_copy(update={"time_limit_s": 1.0})})
        toy.reset(np.array([0]), [replace(EPISODES[0], scenario=short)])
        ended = self.drive(toy, 20)
        assert ended.ending.tolist() == [5]
        assert ended.facts.tick.tolist() == [20]
        same(ended, self.drive(toy, 5))

    def test_a_control_that_is_not_a_number_names_its_env(self) -> None:
        toy = self.make(2, ALL_NEEDS)
        self.start(toy, EPISODES[:2])
        with pytest.raises(ValueError, match="env 1 is not finite"):
            toy.step(Control(np.zeros(2), np.array([0.0, np.nan]), np.zeros(2)))


def test_mistakes_are_refused_before_anything_runs() -> None:
    with pytest.raises(UsageError, match="at least 1 env"):
        ToySimulator(0, Needs(), networks)
    with pytest.raises(UsageError, match="threads must be"):
        ToySimulator(1, Needs(), networks, threads=1000)
    toy = ToySimulator(1, Needs(), networks)
    good = EPISODES[0]
    with pytest.raises(UsageError, match="start_m"):
        toy.reset(np.array([0]), [replace(good, start_m=1e6)])
    with pytest.raises(UsageError, match="no town is called"):
        toy.network("Nowhere")
    off = ScriptedActor(type="DynamicObjectCrossing", x=1e4, y=0.0)
    with pytest.raises(UsageError, match="from the route"):
        toy.reset(np.array([0]), [replace(good, scenario=good.scenario.model_copy(update={"actors": (off,)}))])
    unknown = ScriptedActor(name="it_1", type="CrossingBicycleFlow", x=0.0, y=0.0)
    hard = replace(good, scenario=good.scenario.model_copy(update={"actors": (unknown,)}))
    assert toy.unsupported(hard) == ("CrossingBicycleFlow",)
    with pytest.raises(UsageError, match="CrossingBicycleFlow cannot be played"):
        toy.reset(np.array([0]), [hard])
    toy.reset(np.array([0]), [replace(good, skipped=("it_1",))])


def test_a_closed_simulator_can_be_reset_again() -> None:
    toy = ToySimulator(1, Needs(), networks)
    for _ in range(2):
        toy.reset(np.array([0]), [EPISODES[0]])
        step = toy.step(Control(np.ones(1), np.zeros(1), np.zeros(1)))
        assert step.facts.tick[0] == 1
        toy.close()


def test_routes_that_nobody_drives_are_forgotten_without_a_trace(monkeypatch: pytest.MonkeyPatch) -> None:
    contract = TestToySimulator()
    results = []
    for points in (10**6, 0):
        monkeypatch.setattr("carla_rl.world.fleet.POOL_POINTS", points)
        toy = contract.make(2, ALL_NEEDS)
        toy.reset(np.array([0, 1]), EPISODES[:2])
        contract.drive(toy, 60)
        for episode in EPISODES[2:]:
            toy.reset(np.array([0]), [episode])
        results.append((contract.drive(toy, 60), toy.observe(), toy._fleet.routes.used))
    kept, forgetful = results
    same(kept[0], forgetful[0])
    same(kept[1], forgetful[1])
    assert forgetful[2] < kept[2]


def test_scripts_go_on_where_they_were_and_routes_need_not_be_the_same_objects() -> None:
    """Brought back into a simulator whose pools lie otherwise, with copies of the routes."""
    contract = TestToySimulator()
    middle = EPISODES[0].route.length / 3.0
    at = int(np.searchsorted(EPISODES[0].route.s, middle))
    crossing = ScriptedActor(type="DynamicObjectCrossing", x=float(EPISODES[0].route.x[at]), y=float(EPISODES[0].route.y[at]))
    scenario = EPISODES[0].scenario.model_copy(update={"actors": (crossing,)})
    episode = replace(EPISODES[0], scenario=scenario, start_m=middle - 25.0)
    toy = contract.make(2, ALL_NEEDS)
    toy.reset(np.array([0, 1]), [EPISODES[1], episode])
    contract.drive(toy, 60)
    copies = [
        Episode(item.scenario, trace(networks(item.scenario.town), item.scenario.positions, "the test")) for item in (EPISODES[1], episode)
    ]
    copies[1] = replace(copies[1], start_m=episode.start_m)
    again = contract.make(2, ALL_NEEDS)
    again.reset(np.array([0, 1]), [EPISODES[4], EPISODES[0]])
    again.restore(copies, toy.snapshot())
    assert toy._worlds.scripts["phase"][1].max() > 0, "the script is being played"
    for _ in range(3):
        same(contract.drive(toy, 40), contract.drive(again, 40))
        same(toy.observe(), again.observe())
        same(toy.scene(), again.scene())


def test_cameras_are_drawn_only_for_who_declares_them_and_the_same_in_any_env() -> None:
    needs = Needs(cameras=(CameraSpec(name="front", width=64, height=48),))
    toy = ToySimulator(3, needs, networks)
    toy.reset(np.array([0, 2]), [EPISODES[1], EPISODES[0]])
    images = toy.observe().images["front"]
    assert (images.shape, images.dtype) == ((3, 48, 64, 3), np.uint8)
    assert not images[1].any(), "an env without an episode is black"
    alone = ToySimulator(1, needs, networks)
    alone.reset(np.array([0]), [EPISODES[0]])
    np.testing.assert_array_equal(alone.observe().images["front"][0], images[2])


def test_cameras_go_on_too() -> None:
    needs = Needs(cameras=(CameraSpec(name="front", width=64, height=48),))
    toy, again = (ToySimulator(2, needs, networks) for _ in range(2))
    toy.reset(np.array([0, 1]), EPISODES[:2])
    again.reset(np.array([0, 1]), EPISODES[3:5])
    again.observe()
    TestToySimulator().drive(toy, 20)
    again.restore(EPISODES[:2], toy.snapshot())
    np.testing.assert_array_equal(toy.observe().images["front"], again.observe().images["front"])


def test_worlds_at_rest_are_not_drawn_again(monkeypatch: pytest.MonkeyPatch) -> None:
    needs = Needs(cameras=(CameraSpec(name="front", width=64, height=48),))
    toy = ToySimulator(3, needs, networks)
    soon = replace(EPISODES[0], scenario=EPISODES[0].scenario.model_copy(update={"rules": Rules(time_limit_s=1.0)}))
    toy.reset(np.array([0, 1]), [soon, EPISODES[2]])
    assert toy._pictures is not None
    drawn: list[int] = []
    renderer = toy._pictures._renderer
    camera = renderer.camera

    def counted(network: RoadNetwork, spec: CameraSpec, egos: Ego, *rest: Any) -> Any:
        drawn.append(len(egos.x))
        return camera(network, spec, egos, *rest)

    monkeypatch.setattr(renderer, "camera", counted)
    toy.observe()
    toy.observe()
    assert drawn == [2], "nothing has moved since"
    steps = [toy.step(Control(np.full(3, 0.7), np.zeros(3), np.zeros(3))) for _ in range(20)]
    assert steps[-1].ending[0] == Ending.ROUTE_TIMEOUT
    ended = toy.observe().images["front"]
    toy.step(Control(np.full(3, 0.7), np.zeros(3), np.zeros(3)))
    later = toy.observe().images["front"]
    assert drawn == [2, 2, 1]
    np.testing.assert_array_equal(later[0], ended[0])
    assert (later[1] != ended[1]).any()
    again = ToySimulator(3, needs, networks)
    again.restore([soon, EPISODES[2], None], toy.snapshot())
    np.testing.assert_array_equal(again.observe().images["front"], later)
    toy.reset(np.array([0]), [EPISODES[4]])
    alone = ToySimulator(1, needs, networks)
    alone.reset(np.array([0]), [EPISODES[4]])
    np.testing.assert_array_equal(toy.observe().images["front"][0], alone.observe().images["front"][0])
    assert drawn[3:] == [1], "only the env that began anew"
