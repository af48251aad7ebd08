"""A script: what a scripted scenario does on one route of one town, as plain data. Any simulator plays it; this module plays nothing.

`carla_rl.scenario.casting` writes scripts, one function a leaderboard scenario type. When and how a part acts is in
`carla_rl.scenario.behaviours`. Lengths in metres, times in seconds, speeds in m/s; `..._s` of a route or path are metres along it.
"""

from dataclasses import dataclass
from enum import IntEnum

import numpy as np
from numpy.typing import NDArray

from carla_rl.types import ObjectKind


@dataclass(frozen=True, slots=True)
class Model:
    """What a part looks like: CARLA's blueprint and its box."""

    blueprint: str
    kind: ObjectKind
    half_length: float
    """m."""
    half_width: float
    """m."""


# Sizes are those of CARLA 0.9.16's blueprints, rounded to 5 cm.
CAR = Model("vehicle.lincoln.mkz_2020", ObjectKind.VEHICLE, 2.45, 0.95)
AMBULANCE = Model("vehicle.ford.ambulance", ObjectKind.EMERGENCY, 3.2, 1.1)
POLICE = Model("vehicle.dodge.charger_police_2020", ObjectKind.EMERGENCY, 2.6, 1.0)
BICYCLE = Model("vehicle.diamondback.century", ObjectKind.BICYCLE, 0.8, 0.3)
PEDESTRIAN = Model("walker.pedestrian.*", ObjectKind.PEDESTRIAN, 0.25, 0.25)
VENDING_MACHINE = Model("static.prop.vendingmachine", ObjectKind.STATIC, 0.55, 0.45)
WARNING_SIGN = Model("static.prop.trafficwarning", ObjectKind.STATIC, 1.2, 1.15)
CONE = Model("static.prop.constructioncone", ObjectKind.STATIC, 0.2, 0.2)
DOOR = Model("vehicle door", ObjectKind.STATIC, 0.1, 0.45)
"""An open door of a parked car; in CARLA the car's own."""
DEBRIS = Model("static.prop.dirtdebris01", ObjectKind.NONE, 0.9, 0.9)
"""Dirt on the road: drawn, never in the way."""


@dataclass(frozen=True, eq=False)
class Path:
    """Where a part goes: P points, at least two, map frame, in its direction of travel."""

    x: NDArray[np.float64]
    """(P,) m."""
    y: NDArray[np.float64]
    z: NDArray[np.float64]
    yaw: NDArray[np.float64]
    """(P,) rad."""
    s: NDArray[np.float64]
    """(P,) m from the start, strictly increasing, s[0] = 0."""
    speed: NDArray[np.float64]
    """(P,) m/s at which its bends can be driven, braking for them included."""
    inside: NDArray[np.bool_]
    """(P,) inside a junction: no vehicle of a flow begins there."""

    @property
    def length(self) -> float:
        """m."""
        return float(self.s[-1])


class Appears(IntEnum):
    """When a part is put into the world."""

    EARLY = 0
    """Well before the ego sees its place."""
    AT_TRIGGER = 1
    """When the script is triggered and there is room."""
    AT_CUE = 2
    """When its cue comes: a door that opens."""
    UNLESS_LED = 3
    """At the trigger, only where no vehicle of the background leads the ego."""


class Cue(IntEnum):
    """When a part that stands sets off, once the script is triggered."""

    AT_ONCE = 0
    MEETS = 1
    """`behaviours.steps_out`: so that it meets an ego that does not react."""
    NEAR = 2
    """`behaviours.arrives_within`: the ego is `cue_time_s` or `cue_m` from `place_s`."""


class Law(IntEnum):
    """How fast a part goes that has set off."""

    STANDS = 0
    KEEPS = 1
    """Its speed, whatever comes, until one of its script has touched the ego; bends slow it down. With Cue.MEETS that of
    `behaviours.runner_speed`."""
    FOLLOWS = 2
    """The Intelligent Driver Model behind whatever is on its path, the ego too."""
    PACED = 3
    """`behaviours.crossing_pace`."""
    LEADS = 4
    """Follows for `brake_after_s`, then brakes hard and stands for `brake_s`, then follows again."""
    ARRIVES = 5
    """`behaviours.arrival_speed`: at `meet_s` when the ego is at `place_s`; then it follows at `arrived_share` of the ego's speed."""


class End(IntEnum):
    """What becomes of a part at the end of its path."""

    STANDS = 0
    VANISHES = 1
    AGAIN = 2
    """It begins again: a flow."""


@dataclass(frozen=True, kw_only=True)
class Part:
    """One actor, or with `flow` a stream of them."""

    model: Model
    path: Path
    start_s: float = 0.0
    """On its path, of its centre."""
    appears: Appears = Appears.AT_TRIGGER
    delay_s: float = 0.0
    """After its cue."""
    cue: Cue = Cue.AT_ONCE
    place_s: float = 0.0
    """On the ego's route: where the two meet."""
    meet_s: float = 0.0
    """On its own path: where the two meet."""
    cue_time_s: float = 0.0
    cue_m: float = 0.0
    law: Law = Law.STANDS
    speed: float = 0.0
    first_speed: float = 0.0
    """When it sets off with Law.FOLLOWS or LEADS."""
    arrived_share: float = 1.0
    aside: float = 0.0
    """m to the left of its path at `start_s`, where it begins to change over,"""
    aside_to: float = 0.0
    """after it has,"""
    aside_m: float = 0.0
    """and on how long a way; 0: it never does."""
    brake_after_s: float = 0.0
    brake_s: float = 0.0
    end: End = End.VANISHES
    flow: tuple[float, float] | None = None
    """Smallest and largest distance between the centres of two vehicles of a stream, drawn for each."""
    filled: bool = False
    """The stream is there at the trigger, all along its path; else it begins at its source."""


@dataclass(frozen=True)
class LightHold:
    """The lights of a junction, from the trigger until the script is over. A phase is `Roads.signal_phase`; the other phases are red."""

    junction: int
    red_s: float
    """s for which only `first` is green."""
    first: tuple[int, ...]
    """Phases."""
    then: tuple[int, ...]
    """Phases that are green afterwards."""


@dataclass(frozen=True)
class Noise:
    """A place where the ego's pedals and wheel are disturbed while it is within `radius_m`, at every tick anew."""

    s: float
    """On the ego's route."""
    radius_m: float
    throttle: tuple[float, float]
    """Mean and standard deviation; the sign of the mean is drawn for each place and episode."""
    steer: tuple[float, float]


@dataclass(frozen=True)
class Blocked:
    """A lane that is shut at a place: background traffic behind it changes over where it can."""

    lane: int
    s: float
    """On the lane: where the obstacle begins."""
    beside: int
    """The lane to change to, same direction; -1: wait."""
    beside_s: float
    """On it, level with `s`."""


@dataclass(frozen=True, kw_only=True)
class Script:
    """A scripted scenario on one route."""

    name: str
    type: str
    trigger_s: float
    """On the ego's route: begins here."""
    over_s: float
    """On the ego's route: over from here on; what moves and what was put there is taken away."""
    timeout_s: float = 0.0
    """After the trigger: over, with the infraction SCENARIO_TIMEOUT; 0: never."""
    parts: tuple[Part, ...] = ()
    lights: LightHold | None = None
    junction: int = -1
    """Emptied of background traffic at the trigger, with the ego's way to it; the others wait before it until the script is over."""
    noises: tuple[Noise, ...] = ()
    brake_s: float = 0.0
    """The background vehicle that leads the ego at the trigger brakes hard for so long."""
    blocked: Blocked | None = None
    oncoming: bool = False
    """The ego may use the oncoming lane from the trigger on: that is the only way round."""
    yields_part: int = -1
    """The part that the ego has to let by; it has not where it is still ahead of it at the end (YIELD_EMERGENCY)."""

    @property
    def passable(self) -> bool:
        """Whether there is a lane on which the ego may get past what stands in its own, if anything does."""
        return self.blocked is None or self.blocked.beside >= 0 or self.oncoming
