import dataclasses

import numpy as np
import pytest
from metrics.drives import LENGTH_M, StraightPolicy, episode, loop, rollout

from carla_rl.metrics.episode import EpisodeMeter, plan_distance, tracking_error
from carla_rl.metrics.result import EpisodeResult
from carla_rl.types import Ending, Infraction, SimulatorKind

I = Infraction  # noqa: E741


def measure(run, policy, num_envs, *, reward=1.0, offset=None):
    meter = EpisodeMeter(num_envs, SimulatorKind.TOY)
    results = []
    for decision in rollout(run, policy):
        reference = None if offset is None else decision.plan.sft_waypoints + np.array(offset, np.float32)
        rewards = None if reward is None else np.full(num_envs, reward)
        results += meter.update(decision, reward=rewards, reference=reference)
    return results


def test_one_clean_drive_worked_out_by_hand() -> None:
    # 2 m/s over 10 m: 5 s, 100 ticks, 25 decisions of 4 ticks; acceleration reported is 0.1 * tick: 10 at the end, jerk 0.4 / 0.2 s
    (result,) = measure(loop([episode()]), StraightPolicy((0.3, 0.4)), 1, reward=0.5, offset=(0.0, 0.0))
    assert result.episode_id == "line/1#0"
    assert (result.steps, result.duration_s, result.driven_m, result.final_dist) == (25, 5.0, 10.0, 0.0)
    assert (result.success, result.status, result.driving_score, result.score_penalty) == (True, "Perfect", 100.0, 1.0)
    assert result.episode_return == 12.5
    assert result.ade == pytest.approx(0.5, abs=1e-6)
    assert result.fde == pytest.approx(0.5, abs=1e-6)
    assert result.raw.delta_m == pytest.approx(0.5, abs=1e-6)
    # 0.2 s on, the plan wanted the ego 0.3 m farther and 0.4 m to the left
    assert result.raw.tracking_longitudinal_m == pytest.approx(0.3, abs=1e-6)
    assert result.raw.tracking_lateral_m == pytest.approx(0.4, abs=1e-6)
    assert result.comfort.max_accel == pytest.approx(10.0)
    assert result.comfort.max_jerk == pytest.approx(2.0)
    assert result.driven_km == 0.01


def test_infractions_are_told_with_time_and_place_and_lower_the_score() -> None:
    script = {"line/1": [(10, I.COLLISION_VEHICLE, 4.5), (30, I.RED_LIGHT, 0.0), (50, I.OUTSIDE_ROUTE_LANES, 0.1), (60, I.MIN_SPEED, 0.5)]}
    (result,) = measure(loop([episode()], script=script), StraightPolicy(), 1)
    assert result.driving_score == pytest.approx(100 * 0.6 * 0.7 * 0.9 * 0.85)
    assert (result.collisions, result.red_light, result.offroad, result.stop_sign) == (1, 1, 1, 0)
    assert (result.success, result.status) == (False, "Completed")
    hit = result.infractions[0]
    assert (hit.kind, hit.time_s, hit.x, hit.y, hit.other, hit.value) == (I.COLLISION_VEHICLE, 0.5, pytest.approx(1.0), 0.0, 7, 4.5)
    assert result.scored("leaderboard_2.1").score_composed == pytest.approx(100 * 0.9 / (1 + 0.7 + 0.4 + 0.2))


def test_minimum_speed_alone_is_a_success_but_not_perfect() -> None:
    (result,) = measure(loop([episode()], script={"line/1": [(60, I.MIN_SPEED, 0.5)]}), StraightPolicy(), 1)
    assert (result.success, result.status) == (True, "Completed")


def test_an_early_ending_scores_the_part_that_was_driven() -> None:
    # ended in the middle of a decision: after 50 ticks, 5 m of 10; 13 decisions, the last one of 2 ticks
    script = {"line/1": [(50, I.ROUTE_TIMEOUT, 0.0)]}
    (result,) = measure(loop([episode()], script=script, endings={"line/1": (50, Ending.ROUTE_TIMEOUT)}), StraightPolicy(), 1)
    assert (result.steps, result.route_completion, result.driving_score) == (13, 0.5, 50.0)
    assert (result.status, result.final_dist) == ("Failed - Agent timed out", 5.0)
    assert result.raw.tracking_longitudinal_m == pytest.approx(0.0, abs=1e-6)


def test_what_was_not_given_is_null() -> None:
    (result,) = measure(loop([episode()]), StraightPolicy(sft=False), 1, reward=None)
    assert (result.ade, result.fde, result.episode_return, result.raw.delta_m) == (None, None, None, None)


def test_the_number_of_envs_changes_nothing() -> None:
    episodes = [episode(f"line/{i}", seed=i % 4, repetition=i % 3) for i in range(11)]
    script = {f"line/{i}": [(i + 1, I.STOP_SIGN, 0.0)] for i in range(0, 11, 2)}
    one = measure(loop(episodes, script=script), StraightPolicy((0.123, 0.456)), 1, offset=(0.1, 0.7))
    many = measure(loop(episodes, 4, script=script), StraightPolicy((0.123, 0.456)), 4, offset=(0.1, 0.7))
    assert len(one) == 11
    assert {r.episode_id: r.to_json() for r in one} == {r.episode_id: r.to_json() for r in many}


def test_a_result_survives_json_and_refuses_changed_numbers() -> None:
    (result,) = measure(loop([episode()], script={"line/1": [(10, I.RED_LIGHT, 0.0)]}), StraightPolicy(), 1)
    data = result.to_json()
    assert data["return"] == 25.0
    assert data["raw"]["counts"] == {"red_light": 1}
    assert data["infractions"][0]["kind"] == "red_light"
    assert data["ending"] == "completed"
    assert EpisodeResult.checked({**data, "added_later": 1}, "here") == result
    for field, value in (("driving_score", 90.0), ("success", True), ("red_light", 0), ("status", "Perfect"), ("repetition", 3)):
        with pytest.raises(ValueError, match=r"changed after the run"):
            EpisodeResult.checked({**data, field: value}, "here")


def test_nonsense_is_refused() -> None:
    run = loop([episode()])
    decision = next(rollout(run, StraightPolicy()))
    meter = EpisodeMeter(1, SimulatorKind.TOY)
    with pytest.raises(ValueError, match="reward has shape"):
        meter.update(decision, reward=np.zeros(2))
    with pytest.raises(ValueError, match="not a finite number"):
        meter.update(decision, reward=np.array([np.nan]))
    with pytest.raises(ValueError, match="start"):
        EpisodeMeter(1, SimulatorKind.TOY).update(dataclasses.replace(decision, started=np.array([False])))


def test_a_simulator_whose_events_contradict_its_counts_is_caught() -> None:
    meter = EpisodeMeter(1, SimulatorKind.TOY)
    for decision in rollout(loop([episode()], script={"line/1": [(10, I.RED_LIGHT, 0.0)]}), StraightPolicy()):
        told = dataclasses.replace(decision, events={0: ()})
        if decision.ended[0]:
            with pytest.raises(ValueError, match="RED_LIGHT 1 in the facts, 0 events"):
                meter.update(told)
        else:
            meter.update(told)


def test_plan_distance_by_hand() -> None:
    a = np.zeros((2, 2, 2))
    b = np.array([[[3.0, 4.0], [0.0, 1.0]], [[0.0, 0.0], [0.0, 2.0]]])
    mean, final = plan_distance(a, b)
    assert mean.tolist() == [3.0, 1.0]
    assert final.tolist() == [1.0, 2.0]


def test_tracking_error_by_hand() -> None:
    # plan: 1 m forward every 0.1 s; after 0.15 s it wants x = 1.5; heading north, the ego went 1.2 m north and 0.2 m east (to its right)
    waypoints = np.stack((np.arange(1.0, 5.0), np.zeros(4)), axis=-1)[None]
    north = np.array([[10.0, 20.0, np.pi / 2]])
    after = np.array([[10.2, 21.2, 1.0]])
    longitudinal, lateral = tracking_error(waypoints, np.array([0.15]), north, after)
    assert longitudinal[0] == pytest.approx(0.3)
    assert lateral[0] == pytest.approx(0.2)
    # due exactly at the end of the horizon
    assert tracking_error(waypoints, np.array([0.4]), north, np.array([[10.0, 24.0, 1.0]]))[0][0] == pytest.approx(0.0)


def test_the_line_is_as_long_as_the_tests_assume() -> None:
    assert episode().route.length == LENGTH_M
