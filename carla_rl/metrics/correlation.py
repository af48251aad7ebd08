"""How two numbers go together over checkpoints: Pearson, Spearman and Kendall, with bootstrap intervals. Pure functions of arrays.

The intervals draw the checkpoints: another ladder could have come out otherwise. With a dozen checkpoints they are wide, and say so.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import kendalltau, pearsonr, rankdata, spearmanr

Floats = NDArray[np.float64]

LEAST = 4
"""Checkpoints below which there is no correlation to speak of."""
UNDECIDED = 0.05
"""Share of the resamples that may have no coefficient (all the same value) before the bounds are left open."""


@dataclass(frozen=True, slots=True)
class Coefficient:
    """One coefficient, -1..1. None where it is not defined: a number that is the same for all checkpoints goes with nothing."""

    value: float | None
    low: float | None
    high: float | None


@dataclass(frozen=True, slots=True)
class Coefficients:
    """The three of them over the same checkpoints."""

    checkpoints: int
    pearson: Coefficient
    spearman: Coefficient
    kendall: Coefficient
    """Kendall's tau-b."""


def coefficients(x: Floats, y: Floats, *, seed: int, resamples: int, confidence: float) -> Coefficients:
    """All three of x and y (n,), n >= LEAST.

    Raises:
        ValueError: too few, or a value that is not finite.
    """
    if len(x) < LEAST or len(x) != len(y) or not (np.isfinite(x).all() and np.isfinite(y).all()):
        raise ValueError(f"a correlation needs {LEAST} finite pairs")
    nothing = Coefficient(None, None, None)
    if np.ptp(x) == 0.0 or np.ptp(y) == 0.0:
        return Coefficients(len(x), nothing, nothing, nothing)
    values = (pearsonr(x, y).statistic, spearmanr(x, y).statistic, kendalltau(x, y).statistic)
    # the same draws for all: scipy's bootstrap would draw for each, and warn where a draw has no coefficient
    rows = np.random.default_rng(seed).integers(len(x), size=(resamples, len(x)))
    drawn = (_bounds(many(x[rows], y[rows]), confidence) for many in (_pearson, _spearman, _kendall))
    return Coefficients(len(x), *(Coefficient(float(value), *bounds) for value, bounds in zip(values, drawn, strict=True)))


def _bounds(drawn: Floats, confidence: float) -> tuple[float | None, float | None]:
    known = drawn[np.isfinite(drawn)]
    if len(known) < (1.0 - UNDECIDED) * len(drawn):
        return None, None
    tail = (1.0 - confidence) / 2.0
    low, high = np.quantile(known, (tail, 1.0 - tail))
    return float(low), float(high)


def _pearson(x: Floats, y: Floats) -> Floats:
    """Pearson's r along the last axis; NaN where one side is constant."""
    a, b = x - x.mean(axis=-1, keepdims=True), y - y.mean(axis=-1, keepdims=True)
    size = np.sqrt((a**2).sum(axis=-1) * (b**2).sum(axis=-1))
    # a constant side is left with the rounding of its mean
    flat = (np.ptp(x, axis=-1) == 0.0) | (np.ptp(y, axis=-1) == 0.0)
    # rounding may lead a hair beyond 1
    return np.where(flat, np.nan, np.clip((a * b).sum(axis=-1) / np.where(size > 0.0, size, 1.0), -1.0, 1.0))


def _spearman(x: Floats, y: Floats) -> Floats:
    return _pearson(rankdata(x, axis=-1), rankdata(y, axis=-1))


def _kendall(x: Floats, y: Floats) -> Floats:
    """Tau-b along the last axis."""
    a, b = (np.sign(values[..., :, None] - values[..., None, :]) for values in (x, y))
    size = np.sqrt((a**2).sum(axis=(-2, -1)) * (b**2).sum(axis=(-2, -1)))
    return np.where(size > 0.0, (a * b).sum(axis=(-2, -1)) / np.where(size > 0.0, size, 1.0), np.nan)
