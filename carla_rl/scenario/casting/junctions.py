"""Traffic that crosses the ego's way at the junction ahead.

Facts and figures: `srunner/scenarios/signalized_junction_left_turn.py`, `signalized_junction_right_turn.py`,
`opposite_vehicle_taking_priority.py`, `blocked_intersection.py` and `actor_flow.py` of ScenarioRunner 0.9.16.
Where the junction has no way in from the side that the type asks for (ScenarioRunner refuses it then), traffic comes from another one whose
way conflicts with the ego's.
"""

import numpy as np

from carla_rl.roads.tracing import trace
from carla_rl.scenario.casting.lanes import along_lanes, along_route, meeting, spot, through, turns, upstream
from carla_rl.scenario.casting.stage import Entry, Stage
from carla_rl.scenario.script import AMBULANCE, CAR, Appears, Cue, End, Law, LightHold, Part, Path, Script

FLOW_MPS = 20.0
FLOW_GAP_M = (25.0, 50.0)
LEFT_SOURCE_S, LEFT_SINK_S = 4.0, 2.5
"""The flow across a left turn begins 4 s of its speed before the junction and ends 2.5 s of it behind."""
RIGHT_SOURCE_S, RIGHT_SINK_S = 5.0, 3.0
GREEN_DELAY_S = 5.0
END_M = 10.0
TIMEOUT_S = 240.0
RUNNER_MPS = 60.0 / 3.6
RUNNER_SOURCE_M, RUNNER_SINK_M = 30.0, 10.0
BLOCKER_M = 5.0
BLOCKER_NEAR_M = 13.0
BLOCKER_STANDS_S = 10.0
BLOCKER_GOES_MPS = 5.0
"""It is gone after a metre."""
SLOW_FLOW_MPS = 10.0
SLOW_FLOW_GAP_M = (20.0, 50.0)
SINK_M = 2.0
JOINS_M = 6.0
"""A flow that stays farther from the route has nothing to do with it: more than one lane beside."""
STRAIGHT = 0.6
"""rad: less is going straight on."""


def left_turn(stage: Stage) -> Script:
    """SignalizedJunctionLeftTurn and NonSignalizedJunctionLeftTurn: a flow comes towards the ego that turns left.

    Parameters: flow_speed (20 m/s), source_dist_interval from, to (25 to 50 m between two of the flow).
    """
    return _against_flow(stage, "opposite", LEFT_SOURCE_S, LEFT_SINK_S, filled=False)


def right_turn(stage: Stage) -> Script:
    """SignalizedJunctionRightTurn and NonSignalizedJunctionRightTurn: a flow comes from the left, where the ego turns right into.

    Parameters as `left_turn`.
    """
    return _against_flow(stage, "left", RIGHT_SOURCE_S, RIGHT_SINK_S, filled=True)


def vehicle_crosses(stage: Stage) -> Script:
    """OppositeVehicleRunningRedLight and OppositeVehicleTakingPriority: an emergency vehicle crosses without stopping.

    Parameters: direction (right, left or opposite: where it comes from).
    """
    entry = choose_entry(stage, stage.choice("direction", "right", ("right", "left", "opposite")))
    path = way_through(stage, entry, RUNNER_SOURCE_M, RUNNER_SINK_M)
    place_s, meet_s, _ = meeting(stage.route, path, stage.ahead.entry_s - 1.0, stage.ahead.exit_s + 1.0)
    runner = Part(
        model=AMBULANCE,
        path=path,
        appears=Appears.AT_TRIGGER,
        cue=Cue.MEETS,
        place_s=place_s,
        meet_s=meet_s,
        law=Law.KEEPS,
        speed=RUNNER_MPS,
        end=End.VANISHES,
    )
    ego = _phase(stage, stage.ahead.lanes[0])
    lights = None if ego is None else LightHold(stage.ahead.junction, 0.0, (ego,), (ego,))
    return Script(
        name=stage.name,
        type=stage.actor.type,
        trigger_s=stage.trigger_s,
        over_s=stage.ahead.exit_s,
        parts=(runner,),
        lights=lights,
        junction=stage.ahead.junction,
    )


def blocked_intersection(stage: Stage) -> Script:
    """BlockedIntersection: right behind the junction a car stands in the ego's lane; it goes 10 s after the ego has come near."""
    here = stage.at(stage.ahead.exit_s + BLOCKER_M)
    blocker = Part(
        model=CAR,
        path=spot(here.x, here.y, here.z, here.yaw),
        appears=Appears.EARLY,
        cue=Cue.NEAR,
        place_s=here.s,
        cue_m=BLOCKER_NEAR_M,
        delay_s=BLOCKER_STANDS_S,
        law=Law.KEEPS,
        speed=BLOCKER_GOES_MPS,
    )
    return Script(
        name=stage.name,
        type=stage.actor.type,
        trigger_s=stage.trigger_s,
        over_s=here.s + END_M,
        timeout_s=TIMEOUT_S,
        parts=(blocker,),
        junction=stage.ahead.junction,
    )


def enter_flow(stage: Stage) -> Script:
    """EnterActorFlow and MergerIntoSlowTraffic: the ego merges into a flow that is there already.

    Parameters: start_actor_flow and end_actor_flow (places with x and y; without them the flow comes from the left at the junction ahead),
    flow_speed (10 m/s), source_dist_interval from, to (20 to 50 m).
    """
    speed = stage.number("flow_speed", SLOW_FLOW_MPS)
    if any(name.startswith(("start_actor_flow", "end_actor_flow")) for name in stage.actor.parameters):
        ends = [(stage.coordinate(f"{name}_actor_flow.x"), stage.coordinate(f"{name}_actor_flow.y"), 0.0) for name in ("start", "end")]
        way = trace(stage.network, ends, f"{stage.where}: {stage.name}: start_actor_flow and end_actor_flow")
        path = along_route(stage.network, way, 0.0, way.length)
    else:
        path = way_through(stage, choose_entry(stage, "left"), RIGHT_SOURCE_S * speed, RIGHT_SINK_S * speed)
    _, _, away = meeting(stage.route, path, stage.trigger_s, stage.route.length)
    if away > JOINS_M:
        raise stage.no_place(f"the flow never comes nearer to the route than {away:.0f} m; move start_actor_flow or end_actor_flow")
    flow = Part(
        model=CAR,
        path=path,
        law=Law.KEEPS,
        speed=speed,
        end=End.AGAIN,
        flow=stage.interval("source_dist_interval", SLOW_FLOW_GAP_M),
        filled=True,
    )
    sink_s = float(stage.route.s[int(np.argmin(np.hypot(stage.route.x - path.x[-1], stage.route.y - path.y[-1])))])
    return Script(
        name=stage.name,
        type=stage.actor.type,
        trigger_s=stage.trigger_s,
        over_s=max(sink_s - SINK_M, stage.ahead.exit_s if stage.junctions else stage.trigger_s + END_M),
        timeout_s=TIMEOUT_S,
        parts=(flow,),
    )


def _against_flow(stage: Stage, wanted: str, source_s: float, sink_s: float, filled: bool) -> Script:
    speed = stage.number("flow_speed", FLOW_MPS)
    entry = choose_entry(stage, wanted)
    # ScenarioRunner's flow comes from the wanted side, goes straight on and minds nobody; where there is none such,
    # ours sets off from rest at its source and heeds the ego
    as_asked = entry.direction == wanted and abs(turns(stage.network, entry.inner)) < STRAIGHT
    flow = Part(
        model=CAR,
        path=way_through(stage, entry, source_s * speed, sink_s * speed),
        law=Law.KEEPS if as_asked else Law.FOLLOWS,
        speed=speed,
        end=End.AGAIN,
        flow=stage.interval("source_dist_interval", FLOW_GAP_M),
        filled=filled,
    )
    return Script(
        name=stage.name,
        type=stage.actor.type,
        trigger_s=stage.trigger_s,
        over_s=stage.ahead.exit_s + END_M,
        timeout_s=TIMEOUT_S,
        parts=(flow,),
        lights=_flow_lights(stage, entry),
        junction=stage.ahead.junction,
    )


def choose_entry(stage: Stage, wanted: str) -> Entry:
    """The way in for traffic that conflicts with the ego's way: from the wanted side, else from another one; straight on if possible.

    Raises:
        UsageError: nothing at this junction conflicts with the ego's way.
    """
    against = [entry for entry in stage.entries if entry.conflicts]
    if not against:
        raise stage.no_place("no way through the junction ahead crosses the ego's; move the trigger to before another junction")
    asked = [entry for entry in against if entry.direction == wanted] or against
    straight = [entry for entry in asked if abs(turns(stage.network, entry.inner)) < STRAIGHT]
    if not straight:
        return asked[0]
    return straight[int(stage.draw("entry") * len(straight))]


def way_through(stage: Stage, entry: Entry, source_m: float, sink_m: float) -> Path:
    """From `source_m` m before the junction (less where another one is nearer) through it and `sink_m` m farther."""
    before, begin = upstream(stage.network, entry.lane, source_m)
    after, end = through(stage.network, entry.inner, sink_m)
    return along_lanes(stage.network, [*before, *after], begin, end)


def _phase(stage: Stage, lane: int) -> int | None:
    signal = int(stage.network.roads.signal[lane])
    return None if signal < 0 else int(stage.network.roads.signal_phase[signal])


def _flow_lights(stage: Stage, entry: Entry) -> LightHold | None:
    """First green for the flow alone, then for the ego too; no lights where the ego has none."""
    ego, source = _phase(stage, stage.ahead.lanes[0]), _phase(stage, entry.inner)
    if ego is None:
        return None
    theirs = () if source is None else (source,)
    first = tuple(phase for phase in theirs if phase != ego)
    return LightHold(stage.ahead.junction, GREEN_DELAY_S, first, tuple(sorted({ego, *theirs})))
