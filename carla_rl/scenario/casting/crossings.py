"""Who crosses the road on foot or by bicycle.

Facts and figures: `srunner/scenarios/object_crash_vehicle.py` and `object_crash_intersection.py` of ScenarioRunner 0.9.16.
"""

import math
from dataclasses import replace

from carla_rl.scenario.casting.lanes import across, angle, extents, spot
from carla_rl.scenario.casting.stage import Pose, Stage
from carla_rl.scenario.script import BICYCLE, CAR, PEDESTRIAN, VENDING_MACHINE, Appears, Cue, End, Law, Model, Part, Script

KERB_M = 0.8
"""m outside the road's edge where somebody waits to cross."""
BEHIND_M = 0.5
"""m between a blocker and who waits behind it."""
END_M = 40.0
"""A crossing is over so far behind its place."""
HEEDS_M = 110.0
"""A pedestrian behind something heeds the ego from so far before its place: the trigger of most route files, 12 m before it, comes too late
for a driver to stop, and 110 m are enough from 25 m/s. The meeting rule decides."""
WALK_MPS = 2.0
TURNING_MPS = 1.8
TURNING_M = 11.0
"""From the end of the junction to the bicycle's way."""
TURNED_M = 2.5
"""From the end of the junction to the pedestrian's way: 0.5 m in ScenarioRunner, and half a road's width of room for the ego's bumper."""
GROUP_M = (0.4, 1.0, 1.6)
GROUP_BEFORE_M = 3.0
"""m before the junction, of the group."""
GROUP_MPS = (1.3, 2.0)
GROUP_PAUSE_S = 1.5
GROUP_REACTION_S = 3.5
GROUP_NEAR_M = 12.0
STEEPEST = 80.0
"""degrees: ScenarioRunner takes crossing_angle up to 90, where nobody would get across."""


def dynamic_object_crossing(stage: Stage) -> Script:
    """DynamicObjectCrossing: a pedestrian steps out from behind something beside the road.

    Parameters: distance (12 m from the trigger), direction (right or left, where it comes from), crossing_angle (degrees towards the ego),
    blocker_model, and speed (2 m/s).
    """
    here = stage.at(stage.trigger_s + stage.number("distance", 12.0))
    side = stage.choice("direction", "right", ("right", "left"))
    blueprint = stage.text("blocker_model", VENDING_MACHINE.blueprint)
    blocker = replace(CAR if blueprint.startswith("vehicle") else VENDING_MACHINE, blueprint=blueprint)
    pedestrian = crosses(stage, here, side, PEDESTRIAN, stage.number("speed", WALK_MPS), slant(stage))
    beside = _stands_beside(stage, stage.at(here.s - blocker.half_length - BEHIND_M), side, blocker)
    return Script(
        name=stage.name,
        type=stage.actor.type,
        trigger_s=min(stage.trigger_s, max(here.s - HEEDS_M, 0.0)),
        over_s=here.s + END_M,
        parts=(pedestrian, beside),
    )


def vehicle_turning_route(stage: Stage) -> Script:
    """VehicleTurningRoute: a bicycle crosses from the right 11 m behind the junction where the ego turns."""
    here = stage.at(stage.ahead.exit_s + TURNING_M)
    rider = replace(crosses(stage, here, "right", BICYCLE, stage.number("speed", TURNING_MPS), 0.0), end=End.VANISHES)
    return Script(name=stage.name, type=stage.actor.type, trigger_s=stage.trigger_s, over_s=here.s + END_M, parts=(rider,))


def vehicle_turning_route_pedestrian(stage: Stage) -> Script:
    """VehicleTurningRoutePedestrian: a pedestrian crosses right behind the junction, from the far side of the ego's turn."""
    ahead = stage.ahead
    here = stage.at(ahead.exit_s + TURNED_M)
    side = "right" if angle(here.yaw - ahead.yaw) > 0.0 else "left"
    walker = crosses(stage, here, side, PEDESTRIAN, stage.number("speed", TURNING_MPS), 0.0)
    return Script(name=stage.name, type=stage.actor.type, trigger_s=stage.trigger_s, over_s=here.s + END_M, parts=(walker,))


def parking_crossing_pedestrian(stage: Stage) -> Script:
    """ParkingCrossingPedestrian: a pedestrian steps out from behind a parked car.

    Parameters: distance (12 m), direction, crossing_angle, speed (2 m/s).
    """
    car_at = stage.at(stage.trigger_s + stage.number("distance", 12.0))
    side = stage.choice("direction", "right", ("right", "left"))
    here = stage.at(car_at.s + CAR.half_length + BEHIND_M)
    walker = crosses(stage, here, side, PEDESTRIAN, stage.number("speed", WALK_MPS), slant(stage))
    return Script(
        name=stage.name,
        type=stage.actor.type,
        trigger_s=min(stage.trigger_s, max(here.s - HEEDS_M, 0.0)),
        over_s=here.s + END_M,
        parts=(walker, _stands_beside(stage, car_at, side, CAR)),
    )


def pedestrian_crossing(stage: Stage) -> Script:
    """PedestrianCrossing: three pedestrians cross right before the junction, each at its own pace and after its own pause."""
    entries = [junction.entry_s for junction in stage.junctions if junction.entry_s > stage.trigger_s]
    if not entries:
        raise stage.no_place("its route enters no junction behind the trigger; move the trigger to before one")
    before = entries[0]
    walkers = []
    for number, along in enumerate(GROUP_M):
        here = stage.at(before - GROUP_BEFORE_M + along)
        speed = GROUP_MPS[0] + (GROUP_MPS[1] - GROUP_MPS[0]) * stage.draw("speed", str(number))
        walker = crosses(stage, here, "right", PEDESTRIAN, speed, 0.0)
        pause = GROUP_PAUSE_S * stage.draw("pause", str(number))
        walkers.append(replace(walker, cue=Cue.NEAR, cue_time_s=GROUP_REACTION_S, cue_m=GROUP_NEAR_M, delay_s=pause))
    return Script(
        name=stage.name,
        type=stage.actor.type,
        trigger_s=stage.trigger_s,
        over_s=before + END_M,
        parts=tuple(walkers),
    )


def slant(stage: Stage) -> float:
    """rad: the parameter crossing_angle."""
    degrees = stage.number("crossing_angle", 0.0, least=-STEEPEST)
    if degrees >= STEEPEST:
        raise stage.error(f"crossing_angle must be below {STEEPEST:g} degrees (found {degrees:g})")
    return math.radians(degrees)


def crosses(stage: Stage, here: Pose, side: str, model: Model, speed: float, slanted: float) -> Part:
    """Somebody who crosses the whole road from its right or left edge, so as to meet an ego that does not react."""
    right, left = extents(stage.network, here.lane, here.x, here.y, here.yaw)
    right, left = right + KERB_M, left + KERB_M
    path = across(here.x, here.y, here.z, here.yaw, *((-right, left) if side == "right" else (left, -right)), slanted)
    way = (right if side == "right" else left) / math.cos(slanted)
    return Part(
        model=model,
        path=path,
        appears=Appears.EARLY,
        cue=Cue.MEETS,
        place_s=max(here.s - way * math.sin(slanted), stage.trigger_s),
        meet_s=way,
        law=Law.PACED,
        speed=speed,
        end=End.STANDS,
    )


def _stands_beside(stage: Stage, here: Pose, side: str, model: Model) -> Part:
    """Something that stands just outside the road: a car along it, a prop across it."""
    right, left = extents(stage.network, here.lane, here.x, here.y, here.yaw)
    along = model.kind == CAR.kind
    out = KERB_M + (model.half_width if along else 0.0)
    path = spot(here.x, here.y, here.z, here.yaw, -(right + out) if side == "right" else left + out)
    return Part(model=model, path=path, appears=Appears.EARLY, end=End.STANDS)
