"""The vector environment: it is N single ones, and resets as Gymnasium's own vector environments do."""

import itertools
from typing import Any

import gymnasium
import numpy as np
import pytest
from gymnasium.utils.env_checker import data_equivalence
from gymnasium.vector import AutoresetMode, SyncVectorEnv, VectorEnv
from gymnasium.wrappers.vector import RecordEpisodeStatistics

import carla_rl.gym
from carla_rl.errors import UsageError
from carla_rl.gym.batch import Batch
from carla_rl.gym.config import EnvConfig
from carla_rl.gym.draws import Draws
from carla_rl.scenario.model import Episode

SMALL: dict[str, Any] = {"suite": "quick-train", "routes": "0-2", "decision_ticks": 10}
MODES = (AutoresetMode.NEXT_STEP, AutoresetMode.SAME_STEP)


def vector(num_envs: int, **arguments: Any) -> VectorEnv[Any, Any, Any]:
    return gymnasium.make_vec(carla_rl.gym.ENV_ID, num_envs=num_envs, vectorization_mode="vector_entry_point", **(SMALL | arguments))


def sync(num_envs: int, mode: AutoresetMode, **arguments: Any) -> VectorEnv[Any, Any, Any]:
    """Gymnasium's own vectorisation of the single environment."""
    makers = [lambda: gymnasium.make(carla_rl.gym.ENV_ID, **(SMALL | arguments)) for _ in range(num_envs)]
    return SyncVectorEnv(makers, autoreset_mode=mode)


def actions(num_envs: int, step: int) -> np.ndarray:
    """Full speed with a little steering: nobody lasts long."""
    rng = np.random.default_rng(step)
    return np.stack((np.ones(num_envs), rng.uniform(-0.3, 0.3, num_envs)), -1).astype(np.float32)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("arguments", [{}, {"observation": "features"}])
def test_it_is_gymnasiums_own_vectorisation_bit_for_bit(mode: AutoresetMode, arguments: dict[str, Any]) -> None:
    """Observations, rewards, flags and infos, over several autoresets, in both modes."""
    ours, theirs = vector(3, autoreset_mode=mode, **arguments), sync(3, mode, **arguments)
    assert ours.metadata["autoreset_mode"] is mode
    assert ours.observation_space == theirs.observation_space
    assert ours.action_space == theirs.action_space
    assert same(ours.reset(seed=11), theirs.reset(seed=11))
    ends = 0
    for step in range(60):
        told = ours.step(actions(3, step))
        assert same(told, theirs.step(actions(3, step))), f"step {step}"
        assert told[0] in ours.observation_space
        ends += int((told[2] | told[3]).sum())
    assert ends >= 3


def same(a: Any, b: Any) -> bool:
    """Equal values, types and keys; arrays of objects are compared object by object."""
    if isinstance(a, dict):
        return isinstance(b, dict) and a.keys() == b.keys() and all(same(a[key], b[key]) for key in a)
    if isinstance(a, tuple):
        return len(a) == len(b) and all(same(x, y) for x, y in zip(a, b, strict=True))
    if isinstance(a, np.ndarray) and a.dtype == object:
        return a.shape == b.shape and all(same(x, y) for x, y in zip(a, b, strict=True))
    return data_equivalence(a, b, exact=True)


def test_an_env_depends_on_its_seed_alone() -> None:
    """One of five does what it does alone."""
    many, alone = vector(5), vector(1)
    seen, _ = many.reset(seed=[1, 2, 3, 4, 5])
    single, _ = alone.reset(seed=[4])
    for step in range(40):
        assert all(np.array_equal(seen[name][3], single[name][0]) for name in seen)
        moves = actions(5, step)
        seen, *_ = many.step(moves)
        single, *_ = alone.step(moves[3:4])


def test_envs_of_different_seeds_meet_different_worlds() -> None:
    """Three scenarios, three draws of each of 64 seeds: 192 worlds. A seed draws the same ones as another env."""
    draws = Batch(2, EnvConfig(**SMALL)).draws
    drawn = [stream(draws, 0, seed) for seed in range(64)]
    assert len({(episode.episode_id, episode.seed, episode.start_m) for episodes in drawn for episode in episodes}) == 192
    assert len({episode.scenario.scenario_id for episodes in drawn for episode in episodes}) == 3
    # repetition 0 is the drive of `carla-rl evaluate`
    assert all(episode.repetition > 0 for episodes in drawn for episode in episodes)
    assert [episode.episode_id for episode in stream(draws, 1, 5)] == [episode.episode_id for episode in drawn[5]]


def stream(draws: Draws, env: int, seed: int) -> list[Episode]:
    """The first three episodes of the env with that seed."""
    draws.seed(env, np.random.default_rng(seed))
    return [draws.next(env) for _ in range(3)]


def until_an_end(envs: VectorEnv[Any, Any, Any]) -> tuple[Any, ...]:
    for step in range(200):
        told = envs.step(actions(envs.num_envs, step))
        if (told[2] | told[3]).any():
            return told
    raise AssertionError("no episode ended")


def test_next_step_shows_the_terminal_observation_and_then_resets() -> None:
    envs = vector(2)
    envs.reset(seed=1)
    seen, _, terminated, truncated, infos = until_an_end(envs)
    env = int(np.flatnonzero(terminated | truncated)[0])
    assert "final_obs" not in infos
    assert seen["speed"][env, 0] > 0.0  # where it ended, at speed
    assert infos["_ending"][env]
    assert infos["ending"][env] in ("infraction", "route_deviation")
    assert 0.0 <= infos["driving_score"][env] <= 100.0
    ended = infos["episode_id"][env]
    seen, reward, terminated, truncated, infos = envs.step(actions(2, 0))
    assert (reward[env], terminated[env], truncated[env]) == (0.0, False, False)
    assert seen["speed"][env, 0] == 0.0  # a fresh world: its action was not driven
    assert infos["episode_id"][env] != ended
    assert infos["route_completion"][env] == 0.0
    seen, *_ = envs.step(actions(2, 0))
    assert seen["speed"][env, 0] > 0.0


def test_same_step_shows_the_next_episode_and_hands_the_terminal_observation_on() -> None:
    envs = vector(2, autoreset_mode="SameStep")
    envs.reset(seed=1)
    seen, reward, terminated, truncated, infos = until_an_end(envs)
    env = int(np.flatnonzero(terminated | truncated)[0])
    assert reward[env] != 0.0
    assert seen["speed"][env, 0] == 0.0
    assert infos["_final_obs"][env]
    assert infos["final_obs"][env]["speed"][0] > 0.0
    assert infos["final_info"]["ending"][env] in ("infraction", "route_deviation")
    assert infos["final_info"]["episode_id"][env] != infos["episode_id"][env]
    assert "ending" not in infos


def test_both_modes_end_the_same_episodes_with_the_same_rewards() -> None:
    """The first episode of each env, up to its end, is the same; only what follows is told otherwise."""
    next_step, same_step = vector(2), vector(2, autoreset_mode=AutoresetMode.SAME_STEP)
    next_step.reset(seed=0)
    same_step.reset(seed=0)
    first, other = until_an_end(next_step), until_an_end(same_step)
    for a, b in zip(first[1:4], other[1:4], strict=True):
        assert np.array_equal(a, b)
    env = int(np.flatnonzero(first[2] | first[3])[0])
    assert all(np.array_equal(first[0][name][env], other[4]["final_obs"][env][name]) for name in first[0])


def test_what_it_returns_is_the_callers_own() -> None:
    envs = vector(2)
    told = [envs.reset(seed=0)] + [(step[0], step[4]) for step in (envs.step(actions(2, k)) for k in range(3))]
    for (seen, info), (later, later_info) in itertools.pairwise(told):
        assert not any(np.shares_memory(seen[name], later[name]) for name in seen)
        assert not any(np.shares_memory(info[key], later_info[key]) for key in ("episode_id", "route_completion"))


def test_gymnasiums_statistics_wrapper_counts_the_episodes() -> None:
    envs = RecordEpisodeStatistics(vector(2))
    envs.reset(seed=0)
    total, length = np.zeros(2), 0
    for step in range(200):
        _, reward, terminated, truncated, infos = envs.step(actions(2, step))
        total, length = total + reward, length + 1
        if (terminated | truncated).any():
            break
    env = int(np.flatnonzero(terminated | truncated)[0])
    assert infos["episode"]["l"][env] == length
    assert infos["episode"]["r"][env] == pytest.approx(total[env])


def test_rendering_and_closing() -> None:
    envs = vector(2, render_mode="rgb_array")
    envs.reset(seed=0)
    frames = envs.render()
    assert frames is not None
    assert [frame.shape for frame in frames] == [(512, 512, 3)] * 2
    envs.close()
    envs.close()
    assert vector(1).render() is None


@pytest.mark.parametrize(
    ("num_envs", "arguments", "told"),
    [
        (0, {}, "at least 1 env"),
        (2, {"autoreset_mode": "Disabled"}, "write 'NextStep' or 'SameStep'"),
        (2, {"nonsense": 1}, "nonsense is not a known field"),
    ],
)
def test_wrong_arguments_are_one_sentence(num_envs: int, arguments: dict[str, Any], told: str) -> None:
    with pytest.raises(UsageError) as error:
        vector(num_envs, **arguments)
    assert told in str(error.value)


def test_seeds_must_be_one_or_one_each() -> None:
    with pytest.raises(UsageError, match="one seed, or one for each env"):
        vector(2).reset(seed=[1, 2, 3])  # type: ignore[arg-type]
