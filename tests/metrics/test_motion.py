"""A whole drive measured by hand: ten decisions of 0.2 s at 10 m/s."""

import numpy as np
import pytest
from metrics.drives import StraightPolicy, episode, loop, rollout

from carla_rl.metrics.episode import EpisodeMeter
from carla_rl.metrics.measures import ABILITIES, MEASURES, efficiency, measure
from carla_rl.metrics.motion import against, longest, measure_motion
from carla_rl.metrics.result import EpisodeResult, Motion
from carla_rl.metrics.scores import Drive, normalised_driving_score
from carla_rl.metrics.subscores import SCORES, navsim_epdms, navsim_pdms, nuplan_cls, terms
from carla_rl.metrics.summary import abilities, by_type, scores
from carla_rl.types import Infraction, ObjectKind, SimulatorKind

T = 20
ROAD = np.tile((1.75, 1.75, 5.25, 0.0), (T, 1))
"""One lane of 3.5 m along x, and an oncoming one to its left."""
CAR, WALKER = float(ObjectKind.VEHICLE), float(ObjectKind.PEDESTRIAN)


def motion(
    *,
    limit: float = 20.0,
    lateral: float = 0.0,
    actors: np.ndarray | None = None,
    start: np.ndarray | None = None,
    step_s: float = 0.2,
    lanes: bool = True,
) -> Motion:
    t = np.arange(T + 1) * step_s
    ego = np.zeros((T + 1, 6))
    ego[:, 0], ego[:, 3] = 10.0 * t, 10.0
    facts = np.stack((np.linspace(0.0, 1.0, T + 1), np.full(T + 1, lateral), np.full(T + 1, limit)), axis=1)
    none = np.zeros((0, 8))
    starts = np.zeros(T + 1, np.int32) if start is None else start
    return measure_motion(t, ego, facts, starts, none if actors is None else actors, ROAD if lanes else None)


def test_alone_on_the_road() -> None:
    found = motion()
    # 21 samples 0.2 s apart: two whole chunks of 2 s
    assert (found.step_s, found.chunks, found.comfortable_chunks) == (0.2, 2, 2)
    assert (found.min_ttc_s, found.ttc_short_share, found.overspeed_mps, found.off_centre_s) == (None, 0.0, 0.0, 0.0)
    assert found.traffic_speed_shares == ()


def test_speeding_and_off_the_line() -> None:
    found = motion(limit=8.5, lateral=-0.6)
    assert found.overspeed_mps == pytest.approx(1.5)
    assert found.off_centre_s == pytest.approx(T * 0.2)


def test_who_is_met_and_when() -> None:
    # one standing car 8 m ahead of the ego's centre at the sixth decision: 3.3 m are left, 0.33 s, seen at 0.4 s
    start = np.zeros(T + 1, np.int32)
    start[6:] = 1
    found = motion(actors=np.array([(7, CAR, 10.0 + 8.0, 0, 0, 0, 2.25, 1.0)]), start=start)
    assert found.min_ttc_s == pytest.approx(0.4)
    assert found.ttc_short_share == pytest.approx(1 / T)


def test_pace_beside_moving_traffic_only() -> None:
    # at every decision a car far off at 8 m/s, one parked, and a pedestrian
    rows = [(1, CAR, 0, 60, 0, 8.0, 2.25, 1), (2, CAR, 0, 70, 0, 0, 2.25, 1), (3, WALKER, 0, 80, 0, 1, 0.3, 0.3)]
    found = motion(actors=np.array(rows * T, float), start=np.arange(T + 1) * 3)
    assert found.traffic_speed_shares == pytest.approx((1.25,) * 4)
    assert efficiency(found.traffic_speed_shares) == pytest.approx(125.0)
    assert efficiency((0.5, 11.0)) == pytest.approx(50.0)  # above 1000 % is dropped
    assert efficiency(()) is None


def test_an_ending_in_the_middle_of_a_decision_is_left_out_of_the_filter() -> None:
    t = np.append(np.arange(T) * 0.2, (T - 1) * 0.2 + 0.05)
    ego = np.zeros((T + 1, 6))
    ego[-1, 5] = -50.0
    found = measure_motion(t, ego, np.zeros((T + 1, 3)), np.zeros(T + 1, np.int32), np.zeros((0, 8)))
    assert found.comfortable_chunks == found.chunks == 2
    with pytest.raises(ValueError, match="rise"):
        measure_motion(t[::-1].copy(), ego, np.zeros((T + 1, 3)), np.zeros(T + 1, np.int32), np.zeros((0, 8)))


def driven_against(x: np.ndarray, lateral: np.ndarray | float, step_s: float = 0.2, heading: float = 0.0) -> float:
    n = len(x)
    places = np.stack((x, np.zeros(n)), axis=1)
    return against(places, np.broadcast_to(lateral, n), np.tile((1.75, 1.75, 5.25, heading), (n, 1)), step_s)


def test_against_the_direction_of_the_lane() -> None:
    t = np.arange(20) * 0.2
    # forwards on its lane; on the verge to the right and beyond the oncoming lane nothing is judged
    for lateral in (0.0, -2.0, 6.0):
        assert driven_against(5.0 * t, lateral) == 0.0
    # 5 m/s on the oncoming lane for 3.8 s: 5 m in a second, not 19 m; half a second of it is what there is
    assert driven_against(5.0 * t, 3.0) == pytest.approx(5.0)
    assert driven_against(5.0 * t[:4], 3.0) == pytest.approx(3.0)
    # backwards: wrong on its own lane, right on the oncoming one
    assert driven_against(-3.0 * t, 0.0) == pytest.approx(3.0)
    assert driven_against(-3.0 * t, 3.0) == 0.0
    # across the lane's heading there is no progress
    assert driven_against(5.0 * t, 3.0, heading=np.pi / 2) == pytest.approx(0.0, abs=1e-12)
    # over there at three decisions, 1 m apart: 2 m against, the changes count nothing, and the fifth metre of the second makes up for one
    lateral = np.zeros(20)
    lateral[8:11] = 3.0
    assert driven_against(5.0 * t, lateral) == pytest.approx(1.0)
    # at 0.1 s a second is ten decisions
    assert driven_against(4.0 * np.arange(30) * 0.1, 3.0, step_s=0.1) == pytest.approx(4.0)
    assert driven_against(np.zeros(1), 3.0) == 0.0


def test_the_direction_is_measured_where_the_lanes_are_known() -> None:
    assert motion().against_m == 0.0
    assert motion(lateral=3.0).against_m == pytest.approx(10.0)
    assert motion(lanes=False).against_m is None


@pytest.mark.parametrize(("metres", "share"), [(0.0, 1.0), (1.99, 1.0), (2.0, 0.5), (5.99, 0.5), (6.0, 0.0)])
def test_what_driving_against_the_direction_costs(metres: float, share: float) -> None:
    found = terms(driven(moved=motion().model_copy(update={"against_m": metres})))
    assert found is not None
    assert found.direction == share
    assert (nuplan_cls(found), navsim_epdms(found), navsim_pdms(found)) == (100.0 * share, 100.0 * share, 100.0)


def test_older_drives_have_no_direction_and_no_score_with_it() -> None:
    old = motion(lanes=False)
    written = {name: value for name, value in old.model_dump(mode="json").items() if name != "against_m"}
    assert Motion.model_validate(written) == old
    found = terms(driven(moved=old))
    assert found is not None
    assert (nuplan_cls(found), navsim_epdms(found), navsim_pdms(found)) == (None, None, 100.0)
    table = scores([driven(moved=old), driven(moved=motion())])
    assert (table["nuplan_cls"]["mean"], table["nuplan_cls"]["episodes"]) == (100.0, 1)
    assert table["nuplan_cls"]["missing"] == ["driving_direction_compliance"]
    assert "drive it again" in table["nuplan_cls"]["why"]["driving_direction_compliance"]
    assert table["navsim_epdms"]["missing"] == ["two_frame_extended_comfort", "driving_direction_compliance"]
    assert table["navsim_pdms"] == {"mean": 100.0, "episodes": 2, "unit": "0..100", "missing": []}


def test_the_longest_piece_counts() -> None:
    assert longest(np.array([True, True, False, True]), np.array([0.2, 0.2, 0.2, 0.3])) == pytest.approx(0.4)


def driven(*events: tuple[int, Infraction, float], moved: Motion | None = None) -> EpisodeResult:
    meter = EpisodeMeter(1, SimulatorKind.TOY)
    found = [r for d in rollout(loop([episode("line/0")], script={"line/0": events}), StraightPolicy()) for r in meter.update(d)]
    return found[0].model_copy(update={"motion": moved})


def test_the_subscores_by_hand() -> None:
    clean = terms(driven(moved=motion()))
    assert clean is not None
    assert (nuplan_cls(clean), navsim_pdms(clean), navsim_epdms(clean)) == (100.0, 100.0, 100.0)
    # 1.115 m/s too fast is half of nuPlan's 2.23: the speed term is 0.5, 4 of 16 parts
    fast = terms(driven(moved=motion(limit=10.0 - 1.115)))
    assert fast is not None
    assert nuplan_cls(fast) == pytest.approx(100 * 14 / 16)
    assert navsim_pdms(fast) == 100.0
    # off the line for 4 s: lane keeping, 2 of 14 parts of EPDMS
    aside = terms(driven(moved=motion(lateral=0.6)))
    assert aside is not None
    assert (navsim_pdms(aside), navsim_epdms(aside)) == (100.0, pytest.approx(100 * 12 / 14))
    # one static object halves everything, a red light zeroes EPDMS only
    post = terms(driven((3, Infraction.COLLISION_STATIC, 1.0), moved=motion()))
    red = terms(driven((3, Infraction.RED_LIGHT, 0.0), moved=motion()))
    assert post is not None
    assert red is not None
    assert (nuplan_cls(post), navsim_pdms(post)) == (50.0, 50.0)
    assert (nuplan_cls(red), navsim_pdms(red), navsim_epdms(red)) == (100.0, 100.0, 0.0)
    hit = terms(driven((3, Infraction.COLLISION_VEHICLE, 1.0), moved=motion()))
    assert hit is not None
    assert nuplan_cls(hit) == 0.0
    assert terms(driven()) is None


def test_the_normalised_score_by_hand() -> None:
    # one red light in 1 km: factor 0.2 * 0.7 to the power 1; in 2 km to the power 1/2
    assert normalised_driving_score(Drive(1.0, {Infraction.RED_LIGHT: 1}), 1000.0) == pytest.approx(14.0)
    assert normalised_driving_score(Drive(1.0, {Infraction.RED_LIGHT: 1}), 2000.0) == pytest.approx(100 * 0.14**0.5)
    # half of a route of 1 km: twice the rate, and half of the completion
    assert normalised_driving_score(Drive(0.5, {Infraction.RED_LIGHT: 1}), 1000.0) == pytest.approx(50 * 0.14**2)
    # twice the route with twice the infractions is the same drive
    both = [normalised_driving_score(Drive(1.0, {Infraction.STOP_SIGN: n}), 800.0 * n) for n in (1, 2)]
    assert both[0] == pytest.approx(both[1])
    pace = Drive(1.0, {Infraction.MIN_SPEED: 1}, outside_share=0.1, min_speed_shares=(0.5,))
    assert normalised_driving_score(pace, 1000.0) == pytest.approx(100 * 0.9 * 0.85)
    assert normalised_driving_score(Drive(0.0), 1000.0) == 0.0
    with pytest.raises(ValueError, match="kilometres"):
        normalised_driving_score(Drive(1.0), 0.0)


def test_measures_have_one_value_each_and_none_where_unknown() -> None:
    known, unknown = measure(driven(moved=motion())), measure(driven())
    assert list(known) == list(unknown) == [one.name for one in MEASURES]
    assert {name for name, value in unknown.items() if value is None} == {
        *SCORES, "efficiency", "comfort", "ttc_short_share", "ade", "fde",
    }  # fmt: skip
    assert (known["driving_score"], known["comfort"], known["nuplan_cls"]) == (100.0, 1.0, 100.0)


def test_scores_side_by_side_name_what_is_missing() -> None:
    table = scores([driven(moved=motion()), driven((3, Infraction.COLLISION_VEHICLE, 1.0))])
    assert table["leaderboard_2.0"] == {"mean": 80.0, "episodes": 2, "unit": "0..100", "missing": []}
    assert table["leaderboard_2.1"]["mean"] == pytest.approx((100 + 58.8235294) / 2)
    assert (table["nuplan_cls"]["mean"], table["nuplan_cls"]["episodes"]) == (100.0, 1)
    assert (table["nuplan_cls"]["missing"], table["navsim_epdms"]["missing"]) == ([], ["two_frame_extended_comfort"])
    assert "LQR" in table["navsim_epdms"]["why"]["two_frame_extended_comfort"]
    assert scores([])["leaderboard_2.0"]["mean"] is None


def test_abilities_and_types() -> None:
    red = driven((3, Infraction.RED_LIGHT, 0.0)).model_copy(update={"scripted": ("ParkingExit",)})
    clean = driven().model_copy(update={"scripted": ("ParkingExit", "PedestrianCrossing")})
    found = abilities([red, clean, driven()])
    assert found["merging"] == {"num_episodes": 2, "success_rate": 0.5}
    assert found["emergency_brake"] == {"num_episodes": 1, "success_rate": 1.0}
    assert found["overtaking"] == {"num_episodes": 0, "success_rate": None}
    # merging, emergency brake, traffic signs
    assert found["mean"]["success_rate"] == pytest.approx((0.5 + 1.0 + 1.0) / 3)
    assert by_type([red, clean])["ParkingExit"]["success_rate"] == 0.5
    assert all(types for types in ABILITIES.values())
