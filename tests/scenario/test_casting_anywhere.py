"""Any type at any place of our own towns: a script that holds together, or one clear sentence."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from carla_rl.build import Networks
from carla_rl.errors import UsageError
from carla_rl.roads.route import Route
from carla_rl.roads.tracing import draw_route, trace
from carla_rl.scenario.casting import TYPES, cast
from carla_rl.scenario.model import Scenario, ScriptedActor
from carla_rl.scenario.places import pose_at
from carla_rl.scenario.script import Script
from toy_env.towns import TOWNS

NETWORKS = Networks()
ROUTES: dict[tuple[str, int], Route] = {}


def route_of(town: str, seed: int) -> Route:
    if (town, seed) not in ROUTES:
        network = NETWORKS(town)
        ROUTES[town, seed] = trace(network, draw_route(network, seed, 150.0, 600.0), "drawn")
    return ROUTES[town, seed]


@settings(max_examples=150)
@given(st.sampled_from(sorted(TYPES)), st.sampled_from(TOWNS), st.integers(0, 3), st.floats(0.0, 1.0))
def test_a_script_or_a_sentence(type_name: str, town: str, seed: int, share: float) -> None:
    route = route_of(town, seed)
    x, y, yaw = pose_at(route, share * route.length)
    actor = ScriptedActor(name="it", type=type_name, x=x, y=y, yaw=yaw)
    scenario = Scenario(scenario_id="any", town=town, positions=((0.0, 0.0, 0.0), (1.0, 0.0, 0.0)), seed=seed, actors=(actor,))
    problem = ""
    scripts: tuple[Script, ...] = ()
    try:
        scripts = cast(NETWORKS(town), route, scenario)
    except UsageError as error:
        problem = str(error)
    assert bool(scripts) != problem.startswith(f"scenario any: it ({type_name}) at (")
    for it in scripts:
        holds_together(it)


def holds_together(it: Script) -> None:
    assert 0.0 <= it.trigger_s <= it.over_s
    for part in it.parts:
        path = part.path
        assert len(path.s) >= 2
        assert (np.diff(path.s) > 0.0).all()
        assert np.isfinite(np.stack([path.x, path.y, path.z, path.yaw, path.speed])).all()
        assert np.hypot(np.diff(path.x), np.diff(path.y)).max() < 3.0
        assert 0.0 <= part.start_s < path.length
