"""The benchmarks of training: what drives, what is counted, what stable-baselines3 is given. No figure is compared with another."""

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
import torch

from carla_rl.bench import clone, course, peers, train, train_sizes
from carla_rl.bench.course import Course, make_course
from carla_rl.bench.repeat import summary
from carla_rl.checkpoint import SftState, save_sft
from carla_rl.cli.app import run
from carla_rl.errors import UsageError
from carla_rl.gaussian import Noise
from carla_rl.loop import ClosedLoop, Decision
from carla_rl.policies.sft import FrozenSft, SftPolicy
from carla_rl.types import LightState, ObjectColumn, ObjectKind, Observation, Plan

TINY = train_sizes.TrainSizes((1,), num_envs=4, rollout=4, epochs=2, minibatch=8, repetitions=2, warm_up=1)


@pytest.fixture(scope="module", autouse=True)
def short_suite() -> Iterator[None]:
    """Few routes, traced within a moment."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(course, "SUITE", "quick-train")
        yield


@pytest.fixture(scope="module")
def state() -> SftState:
    """A clone of a few steps: it drives somewhere."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(clone, "_STEPS", 60)
        patch.setattr(clone, "DECISIONS", 10)
        return clone.quick_clone(make_course(16).loop)


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch, state: SftState) -> None:
    """The benchmark at its very smallest."""
    monkeypatch.setattr(clone, "quick_clone", lambda loop: state)
    monkeypatch.setattr(clone, "ENVS", 1)
    monkeypatch.setattr(
        "carla_rl.bench.train_sizes.TrainSizes", lambda threads, num_envs, repetitions: replace(TINY, repetitions=repetitions)
    )


def seen(**changed: Any) -> Observation:
    """One env at 5 m/s on a straight road with a limit of 50 m/s and nobody in sight."""
    route = np.zeros((1, 50, 2), np.float32)
    route[0, :, 0] = 2.0 * np.arange(50)
    plain = {
        "speed": np.array([5.0], np.float32),
        "yaw_rate": np.zeros(1, np.float32),
        "route": route,
        "objects": np.zeros((1, 2, len(ObjectColumn)), np.float32),
        "light": np.array([[100.0, LightState.NONE]], np.float32),
        "speed_limit": np.array([50.0], np.float32),
    }
    return Observation(**(plain | changed))


def test_the_rule_plans_along_the_route() -> None:
    # it wants 8 m/s: 5.2, 5.4 .. until 8 after 1.5 s
    plan = clone.rule_plan(seen())
    assert plan.shape == (1, 20, 2)
    assert plan[0, :2, 0].tolist() == pytest.approx([0.52, 0.52 + 0.54])
    assert np.diff(plan[0, :, 0])[15:] == pytest.approx(0.8)
    assert not plan[..., 1].any()
    bent = seen()
    assert bent.route is not None
    bent.route[0, 1:, 1] = 1.0
    assert clone.rule_plan(bent)[0, [0, -1], 1].tolist() == pytest.approx([0.26, 1.0])


def test_the_rule_stops_for_what_is_in_its_way() -> None:
    table = np.zeros((1, 2, len(ObjectColumn)), np.float32)
    table[0, 0, [ObjectColumn.X, ObjectColumn.KIND]] = 7.0, ObjectKind.VEHICLE
    # brakes from 5 m/s with 4 m/s^2: 4.6, 4.2 .. .2, 0
    stops = clone.rule_plan(seen(objects=table))[0, :, 0]
    assert stops[[0, 1]].tolist() == pytest.approx([0.46, 0.88])
    assert stops[-1] == pytest.approx(0.1 * sum(5.0 - 0.4 * n for n in range(1, 13)))
    table[0, 0, ObjectColumn.Y] = 3.0
    assert np.array_equal(clone.rule_plan(seen(objects=table)), clone.rule_plan(seen()))


def test_the_clone_drives_like_the_rule(state: SftState) -> None:
    driven, policy = make_course(8, seed=1), SftPolicy(FrozenSft(state))
    speeds = []
    for _ in range(20):
        assert driven.loop.observation is not None
        speeds.append(driven.loop.advance(policy.plan(driven.loop.observation)).after.ego.speed.mean())
    assert speeds[-1] > 1.0


def test_both_programs_drive_the_same_loop(state: SftState) -> None:
    """The same corrections give the same observations and rewards as when our policy gives them."""
    pytest.importorskip("stable_baselines3")
    from carla_rl.bench.sb3 import LoopEnvs
    from carla_rl.policies.delta import DeltaConfig
    from carla_rl.policies.residual import ResidualPolicy
    from carla_rl.reward import RewardConfig, rewards

    envs = LoopEnvs(make_course(4).loop, state, RewardConfig())
    loop, policy = make_course(4).loop, ResidualPolicy(FrozenSft(state), DeltaConfig())
    policy.sample_with(Noise(torch.Generator().manual_seed(3)))
    features = envs.reset()
    for _ in range(30):
        assert loop.observation is not None
        plan = policy.plan(loop.observation)
        assert np.array_equal(features, plan.extras["features"])
        decision = loop.advance(plan)
        features, reward, done, infos = envs.step(plan.extras["action"])
        assert np.array_equal(reward, rewards(decision.before, decision.after, decision.active, RewardConfig()).total)
        assert np.array_equal(done, decision.ended)
        assert infos == [{}] * 4
    assert envs.observation_space.contains(features[0])


class Cut:
    """A loop in which env 1 is truncated and env 2 terminated by every decision; what env 1 sees at its ending is what it saw before."""

    def __init__(self, loop: ClosedLoop) -> None:
        self._loop = loop
        self.started = loop.started

    @property
    def observation(self) -> Observation | None:
        return self._loop.observation

    def advance(self, plan: Plan) -> Decision:
        decision = self._loop.advance(plan)
        rows = np.arange(4)
        terminal = decision.observation.take(np.array([1]))
        return replace(decision, ended=(rows == 1) | (rows == 2), truncated=rows == 1, terminal=terminal)


def test_only_a_truncated_episode_hands_its_terminal_observation_over(state: SftState) -> None:
    pytest.importorskip("stable_baselines3")
    from carla_rl.bench.sb3 import LoopEnvs
    from carla_rl.reward import RewardConfig

    envs = LoopEnvs(cast(ClosedLoop, Cut(make_course(4).loop)), state, RewardConfig())
    before = envs.reset()
    _, _, done, infos = envs.step(np.zeros((4, 4), np.float32))
    assert done.tolist() == [False, True, True, False]
    assert [sorted(info) for info in infos] == [[], ["TimeLimit.truncated", "terminal_observation"], [], []]
    assert np.array_equal(infos[1]["terminal_observation"], before[1])
    assert infos[1]["TimeLimit.truncated"] is True


def check(found: dict[str, Any]) -> None:
    """Keys there, figures positive, all of it JSON."""
    json.dumps(found, allow_nan=False)
    for row in found["runs"]:
        for part, key in (("end_to_end", "decisions_per_s"), ("collect", "decisions_per_s"), ("update", "samples_per_s")):
            assert 0.0 < row["carla_rl"][part]["lowest"] <= row["carla_rl"][part][key] <= row["carla_rl"][part]["highest"]
        # 4 x 4 decisions of features, an action of 4, and 5 numbers and 2 flags besides
        features = (row["memory"]["rollout_buffer_bytes"] - 16 * (16 + 5 * 4 - 4 + 2)) / 16 / 4
        assert features > 100
        assert row["memory"]["worlds_bytes"] > 0
    assert {"date", "versions", "machine"} <= found["machine"].keys()


@pytest.mark.usefixtures("quick")
def test_the_result_has_its_keys() -> None:
    before = torch.get_num_threads()
    told: list[str] = []
    found = train.bench_train(TINY, told.append)
    check(found)
    assert torch.get_num_threads() == before
    assert found["peer"] is None
    assert found["driver"] == clone.DESCRIPTION
    assert [row["stable_baselines3"] for row in found["runs"]] == [None]
    assert told[-1] == "threads 1: update 2 of 2"


@pytest.mark.usefixtures("quick")
def test_beside_stable_baselines3() -> None:
    pytest.importorskip("stable_baselines3")
    (row,) = train.bench_train(TINY, lambda _: None, with_peers=True)["runs"]
    assert row["stable_baselines3"].keys() == row["carla_rl"].keys()
    assert row["ratio"]["lowest"] > 0.0


@pytest.mark.usefixtures("quick")
def test_a_peer_that_is_not_there_is_one_sentence(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(peers, "TRAINER", peers.Peer("no-such-peer", "no_such_peer", ()))
    assert run(["bench", "train", "--peers", "--threads", "1", "--repetitions", "1"]) == 0
    told = capsys.readouterr().out
    for part in ("end to end", "driving alone", "learning alone", "no-such-peer: not installed (pip install no-such-peer)"):
        assert part in told


@pytest.mark.usefixtures("quick")
def test_the_command_measures_a_given_model(capsys: pytest.CaptureFixture[str], tmp_path: Path, state: SftState) -> None:
    path = tmp_path / "model.pt"
    save_sft(path, state)
    assert run(["bench", "train", "--sft", str(path), "--threads", "1", "--repetitions", "1", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    check(found)
    assert found["driver"] == f"the SFT model of {path}"


def test_figures_by_hand() -> None:
    timed = [train_sizes.Timed(100, 1.0, 1.0), train_sizes.Timed(100, 1.0, 3.0), train_sizes.Timed(100, 2.0, 3.0)]
    found = train.figures(timed, 4)
    assert found["end_to_end"]["decisions_per_s"] == 25.0
    assert found["collect"] == summary([100.0, 100.0, 50.0]).to_json("decisions_per_s")
    assert found["update"]["samples_per_s"] == pytest.approx(400.0 / 3.0)
    assert found["update_share"] == 0.6


def test_nothing_cuts_an_update_short() -> None:
    config = train_sizes.TrainSizes().config
    assert (config.num_envs, config.epochs, config.minibatch, config.batch) == (1024, 4, 4096, 32_768)
    assert config.target_kl is None
    assert config.updates == 7


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--num-envs", "0"], "--num-envs 0: a training needs at least 1 env"),
        (["--num-envs", "100"], "--num-envs 100: a rollout of 32 decisions each is less than one minibatch of 4096; write 128 or more"),
        (["--threads", "100000"], "--threads 100000: this machine has"),
        (["--sft", "no-such-file.pt"], "no-such-file.pt"),
    ],
)
def test_wrong_input_is_one_sentence_and_exit_code_2(capsys: pytest.CaptureFixture[str], arguments: list[str], told: str) -> None:
    assert run(["bench", "train", *arguments]) == 2
    caught = capsys.readouterr()
    assert told in caught.err.replace("\n", " ")
    assert caught.out == ""


def test_sizes_check_themselves() -> None:
    with pytest.raises(UsageError, match="at least 1 env"):
        replace(TINY, num_envs=0)
    assert isinstance(make_course(1), Course)
