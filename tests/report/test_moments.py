from dataclasses import replace

import numpy as np
import pytest
from report_parts import HIT, OUT, RED, line_log

from carla_rl.report.moments import before, correction, decision_at, plan_errors, scores_so_far, seconds

SCORE = "leaderboard_2.0"


def test_the_score_so_far_by_hand() -> None:
    # 4 % of the route a decision; red light (0.7) at 0.5 s, collision (0.6) at 2 s
    scores = scores_so_far(line_log([(10, RED, 0.0), (40, HIT, 1.5)]), SCORE)
    assert scores[0] == 0.0
    assert scores[2] == pytest.approx(8.0)  # 0.4 s
    assert scores[3] == pytest.approx(12.0 * 0.7)
    assert scores[10] == pytest.approx(40.0 * 0.7 * 0.6)
    assert scores[-1] == pytest.approx(42.0)


def test_the_share_outside_counts_with_and_without_its_column() -> None:
    log = line_log([(10, OUT, 0.2)])
    new, old = scores_so_far(log, SCORE), scores_so_far(replace(log, outside_share=None), SCORE)
    assert new[-1] == pytest.approx(80.0)
    np.testing.assert_allclose(old, new)
    assert new[2] == pytest.approx(8.0)


def test_correction_and_error_are_those_of_the_plans() -> None:
    log = line_log()
    moved, errors = correction(log), plan_errors(log)
    assert moved is not None
    assert errors is not None
    np.testing.assert_allclose(moved, np.tile([0.5, 0.25], (25, 1)), atol=1e-6)
    np.testing.assert_allclose(errors, np.hypot(0.5, 0.25), atol=2e-3)
    bare = line_log(sft=False, expert=False)
    assert (correction(bare), plan_errors(bare)) == (None, None)


def test_what_went_before_an_infraction() -> None:
    log = line_log([(40, HIT, 1.5)])
    (event,) = log.events
    told = before(log, event)
    assert seconds(event) == pytest.approx(2.0)
    assert (told.speed, told.forward_m, told.left_m) == (pytest.approx(2.0), pytest.approx(0.5), pytest.approx(0.25))
    bare = line_log([(40, HIT, 1.5)], sft=False)
    assert (before(bare, bare.events[0]).forward_m, before(bare, bare.events[0]).left_m) == (None, None)


def test_decisions_are_in_force_until_the_next_one() -> None:
    log = line_log()
    assert [decision_at(log, t) for t in (0.0, 0.19, 0.2, 4.9, 99.0)] == [0, 0, 1, 24, 24]
