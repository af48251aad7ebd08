"""What a comparison of two runs says: plain values. Knows nothing of how they are found."""

from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Difference:
    """One measure of both runs over the same pairs. All bounds are None where one pair says nothing of spread."""

    name: str
    unit: str
    better: str
    """`higher` or `lower`."""
    pairs: int
    a: float
    b: float
    difference: float
    """b - a."""
    low: float | None
    high: float | None
    a_low: float | None
    a_high: float | None
    b_low: float | None
    b_high: float | None
    p_value: float | None
    """Of the permutation test that A and B are the same."""
    p_holm: float | None
    """Corrected for all the runs that were set against A."""
    effect_size: float | None
    """Cohen's d of the paired differences of routes; None for rates, and where they have no spread."""
    wins: int
    """Routes on which B is better."""
    ties: int
    losses: int
    detectable: float | None
    """The difference that so many pairs would find eight times of ten."""


@dataclass(frozen=True, slots=True)
class RouteDifference:
    """Driving score of both runs on one route, means over its pairs."""

    route: str
    pairs: int
    a: float
    b: float
    difference: float


@dataclass(frozen=True, slots=True)
class Resolution:
    """How much more driving would tell a difference from chance eight times of ten."""

    difference: float
    pairs: int | None
    """None where it is out of reach (more than ten million)."""
    seeds: int | None
    """Drives of each of these routes."""


@dataclass(frozen=True, slots=True)
class Comparison:
    """Run B against run A."""

    run_a: str
    run_b: str
    policy_a: str
    policy_b: str
    score: str
    """Definition of the driving score."""
    pairs: int
    routes: tuple[RouteDifference, ...]
    """Every route, largest loss of B first."""
    unit: str
    """`route` or `drive`: what the intervals and the test draw as a whole."""
    only_a: tuple[str, ...]
    """Episodes that only run A has; they are left out."""
    only_b: tuple[str, ...]
    complete: bool
    """Whether both runs were finished."""
    measures: tuple[Difference, ...]
    resolve: tuple[Resolution, ...]
    """For the driving score."""
    resolve_basis: str
    """Whose spread `resolve` rests on: of drives of the same route where there are several of each, else of all pairs (too many, if
    anything)."""
    power: float
    family: int
    """Runs that were set against A together."""
    confidence: float
    resamples: int
    seed: int
    """Of the bootstrap and the test."""
    conditions: dict[str, Any]
    """Of run A: the fingerprint's."""
    warnings: tuple[str, ...]
    """Incomplete runs, few routes, and conditions that differ where the comparison was forced."""

    def to_json(self) -> dict[str, Any]:
        """Plain JSON values."""
        return asdict(self)
