"""Every measure and rate of two policies over the same episodes: means, their difference, and what chance could have done.

All measures that the same pairs have are resampled together, with the same draws. Knows no run and no file.
"""

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from carla_rl.metrics.comparison import Difference
from carla_rl.metrics.measures import HIGHER, LOWER, MEASURES, RATES, Measure, Rate
from carla_rl.metrics.paired import Sampling, Units, detectable, effect_size
from carla_rl.metrics.result import EpisodeResult
from carla_rl.metrics.summary import MIN_KM, rate_per_km

Floats = NDArray[np.float64]
Bounds = tuple[float | None, float | None]
Pair = tuple[EpisodeResult, EpisodeResult]
Row = dict[str, float | None]
"""What `measure` gives of one episode."""

NO_BOUNDS: Bounds = (None, None)
TIE = 1e-9


def differences(pairs: Sequence[Pair], rows: Sequence[tuple[Row, Row]], sampling: Sampling) -> list[Difference]:
    """Every measure, then the rates. A pair counts for a measure where both episodes have it; measures that no pair has are left out."""
    table = np.array([[[math.nan if value is None else value for value in row.values()] for row in pair] for pair in rows])
    there = ~np.isnan(table).any(axis=1)
    found: dict[str, Difference] = {}
    for pattern in {column.tobytes(): column for column in there.T if column.any()}.values():
        columns = np.flatnonzero((there == pattern[:, None]).all(axis=0))
        a, b = (np.ascontiguousarray(table[pattern, side][:, columns].T) for side in (0, 1))
        routes = [pair[0].scenario_id for pair, kept in zip(pairs, pattern, strict=True) if kept]
        group = _Group(Units(routes, sampling), a, b, _sums(pairs) if pattern.all() else np.empty((0, len(routes))))
        found |= {MEASURES[column].name: group.mean(MEASURES[column], i) for i, column in enumerate(columns)}
        if pattern.all():
            found |= {rate.name: group.rate(rate, i) for i, rate in enumerate(RATES)}
    names = [*(one.name for one in MEASURES), *(rate.name for rate in RATES)]
    return [found[name] for name in names if name in found]


def _sums(pairs: Sequence[Pair]) -> Floats:
    """(2 + 2 R, n): km of A and B, then of each rate the counts of A and B."""
    km = [[pair[side].driven_km for pair in pairs] for side in (0, 1)]
    return np.array([*km, *([rate.count(pair[side]) for pair in pairs] for rate in RATES for side in (0, 1))], np.float64)


class _Group:
    """Measures of the same pairs, resampled and swapped together."""

    def __init__(self, units: Units, a: Floats, b: Floats, sums: Floats) -> None:
        """Columns `a` and `b` (M, n) of the measures, `sums` (R, n) for the rates, or (0, n)."""
        self._units, self._a, self._b = units, a, b
        self._m = len(a)
        self._totals = units.totals(np.concatenate((a, b, b - a, np.ones((1, a.shape[1])), sums)))
        several = units.count > 1
        self._drawn = units.drawn(self._totals) if several else None
        # swapping A and B of a route turns the sign of every difference of it
        parts = [self._totals[2 * self._m : 3 * self._m]]
        parts += [self._totals[row + 1 : row + 2] - self._totals[row : row + 1] for row in range(3 * self._m + 1, len(self._totals), 2)]
        self._swapped = units.swapped(np.concatenate(parts)) if several else None

    def mean(self, one: Measure, i: int) -> Difference:
        """Measure i, whose value is the mean over the pairs."""
        a, b, m = self._a[i], self._b[i], self._m
        ends, p = [NO_BOUNDS] * 3, None
        if self._drawn is not None and self._swapped is not None:
            ends = [self._ends(values, self._drawn[part * m + i]) for part, values in enumerate((a, b, b - a))]
            p = self._units.p_value(float(self._totals[2 * m + i].sum()), self._swapped[i])
        n = len(a)
        facts = (one.name, one.unit, one.better, n, math.fsum(a) / n, math.fsum(b) / n, math.fsum(b - a) / n)
        by_unit = self._totals[2 * m + i] / self._totals[3 * m]
        several = self._units.count > 1
        return _difference(
            facts,
            ends,
            p,
            by_unit,
            effect=effect_size(by_unit) if several else None,
            least=detectable(float(by_unit.std(ddof=1)), self._units.count) if several else None,
        )

    def rate(self, one: Rate, i: int) -> Difference:
        """Rate i, a ratio of sums."""
        first = 3 * self._m + 1
        places = (first + 2 + 2 * i, first + 3 + 2 * i)
        a, b = (rate_per_km(int(self._totals[place].sum()), math.fsum(self._totals[first + side])) for side, place in enumerate(places))
        ends, p = [NO_BOUNDS] * 3, None
        if self._drawn is not None and self._swapped is not None:
            rates = [self._drawn[place] / np.maximum(self._drawn[first + side], MIN_KM) for side, place in enumerate(places)]
            ends = [self._units.bounds(values) for values in (rates[0], rates[1], rates[1] - rates[0])]
            km, counts = (self._totals[row : row + 2].sum() for row in (first, places[0]))
            moved_km, moved = self._swapped[self._m], self._swapped[self._m + 1 + i]
            swapped = [(counts + sign * moved) / np.maximum(km + sign * moved_km, 2.0 * MIN_KM) for sign in (-1.0, 1.0)]
            p = self._units.p_value(b - a, swapped[1] - swapped[0])
        by_unit = [self._totals[place] / np.maximum(self._totals[first + side], MIN_KM) for side, place in enumerate(places)]
        return _difference((one.name, "1/km", LOWER, len(self._units.index), a, b, b - a), ends, p, by_unit[1] - by_unit[0])

    def _ends(self, values: Floats, drawn: Floats) -> Bounds:
        assert self._drawn is not None
        # without spread the interval is the value, free of the rounding of sums
        if (values == values[0]).all():
            return float(values[0]), float(values[0])
        return self._units.bounds(drawn / self._drawn[3 * self._m])


def _difference(
    facts: tuple[str, str, str, int, float, float, float],
    ends: Sequence[Bounds],
    p: float | None,
    by_unit: Floats,
    *,
    effect: float | None = None,
    least: float | None = None,
) -> Difference:
    """`ends` are the intervals of a, b and b - a; `by_unit` (U,) is b - a of each unit."""
    gained = by_unit if facts[2] == HIGHER else -by_unit
    return Difference(
        *facts,
        *ends[2],
        *ends[0],
        *ends[1],
        p_value=p,
        p_holm=p,
        effect_size=effect,
        wins=int(np.count_nonzero(gained > TIE)),
        ties=int(np.count_nonzero(np.abs(gained) <= TIE)),
        losses=int(np.count_nonzero(gained < -TIE)),
        detectable=least,
    )
