"""The single environment: Gymnasium's own checker, seeds, endings, and wrong arguments."""

import subprocess
import sys
from typing import Any

import gymnasium
import numpy as np
import pytest
from gymnasium import spaces
from gymnasium.utils.env_checker import check_env, data_equivalence

import carla_rl.gym
from carla_rl.build import Networks, make_simulator
from carla_rl.errors import UsageError
from carla_rl.evaluate import Parts, drive
from carla_rl.policies import features
from carla_rl.policies.expert import Expert
from carla_rl.scenario.episodes import make_episodes
from carla_rl.scenario.suite import load_suite
from carla_rl.types import Observation, Plan

SMALL: dict[str, Any] = {"suite": "quick-train", "routes": "0-2"}
FULL, BRAKE = np.array([1.0, 0.0], np.float32), np.array([-1.0, 0.0], np.float32)


def make(**arguments: Any) -> gymnasium.Env[Any, Any]:
    return gymnasium.make(carla_rl.gym.ENV_ID, **(SMALL | arguments))


@pytest.mark.parametrize(
    "arguments",
    [
        {},
        {"action": "waypoints", "horizon": 20, "decision_ticks": 2},
        {"observation": "features", "mid_route": 0.5},
        {"camera": {"width": 48, "height": 32}, "objects": 0, "route": False, "lights": False, "speed_limit": False},
        {"suite": "quick-eval", "split": "evaluation"},
    ],
)
def test_gymnasiums_checker_finds_nothing(arguments: dict[str, Any]) -> None:
    """Its warnings are errors here."""
    env = make(**arguments)
    check_env(env.unwrapped)
    env.close()


def test_it_is_found_by_its_module_name_alone() -> None:
    code = "import gymnasium; print(gymnasium.make('carla_rl.gym:carla_rl/Toy-v0', suite='quick-train', routes='0').action_space.shape)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "(2,)"


def test_the_spaces_are_what_was_asked_for() -> None:
    env = make(objects=5, camera={"name": "cam", "width": 40, "height": 30})
    assert isinstance(env.observation_space, spaces.Dict)
    shapes = {name: space.shape for name, space in env.observation_space.items()}
    assert shapes == {
        "speed": (1,),
        "yaw_rate": (1,),
        "route": (50, 2),
        "route_left": (1,),
        "objects": (5, 7),
        "light": (2,),
        "stop_sign": (2,),
        "speed_limit": (1,),
        "cam": (30, 40, 3),
    }
    assert make(observation="features").observation_space.shape == (features.SIZE,)
    assert make(action="waypoints", horizon=12).action_space.shape == (12, 2)
    assert set(make(route=False, objects=0, lights=False, speed_limit=False).observation_space.spaces) == {"speed", "yaw_rate"}  # type: ignore[attr-defined]


def play(env: gymnasium.Env[Any, Any], seed: int, steps: int) -> list[Any]:
    env.action_space.seed(7)
    told = [env.reset(seed=seed)]
    for _ in range(steps):
        step = env.step(env.action_space.sample() * 0.5 + np.float32(0.3))
        told.append(step)
        if step[2] or step[3]:
            told.append(env.reset())
    return told


def test_a_seed_determines_everything() -> None:
    first, again, other = (play(make(), seed, 60) for seed in (3, 3, 4))
    assert data_equivalence(first, again, exact=True)
    assert not data_equivalence(first[0], other[0], exact=True)


def test_each_reset_without_a_seed_goes_on_in_the_stream() -> None:
    env = make()
    ids = [env.reset(seed=1)[1]["episode_id"]] + [env.reset()[1]["episode_id"] for _ in range(4)]
    assert len({episode_id.split("#")[1] for episode_id in ids}) == 5  # a world of its own each
    assert env.reset(seed=1)[1]["episode_id"] == ids[0]


def test_a_held_out_suite_is_driven_with_its_own_worlds() -> None:
    env = make(suite="quick-eval")
    ids = [env.reset(seed=1)[1]["episode_id"]] + [env.reset()[1]["episode_id"] for _ in range(5)]
    assert {episode_id.split("#")[1] for episode_id in ids} == {"0"}


def test_a_scenario_can_be_asked_for() -> None:
    env = make()
    wanted = env.unwrapped.scenario_ids[1]  # type: ignore[attr-defined]
    seen, info = env.reset(seed=5, options={"scenario_id": wanted})
    assert info["episode_id"] == f"{wanted}#0"
    again, _ = env.reset(seed=6, options={"scenario_id": wanted})
    assert data_equivalence(seen, again, exact=True)


def timed_out(**arguments: Any) -> tuple[Any, ...]:
    """The last step of an episode whose time limit is 1 s, stood still."""
    env = make(**arguments)
    env.reset(seed=0)
    for _ in range(20):
        step = env.step(BRAKE)
        if step[2] or step[3]:
            return step
    raise AssertionError("the episode did not end")


@pytest.fixture
def short_suite(tmp_path: Any) -> str:
    """One route of the grid; time is up after 1 s."""
    path = tmp_path / "short.toml"
    path.write_text(
        '[suite]\nname = "short"\nsplit = "any"\ndescription = "x"\n'
        '[[scenario]]\nid = "a"\ntown = "grid"\npositions = [[20, 88.2], [150, 88.2]]\nseed = 7\n'
        "rules = { time_limit_s = 1.0 }\ntraffic = { vehicles = 2 }\n"
    )
    return str(path)


def test_the_time_limit_truncates_and_nothing_else(short_suite: str) -> None:
    _, reward, terminated, truncated, info = timed_out(suite=short_suite, routes=None)
    assert (terminated, truncated) == (False, True)
    assert info["ending"] == "route_timeout"
    assert info["infractions"]["route_timeout"] == 1
    # standing still costs the living alone
    assert reward == pytest.approx(-0.01)
    assert 0.0 <= info["driving_score"] < 5.0
    assert info["success"] is False


def test_a_fault_terminates() -> None:
    env = make()
    env.reset(seed=0)
    for _ in range(200):
        _, _, terminated, truncated, info = env.step(FULL)
        if terminated or truncated:
            break
    assert (terminated, truncated) == (True, False)
    assert info["ending"] in ("infraction", "route_deviation")
    with pytest.raises(gymnasium.error.ResetNeeded, match="the episode is over"):
        env.step(FULL)
    env.reset()
    env.step(FULL)


def test_pedals_are_signed_and_steer_is_positive_to_the_left() -> None:
    env = make(decision_ticks=10)
    env.reset(seed=2)
    speeds = [float(env.step(np.array([1.0, 0.0], np.float32))[0]["speed"][0]) for _ in range(3)]
    assert speeds == sorted(speeds)
    assert speeds[0] > 0.5
    left = env.step(np.array([0.5, 0.5], np.float32))[0]
    assert left["yaw_rate"][0] > 0.0
    slower = env.step(BRAKE)[0]
    assert slower["speed"][0] < left["speed"][0]


def test_waypoints_drive_as_the_loop_drives_them() -> None:
    """The expert's plans through the environment give the very score that `carla-rl evaluate` gives."""
    networks, expert = Networks(), Expert()
    simulator = make_simulator("toy", 1, expert.needs, networks)
    episodes = make_episodes(load_suite("quick-eval", networks, "0"), networks, simulator.unsupported)
    from carla_rl.build import make_controller

    (expected,) = drive(Parts(simulator, expert, make_controller("default", 1), Expert(), 4), episodes)
    env = make(suite="quick-eval", routes="0", action="waypoints", objects=expert.needs.objects, room=True)
    seen, _ = env.reset(seed=0, options={"scenario_id": episodes[0].scenario.scenario_id})
    expert.reset(np.ones(1, np.bool_))
    steps, over = 0, False
    while not over:
        plan: Plan = expert.plan(as_observation(seen))
        seen, _, terminated, truncated, info = env.step(plan.waypoints[0])
        steps, over = steps + 1, terminated or truncated
    assert (steps, info["ending"]) == (expected.steps, expected.ending.name.lower())
    assert info["driving_score"] == expected.driving_score
    assert info["success"] == expected.success


def as_observation(seen: dict[str, Any]) -> Observation:
    scalars = ("speed", "yaw_rate", "route_left", "speed_limit")
    return Observation(**{name: value.reshape(1) if name in scalars else value[None] for name, value in seen.items()})


def test_the_birds_eye_view_shows_the_ego() -> None:
    env = make(render_mode="rgb_array")
    env.reset(seed=0)
    picture = env.render()
    assert isinstance(picture, np.ndarray)
    assert (picture.shape, picture.dtype) == ((512, 512, 3), np.uint8)
    # its centre lies 65 % down the picture
    assert tuple(picture[332, 256]) == (0, 174, 239)
    assert env.metadata["render_fps"] == pytest.approx(5.0)


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ({"action": "wheel"}, "action: Input should be 'control' or 'waypoints'"),
        ({"suit": "train"}, "suit is not a known field"),
        ({"suite": "nonsense"}, "no suite 'nonsense'"),
        ({"suite": "quick-eval", "split": "training"}, "of the split 'evaluation', not 'training'"),
        ({"suite": "quick-eval", "mid_route": 0.5}, "leave mid_route at 0"),
        ({"routes": "999"}, "999"),
        ({"decision_ticks": 0}, "decision_ticks"),
        ({"objects": -1}, "objects"),
        ({"controller": "tcp"}, "controller can only be chosen with action='waypoints'"),
        ({"observation": "features", "camera": True}, "camera can only be chosen with observation='dict'"),
        ({"action": "waypoints", "controller": "nonsense"}, "nonsense"),
        ({"action": "waypoints", "controller": "tcp", "horizon": 10}, "horizon is 10, too short"),
        ({"camera": {"name": "route"}}, "choose another name"),
        ({"reward": {"collision": -1.0}}, "reward.collision"),
        ({"threads": 9999}, "threads must be"),
    ],
)
def test_wrong_arguments_are_one_sentence(arguments: dict[str, Any], told: str) -> None:
    with pytest.raises(UsageError) as error:
        make(**arguments)
    assert told in str(error.value)
    assert "\n" not in str(error.value)


def test_wrong_options_and_actions_are_refused() -> None:
    env = make()
    with pytest.raises(UsageError, match="the only option of a reset is scenario_id"):
        env.reset(options={"route": 1})
    with pytest.raises(UsageError, match="no scenario 'x'"):
        env.reset(options={"scenario_id": "x"})
    env.reset(seed=0)
    with pytest.raises(ValueError, match="must have the shape"):
        env.unwrapped.step(np.zeros(3, np.float32))
    with pytest.raises(ValueError, match="not finite"):
        env.unwrapped.step(np.array([np.nan, 0.0], np.float32))
