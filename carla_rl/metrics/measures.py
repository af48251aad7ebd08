"""Every number that one episode has, by name, with its unit and its better direction: what tables, comparisons and gates are made of.

A measure of an episode is None where the episode lacks what it needs (ADE without an expert, comfort without a step log). Rates per kilometre
are not measures of one episode: they are a ratio of sums, total count over total distance (`RATES`). Knows no file.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial

from carla_rl.metrics import subscores
from carla_rl.metrics.result import EpisodeResult
from carla_rl.metrics.scores import DEFINITIONS, normalised_driving_score

HIGHER, LOWER = "higher", "lower"


@dataclass(frozen=True, slots=True)
class Measure:
    """One number of an episode; a run's is the mean over its episodes."""

    name: str
    unit: str
    better: str
    """HIGHER or LOWER."""
    value: Callable[[EpisodeResult], float | None]


@dataclass(frozen=True, slots=True)
class Rate:
    """A count per driven kilometre, over all episodes together; lower is better."""

    name: str
    count: Callable[[EpisodeResult], int]


def _composed(name: str, episode: EpisodeResult) -> float:
    return episode.scored(name).score_composed


def _subscore(score: Callable[[subscores.Terms], float], episode: EpisodeResult) -> float | None:
    found = subscores.terms(episode)
    return None if found is None else score(found)


def _comfort(episode: EpisodeResult) -> float | None:
    motion = episode.motion
    return motion.comfortable_chunks / motion.chunks if motion and motion.chunks else None


def _efficiency(episode: EpisodeResult) -> float | None:
    shares = episode.motion.traffic_speed_shares if episode.motion else ()
    # Bench2Drive drops what is above 1000 %
    kept = [share for share in shares if share <= 10.0]
    return 100.0 * sum(kept) / len(kept) if kept else None


def measures(score: str) -> tuple[Measure, ...]:
    """All of them; `driving_score` and `score_penalty` are those of the definition `score`, the other definitions stand under their names."""
    subs = {"nuplan_cls": subscores.nuplan_cls, "navsim_pdms": subscores.navsim_pdms, "navsim_epdms": subscores.navsim_epdms}
    return (
        Measure("driving_score", "0..100", HIGHER, partial(_composed, score)),
        Measure("route_completion", "0..1", HIGHER, lambda e: e.route_completion),
        Measure("success_rate", "0..1", HIGHER, lambda e: float(e.success)),
        Measure("score_penalty", "0..1", HIGHER, lambda e: e.scored(score).score_penalty),
        *(Measure(name, "0..100", HIGHER, partial(_composed, name)) for name in DEFINITIONS),
        Measure("normalised_driving_score", "0..100", HIGHER, lambda e: normalised_driving_score(e.drive, e.route_length_m)),
        *(Measure(name, "0..100", HIGHER, partial(_subscore, function)) for name, function in subs.items()),
        Measure("efficiency", "%", HIGHER, _efficiency),
        Measure("comfort", "0..1", HIGHER, _comfort),
        Measure("ttc_short_share", "0..1", LOWER, lambda e: e.motion.ttc_short_share if e.motion else None),
        Measure("collisions", "per episode", LOWER, lambda e: float(e.collisions)),
        Measure("red_light", "per episode", LOWER, lambda e: float(e.red_light)),
        Measure("stop_sign", "per episode", LOWER, lambda e: float(e.stop_sign)),
        Measure("offroad", "per episode", LOWER, lambda e: float(e.offroad)),
        Measure("ade", "m", LOWER, lambda e: e.ade),
        Measure("fde", "m", LOWER, lambda e: e.fde),
    )


RATES: tuple[Rate, ...] = (
    Rate("collisions_per_km", lambda e: e.collisions),
    Rate("infractions_per_km", lambda e: sum(e.raw.counts.values())),
)

SCORES: tuple[str, ...] = (*DEFINITIONS, "success_rate", "normalised_driving_score", "nuplan_cls", "navsim_pdms", "navsim_epdms")
"""The measures that somebody calls *the* score; `success_rate` is Bench2Drive's second one."""

ABILITIES: Mapping[str, frozenset[str]] = {
    "overtaking": frozenset(
        "Accident AccidentTwoWays ConstructionObstacle ConstructionObstacleTwoWays HazardAtSideLane HazardAtSideLaneTwoWays ParkedObstacle "
        "ParkedObstacleTwoWays VehicleOpensDoorTwoWays".split()
    ),
    "merging": frozenset(
        "CrossingBicycleFlow EnterActorFlow EnterActorFlowV2 HighwayExit InterurbanActorFlow HighwayCutIn InterurbanAdvancedActorFlow "
        "MergerIntoSlowTraffic MergerIntoSlowTrafficV2 NonSignalizedJunctionLeftTurn NonSignalizedJunctionRightTurn "
        "NonSignalizedJunctionLeftTurnEnterFlow ParkingExit SequentialLaneChange SignalizedJunctionLeftTurn SignalizedJunctionRightTurn "
        "SignalizedJunctionLeftTurnEnterFlow".split()
    ),
    "emergency_brake": frozenset(
        "BlockedIntersection DynamicObjectCrossing HardBreakRoute OppositeVehicleTakingPriority OppositeVehicleRunningRedLight ParkingCutIn "
        "PedestrianCrossing ParkingCrossingPedestrian StaticCutIn VehicleTurningRoute VehicleTurningRoutePedestrian ControlLoss".split()
    ),
    "give_way": frozenset("InvadingTurn YieldToEmergencyVehicle".split()),
    "traffic_signs": frozenset(
        "BlockedIntersection OppositeVehicleTakingPriority OppositeVehicleRunningRedLight PedestrianCrossing VehicleTurningRoute "
        "VehicleTurningRoutePedestrian EnterActorFlow EnterActorFlowV2 CrossingBicycleFlow NonSignalizedJunctionLeftTurn "
        "NonSignalizedJunctionRightTurn NonSignalizedJunctionLeftTurnEnterFlow SignalizedJunctionLeftTurn SignalizedJunctionRightTurn "
        "SignalizedJunctionLeftTurnEnterFlow T_Junction VanillaNonSignalizedTurn VanillaSignalizedTurnEncounterGreenLight "
        "VanillaSignalizedTurnEncounterRedLight VanillaNonSignalizedTurnEncounterStopsign".split()
    ),
}
"""Bench2Drive's abilities: scenario types of each (`tools/ability_benchmark.py`), names as ScenarioRunner writes them."""
