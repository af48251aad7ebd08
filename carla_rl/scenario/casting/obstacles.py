"""What stands in the ego's lane or moves along its edge, so that the ego has to go round it.

Facts and figures: `srunner/scenarios/route_obstacles.py`, `construction_crash_vehicle.py`, `vehicle_opens_door.py` and
`invading_turn.py` of ScenarioRunner 0.9.16. The small warning triangle beside the road at the trigger is left out.
"""

import math
from itertools import takewhile

import numpy as np

from carla_rl.scenario.casting.lanes import along_lanes, along_route, downstream, spot, upstream
from carla_rl.scenario.casting.stage import Pose, Stage
from carla_rl.scenario.script import (
    BICYCLE,
    CAR,
    CONE,
    DOOR,
    POLICE,
    WARNING_SIGN,
    Appears,
    Blocked,
    Cue,
    End,
    Law,
    Model,
    Part,
    Path,
    Script,
)

END_M = 50.0
"""An obstacle is over so far behind its last part."""
TIMEOUT_S = 240.0
PARKED_SHARE = 0.7
"""A parked obstacle stands so much of half a lane to the side,"""
ACCIDENT_SHARE = 0.6
"""those of an accident so much,"""
HAZARD_SHARE = 0.55
"""and bicycles so much."""
ACCIDENT_M = (0.0, 10.0, 16.0)
"""The police car and two others, along the lane."""
HAZARD_M = (0.0, 9.0)
HAZARD_ROOM_M = 20.0
"""Bicycles stop so far before a junction: beside those that stand in it nobody would get by."""
ONCOMING_M = (20.0, 100.0)
HAZARD_ONCOMING_M = 100.0
"""Beside bicycles the oncoming traffic is that of the background, so far apart."""
ONCOMING_NEAR_M = 50.0
CONSTRUCTION_NEAR_M = 30.0
ONCOMING_DELAY_S = 5.0
"""Oncoming traffic of the TwoWays types begins 5 s after the ego has come within 50 m, of a construction 30 m."""
ONCOMING_FIRST_MPS = 4.0
"""ScenarioRunner's oncoming cars begin at rest with CARLA's throttle at 0.75, some 3 m/s^2. Who follows gathers speed more slowly here and
therefore begins at this speed: at 50 km/h 3 s pass between two cars that begin 20 m apart, 10 s at 100 m."""
ONCOMING_TIME_S = 1.5 * 3.6
ONCOMING_LEAST_M = 30.0
"""It comes from 30 m and 1.5 m for each km/h of the limit behind the obstacle, and goes as far past it."""
ONCOMING_ROOM_M, ONCOMING_WAY_M = 40.0, 15.0
"""Oncoming cars begin at a junction where one is near. So that the ego gets by before one that has just begun, an obstacle of the TwoWays
types ends so far before the next junction, but stands no nearer behind the trigger than the second. The leaderboard's roads are long."""
CONSTRUCTION_SIGN_M = -5.0
CONES = tuple((2.0 * number, 0.0) for number in range(5)) + tuple((8.0, 0.3 * number) for number in range(1, 4))
"""(m along, share of the way across the lane) of a construction's cones: along the open side, then across."""
CONES_SHARE = 0.85
DOOR_TIME_S = 3.0
DOOR_NEAR_M = 10.0
BESIDE_M = 0.1
"""Between the lane and a car parked beside it."""
INVADED_M = 0.25
INVADING_GAP_M = 40.0
INVADING_SOURCE_M = 30.0
INVADING_HALF_M = 0.7
CONES_EVERY_M = 5.0


def parked_obstacle(stage: Stage) -> Script:
    """ParkedObstacle and ParkedObstacleTwoWays: a car is parked in the ego's lane.

    Parameters: distance (120 m), direction (the side that it stands on), and for TwoWays frequency from, to (m between oncoming vehicles).
    """
    here = _before_junction(stage, stage.number("distance", 120.0))
    return _obstacle(stage, here, here.s, (_aside(stage, here, CAR, PARKED_SHARE), *_oncoming_flow(stage, here, here)))


def accident(stage: Stage) -> Script:
    """Accident and AccidentTwoWays: a police car and behind it two cars that have collided. Parameters as `parked_obstacle`."""
    here = _before_junction(stage, stage.number("distance", 120.0), ACCIDENT_M[-1])
    parts = [_aside(stage, stage.at(here.s + way), POLICE if way == 0.0 else CAR, ACCIDENT_SHARE) for way in ACCIDENT_M]
    last = stage.at(here.s + ACCIDENT_M[-1])
    return _obstacle(stage, here, last.s, (*parts, *_oncoming_flow(stage, here, last)))


def construction(stage: Stage) -> Script:
    """ConstructionObstacle and ConstructionObstacleTwoWays: a warning sign and cones. Parameters as `parked_obstacle`, distance 100 m."""
    here = _before_junction(stage, stage.number("distance", 100.0), CONES[-1][0])
    side = 1.0 if stage.choice("direction", "right", ("right", "left")) == "right" else -1.0
    sign = stage.at(here.s + CONSTRUCTION_SIGN_M)
    parts = [_stands(spot(sign.x, sign.y, sign.z, sign.yaw), WARNING_SIGN)]
    for way, share in CONES:
        place = stage.at(here.s + way)
        out = CONES_SHARE * stage.half_width(place) * (1.0 - 2.0 * share)
        parts.append(_stands(spot(place.x, place.y, place.z, place.yaw, side * out), CONE))
    parts += _oncoming_flow(stage, here, here, near_m=CONSTRUCTION_NEAR_M)
    return _obstacle(stage, sign, here.s + CONES[-1][0], tuple(parts))


def hazard_at_side_lane(stage: Stage) -> Script:
    """HazardAtSideLane and HazardAtSideLaneTwoWays: two slow bicycles ride at the right edge of the ego's lane.

    Parameters: distance (100 m), bicycle_speed (10 km/h), bicycle_drive_distance (50 m), and for TwoWays frequency (100 m).
    """
    here = _before_junction(stage, stage.number("distance", 100.0), HAZARD_M[-1])
    entries = [junction.entry_s for junction in stage.junctions if junction.entry_s > here.s]
    most = entries[0] - HAZARD_ROOM_M - HAZARD_M[-1] - here.s if entries else math.inf
    ride = min(stage.number("bicycle_drive_distance", 50.0), max(most, 1.0))
    aside = -HAZARD_SHARE * stage.half_width(here)
    riders = []
    for way in HAZARD_M:
        path = along_route(stage.network, stage.route, here.s + way, min(here.s + way + ride, stage.route.length))
        speed = stage.number("bicycle_speed", 10.0) / 3.6
        riders.append(
            Part(model=BICYCLE, path=path, appears=Appears.EARLY, law=Law.FOLLOWS, speed=speed, aside=aside, aside_to=aside, end=End.STANDS)
        )
    every = stage.number("frequency", HAZARD_ONCOMING_M)
    parts = (*riders, *_oncoming_flow(stage, here, here, (every, every)))
    return _obstacle(stage, here, min(here.s + HAZARD_M[-1] + ride, stage.route.length), parts)


def vehicle_opens_door(stage: Stage) -> Script:
    """VehicleOpensDoorTwoWays: a car parked beside the lane opens its door when the ego is 3 s or 10 m away.

    Parameters: distance (50 m), direction, frequency from, to.
    """
    here = _before_junction(stage, stage.number("distance", 50.0))
    side = -1.0 if stage.choice("direction", "right", ("right", "left")) == "right" else 1.0
    out = stage.half_width(here) + BESIDE_M
    car = _stands(spot(here.x, here.y, here.z, here.yaw, side * (out + CAR.half_width)), CAR)
    door = Part(
        model=DOOR,
        path=spot(here.x, here.y, here.z, here.yaw, side * (out - DOOR.half_width)),
        appears=Appears.AT_CUE,
        cue=Cue.NEAR,
        place_s=here.s,
        cue_time_s=DOOR_TIME_S,
        cue_m=DOOR_NEAR_M,
        end=End.STANDS,
    )
    return _obstacle(stage, here, here.s, (car, door, *_oncoming_flow(stage, here, here)))


def invading_turn(stage: Stage) -> Script:
    """InvadingTurn: oncoming vehicles drive partly in the ego's lane, because cones stand on theirs.

    Parameters: distance (100 m), offset (0.25 m that they invade).
    """
    way = stage.number("distance", 100.0)
    near, far = stage.at(stage.trigger_s), stage.at(stage.trigger_s + way + INVADING_SOURCE_M)
    middle = stage.at(stage.trigger_s + way / 2.0)
    oncoming = _oncoming(stage, middle, far.s - middle.s, middle.s - near.s)
    aside = stage.number("offset", INVADED_M) + stage.half_width(middle) - INVADING_HALF_M
    flow = Part(
        model=CAR,
        path=oncoming,
        law=Law.KEEPS,
        speed=float(stage.network.roads.speed_limit[middle.lane]),
        aside=aside,
        aside_to=aside,
        end=End.AGAIN,
        flow=(INVADING_GAP_M, INVADING_GAP_M),
    )
    cones = []
    for number in range(round(way / 2.0 / CONES_EVERY_M)):
        k = min(int(np.searchsorted(oncoming.s, way / 4.0 + CONES_EVERY_M * number)), len(oncoming.s) - 1)
        place = (float(oncoming.x[k]), float(oncoming.y[k]), float(oncoming.z[k]), float(oncoming.yaw[k]))
        cones.append(_stands(spot(*place, -0.8 * stage.half_width(middle)), CONE))
    return Script(
        name=stage.name,
        type=stage.actor.type,
        trigger_s=stage.trigger_s,
        over_s=far.s,
        timeout_s=TIMEOUT_S,
        parts=(flow, *cones),
    )


def _before_junction(stage: Stage, way: float, more: float = 0.0) -> Pose:
    """The place `way` m behind the trigger, or as far as it goes with `more` m behind it still outside junctions."""
    for junction in stage.junctions:
        if stage.trigger_s < junction.entry_s:
            room = junction.entry_s - more - 1.0 - stage.trigger_s
            if _two_ways(stage):
                room = min(room, max(room - ONCOMING_ROOM_M, ONCOMING_WAY_M))
            way = min(way, room)
            break
    way = min(way, stage.route.length - more - stage.trigger_s)
    if way <= 0.0:
        raise stage.no_place("there is no room for it before the junction ahead; move the trigger back")
    return stage.at(stage.trigger_s + way)


def _stands(path: Path, model: Model) -> Part:
    return Part(model=model, path=path, appears=Appears.EARLY, end=End.STANDS)


def _aside(stage: Stage, here: Pose, model: Model, share: float) -> Part:
    """Something that stands in the lane, `share` of half its width to the side that the parameter direction says."""
    side = -1.0 if stage.choice("direction", "right", ("right", "left")) == "right" else 1.0
    return _stands(spot(here.x, here.y, here.z, here.yaw, side * share * stage.half_width(here)), model)


def _obstacle(stage: Stage, here: Pose, last_s: float, parts: tuple[Part, ...]) -> Script:
    """The script of an obstacle that begins at `here` and ends at last_s of the route."""
    return Script(
        name=stage.name,
        type=stage.actor.type,
        trigger_s=stage.trigger_s,
        over_s=last_s + END_M,
        timeout_s=TIMEOUT_S,
        parts=parts,
        blocked=_blocked(stage, here),
        oncoming=_two_ways(stage),
    )


def _two_ways(stage: Stage) -> bool:
    return stage.actor.type.endswith("TwoWays")


def _blocked(stage: Stage, here: Pose) -> Blocked:
    roads = stage.network.roads
    first, other = (roads.left, roads.right) if stage.actor.parameters.get("direction", "right") == "right" else (roads.right, roads.left)
    beside = int(first[here.lane]) if first[here.lane] >= 0 else int(other[here.lane])
    beside_s = stage.lane_s(beside, here.x, here.y) if beside >= 0 else 0.0
    return Blocked(here.lane, stage.lane_s(here.lane, here.x, here.y), beside, beside_s)


def _oncoming(stage: Stage, here: Pose, before: float, behind: float) -> Path:
    """The oncoming lane beside the place, from `before` m before its traffic reaches the place to `behind` m after; no farther than to a
    junction either way."""
    lane = int(stage.network.roads.opposite[here.lane])
    if lane < 0:
        raise stage.no_place("the road has no oncoming lane there; use the type without TwoWays, or another place")
    s = stage.lane_s(lane, here.x, here.y)
    rest = float(stage.network.roads.length[lane]) - s
    lanes, begin = upstream(stage.network, lane, before + rest)
    after, end = downstream(stage.network, lane, s + behind)
    outside = list(takewhile(lambda n: stage.network.roads.junction[n] < 0, after))
    if len(outside) < len(after):
        after, end = outside, float(stage.network.roads.length[outside[-1]])
    if len(lanes) == len(after) == 1 and end - begin < ONCOMING_LEAST_M:
        raise stage.no_place(f"the oncoming lane there is less than {ONCOMING_LEAST_M:g} m long; move the trigger")
    return along_lanes(stage.network, [*lanes, *after[1:]], begin, end)


def _oncoming_flow(
    stage: Stage, here: Pose, beside: Pose, gap: tuple[float, float] | None = None, near_m: float = ONCOMING_NEAR_M
) -> tuple[Part, ...]:
    """The oncoming traffic of the TwoWays types, on the lane beside a place; nothing for the others.

    It begins once the ego has come within `near_m` of `here`. Without `gap` it is the parameter frequency.
    """
    if not _two_ways(stage):
        return ()
    limit = float(stage.network.roads.speed_limit[here.lane])
    way = ONCOMING_TIME_S * limit + ONCOMING_LEAST_M
    flow = Part(
        model=CAR,
        path=_oncoming(stage, beside, way, way),
        cue=Cue.NEAR,
        place_s=here.s,
        cue_m=near_m,
        delay_s=ONCOMING_DELAY_S,
        law=Law.FOLLOWS,
        speed=limit,
        first_speed=min(ONCOMING_FIRST_MPS, limit),
        end=End.AGAIN,
        flow=gap or stage.interval("frequency", ONCOMING_M),
    )
    return (flow,)
