"""What holds in any world: nobody inside another at the start, no NaN, nothing falls that only grows."""

import math

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from carla_rl.geometry import boxes_overlap
from carla_rl.metrics.scores import DEFINITIONS, Drive
from carla_rl.roads.tracing import draw_route, trace
from carla_rl.scenario.model import Episode, Scenario, Traffic
from carla_rl.types import Control, Needs
from toy_env.simulator import ToySimulator
from toy_env.towns import TOWNS, load_town

NETWORKS = {town: load_town(town) for town in TOWNS}
ROUTES = {(town, seed): draw_route(NETWORKS[town], seed, 100.0, 300.0) for town in TOWNS for seed in range(2)}
TRACED = {key: trace(NETWORKS[key[0]], positions, "the test") for key, positions in ROUTES.items()}
TOY = ToySimulator(1, Needs(route=True, objects=8, lights=True), NETWORKS.__getitem__)


def episode(town: str, number: int, seed: int, vehicles: int, walkers: int, start: float = 0.0) -> Episode:
    traffic = Traffic(vehicles=vehicles, pedestrians=walkers)
    route = TRACED[town, number]
    scenario = Scenario(scenario_id="any", town=town, positions=ROUTES[town, number], seed=seed, traffic=traffic)
    return Episode(scenario, route, start_m=start * route.length)


towns = st.sampled_from(TOWNS)
worlds = st.builds(episode, towns, st.integers(0, 1), st.integers(0, 2**40), st.integers(0, 60), st.integers(0, 30), st.floats(0.0, 0.8))


@given(worlds)
def test_nobody_is_inside_another_after_a_reset(world: Episode) -> None:
    step = TOY.reset(np.array([0]), [world])
    actors = TOY.scene().actors[0].astype(float)
    boxes = [tuple(row[[2, 3, 4, 6, 7]]) for row in actors if row[1]]
    assert len(boxes) == TOY.placed(0)
    boxes.append((step.ego.x[0], step.ego.y[0], step.ego.yaw[0], 2.45, 1.03))
    for k, box in enumerate(boxes):
        for other in boxes[:k]:
            assert not boxes_overlap(*box, *other)
    assert all(math.hypot(box[0] - boxes[-1][0], box[1] - boxes[-1][1]) <= 101.0 for box in boxes)


@settings(max_examples=20)
@given(worlds, st.integers(0, 2**32 - 1))
def test_any_driving_keeps_the_world_sound(world: Episode, seed: int) -> None:
    random = np.random.default_rng(seed)
    facts = TOY.reset(np.array([0]), [world]).facts
    for tick in range(150):
        if tick % 10 == 0:
            control = Control(random.uniform(0, 1, 1), random.uniform(-1, 1, 1), random.choice([0.0, 0.0, 1.0], 1))
        step = TOY.step(control)
        assert step.facts.route_completion[0] >= facts.route_completion[0]
        assert 0.0 <= step.facts.outside_share[0] <= 1.0
        assert step.ego.speed[0] >= 0.0
        facts = step.facts
    seen, scene = TOY.observe(), TOY.scene()
    for values in (step.ego.x, step.ego.y, step.ego.yaw, step.ego.yaw_rate, facts.lateral, seen.route, seen.objects, scene.actors):
        assert np.isfinite(values).all()
    used = scene.actors[0][:, 1] > 0
    assert len(set(scene.actors[0][used, 0])) == used.sum(), "ids are unique"
    ego = (step.ego.x[0], step.ego.y[0], step.ego.yaw[0], 2.45, 1.03)
    rows = TOY._worlds.actors[0]
    for row in rows[rows["kind"] > 0]:
        assert not boxes_overlap(*ego, row["x"], row["y"], row["yaw"], row["half_length"], row["half_width"])


@settings(max_examples=10)
@given(worlds, st.integers(0, 2**32 - 1))
def test_any_driving_is_scored_between_0_and_100(world: Episode, seed: int) -> None:
    random = np.random.default_rng(seed)
    step = TOY.reset(np.array([0]), [world])
    for _ in range(120):
        step = TOY.step(Control(random.uniform(0, 1, 1), random.uniform(-0.3, 0.3, 1), np.zeros(1)))
    kinds = [event.kind for event in TOY.events(0)]
    counts = {kind: kinds.count(kind) for kind in set(kinds)}
    drive = Drive(float(step.facts.route_completion[0]), counts, float(step.facts.outside_share[0]))
    for definition in DEFINITIONS.values():
        assert 0.0 <= definition.score(drive).score_composed <= 100.0
