"""Driving scores from the raw facts of a drive, each definition by its name, side by side.

A score is a pure function of a `Drive`; nothing is parsed out of messages and nothing is rounded. The definitions are tables in
`DEFINITIONS`; another one is another table. Sources: `leaderboard/utils/statistics_manager.py` of the CARLA leaderboard (branches 1.0,
2.0 and 2.1) and of Bench2Drive v0.0.4. Knows nothing of simulators, policies or files.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from carla_rl.errors import UsageError
from carla_rl.types import Ending, Infraction


class Combination(StrEnum):
    """How the coefficients of single infractions make one penalty."""

    PRODUCT = "product"
    """The coefficients are factors: penalty = prod(factor ** count)."""
    RECIPROCAL = "reciprocal"
    """The coefficients add up: penalty = 1 / (1 + sum(coefficient * count))."""


@dataclass(frozen=True, slots=True)
class Drive:
    """The raw facts that every score definition is computed from.

    Raises:
        ValueError: a share outside 0..1 or a negative count, which no drive can have.
    """

    route_completion: float
    """0..1."""
    counts: Mapping[Infraction, int] = field(default_factory=dict)
    """Events by kind; kinds that are absent did not happen."""
    outside_share: float = 0.0
    """Share of the driven route outside the route's lanes, 0..1."""
    min_speed_shares: tuple[float, ...] = ()
    """For each minimum-speed infraction: the ego's mean speed as a share of the traffic's, below 1."""

    def __post_init__(self) -> None:
        if not 0.0 <= self.route_completion <= 1.0:
            raise ValueError(f"route completion {self.route_completion} is outside 0..1")
        if not 0.0 <= self.outside_share <= 1.0:
            raise ValueError(f"share outside the route's lanes {self.outside_share} is outside 0..1")
        if self.counts and min(self.counts.values()) < 0:
            raise ValueError(f"negative count of infractions: {dict(self.counts)}")
        if not all(share >= 0.0 for share in self.min_speed_shares):
            raise ValueError(f"negative share of the traffic's speed: {self.min_speed_shares}")


@dataclass(frozen=True, slots=True)
class Score:
    """The three numbers of the leaderboard for one route, named as there."""

    score_route: float
    """Route completion in percent, 0..100."""
    score_penalty: float
    """0..1; 1 is a drive without penalty."""
    score_composed: float
    """The driving score, 0..100."""


@dataclass(frozen=True, slots=True)
class ScoreDefinition:
    """One definition of the driving score. Infractions without a coefficient cost nothing by themselves (they end the route)."""

    name: str
    combination: Combination
    coefficients: Mapping[Infraction, float]
    min_speed_weight: float
    """Weight of (1 - share) of one minimum-speed infraction; 0 where the definition leaves them out."""

    def score(self, drive: Drive) -> Score:
        """The score of one drive."""
        lacks = [min(max(1.0 - share, 0.0), 1.0) for share in drive.min_speed_shares]
        # in the order of the table, not of the facts: the last bits of a product depend on it
        costly = [(weight, drive.counts[kind]) for kind, weight in self.coefficients.items() if kind in drive.counts]
        penalty = 1.0 - drive.outside_share
        match self.combination:
            case Combination.PRODUCT:
                for factor, count in costly:
                    penalty *= factor**count
                for lack in lacks:
                    penalty *= 1.0 - self.min_speed_weight * lack
            case Combination.RECIPROCAL:
                cost = sum(coefficient * count for coefficient, count in costly)
                penalty /= 1.0 + cost + self.min_speed_weight * sum(lacks)
        route = 100.0 * drive.route_completion
        return Score(score_route=route, score_penalty=penalty, score_composed=max(route * penalty, 0.0))


_FACTORS_1_0 = {
    Infraction.COLLISION_PEDESTRIAN: 0.50,
    Infraction.COLLISION_VEHICLE: 0.60,
    Infraction.COLLISION_STATIC: 0.65,
    Infraction.RED_LIGHT: 0.70,
    Infraction.STOP_SIGN: 0.80,
}
_FACTORS_2_0 = {**_FACTORS_1_0, Infraction.SCENARIO_TIMEOUT: 0.70, Infraction.YIELD_EMERGENCY: 0.70}
_COSTS_2_1 = {
    Infraction.COLLISION_PEDESTRIAN: 1.0,
    Infraction.COLLISION_VEHICLE: 0.70,
    Infraction.COLLISION_STATIC: 0.60,
    Infraction.RED_LIGHT: 0.40,
    Infraction.STOP_SIGN: 0.25,
    Infraction.SCENARIO_TIMEOUT: 0.40,
    Infraction.YIELD_EMERGENCY: 0.40,
}

DEFAULT_SCORE = "leaderboard_2.0"
"""The definition that is shown where none is asked for."""

DEFINITIONS: Mapping[str, ScoreDefinition] = {
    definition.name: definition
    for definition in (
        ScoreDefinition("leaderboard_1.0", Combination.PRODUCT, _FACTORS_1_0, min_speed_weight=0.0),
        ScoreDefinition("leaderboard_2.0", Combination.PRODUCT, _FACTORS_2_0, min_speed_weight=0.3),
        ScoreDefinition("leaderboard_2.1", Combination.RECIPROCAL, _COSTS_2_1, min_speed_weight=0.4),
        ScoreDefinition("bench2drive", Combination.PRODUCT, _FACTORS_2_0, min_speed_weight=0.0),
    )
}


def definition(name: str) -> ScoreDefinition:
    """A score definition by its name.

    Raises:
        UsageError: unknown name.
    """
    if name not in DEFINITIONS:
        raise UsageError(f"score {name!r}: unknown; this version has {', '.join(DEFINITIONS)}")
    return DEFINITIONS[name]


def status(ending: Ending, num_infractions: int) -> str:
    """The leaderboard's word for how a route ended; the last case is ours, for training episodes that an infraction ends."""
    match ending:
        case Ending.COMPLETED:
            return "Completed" if num_infractions else "Perfect"
        case Ending.ROUTE_DEVIATION:
            return "Failed - Agent deviated from the route"
        case Ending.VEHICLE_BLOCKED:
            return "Failed - Agent got blocked"
        case Ending.ROUTE_TIMEOUT:
            return "Failed - Agent timed out"
        case Ending.INFRACTION:
            return "Ended - Infraction that ends a training episode"
        case Ending.AGENT_FAILED:
            return "Failed - Agent crashed"
        case Ending.NONE:
            raise ValueError("an episode that has not ended has no status")


def is_success(ending: Ending, counts: Mapping[Infraction, int]) -> bool:
    """Bench2Drive's success: the route completed, and no infraction but minimum speed (`tools/merge_route_json.py`)."""
    return ending is Ending.COMPLETED and not any(n for kind, n in counts.items() if kind is not Infraction.MIN_SPEED)


NORMALISED_SCALE = 0.2
"""Of every factor, so that one infraction a kilometre costs much."""


def normalised_driving_score(drive: Drive, route_length_m: float) -> float:
    """carla_garage's normalised driving score, 0..100: infractions a driven kilometre, not infractions a route.

    NDS = RC * prod((0.2 * factor) ** (count / driven km)) * prod(1 - 0.3 * lack) * (1 - share outside), with the factors of leaderboard 2.0
    and driven km = RC * route length (`tools/result_parser.py`, leaderboard 2 branch). A longer drive with the same rate of infractions
    scores no lower. As there, a drive of 0 km has no rate; it scores 0.

    Raises:
        ValueError: a route without a length.
    """
    if not route_length_m > 0.0:
        raise ValueError(f"a route of {route_length_m} m has no kilometres to count infractions on")
    km = drive.route_completion * route_length_m / 1000.0
    if km == 0.0:
        return 0.0
    penalty = 1.0 - drive.outside_share
    for kind, factor in _FACTORS_2_0.items():
        if count := drive.counts.get(kind):
            penalty *= (NORMALISED_SCALE * factor) ** (count / km)
    for share in drive.min_speed_shares:
        penalty *= 1.0 - DEFINITIONS["leaderboard_2.0"].min_speed_weight * min(max(1.0 - share, 0.0), 1.0)
    return 100.0 * drive.route_completion * penalty
