"""Playing scripts: a few rules for all scenario types; which of them a part follows is data.

When and how a part acts is decided by `carla_rl.scenario.behaviours`, the same for every simulator.
"""

import numpy as np

from carla_rl.geometry import to_local
from carla_rl.scenario.behaviours import arrives_within, crossing_pace, flow_gap, has_let_by, runner_speed, steps_out
from carla_rl.scenario.script import Appears, Cue, Law
from carla_rl.types import TICK_S, Infraction
from carla_rl.world.compiled import rule
from carla_rl.world.contact import remember, run_in, stands_hit
from carla_rl.world.events import NOBODY, record
from carla_rl.world.scripted import NOISE, Phase, State
from carla_rl.world.slots import NONE, draw
from carla_rl.world.staging import (
    APPEAR_ROOM_M,
    CLOSE_ROOM_M,
    SCRIPTED,
    appear,
    begin,
    change_over,
    clear_way,
    disturb,
    finish,
    straighten,
)
from carla_rl.world.state import Record
from carla_rl.world.town import Town
from carla_rl.world.ways import AGAIN, ARRIVES, GONE, KEEPS, LEADS, PACED, move

SCENARIO_TIMEOUT = np.int64(Infraction.SCENARIO_TIMEOUT)
YIELD_EMERGENCY = np.int64(Infraction.YIELD_EMERGENCY)
ASLEEP, WAITING, PLAYING, OVER = int(Phase.ASLEEP), int(Phase.WAITING), int(Phase.PLAYING), int(Phase.OVER)
AWAY, STANDS, MOVES, DONE = int(State.AWAY), int(State.STANDS), int(State.MOVES), int(State.DONE)
EARLY, AT_CUE, UNLESS_LED = int(Appears.EARLY), int(Appears.AT_CUE), int(Appears.UNLESS_LED)
AT_ONCE, MEETS = int(Cue.AT_ONCE), int(Cue.MEETS)
STAND = int(Law.STANDS)

CLEAR_EVERY = 10
"""The way of who keeps its speed or is to be let by is cleared, and traffic behind an obstacle changes over, every so many ticks."""
NEAR_M = 50.0
"""YieldToEmergencyVehicle: once the vehicle is so near,"""
YIELD_TICKS = round(10.0 / TICK_S)
"""the ego has 10 s to let it by; earlier where it is NEAR_M ahead."""


@rule
def set_off(world: Record, me: Record, script: Record, part: Record) -> None:
    """Let a part's actor go."""
    part.state, part.since = MOVES, world.tick
    distance, way = part.place_s - world.s - world.half_length, part.meet_s - me.s
    if part.law == PACED and part.cue == MEETS:
        me.speed = crossing_pace(distance, world.speed, way, part.speed)
    elif part.law == KEEPS and part.cue == MEETS:
        part.speed = runner_speed(distance, world.speed, way, part.speed)
        me.speed = part.speed
    elif part.law == PACED or (part.law == KEEPS and not script.touched):
        me.speed = part.speed
    elif part.law == LEADS or part.law == ARRIVES:
        me.speed = min(world.speed, part.speed)
    else:
        me.speed = part.first_speed


@rule
def cue_comes(world: Record, part: Record, s: float) -> bool:
    """Whether the cue has come, and its delay has passed, of a part that is s m along its path."""
    if part.cued < 0:
        if part.cue == AT_ONCE:
            comes = True
        elif part.cue == MEETS:
            comes = steps_out(part.place_s - world.s - world.half_length, world.speed, part.meet_s - s, part.speed)
        else:
            comes = arrives_within(part.place_s - world.s, world.speed, part.cue_time_s, part.cue_m)
        if not comes:
            return False
        part.cued = world.tick
    return bool(world.tick - part.cued >= part.delay_ticks)


@rule
def fill(points: Record, world: Record, actors: Record, script: Record, parts: Record, first: int) -> None:
    """Put a flow's vehicles all along its path, from its end to its source, none into a junction."""
    head = parts[first]
    s = points[head.path + head.path_points - 1].s - 1.0
    while s > head.start_s and head.turn < head.members:
        part = parts[first + head.turn]
        if appear(points, world, actors, part, s, APPEAR_ROOM_M):
            me = actors[part.slot]
            if points[head.path + me.sample].lane != 0:
                me.kind, me.role, part.state = NONE, GONE, AWAY
            else:
                set_off(world, me, script, part)
                head.turn += 1
        s -= flow_gap(head.gap_low, head.gap_high, draw(actors[head.slot]))
    head.turn %= head.members


@rule
def feed(points: Record, world: Record, actors: Record, script: Record, parts: Record, first: int) -> None:
    """Let the next vehicle of a flow begin when the one before it is far enough."""
    head = parts[first]
    if head.filled:
        head.filled = False
        fill(points, world, actors, script, parts, first)
    following = parts[first + head.turn]
    before = parts[first + (head.turn + head.members - 1) % head.members]
    if following.state != AWAY or (before.state == MOVES and actors[before.slot].s < head.start_s + head.gap):
        return
    if appear(points, world, actors, following, head.start_s, APPEAR_ROOM_M):
        set_off(world, actors[following.slot], script, following)
        head.gap = flow_gap(head.gap_low, head.gap_high, draw(actors[following.slot]))
        head.turn = (head.turn + 1) % head.members


@rule
def comes_on(points: Record, world: Record, actors: Record, script: Record, part: Record) -> None:
    """Let a part that is away appear, if it is time and there is room."""
    if part.appears == UNLESS_LED and script.led:
        part.state = DONE
    elif part.appears == EARLY or (script.phase == PLAYING and (part.appears != AT_CUE or cue_comes(world, part, part.start_s))):
        close = part.appears == EARLY or part.appears == AT_CUE
        appear(points, world, actors, part, part.start_s, CLOSE_ROOM_M if close else APPEAR_ROOM_M)


@rule
def play_part(points: Record, world: Record, actors: Record, script: Record, parts: Record, row: int) -> None:
    """One tick of a part."""
    part = parts[row]
    playing = script.phase == PLAYING
    if part.law == NOISE:
        if playing:
            disturb(world, part, row)
        return
    me = actors[part.slot]
    if part.members > 0 and playing and cue_comes(world, part, part.start_s):
        feed(points, world, actors, script, parts, row)
    pushes = part.law == KEEPS or row == script.yields
    if playing and pushes and part.members >= 0 and (world.tick - script.begun) % CLEAR_EVERY == 0:
        clear_way(points, world, actors, part)
    if part.state == AWAY:
        if part.members == 0:
            comes_on(points, world, actors, script, part)
        if part.state != STANDS:
            return
    if me.role != SCRIPTED:
        # it is gone for good, and its slot may be another's
        return
    remember(world, me)
    script.touched = script.touched or me.stuck_tick >= 0
    if stands_hit(world, me):
        return
    if me.kind == NONE:
        part.state = AWAY if part.end == AGAIN else DONE
    elif part.state == STANDS and part.law != STAND and playing and cue_comes(world, part, me.s):
        set_off(world, me, script, part)
    if part.state == MOVES:
        move(points, world, actors, script, part)
        if part.law == KEEPS and me.kind != NONE:
            run_in(world, actors, me)


@rule
def yielding_ends(world: Record, actors: Record, script: Record, part: Record, leaves: bool, events: Record, counts: Record) -> bool:
    """YieldToEmergencyVehicle: whether it is over, now or because the ego `leaves` the place; records where the vehicle is not let by then.

    A vehicle that has not come near the ego is not held up by it.
    """
    me = actors[part.slot]
    if part.state != MOVES:
        return bool(leaves or part.state == DONE)
    ahead, aside = to_local(me.x, me.y, world.x, world.y, me.yaw)
    if script.deadline < 0 and ahead * ahead + aside * aside < NEAR_M * NEAR_M:
        script.deadline = world.tick + YIELD_TICKS
    if script.deadline < 0:
        return leaves
    if not leaves and world.tick < script.deadline and ahead < NEAR_M:
        return False
    if not has_let_by(0.0, ahead):
        record(world, events, counts, YIELD_EMERGENCY, me.id, 0.0)
    return True


@rule
def play(town: Town, points: Record, world: Record, actors: Record, scripts: Record, parts: Record, events: Record, counts: Record) -> None:
    """One tick of all scripts, before the ego moves."""
    world.noise_throttle, world.noise_steer = 0.0, 0.0
    for k in range(world.scripts):
        script = scripts[k]
        if script.phase == OVER or (script.phase == ASLEEP and world.s < script.show_s):
            continue
        if script.phase == ASLEEP:
            script.phase = WAITING
        if script.phase == WAITING and world.begun and world.s >= script.trigger_s:
            begin(town, world, actors, script)
        for row in range(script.part_first, script.part_end):
            play_part(points, world, actors, script, parts, row)
        if script.blocked_lane >= 0 and script.beside >= 0 and world.begun and world.tick % CLEAR_EVERY == 0:
            change_over(town, world, actors, script)
        if script.phase != PLAYING:
            continue
        late = script.timeout_ticks > 0 and world.tick - script.begun >= script.timeout_ticks
        if late:
            record(world, events, counts, SCENARIO_TIMEOUT, NOBODY, 0.0)
        over = late or world.s >= script.over_s
        if script.yields >= 0:
            over = yielding_ends(world, actors, script, parts[script.yields], over, events, counts)
        if over:
            finish(world, actors, script, parts)
    straighten(world, actors)
