from pathlib import Path

import numpy as np
import pytest
from metrics.drives import H, StraightPolicy, episode, loop, rollout

from carla_rl.errors import UsageError
from carla_rl.records.steps import StepLog, StepLogger, read_steps, write_steps
from carla_rl.types import Ending, Event, Infraction


def log_all(count: int, num_envs: int) -> dict[str, StepLog]:
    logger, logs = StepLogger(num_envs), {}
    script = {"line/0": [(10, Infraction.COLLISION_STATIC, 1.5)]}
    episodes = [episode(f"line/{i}", seed=i) for i in range(count)]
    for decision in rollout(loop(episodes, num_envs, script=script), StraightPolicy((0.5, 0.25))):
        for log in logger.update(decision, reward=np.full(num_envs, 0.5)):
            logs[log.episode_id] = log
    return logs


def test_a_drive_can_be_redrawn_from_its_log(tmp_path: Path) -> None:
    write_steps(tmp_path / "a.npz", log_all(1, 1)["line/0#0"])
    log = read_steps(tmp_path / "a.npz")
    # 2 m/s, 4 ticks of 0.05 s a decision, 10 m
    assert (log.episode_id, log.town, log.ending) == ("line/0#0", "Line", Ending.COMPLETED)
    np.testing.assert_allclose(log.t, np.arange(26) * 0.2, atol=1e-6)
    np.testing.assert_allclose(log.ego[:, 0], np.arange(26) * 0.4, atol=1e-6)
    np.testing.assert_allclose(log.facts[:, 0], np.arange(26) * 0.04, atol=1e-6)
    np.testing.assert_array_equal(log.control, np.tile(np.float32([0.5, -0.125, 0.0]), (25, 1)))
    assert log.waypoints.shape == (25, H, 2)
    assert log.delta is not None
    np.testing.assert_allclose(log.delta, np.broadcast_to([0.5, 0.25], (25, H, 2)), atol=1e-6)
    assert log.reward is not None
    assert log.reward.tolist() == [0.5] * 25
    # of three rows one is unused and one is 2 km away
    assert log.actor_start.tolist() == list(range(26))
    np.testing.assert_array_equal(log.actors[7], np.float32([9, 1, 20, 1, 0, 3, 2.25, 1]))
    assert log.lights.tolist() == [[3, 3]] * 25
    assert log.events == (Event(Infraction.COLLISION_STATIC, 10, 1.0, 0.0, 7, 1.5),)
    assert log.route.shape == (11, 4)
    assert log.route[-1].tolist() == [10.0, 0.0, 0.0, 1.75]


def test_the_number_of_envs_changes_nothing(tmp_path: Path) -> None:
    one, many = log_all(7, 1), log_all(7, 3)
    assert one.keys() == many.keys()
    for name in one:
        for number, log in enumerate((one[name], many[name])):
            write_steps(tmp_path / f"{number}.npz", log)
        # member by member: the archive itself carries a date
        with np.load(tmp_path / "0.npz") as a, np.load(tmp_path / "1.npz") as b:
            assert a.files == b.files
            for field in a.files:
                np.testing.assert_array_equal(a[field], b[field])


def test_what_was_not_there_is_none(tmp_path: Path) -> None:
    logger, logs = StepLogger(1), []
    for decision in rollout(loop([episode()]), StraightPolicy(sft=False)):
        logs += logger.update(decision)
    write_steps(tmp_path / "a.npz", logs[0])
    log = read_steps(tmp_path / "a.npz")
    assert (log.sft_waypoints, log.delta, log.reward) == (None, None, None)


def test_unreadable_logs_get_a_sentence(tmp_path: Path) -> None:
    path = tmp_path / "a.npz"
    with pytest.raises(UsageError, match="no such step log"):
        read_steps(path)
    write_steps(path, log_all(1, 1)["line/0#0"])
    whole = path.read_bytes()
    for broken in (whole[: len(whole) // 2], b"", b"text"):
        path.write_bytes(broken)
        with pytest.raises(UsageError, match="not a readable step log"):
            read_steps(path)
    np.savez(path, other=np.zeros(3))
    with pytest.raises(UsageError, match="not a step log of this program"):
        read_steps(path)
    np.savez(path, meta=np.array('{"version": 99}'))
    with pytest.raises(UsageError, match="version 99"):
        read_steps(path)


def test_a_recorder_that_came_late_says_so() -> None:
    decisions = list(rollout(loop([episode()]), StraightPolicy()))
    logger = StepLogger(1)
    for decision in decisions[1:-1]:
        logger.update(decision)
    with pytest.raises(ValueError, match="start of an episode"):
        logger.update(decisions[-1])
