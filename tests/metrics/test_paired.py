"""The statistics against scipy's own where it has them, against published and hand-worked numbers where it has not."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import permutation_test

from carla_rl.metrics.paired import Sampling, Units, detectable, effect_size, holm, mean_interval, pairs_needed, t_power


def names(count: int) -> list[str]:
    return [f"route-{i:03d}" for i in range(count)]


def test_the_exact_permutation_test_is_scipys() -> None:
    differences = np.random.default_rng(3).normal(0.4, 1.0, 10)
    units = Units(names(10), Sampling())
    mine = units.p_value(float(differences.sum()), units.swapped(differences[None])[0])
    theirs = permutation_test(
        (differences,), lambda x, axis: x.mean(axis=axis), permutation_type="samples", n_resamples=np.inf, vectorized=True
    )
    assert mine == pytest.approx(theirs.pvalue)


def test_three_routes_by_hand() -> None:
    # 1, 2, 3: of the eight signings only +++ and --- are as far from zero
    units = Units(names(3), Sampling())
    assert units.p_value(6.0, units.swapped(np.array([[1.0, 2.0, 3.0]]))[0]) == 0.25
    # all equal: every signing is as far
    assert units.p_value(0.0, units.swapped(np.zeros((1, 3)))[0]) == 1.0


def test_many_routes_random_signs_agree_with_the_normal_law() -> None:
    differences = np.random.default_rng(0).normal(0.0, 1.0, 400)
    units = Units(names(400), Sampling())
    swapped = units.swapped(differences[None])[0]
    assert swapped.mean() == pytest.approx(0.0, abs=1.0)
    assert swapped.std() == pytest.approx(np.sqrt((differences**2).sum()), rel=0.05)
    assert (units.swapped(differences[None])[0] == swapped).all()


def test_drives_of_a_route_are_drawn_together() -> None:
    # two routes of ten equal drives: the mean of a resample is that of 2, 1 or 0 times the first route
    units = Units([name for name in names(2) for _ in range(10)], Sampling(resamples=400))
    totals = units.totals(np.stack((np.repeat([0.0, 1.0], 10), np.ones(20))))
    drawn = units.drawn(totals)
    assert set(np.unique(drawn[0] / drawn[1])) == {0.0, 0.5, 1.0}
    assert units.by_route
    alone = Units(["one"] * 5, Sampling())
    assert (alone.by_route, alone.count) == (False, 5)


def test_the_interval_of_a_mean() -> None:
    values = np.random.default_rng(1).normal(50.0, 10.0, 200)
    found = mean_interval(list(values), names(200))
    assert found is not None
    half = 1.96 * values.std(ddof=1) / np.sqrt(200)
    assert found == pytest.approx((values.mean() - half, values.mean() + half), abs=0.3)
    assert mean_interval([3.0], ["a"]) is None
    assert mean_interval([0.1, 0.1, 0.1], names(3)) == (0.1, 0.1)
    with pytest.raises(ValueError, match="finite"):
        mean_interval([1.0, float("nan")], names(2))


def test_effect_size_by_hand() -> None:
    assert effect_size(np.array([1.0, 2.0, 3.0])) == pytest.approx(2.0)
    assert effect_size(np.zeros(5)) == 0.0
    assert effect_size(np.full(5, 0.1)) is None
    assert effect_size(np.array([1.0])) is None


def test_holm_by_hand() -> None:
    # sorted .01, .02, .03, .04: times 4, 3, 2, 1, made monotone
    assert holm([0.04, 0.01, 0.03, 0.02]) == pytest.approx([0.06, 0.04, 0.06, 0.06])
    assert holm([0.5, 0.6]) == [1.0, 1.0]
    assert holm([]) == []


@given(st.lists(st.floats(0, 1), min_size=1, max_size=8))
def test_holm_never_helps_and_keeps_the_order(values: list[float]) -> None:
    found = holm(values)
    assert all(p <= q <= 1.0 for p, q in zip(values, found, strict=True))
    assert min(found) == pytest.approx(min(1.0, min(values) * len(values)))
    for p, q in zip(values, found, strict=True):
        assert all(q <= other for one, other in zip(values, found, strict=True) if one > p)


@pytest.mark.parametrize(("standard", "pairs"), [(0.5, 34), (0.2, 199), (0.8, 15), (1.0, 10)])
def test_pairs_needed_are_those_of_the_tables(standard: float, pairs: int) -> None:
    """Paired t test, two-sided 5 %, power 80 %, as G*Power 3.1 and Cohen's tables have them."""
    assert pairs_needed(1.0, standard) == pairs
    assert t_power(pairs, standard) >= 0.8 > t_power(pairs - 1, standard)


def test_the_ends_of_power() -> None:
    assert pairs_needed(0.0, 1.0) == 2
    assert pairs_needed(1e6, 1e-3) is None
    assert t_power(100, 10.0) == pytest.approx(1.0)
    # (1.96 + 0.84) * 20 / 10
    assert detectable(20.0, 100) == pytest.approx(5.603, abs=1e-3)
    with pytest.raises(ValueError):
        pairs_needed(1.0, 0.0)
