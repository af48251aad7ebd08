"""The state of N worlds: one record an env, rows of records for what is in it. Knows nothing of what changes it.

A kernel reads and writes one env at a time, so all that belongs to an env lies together (records in C order) and a kernel takes few arrays.
Units are metres, radians, seconds and m/s, the frame is the map's, unless a field says otherwise.
"""

import math
from enum import IntEnum
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from carla_rl.types import MAX_EVENTS, Infraction

Record = Any
"""A row of one of the arrays below inside a kernel: fields are attributes, and writing one writes the array."""

LINE_BYTES = 64
"""Of a cache."""


def _in_lines(fields: list[tuple[str, str]]) -> np.dtype[Any]:
    """A record of these fields that fills whole lines of a cache."""
    kind = np.dtype(fields, align=True)
    names, size = kind.names or (), -(-kind.itemsize // LINE_BYTES) * LINE_BYTES
    places = {"names": names, "formats": [kind[name] for name in names], "offsets": [kind.fields[name][1] for name in names]}  # type: ignore[index]
    whole: np.dtype[Any] = np.dtype({**places, "itemsize": size}, align=True)  # type: ignore[call-overload]
    return whole


class Role(IntEnum):
    """Who moves an actor."""

    UNUSED = 0
    TRAFFIC = 1
    """Follows lanes by the traffic rules."""
    WALKER = 2
    """Walks beside the road and crosses when it is free."""
    SCRIPTED = 3
    """Plays a part of a script."""
    GONE = 4
    """Taken away; its slot stays empty until the episode ends."""


WORLD = np.dtype(
    [
        # what is told of every env in every tick
        ("tick", "i8"),
        ("ending", "i8"),  # an `Ending`
        # ego
        ("x", "f8"),
        ("y", "f8"),
        ("yaw", "f8"),
        ("speed", "f8"),
        ("yaw_rate", "f8"),
        ("acceleration", "f8"),
        # beside its route and of the criteria
        ("driven", "f8"),
        ("completion", "f8"),  # 0..1, in steps of 0.0001
        ("start_s", "f8"),  # where the episode starts on its route
        ("end_s", "f8"),
        ("lanes_m", "f8"),
        ("outside_m", "f8"),
        ("lateral", "f8"),  # of the ego from the route, positive to the left
        ("heading_error", "f8"),
        ("speed_limit", "f8"),
        ("seed", "u8"),
        ("begun", "?"),  # the reset is done
        ("driving", "?"),  # reset and not ended
        ("may_touch", "?"),  # an actor was so near before it moved that it may touch the ego in this tick
        # the ego otherwise
        ("z", "f8"),
        ("throttle", "f8"),  # pedals and wheel where they are, a little behind their commands
        ("steer", "f8"),
        ("brake", "f8"),
        ("half_length", "f8"),
        ("half_width", "f8"),
        ("lane", "i8"),  # driving lane nearest to the ego's centre, -1 where none is near
        ("lane_yaw", "f8"),  # its direction there
        ("approach", "i8"),  # the last of these outside junctions
        ("still_ticks", "i8"),  # for how long it has been below 0.1 m/s
        # route: a part of the route pool; points are counted from the first
        ("route_first", "i8"),
        ("route_points", "i8"),
        ("mark_first", "i8"),
        ("mark_count", "i8"),
        ("line_first", "i8"),  # likewise of the pool's `line`
        # the ego beside the route
        ("near", "i8"),  # point before the ego's projection
        ("s", "f8"),  # of the projection
        ("next_mark", "i8"),  # first mark that is not behind the ego's centre
        ("entry", "i8"),  # junction lane of the route around or ahead of the ego, -1 where none is near
        ("entry_m", "f8"),  # from the ego's centre to its start; negative inside
        # criteria, each with its own place on the route as the leaderboard has it
        ("passed", "i8"),
        ("lanes_point", "i8"),
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
        ("hit_id", "i8"),  # whom the last counted collision was with, for 5 s; -1: nobody
        ("hit_tick", "i8"),  # when it was,
        ("hit_x", "f8"),  # where the ego was then, and `hit_y`
        ("hit_y", "f8"),
        ("lie_tick", "i8"),  # since when the last actor that touched the ego lies there, -1: none has
        ("hit_near", "?"),  # and whether it has not left that place since
        ("stop_done", "?"),  # no stop is owed (any more) at the end of the approach
        ("speed_sum", "f8"),  # minimum speed: sums over the current quarter of the route
        ("traffic_sum", "f8"),
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
        ("cast", "i8"),  # then slots for the parts of scripts
        ("actors", "i8"),  # slots in use: the sum of these
        ("scripts", "i8"),  # rows of the env's script table in use
        ("placed", "i8"),  # vehicles and walkers that found room at the reset
        ("next_id", "i8"),
        ("speed_factor", "f8"),
        ("headway_s", "f8"),
        ("events", "i8"),  # rows of the env's event table in use
        ("lights_together", "?"),  # all cycles begin with the episode; else each somewhere else
        # what scripts do to the world
        ("lights_junction", "i8"),  # junction whose lights are held, -1: none
        ("lights_first", "i8"),  # bit k: phase k is green until `lights_tick`
        ("lights_then", "i8"),  # and from then on
        ("lights_tick", "i8"),
        ("shut_junction", "i8"),  # junction that background traffic does not enter, -1: none
        ("oncoming", "?"),  # the ego may use the oncoming lane
        ("noise_throttle", "f8"),  # added to the ego's pedals and wheel in this tick
        ("noise_steer", "f8"),
    ],
    align=True,
)

ACTOR = _in_lines(
    [
        # where it is: all that others look at
        ("kind", "i4"),  # an `ObjectKind`, 0 where the slot is empty
        ("role", "i4"),  # a `Role`
        ("x", "f8"),
        ("y", "f8"),
        ("z", "f8"),
        ("yaw", "f8"),
        ("speed", "f8"),
        ("s", "f8"),  # place on its lane
        ("lane", "i4"),
        ("sample", "i4"),  # the lane's sample before it
        # what moves it every tick
        ("acceleration", "f8"),  # of traffic: what it decided
        ("lateral", "f8"),  # m to the left of the lane's centre
        ("half_length", "f8"),
        ("half_width", "f8"),
        ("entry_m", "f8"),  # from its centre to the start of `entry`; negative inside
        ("entry", "i8"),  # junction lane ahead or around it, -1 where none is near
        ("still_ticks", "i8"),
        ("stuck_tick", "i4"),  # since when it lies against the ego, -1: it does not
        ("held", "?"),  # a light or a stop sign holds it before `entry`
        # what it decides with
        ("mode", "i1"),  # of pedestrians
        ("direction", "i1"),  # +1 along the lane, -1 against it
        ("side", "i1"),  # while crossing: +1 to the left, -1 to the right
        ("away", "f8"),  # m^2 from the ego when it was last seen
        ("further", "i8"),  # the slot of the one seen after it then, -1: none
        ("id", "i8"),
        ("seed", "u8"),
        ("eagerness", "f8"),  # its own share of the desired speed
        ("stop_done", "i4"),  # the junction lane at whose stop sign it has stopped
        ("brake_until", "i4"),  # tick: brakes hard until then
        ("draws", "i4"),  # of the stream `seed` so far
        ("mode_tick", "i4"),  # when a pedestrian's mode began
        # near the ego: where it was a tick ago, to take a move back
        ("old_x", "f8"),
        ("old_y", "f8"),
        ("old_yaw", "f8"),
        ("old_s", "f8"),
        ("old_lateral", "f8"),
        ("old_lane", "i4"),
        ("old_sample", "i4"),
    ]
)
"""256 bytes, 4 lines of a cache: what all look at, what every tick moves, what is decided with now and then, what is seldom needed."""

SCRIPT = np.dtype(
    [
        ("phase", "i8"),  # a `Phase`
        ("show_s", "f8"),  # m along the route from which on what appears early is there
        ("trigger_s", "f8"),
        ("over_s", "f8"),
        ("timeout_ticks", "i8"),  # 0: none
        ("begun", "i8"),  # tick of the trigger
        ("part_first", "i8"),  # its rows of the env's parts: part_first .. part_end - 1
        ("part_end", "i8"),
        ("lights_junction", "i8"),  # as in WORLD
        ("lights_first", "i8"),
        ("lights_then", "i8"),
        ("red_ticks", "i8"),
        ("junction", "i8"),  # -1: none
        ("brake_ticks", "i8"),  # of who leads the ego
        ("led", "?"),  # somebody led it at the trigger
        ("touched", "?"),  # one of its parts has touched the ego
        ("blocked_lane", "i8"),  # -1: none
        ("blocked_s", "f8"),
        ("beside", "i8"),  # lane to change to, -1: none
        ("beside_s", "f8"),
        ("oncoming", "?"),
        ("deadline", "i8"),  # tick, -1: none yet
        ("yields", "i8"),  # row of the part that is to be let by, -1: none
    ],
    align=True,
)
"""What the fields mean that are not explained stands in `carla_rl.scenario.script.Script`."""

PART = np.dtype(
    [
        ("slot", "i8"),  # of its actor
        ("kind", "i8"),
        ("half_length", "f8"),
        ("half_width", "f8"),
        ("path", "i8"),  # its points in the route pool: path .. path + path_points - 1
        ("path_points", "i8"),
        ("start_s", "f8"),
        ("appears", "i8"),
        ("delay_ticks", "i8"),
        ("cue", "i8"),
        ("place_s", "f8"),
        ("meet_s", "f8"),
        ("cue_time_s", "f8"),
        ("cue_m", "f8"),
        ("law", "i8"),
        ("speed", "f8"),
        ("first_speed", "f8"),
        ("arrived_share", "f8"),
        ("aside", "f8"),
        ("aside_to", "f8"),
        ("aside_m", "f8"),
        ("brake_after_ticks", "i8"),
        ("brake_ticks", "i8"),
        ("end", "i8"),
        # a flow: its members are rows one after another, the first one leads them
        ("members", "i8"),  # of the first: how many; of the others -1; 0: no flow
        ("filled", "?"),
        ("gap_low", "f8"),
        ("gap_high", "f8"),
        # noise: `x`, `y` is where, `speed` the radius
        ("x", "f8"),
        ("y", "f8"),
        ("throttle_mean", "f8"),
        ("throttle_deviation", "f8"),
        ("steer_mean", "f8"),
        ("steer_deviation", "f8"),
        # while it is played
        ("state", "i8"),  # a `State`
        ("cued", "i8"),  # tick at which its cue came, -1: it has not
        ("since", "i8"),  # tick at which it set off
        ("turn", "i8"),  # of a flow: the member that comes next
        ("gap", "f8"),  # and at which distance
    ],
    align=True,
)
"""One actor of a script, or one place of noise, likewise of `carla_rl.scenario.script.Part`."""

EVENT = np.dtype([("kind", "i8"), ("other", "i8"), ("tick", "i8"), ("x", "f8"), ("y", "f8"), ("value", "f8")], align=True)


class Worlds(NamedTuple):
    """N worlds as kernels take them."""

    world: NDArray[np.void]
    """(N,) WORLD."""
    actors: NDArray[np.void]
    """(N, A) ACTOR; A is the largest number of slots that any env has needed."""
    scripts: NDArray[np.void]
    """(N, K) SCRIPT."""
    parts: NDArray[np.void]
    """(N, R) PART."""
    events: NDArray[np.void]
    """(N, MAX_EVENTS) EVENT."""
    counts: NDArray[np.int64]
    """(N, len(Infraction))."""


def aligned(shape: tuple[int, ...], kind: np.dtype[Any] | type[np.generic]) -> NDArray[Any]:
    """Zeros whose first byte is the first of a line of the cache, so that a record of a line's size lies in one."""
    dtype = np.dtype(kind)
    size = math.prod(shape) * dtype.itemsize
    room = np.zeros(size + LINE_BYTES, np.uint8)
    first = -room.ctypes.data % LINE_BYTES
    return room[first : first + size].view(dtype).reshape(shape)


def allocate(num_envs: int, actors: int, scripts: int, parts: int) -> Worlds:
    """Worlds in which nothing drives yet."""
    return Worlds(
        aligned((num_envs,), WORLD),
        aligned((num_envs, actors), ACTOR),
        np.zeros((num_envs, scripts), SCRIPT),
        np.zeros((num_envs, parts), PART),
        np.zeros((num_envs, MAX_EVENTS), EVENT),
        np.zeros((num_envs, len(Infraction)), np.int64),
    )


def grown(worlds: Worlds, actors: int, scripts: int, parts: int) -> Worlds:
    """The same worlds with room for at least so many actors, scripts and parts an env."""
    return worlds._replace(actors=_wider(worlds.actors, actors), scripts=_wider(worlds.scripts, scripts), parts=_wider(worlds.parts, parts))


def _wider(rows: NDArray[np.void], columns: int) -> NDArray[np.void]:
    """The same rows with at least so many columns."""
    if columns <= rows.shape[1]:
        return rows
    wider = aligned((len(rows), columns), rows.dtype)
    wider[:, : rows.shape[1]] = rows
    return wider
