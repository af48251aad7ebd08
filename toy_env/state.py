"""The state of N worlds: one record an env, rows of records for what is in it. Knows nothing of what changes it.

A kernel reads and writes one env at a time, so all that belongs to an env lies together (records in C order) and a kernel takes few arrays.
Units are metres, radians, seconds and m/s, the frame is the map's, unless a field says otherwise.
"""

from enum import IntEnum
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from carla_rl.types import Infraction

Record = Any
"""A row of one of the arrays below inside a kernel: fields are attributes, and writing one writes the array."""

MAX_EVENTS = 64
"""Infractions of an episode that are kept with time and place; beyond them only the counts grow."""


class Role(IntEnum):
    """Who moves an actor."""

    UNUSED = 0
    TRAFFIC = 1
    """Follows lanes by the traffic rules."""
    WALKER = 2
    """Walks beside the road and crosses when it is free."""
    CROSSING = 3
    """Waits at the edge and steps out as its script says."""
    GONE = 4
    """Taken away; its slot stays empty until the episode ends."""


WORLD = np.dtype(
    [
        ("seed", "u8"),
        ("tick", "i8"),
        ("ending", "i8"),  # an `Ending`
        ("begun", "?"),  # the reset is done
        ("driving", "?"),  # reset and not ended
        # ego
        ("x", "f8"),
        ("y", "f8"),
        ("z", "f8"),
        ("yaw", "f8"),
        ("speed", "f8"),
        ("yaw_rate", "f8"),
        ("acceleration", "f8"),
        ("driven", "f8"),
        ("half_length", "f8"),
        ("half_width", "f8"),
        ("lane", "i8"),  # driving lane nearest to the ego's centre, -1 where none is near
        ("lane_sample", "i8"),  # its sample nearest to the ego
        ("approach", "i8"),  # the last of these outside junctions
        ("still_ticks", "i8"),  # for how long it has been below 0.1 m/s
        # route: a part of the route pool; points are counted from the first
        ("route_first", "i8"),
        ("route_points", "i8"),
        ("mark_first", "i8"),
        ("mark_count", "i8"),
        ("start_s", "f8"),  # where the episode starts
        ("end_s", "f8"),
        # the ego beside the route
        ("near", "i8"),  # point before the ego's projection
        ("s", "f8"),  # of the projection
        ("lateral", "f8"),  # positive to the left
        ("heading_error", "f8"),
        ("speed_limit", "f8"),
        ("next_mark", "i8"),  # first mark that is not behind the ego's centre
        ("entry", "i8"),  # junction lane of the route around or ahead of the ego, -1 where none is near
        ("entry_m", "f8"),  # from the ego's centre to its start; negative inside
        # criteria, each with its own place on the route as the leaderboard has it
        ("passed", "i8"),
        ("completion", "f8"),  # 0..1, in steps of 0.0001
        ("lanes_point", "i8"),
        ("lanes_m", "f8"),
        ("outside_m", "f8"),
        ("outside", "?"),
        ("wrong_way", "?"),
        ("outside_event", "i8"),
        ("judged_lane", "i8"),  # the lane that wrong_way was judged on, -1: none yet
        ("judged_yaw", "f8"),  # its direction there
        ("deviation_point", "i8"),
        ("deviation_m", "f8"),
        ("far", "?"),  # 15 m or more from the route
        ("limit_point", "i8"),
        ("limit_s", "f8"),  # the route's time limit so far
        ("red_light", "i8"),  # the last signal run
        ("stop_done", "?"),  # no stop is owed (any more) at the end of the approach
        ("speed_sum", "f8"),  # minimum speed: sums over the current quarter of the route
        ("traffic_sum", "f8"),
        ("traffic_count", "i8"),
        ("speed_ticks", "i8"),
        ("quarter", "i8"),
        # rules
        ("fixed_limit_s", "f8"),  # 0: the leaderboard's advance
        ("blocked_ticks", "i8"),
        ("deviation_limit", "f8"),
        ("ends_on", "i8"),  # bit k: `Infraction` k ends the episode
        ("min_speed", "?"),
        # what is in the world
        ("vehicles", "i8"),  # slots 0 .. vehicles - 1 hold traffic
        ("walkers", "i8"),  # then walkers
        ("scripts", "i8"),  # then one slot a script
        ("actors", "i8"),  # slots in use: the sum of these
        ("placed", "i8"),  # vehicles and walkers that found room at the reset
        ("next_id", "i8"),
        ("speed_factor", "f8"),
        ("headway_s", "f8"),
        ("events", "i8"),  # rows of the env's event table in use
    ],
    align=True,
)

ACTOR = np.dtype(
    [
        ("id", "i8"),
        ("kind", "i8"),  # an `ObjectKind`, 0 where the slot is empty
        ("role", "i8"),  # a `Role`
        ("seed", "u8"),
        ("draws", "i8"),  # of the stream `seed` so far
        ("x", "f8"),
        ("y", "f8"),
        ("z", "f8"),
        ("yaw", "f8"),
        ("speed", "f8"),
        ("acceleration", "f8"),  # of traffic: what it decided
        ("half_length", "f8"),
        ("half_width", "f8"),
        ("eagerness", "f8"),  # its own share of the desired speed
        # place on the lanes
        ("lane", "i8"),
        ("sample", "i8"),  # the lane's sample before it
        ("s", "f8"),
        ("lateral", "f8"),  # of pedestrians: m to the left of the lane's centre
        # the junction ahead or around it
        ("entry", "i8"),  # junction lane, -1 where none is near
        ("entry_m", "f8"),  # from its centre to the start of that lane; negative inside
        ("held", "?"),  # a light or a stop sign holds it there
        ("stop_done", "i8"),  # the junction lane at whose stop sign it has stopped
        ("still_ticks", "i8"),
        ("brake_until", "i8"),  # tick: brakes hard until then
        # pedestrians
        ("mode", "i8"),
        ("direction", "i8"),  # +1 along the lane, -1 against it
        ("side", "i8"),  # while crossing: +1 to the left, -1 to the right
        ("mode_tick", "i8"),  # when the mode began
        # contact with the ego
        ("hit_tick", "i8"),  # of the last counted collision, -1: none
        ("hit_x", "f8"),  # where the ego was then
        ("hit_y", "f8"),
        ("stuck_tick", "i8"),  # since when it lies against the ego, -1: it does not
        # where it was a tick ago, to take a move back
        ("old_x", "f8"),
        ("old_y", "f8"),
        ("old_yaw", "f8"),
        ("old_lane", "i8"),
        ("old_sample", "i8"),
        ("old_s", "f8"),
        ("old_lateral", "f8"),
    ],
    align=True,
)

SCRIPT = np.dtype(
    [
        ("type", "i8"),  # a `ScriptType`
        ("phase", "i8"),  # 0 waiting, 1 playing, 2 over
        ("trigger_s", "f8"),  # m along the route
        ("place_s", "f8"),  # m along the route where its actor stands
        ("speed", "f8"),  # of its actor
        ("duration_s", "f8"),
    ],
    align=True,
)

EVENT = np.dtype([("kind", "i8"), ("other", "i8"), ("tick", "i8"), ("x", "f8"), ("y", "f8"), ("value", "f8")], align=True)


class Worlds(NamedTuple):
    """N worlds as kernels take them."""

    world: NDArray[np.void]
    """(N,) WORLD."""
    actors: NDArray[np.void]
    """(N, A) ACTOR; A is the largest number of slots that any env has needed."""
    scripts: NDArray[np.void]
    """(N, K) SCRIPT."""
    events: NDArray[np.void]
    """(N, MAX_EVENTS) EVENT."""
    counts: NDArray[np.int64]
    """(N, len(Infraction))."""


def allocate(num_envs: int, actors: int, scripts: int) -> Worlds:
    """Worlds in which nothing drives yet."""
    return Worlds(
        np.zeros(num_envs, WORLD),
        np.zeros((num_envs, actors), ACTOR),
        np.zeros((num_envs, scripts), SCRIPT),
        np.zeros((num_envs, MAX_EVENTS), EVENT),
        np.zeros((num_envs, len(Infraction)), np.int64),
    )


def grown(worlds: Worlds, actors: int, scripts: int) -> Worlds:
    """The same worlds with room for at least so many actors and scripts an env."""
    num_envs, old_actors = worlds.actors.shape
    old_scripts = worlds.scripts.shape[1]
    if actors <= old_actors and scripts <= old_scripts:
        return worlds
    larger = allocate(num_envs, max(actors, old_actors), max(scripts, old_scripts))
    larger.actors[:, :old_actors] = worlds.actors
    larger.scripts[:, :old_scripts] = worlds.scripts
    return worlds._replace(actors=larger.actors, scripts=larger.scripts)
