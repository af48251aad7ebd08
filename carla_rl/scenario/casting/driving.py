"""What happens to the ego's own driving and right before it.

Facts and figures: `srunner/scenarios/hard_break.py`, `control_loss.py` and `yield_to_emergency_vehicle.py` of ScenarioRunner 0.9.16.
"""

from carla_rl.scenario.casting.lanes import along_lanes, along_route, joined, spot, upstream
from carla_rl.scenario.casting.stage import Stage
from carla_rl.scenario.script import AMBULANCE, CAR, DEBRIS, Appears, Cue, End, Law, Noise, Part, Script

BRAKE_S = 10.0
LEADER_M = 25.0
"""m ahead of the ego where a leader is put."""
LEADER_AFTER_S = 1.0
"""s that it drives before it brakes."""
LEADER_SHARE = 0.8
"""of the speed limit."""
LEADER_WAY_M = 150.0
DEBRIS_M = (14.0, 48.0, 74.0)
LOSS_END_M = 110.0
LOSS_RADIUS_M = 2.0
THROTTLE_NOISE = (0.03, 0.01)
STEER_NOISE = (0.055, 0.015)
BEHIND_M = 140.0
LEAST_BEHIND_M = 20.0
FASTER_MPS = 25.0
"""Above the speed limit; ScenarioRunner says above the ego's speed. It brakes for whoever is ahead."""
YIELD_WAY_M = 600.0


def hard_break(stage: Stage) -> Script:
    """HardBreakRoute: who leads the ego brakes hard and stands for a while. Where nobody does, a car is put there that does.

    Parameters: duration (10 s).
    """
    duration = stage.number("duration", BRAKE_S)
    here = stage.at(stage.trigger_s)
    end = min(stage.trigger_s + LEADER_WAY_M, stage.route.length)
    limit = float(stage.network.roads.speed_limit[here.lane])
    leader = Part(
        model=CAR,
        path=along_route(stage.network, stage.route, here.s, max(end, here.s + 1.0)),
        start_s=LEADER_M,
        appears=Appears.UNLESS_LED,
        cue=Cue.AT_ONCE,
        law=Law.LEADS,
        speed=LEADER_SHARE * limit,
        brake_after_s=LEADER_AFTER_S,
        brake_s=duration,
        end=End.VANISHES,
    )
    parts = (leader,) if end - here.s > 2.0 * LEADER_M else ()
    return Script(name=stage.name, type=stage.actor.type, trigger_s=here.s, over_s=end, parts=parts, brake_s=duration)


def control_loss(stage: Stage) -> Script:
    """ControlLoss: dirt on the road at 14, 48 and 74 m; on it the ego's throttle and wheel are disturbed."""
    places = [stage.at(stage.trigger_s + way) for way in DEBRIS_M if stage.trigger_s + way < stage.route.length]
    dirt = tuple(Part(model=DEBRIS, path=spot(p.x, p.y, p.z, p.yaw), appears=Appears.EARLY, end=End.STANDS) for p in places)
    noises = tuple(Noise(place.s, LOSS_RADIUS_M, THROTTLE_NOISE, STEER_NOISE) for place in places)
    return Script(
        name=stage.name,
        type=stage.actor.type,
        trigger_s=stage.trigger_s,
        over_s=stage.trigger_s + LOSS_END_M,
        parts=dirt,
        noises=noises,
    )


def yield_to_emergency_vehicle(stage: Stage) -> Script:
    """YieldToEmergencyVehicle: an ambulance comes from behind, much faster than the ego, which has to let it by.

    Parameters: distance (140 m behind the ego; less where the road begins nearer).
    """
    behind = stage.number("distance", BEHIND_M)
    here = stage.at(stage.trigger_s)
    first = stage.at(0.0)
    ahead = along_route(stage.network, stage.route, max(here.s - behind, 0.0), min(here.s + YIELD_WAY_M, stage.route.length))
    path = ahead
    if here.s < behind:
        # the route begins too late: it comes along the lanes before it
        s = stage.lane_s(first.lane, first.x, first.y)
        lanes, begin = upstream(stage.network, first.lane, behind - here.s + float(stage.network.roads.length[first.lane]) - s)
        path = joined(along_lanes(stage.network, lanes, begin, s), ahead)
    room = path.length - (min(here.s + YIELD_WAY_M, stage.route.length) - here.s)
    if room < LEAST_BEHIND_M:
        raise stage.no_place(f"there are only {room:.0f} m of road behind the trigger; an emergency vehicle needs {LEAST_BEHIND_M:g} m")
    limit = float(stage.network.roads.speed_limit[here.lane])
    ambulance = Part(model=AMBULANCE, path=path, law=Law.FOLLOWS, speed=limit + FASTER_MPS, first_speed=limit, end=End.VANISHES)
    return Script(
        name=stage.name,
        type=stage.actor.type,
        trigger_s=here.s,
        over_s=here.s + YIELD_WAY_M,
        parts=(ambulance,),
        yields_part=0,
    )
