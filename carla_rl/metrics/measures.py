"""Every number that one episode has, by name, with its unit and its better direction: what tables, comparisons and gates are made of.

A measure of an episode is None where the episode lacks what it needs (ADE without an expert, comfort without a step log). Rates per
kilometre are not measures of one episode: they are a ratio of sums, total count over total distance (`RATES`). Knows no file.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from carla_rl.metrics import subscores
from carla_rl.metrics.result import EpisodeResult
from carla_rl.metrics.scores import DEFAULT_SCORE, DEFINITIONS, definition, normalised_driving_score

HIGHER, LOWER = "higher", "lower"
LARGEST_SHARE = 10.0


@dataclass(frozen=True, slots=True)
class Measure:
    """One number of an episode; a run's is the mean over its episodes."""

    name: str
    unit: str
    better: str
    """HIGHER or LOWER."""


@dataclass(frozen=True, slots=True)
class Rate:
    """A count per driven kilometre, over all episodes together; lower is better."""

    name: str
    count: Callable[[EpisodeResult], int]


MEASURES: tuple[Measure, ...] = (
    Measure("driving_score", "0..100", HIGHER),
    Measure("route_completion", "0..1", HIGHER),
    Measure("success_rate", "0..1", HIGHER),
    Measure("score_penalty", "0..1", HIGHER),
    *(Measure(name, "0..100", HIGHER) for name in DEFINITIONS),
    Measure("normalised_driving_score", "0..100", HIGHER),
    *(Measure(name, "0..100", HIGHER) for name in subscores.SCORES),
    Measure("efficiency", "%", HIGHER),
    Measure("comfort", "0..1", HIGHER),
    Measure("ttc_short_share", "0..1", LOWER),
    Measure("collisions", "per episode", LOWER),
    Measure("red_light", "per episode", LOWER),
    Measure("stop_sign", "per episode", LOWER),
    Measure("offroad", "per episode", LOWER),
    Measure("ade", "m", LOWER),
    Measure("fde", "m", LOWER),
)
"""All of them. `driving_score` and `score_penalty` are those of the definition asked for; every definition stands under its own name,
too."""


def measure(episode: EpisodeResult, score: str = DEFAULT_SCORE) -> dict[str, float | None]:
    """The value of every measure of one episode, by name in the order of MEASURES; the driving score is that of the definition `score`.

    Raises:
        UsageError: unknown definition.
    """
    drive, motion = episode.drive, episode.motion
    scored = {name: one.score(drive) for name, one in DEFINITIONS.items()}
    mine = scored[definition(score).name]
    found = subscores.terms(episode)
    return {
        "driving_score": mine.score_composed,
        "route_completion": episode.route_completion,
        "success_rate": float(episode.success),
        "score_penalty": mine.score_penalty,
        **{name: one.score_composed for name, one in scored.items()},
        "normalised_driving_score": normalised_driving_score(drive, episode.route_length_m) if episode.route_length_m else None,
        **{name: None if found is None else one(found) for name, one in subscores.SCORES.items()},
        "efficiency": efficiency(motion.traffic_speed_shares) if motion else None,
        "comfort": motion.comfortable_chunks / motion.chunks if motion and motion.chunks else None,
        "ttc_short_share": motion.ttc_short_share if motion else None,
        "collisions": float(episode.collisions),
        "red_light": float(episode.red_light),
        "stop_sign": float(episode.stop_sign),
        "offroad": float(episode.offroad),
        "ade": episode.ade,
        "fde": episode.fde,
    }


def efficiency(shares: Sequence[float]) -> float | None:
    """Bench2Drive's driving efficiency, %: the mean of the ego's speed over the traffic's, those above 1000 % dropped as there."""
    kept = [share for share in shares if share <= LARGEST_SHARE]
    return 100.0 * math.fsum(kept) / len(kept) if kept else None


RATES: tuple[Rate, ...] = (
    Rate("collisions_per_km", lambda e: e.collisions),
    Rate("infractions_per_km", lambda e: sum(e.raw.counts.values())),
)

SCORES: tuple[str, ...] = (*DEFINITIONS, "success_rate", "normalised_driving_score", *subscores.SCORES)
"""The measures that somebody calls *the* score; `success_rate` is Bench2Drive's second one."""

ABILITIES: Mapping[str, frozenset[str]] = {
    "overtaking": frozenset(
        [
            "Accident",
            "AccidentTwoWays",
            "ConstructionObstacle",
            "ConstructionObstacleTwoWays",
            "HazardAtSideLane",
            "HazardAtSideLaneTwoWays",
            "ParkedObstacle",
            "ParkedObstacleTwoWays",
            "VehicleOpensDoorTwoWays",
        ]
    ),
    "merging": frozenset(
        [
            "CrossingBicycleFlow",
            "EnterActorFlow",
            "EnterActorFlowV2",
            "HighwayExit",
            "InterurbanActorFlow",
            "HighwayCutIn",
            "InterurbanAdvancedActorFlow",
            "MergerIntoSlowTraffic",
            "MergerIntoSlowTrafficV2",
            "NonSignalizedJunctionLeftTurn",
            "NonSignalizedJunctionRightTurn",
            "NonSignalizedJunctionLeftTurnEnterFlow",
            "ParkingExit",
            "SequentialLaneChange",
            "SignalizedJunctionLeftTurn",
            "SignalizedJunctionRightTurn",
            "SignalizedJunctionLeftTurnEnterFlow",
        ]
    ),
    "emergency_brake": frozenset(
        [
            "BlockedIntersection",
            "DynamicObjectCrossing",
            "HardBreakRoute",
            "OppositeVehicleTakingPriority",
            "OppositeVehicleRunningRedLight",
            "ParkingCutIn",
            "PedestrianCrossing",
            "ParkingCrossingPedestrian",
            "StaticCutIn",
            "VehicleTurningRoute",
            "VehicleTurningRoutePedestrian",
            "ControlLoss",
        ]
    ),
    "give_way": frozenset(["InvadingTurn", "YieldToEmergencyVehicle"]),
    "traffic_signs": frozenset(
        [
            "BlockedIntersection",
            "OppositeVehicleTakingPriority",
            "OppositeVehicleRunningRedLight",
            "PedestrianCrossing",
            "VehicleTurningRoute",
            "VehicleTurningRoutePedestrian",
            "EnterActorFlow",
            "EnterActorFlowV2",
            "CrossingBicycleFlow",
            "NonSignalizedJunctionLeftTurn",
            "NonSignalizedJunctionRightTurn",
            "NonSignalizedJunctionLeftTurnEnterFlow",
            "SignalizedJunctionLeftTurn",
            "SignalizedJunctionRightTurn",
            "SignalizedJunctionLeftTurnEnterFlow",
            "T_Junction",
            "VanillaNonSignalizedTurn",
            "VanillaSignalizedTurnEncounterGreenLight",
            "VanillaSignalizedTurnEncounterRedLight",
            "VanillaNonSignalizedTurnEncounterStopsign",
        ]
    ),
}
"""Bench2Drive's abilities: scenario types of each (`tools/ability_benchmark.py`), names as ScenarioRunner writes them."""
