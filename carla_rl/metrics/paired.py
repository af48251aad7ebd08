"""Statistics of paired measurements: bootstrap intervals, sign-flip permutation test, effect size, power, Holm's correction.

The unit that is resampled and swapped is the *route* (a scenario with all its drives): drives of one route are alike and are no independent
evidence. Only where there is a single route are its drives the units. Everything is drawn from one seed. Pure functions of arrays.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import bootstrap, nct, norm, t

Floats = NDArray[np.float64]

CONFIDENCE = 0.95
RESAMPLES = 5000
POWER = 0.8
BATCH_VALUES = 200_000
"""Drawn units held at a time: what they are counted in stays within a core's cache."""
EXACT_UNITS = 12
"""Up to so many units all 2 ** units swaps are tried."""
LARGEST_PAIRS = 10**7
"""Beyond this a difference counts as out of reach."""


@dataclass(frozen=True, slots=True)
class Sampling:
    """How to draw."""

    seed: int = 0
    resamples: int = RESAMPLES
    confidence: float = CONFIDENCE


class Units:
    """n drives grouped into the U units that are drawn as a whole."""

    def __init__(self, routes: Sequence[str], sampling: Sampling) -> None:
        """`routes` (n,) names the route of each drive."""
        names, index = np.unique(np.asarray(routes, dtype=object).astype(str), return_inverse=True)
        self.by_route = len(names) > 1
        """Whether the units are routes; else they are the drives of the only route."""
        self.index: NDArray[np.int64] = index.astype(np.int64) if self.by_route else np.arange(len(routes))
        """(n,) unit of each drive."""
        self.count = int(self.index.max()) + 1 if len(routes) else 0
        """U."""
        self._sampling = sampling

    def totals(self, columns: Floats) -> Floats:
        """(M, n) summed by unit: (M, U)."""
        return np.stack([np.bincount(self.index, column, self.count) for column in columns])

    def drawn(self, totals: Floats) -> Floats:
        """Sums over resampled units: totals (M, U) give (M, resamples). The same units are drawn for all rows, and in every call."""
        n = self.count

        def weighted(drawn: NDArray[np.int64], axis: int) -> Floats:
            # how often each unit was drawn, then all sums at once: far cheaper than gathering M resampled rows
            rows = len(drawn)
            places = (drawn + n * np.arange(rows)[:, None]).ravel()
            counts = np.bincount(places, minlength=n * rows).reshape(rows, n)
            sums: Floats = totals @ counts.T.astype(np.float64)
            return sums

        found = bootstrap(
            (np.arange(n),),
            weighted,
            vectorized=True,
            n_resamples=self._sampling.resamples,
            batch=max(1, BATCH_VALUES // n),
            confidence_level=self._sampling.confidence,
            method="percentile",
            axis=-1,
            rng=np.random.default_rng(self._sampling.seed),
        )
        return np.asarray(found.bootstrap_distribution, np.float64)

    def swapped(self, differences: Floats) -> Floats:
        """Sums of differences (M, U) with random signs, (M, P): what they were if A and B were the same, by swapping them route by route.

        All signs once for up to EXACT_UNITS units, else as many random ones as there are resamples.
        """
        if self.count <= EXACT_UNITS:
            bits = (np.arange(2**self.count)[:, None] >> np.arange(self.count)) & 1
            return np.asarray(differences @ (2.0 * bits.T - 1.0))
        draw = np.random.default_rng((self._sampling.seed, 1))
        parts = []
        for rows in _batches(self._sampling.resamples, max(1, 2_000_000 // self.count)):
            bytes_ = np.frombuffer(draw.bytes(rows * (-(-self.count // 8))), np.uint8).reshape(rows, -1)
            signs = 2.0 * np.unpackbits(bytes_, axis=1, count=self.count) - 1.0
            parts.append(differences @ signs.T)
        return np.concatenate(parts, axis=1)

    def p_value(self, observed: float, swapped: Floats) -> float:
        """Share of the swaps (P,) at least as far from zero as what was observed; random swaps count the observed one, too."""
        slack = 1e-9 * max(abs(observed), 1e-12)
        extreme = int(np.count_nonzero(np.abs(swapped) >= abs(observed) - slack))
        exact = self.count <= EXACT_UNITS
        return extreme / len(swapped) if exact else (extreme + 1) / (len(swapped) + 1)

    def bounds(self, distribution: Floats) -> tuple[float, float]:
        """The percentile interval of a bootstrap distribution (resamples,)."""
        tail = (1.0 - self._sampling.confidence) / 2.0
        low, high = np.quantile(distribution, (tail, 1.0 - tail))
        return float(low), float(high)


def mean_interval(values: Sequence[float], routes: Sequence[str], sampling: Sampling | None = None) -> tuple[float, float] | None:
    """The bootstrap interval of a mean over drives, the routes being drawn; None for fewer than two drives.

    Raises:
        ValueError: a value that is not finite.
    """
    column = np.asarray(values, np.float64)
    if not np.isfinite(column).all():
        raise ValueError("a value is not a finite number")
    if len(column) < 2:
        return None
    if (column == column[0]).all():
        # free of the rounding of sums
        return float(column[0]), float(column[0])
    units = Units(routes, sampling or Sampling())
    drawn = units.drawn(units.totals(np.stack((column, np.ones_like(column)))))
    return units.bounds(drawn[0] / drawn[1])


def effect_size(differences: Floats) -> float | None:
    """Cohen's d of paired differences: mean over standard deviation (n - 1). 0 where all are zero, None where it has no meaning."""
    if len(differences) < 2:
        return None
    spread = float(differences.std(ddof=1))
    mean = float(differences.mean())
    if spread <= 1e-12 * max(1.0, abs(mean)):
        return 0.0 if abs(mean) <= 1e-12 else None
    return mean / spread


def holm(p_values: Sequence[float]) -> list[float]:
    """Holm's step-down correction of the p values of one family, in their order (Holm 1979)."""
    order = sorted(range(len(p_values)), key=lambda i: p_values[i])
    corrected = [0.0] * len(p_values)
    largest = 0.0
    for rank, i in enumerate(order):
        largest = max(largest, min(1.0, (len(p_values) - rank) * p_values[i]))
        corrected[i] = largest
    return corrected


def pairs_needed(spread: float, difference: float, *, confidence: float = CONFIDENCE, power: float = POWER) -> int | None:
    """Pairs that a two-sided paired t test needs to find a mean `difference` with this power, their standard deviation being `spread`.

    None beyond LARGEST_PAIRS.

    Raises:
        ValueError: a spread that is negative or a difference that is not positive.
    """
    if not (spread >= 0.0 and difference > 0.0):
        raise ValueError(f"a spread of {spread} and a difference of {difference}; they must be at least 0 and above 0")
    if spread == 0.0:
        return 2
    standard = difference / spread
    least = (float(norm.ppf(0.5 + confidence / 2.0)) + float(norm.ppf(power))) / standard
    if least**2 > LARGEST_PAIRS:
        return None
    # the t test needs a few more than the normal approximation
    pairs = max(2, math.ceil(least**2))
    while t_power(pairs, standard, confidence) < power:
        pairs += 1
    return pairs


def t_power(pairs: int, standard: float, confidence: float = CONFIDENCE) -> float:
    """Power of a two-sided paired t test of `pairs` pairs for a mean of `standard` standard deviations."""
    df, shift = pairs - 1, standard * math.sqrt(pairs)
    limit = float(t.ppf(0.5 + confidence / 2.0, df))
    # scipy's noncentral t gives up far out in the tails, where the normal law is as good
    if shift > 30.0 or df > 10_000:
        return float(norm.sf(limit - shift) + norm.cdf(-limit - shift))
    return float(nct.sf(limit, df, shift) + nct.cdf(-limit, df, shift))


def detectable(spread: float, pairs: int, *, confidence: float = CONFIDENCE, power: float = POWER) -> float:
    """The mean difference that so many pairs find with this power, by the normal approximation."""
    return (float(norm.ppf(0.5 + confidence / 2.0)) + float(norm.ppf(power))) * spread / math.sqrt(pairs)


def _batches(total: int, size: int) -> list[int]:
    return [min(size, total - start) for start in range(0, total, size)]
