import numpy as np
import pytest
from scipy.stats import kendalltau, pearsonr, spearmanr

from carla_rl.metrics import correlation
from carla_rl.metrics.correlation import coefficients

SETTINGS = {"seed": 0, "resamples": 500, "confidence": 0.95}


def test_the_coefficients_are_scipys_and_so_are_those_of_the_resamples() -> None:
    draw = np.random.default_rng(5)
    x, y = draw.normal(size=12), draw.normal(size=12)
    y[3] = y[4]
    found = coefficients(x, y, **SETTINGS)
    expected = [method(x, y).statistic for method in (pearsonr, spearmanr, kendalltau)]
    assert [found.pearson.value, found.spearman.value, found.kendall.value] == pytest.approx(expected)
    many = [method(x[None], y[None])[0] for method in (correlation._pearson, correlation._spearman, correlation._kendall)]
    assert many == pytest.approx(expected)
    for one in (found.pearson, found.spearman, found.kendall):
        assert one.low is not None
        assert one.high is not None
        assert one.value is not None
        assert -1.0 <= one.low <= one.value <= one.high <= 1.0
    assert coefficients(x, y, **SETTINGS) == found


def test_a_perfect_order_and_its_reverse() -> None:
    x = np.arange(6.0)
    found = coefficients(x, -(x**3), **SETTINGS)
    assert (found.spearman.value, found.kendall.value) == (pytest.approx(-1.0), pytest.approx(-1.0))
    assert (found.spearman.low, found.spearman.high) == (pytest.approx(-1.0), pytest.approx(-1.0))


def test_what_is_the_same_for_all_goes_with_nothing() -> None:
    found = coefficients(np.arange(5.0), np.full(5, 0.1), **SETTINGS)
    assert (found.pearson.value, found.spearman.value, found.kendall.value) == (None, None, None)


def test_too_many_resamples_without_a_coefficient_leave_the_bounds_open() -> None:
    # one checkpoint differs: it is missing from a third of the resamples
    found = coefficients(np.array([0.0, 0.0, 0.0, 1.0]), np.arange(4.0), **SETTINGS)
    assert found.pearson.value is not None
    assert (found.pearson.low, found.pearson.high) == (None, None)


@pytest.mark.parametrize("x", [np.arange(3.0), np.array([0.0, 1.0, 2.0, np.nan])])
def test_too_few_or_no_numbers(x: np.ndarray) -> None:
    with pytest.raises(ValueError, match="finite pairs"):
        coefficients(x, np.arange(float(len(x))), **SETTINGS)
