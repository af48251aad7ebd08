"""The values that flow through the closed loop. Plain, immutable, batched over envs.

An *env* is one world with one ego; every array here has the number of envs, N, as its first dimension.
A *tick* is one simulator step (0.05 s), a *decision* one plan of the policy, every few ticks.

Frames: *map* is right-handed, metres, x east, y north, yaw counter-clockwise in radians (OpenDRIVE's frame; CARLA's own
left-handed frame is turned into this one at the edge and nowhere else). *ego* has its origin at the vehicle's centre, x forward, y left.

These types know nothing of how a simulator makes them nor of who reads them.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from enum import IntEnum, StrEnum
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32] | NDArray[np.float64]
Ints = NDArray[np.int64] | NDArray[np.int32] | NDArray[np.int8]
Bools = NDArray[np.bool_]

TICK_S = 0.05
"""Duration of one tick in seconds (20 Hz, as the CARLA leaderboard runs)."""
WAYPOINT_S = 0.1
"""Time between two waypoints of a plan in seconds."""
HORIZON = 20
"""Waypoints in a plan, unless a checkpoint says otherwise."""
ROUTE_POINTS = 50
"""Points of `Observation.route`."""
ROUTE_SPACING_M = 2.0
"""Distance between two points of `Observation.route`, in metres along the route."""
SIGHT_M = 100.0
"""How far ahead along the route traffic lights and stop signs are reported, in metres."""
OBJECTS_M = 60.0
"""How far away objects are seen, in metres, by a policy that does not ask for more."""


class ObjectKind(IntEnum):
    """What an object is; 0 marks an unused row of an object table."""

    NONE = 0
    VEHICLE = 1
    PEDESTRIAN = 2
    STATIC = 3
    BICYCLE = 4
    EMERGENCY = 5
    """An emergency vehicle with its siren on."""


class LightState(IntEnum):
    """State of the traffic light ahead; NONE where there is none within sight."""

    NONE = 0
    GREEN = 1
    YELLOW = 2
    RED = 3


class Infraction(IntEnum):
    """Everything that a driving score counts. The value is the column in `Facts.infractions`."""

    COLLISION_PEDESTRIAN = 0
    COLLISION_VEHICLE = 1
    COLLISION_STATIC = 2
    RED_LIGHT = 3
    STOP_SIGN = 4
    SCENARIO_TIMEOUT = 5
    YIELD_EMERGENCY = 6
    MIN_SPEED = 7
    OUTSIDE_ROUTE_LANES = 8
    ROUTE_DEVIATION = 9
    VEHICLE_BLOCKED = 10
    ROUTE_TIMEOUT = 11


class Ending(IntEnum):
    """Why an episode ended; an ending is a fact with a cause. A crash of the simulator is an exception, never an ending."""

    NONE = 0
    COMPLETED = 1
    ROUTE_DEVIATION = 2
    VEHICLE_BLOCKED = 3
    INFRACTION = 4
    """An infraction that the episode's rules make terminal (training only; the leaderboard drives on)."""
    ROUTE_TIMEOUT = 5
    """The time limit: the only truncation, the only ending that bootstraps with the value of the terminal observation."""
    AGENT_FAILED = 6
    """The agent's own program failed; only in results that another evaluator wrote (here it is an error of the run)."""


class SimulatorKind(StrEnum):
    """What made the numbers. Written into every record, so that toy numbers never pass for CARLA's."""

    TOY = "toy"
    CARLA = "carla"
    TOY_SERVER = "toy-server"
    """This project's CARLA-compatible server, driven through CARLA's client: the adapter's code, the toy's physics."""


@dataclass(frozen=True, slots=True)
class Ego:
    """State of the N egos after a tick, map frame; what odometry and the speedometer give. Each array is (N,) float64."""

    x: NDArray[np.float64]
    y: NDArray[np.float64]
    yaw: NDArray[np.float64]
    speed: NDArray[np.float64]
    """m/s along the heading, never negative."""
    yaw_rate: NDArray[np.float64]
    """rad/s, positive to the left."""
    acceleration: NDArray[np.float64]
    """m/s^2 along the heading."""


@dataclass(frozen=True, slots=True)
class CameraSpec:
    """A pinhole camera on the ego. Mount in the ego frame (metres, radians), pitch positive upwards."""

    name: str = "front"
    width: int = 224
    height: int = 224
    fov_deg: float = 90.0
    """Horizontal field of view in degrees."""
    x: float = 1.5
    y: float = 0.0
    z: float = 1.6
    pitch: float = 0.0
    yaw: float = 0.0


@dataclass(frozen=True, slots=True)
class Needs:
    """What a policy declares that it reads. The loop shows it nothing else; the simulator computes nothing else.

    Speed and yaw rate are always there: every vehicle measures them.
    """

    route: bool = False
    objects: int = 0
    """Rows of the object table: the nearest so many objects,"""
    objects_m: float = OBJECTS_M
    """no farther away than this, m."""
    lights: bool = False
    """Traffic lights and stop signs ahead on the route."""
    speed_limit: bool = False
    room: bool = False
    """How wide the road is beside the route."""
    cameras: tuple[CameraSpec, ...] = ()

    def union(self, other: "Needs") -> "Needs":
        """What serves both."""
        cameras = self.cameras + tuple(c for c in other.cameras if c not in self.cameras)
        return Needs(
            route=self.route or other.route,
            objects=max(self.objects, other.objects),
            objects_m=max(self.objects_m, other.objects_m),
            lights=self.lights or other.lights,
            speed_limit=self.speed_limit or other.speed_limit,
            room=self.room or other.room,
            cameras=cameras,
        )


class ObjectColumn(IntEnum):
    """Columns of `Observation.objects`."""

    X = 0
    """m, ego frame, the object's centre."""
    Y = 1
    YAW = 2
    """rad, relative to the ego's heading, in (-pi, pi]."""
    SPEED = 3
    """m/s along the object's own heading."""
    HALF_LENGTH = 4
    HALF_WIDTH = 5
    KIND = 6
    """An `ObjectKind`; 0 in unused rows, which are all zeros."""


class RoomColumn(IntEnum):
    """Columns of `Observation.room`: m across from the route's line, all of them positive where the ego keeps to its lane."""

    RIGHT = 0
    """To the right edge of the driving lanes of the ego's direction."""
    LEFT = 1
    """To the left edge of the driving lanes of the ego's direction."""
    ONCOMING = 2
    """To the left edge of the oncoming driving lanes beside those; as LEFT where there are none or the line between may not be crossed
    because the road is divided."""


def _within(objects: NDArray[np.float32], reach_m: float) -> NDArray[np.float32]:
    """An object table without the rows that are farther away than `reach_m` m: its last ones."""
    far = objects[..., ObjectColumn.X] ** 2 + objects[..., ObjectColumn.Y] ** 2 > reach_m * reach_m
    return np.where(far[..., None], np.float32(0.0), objects) if far.any() else objects


@dataclass(frozen=True, slots=True)
class Observation:
    """What a policy sees at a decision. Arrays are float32 unless said otherwise; None where it was not declared.

    `objects` is sorted by distance, nearest first, rows within `Needs.objects_m` only.
    `light` holds [distance to the stop line along the route in m, a `LightState`]; distance is SIGHT_M where there is none.
    `stop_sign` holds [distance to the stop line along the route in m, 1 while a stop is still owed else 0], likewise.
    """

    speed: NDArray[np.float32]
    """(N,) m/s."""
    yaw_rate: NDArray[np.float32]
    """(N,) rad/s, positive to the left."""
    route: NDArray[np.float32] | None = None
    """(N, ROUTE_POINTS, 2) m, ego frame: the route ahead, ROUTE_SPACING_M apart, the first at the ego's projection onto the route;
    past the destination it goes straight on along the last heading."""
    route_left: NDArray[np.float32] | None = None
    """(N,) m along the route to the destination."""
    objects: NDArray[np.float32] | None = None
    """(N, M, 7), columns of `ObjectColumn`."""
    light: NDArray[np.float32] | None = None
    """(N, 2)."""
    stop_sign: NDArray[np.float32] | None = None
    """(N, 2)."""
    speed_limit: NDArray[np.float32] | None = None
    """(N,) m/s at the ego's place on the route."""
    images: Mapping[str, NDArray[np.uint8]] = field(default_factory=dict)
    """By camera name: (N, height, width, 3) RGB."""
    room: NDArray[np.float32] | None = None
    """(N, ROUTE_POINTS, 3), columns of `RoomColumn`, at the points of `route`."""

    def __len__(self) -> int:
        return len(self.speed)

    def take(self, envs: Ints) -> "Observation":
        """The rows of the given envs, in that order."""
        rows: dict[str, Any] = {}
        for item in fields(self):
            value = getattr(self, item.name)
            if isinstance(value, Mapping):
                rows[item.name] = {name: image[envs] for name, image in value.items()}
            else:
                rows[item.name] = None if value is None else value[envs]
        return Observation(**rows)

    def restrict(self, needs: Needs) -> "Observation":
        """Only what `needs` declares: the guard that keeps undeclared facts from a policy."""
        return replace(
            self,
            route=self.route if needs.route else None,
            route_left=self.route_left if needs.route else None,
            objects=_within(self.objects[:, : needs.objects], needs.objects_m) if self.objects is not None and needs.objects else None,
            light=self.light if needs.lights else None,
            stop_sign=self.stop_sign if needs.lights else None,
            speed_limit=self.speed_limit if needs.speed_limit else None,
            room=self.room if needs.room else None,
            images={camera.name: self.images[camera.name] for camera in needs.cameras},
        )


@dataclass(frozen=True, slots=True)
class Plan:
    """Where the policy wants the ego to be: waypoints WAYPOINT_S apart, the first one WAYPOINT_S from now."""

    waypoints: NDArray[np.float32]
    """(N, H, 2) m, ego frame."""
    sft_waypoints: NDArray[np.float32] | None = None
    """(N, H, 2): the plan before the correction, where the policy has one."""
    extras: Mapping[str, NDArray[Any]] = field(default_factory=dict)
    """What a learner needs to remember of this plan (features, action, log-probability, value), each (N, ...)."""


@dataclass(frozen=True, slots=True)
class Control:
    """CARLA's pedals and wheel, each (N,) float64: throttle and brake in [0, 1], steer in [-1, 1], **positive to the left**.

    The sign of steer follows our frame; the CARLA adapter turns it.
    """

    throttle: NDArray[np.float64]
    steer: NDArray[np.float64]
    brake: NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Facts:
    """The truth about each env's episode so far: for the harness, never shown to a policy."""

    tick: NDArray[np.int64]
    """(N,) ticks driven in the episode."""
    route_completion: NDArray[np.float64]
    """(N,) share of the route driven, 0..1, never falling."""
    route_length: NDArray[np.float64]
    """(N,) m."""
    driven: NDArray[np.float64]
    """(N,) m driven by the ego."""
    infractions: NDArray[np.int64]
    """(N, len(Infraction)) counts so far."""
    outside_share: NDArray[np.float64]
    """(N,) share of the driven route outside the route's lanes, 0..1."""
    lateral: NDArray[np.float64]
    """(N,) signed distance from the route, m, positive to the left."""
    heading_error: NDArray[np.float64]
    """(N,) ego heading less route heading, rad, in (-pi, pi]."""
    speed_limit: NDArray[np.float64]
    """(N,) m/s."""


@dataclass(frozen=True, slots=True)
class Step:
    """What `reset` and `step` both return: the state after the tick."""

    ego: Ego
    facts: Facts
    ending: NDArray[np.int8]
    """(N,) an `Ending` per env. An ended env stands still and reports the same ending until it is reset."""

    def take(self, envs: Ints) -> "Step":
        """The rows of the given envs, in that order."""
        ego, facts = ([getattr(part, item.name)[envs] for item in fields(part)] for part in (self.ego, self.facts))
        return Step(Ego(*ego), Facts(*facts), self.ending[envs])


MAX_EVENTS = 128
"""Infractions of an episode that are told one by one; beyond them only the counts grow."""
RARE_EVENTS = 32
"""So many of these are for kinds other than collisions, lights and stop signs, which may happen without end."""


@dataclass(frozen=True, slots=True)
class Event:
    """One infraction, with when and where."""

    kind: Infraction
    tick: int
    x: float
    y: float
    other: int = -1
    """Id of the actor, signal or scenario concerned; -1 where there is none."""
    value: float = 0.0
    """Share for OUTSIDE_ROUTE_LANES and MIN_SPEED (0..1), impact speed in m/s for collisions, else 0."""


@dataclass(frozen=True, slots=True)
class Scene:
    """Everything needed to redraw an instant, privileged: all actors and lights of N envs. Map frame."""

    actors: NDArray[np.float32]
    """(N, A, 8): id, kind (`ObjectKind`, 0 unused), x, y, yaw, speed, half length, half width."""
    lights: NDArray[np.int8]
    """(N, S): state of each signal of the env's town, in the order of its `RoadNetwork.signals`; 0 beyond."""
