from pathlib import Path

import numpy as np
import pytest
from metrics.drives import H, StraightPolicy, episode, loop, rollout

from carla_rl.errors import RunFailure, UsageError
from carla_rl.offline import evaluate_offline
from carla_rl.records.dataset import Samples, load_samples
from carla_rl.records.episode_files import EpisodeRecorder
from carla_rl.types import Needs, Observation, Plan


@pytest.fixture(scope="module")
def samples(tmp_path_factory: pytest.TempPathFactory) -> Samples:
    folder = tmp_path_factory.mktemp("episodes")
    recorder = EpisodeRecorder(folder, 1, dataset="lines", split="evaluation")
    for decision in rollout(loop([episode(), episode("line/2", seed=2)]), StraightPolicy()):
        recorder.update(decision)
    return load_samples(str(folder), StraightPolicy.needs)


def test_the_expert_itself_has_no_error(samples: Samples) -> None:
    result = evaluate_offline(StraightPolicy(), samples)
    assert result.metrics.ade == pytest.approx(0.0, abs=1e-4)
    assert (result.metrics.samples, result.episodes, result.skipped_frames) == (25 + 13, 2, 0)


def test_an_offset_is_the_error_and_the_sft_plan_has_none(samples: Samples) -> None:
    result = evaluate_offline(StraightPolicy((1.5, 2.0)), samples, batch=7)
    assert result.metrics.ade == pytest.approx(2.5, abs=1e-4)
    assert result.metrics.miss_rate == 1.0
    assert result.sft_metrics is not None
    assert result.sft_metrics.fde == pytest.approx(0.0, abs=1e-4)
    data = result.to_json()
    assert data["policy"] == "straight"
    assert data["sft"]["miss_rate"] == 0.0
    assert len(data["by_horizon"]) == H
    assert evaluate_offline(StraightPolicy(sft=False), samples).to_json()["sft"] is None


def test_the_batch_size_changes_nothing(samples: Samples) -> None:
    policy = StraightPolicy((0.1, 0.3))
    assert evaluate_offline(policy, samples, batch=5) == evaluate_offline(policy, samples, batch=500)


def test_a_policy_that_does_not_fit_is_told(samples: Samples) -> None:
    class Short(StraightPolicy):
        horizon = 10

    class Sees(StraightPolicy):
        needs = Needs(objects=4)

    class Broken(StraightPolicy):
        def plan(self, observation: Observation) -> Plan:
            return Plan(np.full((len(observation), H, 2), np.nan, np.float32))

    with pytest.raises(UsageError, match="plans 10 waypoints, the episodes hold 20"):
        evaluate_offline(Short(), samples)
    with pytest.raises(UsageError, match="needs"):
        evaluate_offline(Sees(), samples)
    with pytest.raises(RunFailure, match="not a finite number"):
        evaluate_offline(Broken(), samples)


def test_a_wrong_horizon_is_found_on_loading(tmp_path: Path) -> None:
    recorder = EpisodeRecorder(tmp_path, 1, dataset="lines", split="evaluation")
    for decision in rollout(loop([episode()]), StraightPolicy()):
        recorder.update(decision)
    with pytest.raises(UsageError, match=r"waypoint_spec\.horizon_steps is 20, the policy plans with 10"):
        load_samples(str(tmp_path), Needs(), 10)
