"""Who cuts into the ego's lane from beside.

Facts and figures: `srunner/scenarios/parking_cut_in.py`, `cut_in_with_static_vehicle.py` and `highway_cut_in.py` of ScenarioRunner 0.9.16.
"""

import numpy as np

from carla_rl.roads.network import LaneKind
from carla_rl.scenario.casting.lanes import along_lanes, along_route, downstream, make_path, spot
from carla_rl.scenario.casting.stage import Pose, Stage
from carla_rl.scenario.script import CAR, Appears, Cue, End, Law, Part, Path, Script

PARKED_M = 28.0
CUT_IN_M = 35.0
PARKING_TIME_S = 2.35
PARKING_NEAR_M = 10.0
PARKING_MPS = 20.0 / 3.6
"""CARLA's basic agent's own speed; ScenarioRunner gives it none."""
PARKING_END_M = 30.0
BESIDE_M = 0.1
"""Between the lane and a car parked beside it."""
PULL_OUT_M = 10.0
"""Way on which a standing car gets into the lane."""
QUEUE_BEHIND, QUEUE_AHEAD, QUEUE_GAP_M = 2, 3, 11.0
STATIC_TIME_S = 2.7
STATIC_NEAR_M = 15.0
STATIC_MPS = 60.0 / 3.6
STATIC_END_M = 70.0
HIGHWAY_CUT_IN_M = 10.0
"""m ahead of the ego where who comes from a ramp cuts in,"""
HIGHWAY_SHARE = 0.8
"""at so much of its speed,"""
HIGHWAY_HOLDS_S, HIGHWAY_CHANGES_S = 0.3, 2.0
"""after so long, and taking so long: at the speed limit."""
HIGHWAY_FASTEST = 40.0
HIGHWAY_LEAD_M = 15.0
"""Without a place it begins so far ahead of the ego,"""
HIGHWAY_MEET_M = 80.0
"""and cuts in after so much more."""
HIGHWAY_END_M = 150.0
NEAR_ROUTE_M = 5.0
"""A ramp is beside the route where it is nearer than this."""


def parking_cut_in(stage: Stage) -> Script:
    """ParkingCutIn: a parked car pulls out in front of the ego, from behind another one. Parameters: direction."""
    side = -1.0 if stage.choice("direction", "right", ("right", "left")) == "right" else 1.0
    blocker, here = stage.at(stage.trigger_s + PARKED_M), stage.at(stage.trigger_s + CUT_IN_M)
    out = side * (stage.half_width(here) + BESIDE_M + CAR.half_width)
    parked = Part(model=CAR, path=spot(blocker.x, blocker.y, blocker.z, blocker.yaw, out), appears=Appears.EARLY, end=End.STANDS)
    cutter = Part(
        model=CAR,
        path=along_route(stage.network, stage.route, here.s, max(min(here.s + PARKING_END_M, stage.route.length), here.s + 1.0)),
        appears=Appears.EARLY,
        cue=Cue.NEAR,
        place_s=here.s,
        cue_time_s=PARKING_TIME_S,
        cue_m=PARKING_NEAR_M,
        law=Law.FOLLOWS,
        speed=PARKING_MPS,
        aside=out,
        aside_to=0.0,
        aside_m=PULL_OUT_M,
    )
    over_s = here.s + PARKING_END_M + CAR.half_length
    return Script(name=stage.name, type=stage.actor.type, trigger_s=stage.trigger_s, over_s=over_s, parts=(parked, cutter))


def static_cut_in(stage: Stage) -> Script:
    """StaticCutIn: out of a queue that stands on the lane beside, one car cuts in front of the ego.

    Parameters: distance (100 m to the first of the queue), direction.
    """
    first = stage.at(stage.trigger_s + stage.number("distance", 100.0))
    wanted = stage.choice("direction", "right", ("right", "left"))
    parts = []
    count = QUEUE_BEHIND + 1 + QUEUE_AHEAD
    cut_s = first.s + QUEUE_BEHIND * QUEUE_GAP_M
    for number in range(count):
        here = stage.at(first.s + number * QUEUE_GAP_M)
        aside = _beside(stage, here, wanted)
        if number == QUEUE_BEHIND:
            end = max(min(cut_s + STATIC_END_M, stage.route.length), cut_s + 1.0)
            path = along_route(stage.network, stage.route, cut_s, end)
            parts.append(_cuts_in(path, cut_s, aside))
        else:
            path = spot(here.x, here.y, here.z, here.yaw, aside)
            parts.append(Part(model=CAR, path=path, appears=Appears.EARLY, end=End.STANDS))
    over_s = first.s + count * QUEUE_GAP_M + STATIC_NEAR_M
    return Script(name=stage.name, type=stage.actor.type, trigger_s=stage.trigger_s, over_s=over_s, parts=tuple(parts))


def highway_cut_in(stage: Stage) -> Script:
    """HighwayCutIn: a car comes along a ramp, arrives beside the ego and cuts in ahead of it.

    Parameters: other_actor_location (a place with x and y on the ramp; without it the car comes on the lane beside the ego's).
    """
    if any(name.startswith("other_actor_location") for name in stage.actor.parameters):
        ramp = _ramp(stage, stage.coordinate("other_actor_location.x"), stage.coordinate("other_actor_location.y"))
    else:
        here = stage.at(stage.trigger_s)
        aside = _beside(stage, here, "right")
        ramp = _shifted(stage, here.s + HIGHWAY_LEAD_M, here.s + HIGHWAY_LEAD_M + HIGHWAY_MEET_M, aside)
    near = np.hypot(ramp.x[-1] - stage.route.x, ramp.y[-1] - stage.route.y)
    place_s = float(stage.route.s[int(near.argmin())])
    begin = stage.at(place_s)
    aside = float(-(ramp.x[-1] - begin.x) * np.sin(begin.yaw) + (ramp.y[-1] - begin.y) * np.cos(begin.yaw))
    path = _blended(stage, ramp, place_s, aside)
    part = Part(
        model=CAR,
        path=path,
        law=Law.ARRIVES,
        speed=HIGHWAY_FASTEST,
        place_s=max(place_s - HIGHWAY_CUT_IN_M, stage.trigger_s),
        meet_s=ramp.length,
        arrived_share=HIGHWAY_SHARE,
    )
    over_s = min(place_s + HIGHWAY_END_M, stage.route.length)
    return Script(name=stage.name, type=stage.actor.type, trigger_s=stage.trigger_s, over_s=over_s, parts=(part,))


def _cuts_in(path: Path, at_s: float, aside: float) -> Part:
    return Part(
        model=CAR,
        path=path,
        appears=Appears.EARLY,
        cue=Cue.NEAR,
        place_s=at_s,
        cue_time_s=STATIC_TIME_S,
        cue_m=STATIC_NEAR_M,
        law=Law.FOLLOWS,
        speed=STATIC_MPS,
        aside=aside,
        aside_to=0.0,
        aside_m=PULL_OUT_M,
    )


def _beside(stage: Stage, here: Pose, wanted: str) -> float:
    """m to the left of the route of the lane beside with the same direction, on the wanted side if there is one there."""
    roads = stage.network.roads
    sides = (roads.right, roads.left) if wanted == "right" else (roads.left, roads.right)
    for lanes in sides:
        lane = int(lanes[here.lane])
        if lane >= 0:
            k = int(roads.start[lane]) + stage.sample_near(lane, here.x, here.y)
            return float((roads.y[k] - here.y) * np.cos(here.yaw) - (roads.x[k] - here.x) * np.sin(here.yaw))
    raise stage.no_place("there is no lane of the same direction beside the ego's; move the trigger to a road with two")


def _shifted(stage: Stage, s0: float, s1: float, aside: float) -> Path:
    """The route from s0 to s1, `aside` m to its left."""
    path = along_route(stage.network, stage.route, s0, min(s1, stage.route.length))
    rows = np.stack([path.x - aside * np.sin(path.yaw), path.y + aside * np.cos(path.yaw), path.z, path.yaw], axis=-1)
    return make_path(rows, path.inside)


def _ramp(stage: Stage, x: float, y: float) -> Path:
    """The lanes from the one at (x, y) on, as far as they come beside the route and HIGHWAY_CUT_IN_M on."""
    roads = stage.network.roads
    driving = np.flatnonzero(roads.kind[roads.sample_lane] == LaneKind.DRIVING)
    k = int(driving[int(np.argmin(np.hypot(roads.x[driving] - x, roads.y[driving] - y)))])
    lane = int(roads.sample_lane[k])
    lanes, end = downstream(stage.network, lane, stage.lane_s(lane, x, y) + HIGHWAY_END_M * 2.0)
    path = along_lanes(stage.network, lanes, stage.lane_s(lane, x, y), end if len(lanes) > 1 else max(end, stage.lane_s(lane, x, y) + 1.0))
    away = np.hypot(stage.route.x[:, None] - path.x, stage.route.y[:, None] - path.y).min(axis=0)
    near = np.flatnonzero(away < NEAR_ROUTE_M)
    if not len(near):
        raise stage.no_place("the lanes from other_actor_location on never come beside the route; give a place on a ramp that joins it")
    last = min(int(near[0]) + round(HIGHWAY_CUT_IN_M), len(path.s) - 1)
    rows = np.stack([path.x, path.y, path.z, path.yaw], axis=-1)[: max(last, 1) + 1]
    return make_path(rows, path.inside[: max(last, 1) + 1])


def _blended(stage: Stage, ramp: Path, place_s: float, aside: float) -> Path:
    """The ramp, then the route from place_s on, into whose lane it changes over from `aside` m to the left."""
    end = min(place_s + HIGHWAY_END_M, stage.route.length)
    if end < place_s + 3.0:
        raise stage.no_place("the route ends before the car has cut in; move the trigger back")
    on = along_route(stage.network, stage.route, place_s + 1.0, end)
    limit = float(stage.network.roads.speed_limit[stage.at(place_s).lane])
    share = np.clip((on.s / limit - HIGHWAY_HOLDS_S) / HIGHWAY_CHANGES_S, 0.0, 1.0)
    left = aside * (1.0 - share * share * (3.0 - 2.0 * share))
    slope = np.gradient(left, on.s)
    rows = np.stack([on.x - left * np.sin(on.yaw), on.y + left * np.cos(on.yaw), on.z, on.yaw + np.arctan(slope)], axis=-1)
    before = np.stack([ramp.x, ramp.y, ramp.z, ramp.yaw], axis=-1)
    return make_path(np.concatenate([before, rows]), np.concatenate([ramp.inside, on.inside]))
