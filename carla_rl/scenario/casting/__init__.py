"""Casting: one pure function a leaderboard scenario type, from a place on a route to a script. Types are data; nothing here plays them."""

from collections.abc import Callable

import numpy as np

from carla_rl.errors import UsageError
from carla_rl.roads.network import RoadNetwork
from carla_rl.roads.route import Route
from carla_rl.scenario import places
from carla_rl.scenario.casting import crossings, driving, junctions, merging, obstacles
from carla_rl.scenario.casting.stage import Stage
from carla_rl.scenario.model import Scenario, ScriptedActor
from carla_rl.scenario.script import Script

OFF_ROUTE_M = 10.0
"""A trigger point farther from the route is a mistake."""

TYPES: dict[str, Callable[[Stage], Script]] = {
    "Accident": obstacles.accident,
    "AccidentTwoWays": obstacles.accident,
    "BlockedIntersection": junctions.blocked_intersection,
    "ConstructionObstacle": obstacles.construction,
    "ConstructionObstacleTwoWays": obstacles.construction,
    "ControlLoss": driving.control_loss,
    "DynamicObjectCrossing": crossings.dynamic_object_crossing,
    "EnterActorFlow": junctions.enter_flow,
    "HardBreakRoute": driving.hard_break,
    "HazardAtSideLane": obstacles.hazard_at_side_lane,
    "HazardAtSideLaneTwoWays": obstacles.hazard_at_side_lane,
    "HighwayCutIn": merging.highway_cut_in,
    "InvadingTurn": obstacles.invading_turn,
    "MergerIntoSlowTraffic": junctions.enter_flow,
    "NonSignalizedJunctionLeftTurn": junctions.left_turn,
    "NonSignalizedJunctionRightTurn": junctions.right_turn,
    "OppositeVehicleRunningRedLight": junctions.vehicle_crosses,
    "OppositeVehicleTakingPriority": junctions.vehicle_crosses,
    "ParkedObstacle": obstacles.parked_obstacle,
    "ParkedObstacleTwoWays": obstacles.parked_obstacle,
    "ParkingCrossingPedestrian": crossings.parking_crossing_pedestrian,
    "ParkingCutIn": merging.parking_cut_in,
    "PedestrianCrossing": crossings.pedestrian_crossing,
    "SignalizedJunctionLeftTurn": junctions.left_turn,
    "SignalizedJunctionRightTurn": junctions.right_turn,
    "StaticCutIn": merging.static_cut_in,
    "VehicleOpensDoorTwoWays": obstacles.vehicle_opens_door,
    "VehicleTurningRoute": crossings.vehicle_turning_route,
    "VehicleTurningRoutePedestrian": crossings.vehicle_turning_route_pedestrian,
    "YieldToEmergencyVehicle": driving.yield_to_emergency_vehicle,
}
"""The scenario types that there are scripts for."""


def name_of(actor: ScriptedActor) -> str:
    """What a scripted actor is called in results: its name, its type where it has none."""
    return actor.name or actor.type


def cast(network: RoadNetwork, route: Route, scenario: Scenario, skipped: tuple[str, ...] = ()) -> tuple[Script, ...]:
    """The scripts of a scenario's actors, less the skipped ones, in their order; the same for the same arguments.

    Raises:
        UsageError: a type without a script, a trigger off the route, a parameter that makes no sense, or a place where the type has no
            meaning; the message names scenario, type and place.
    """
    return tuple(_cast(network, route, scenario, actor) for actor in scenario.actors if name_of(actor) not in skipped)


def _cast(network: RoadNetwork, route: Route, scenario: Scenario, actor: ScriptedActor) -> Script:
    where = f"scenario {scenario.scenario_id}"
    if actor.type not in TYPES:
        raise UsageError(f"{where}: no script is known for {name_of(actor)} of type {actor.type}; leave it out or choose another type")
    away = np.hypot(route.x - actor.x, route.y - actor.y)
    point = int(np.argmin(away))
    if places.on_route(route, actor.x, actor.y, actor.yaw):
        # a route may pass a place twice, once in another direction or for another turn
        pass_s = places.place_of(route, actor.x, actor.y, actor.yaw)
        point = int(np.argmin(np.where(np.abs(route.s - pass_s) <= OFF_ROUTE_M, away, np.inf)))
    if away[point] > OFF_ROUTE_M:
        raise UsageError(
            f"{where}: the trigger of {name_of(actor)} at ({actor.x:.1f}, {actor.y:.1f}) is {away[point]:.0f} m"
            f" from the route; move it to within {OFF_ROUTE_M:.0f} m"
        )
    return TYPES[actor.type](Stage(network, route, actor, name_of(actor), float(route.s[point]), scenario.seed, where))
