"""What a table of layouts holds; see `toy_env.server.layouts.v0_9_16` for one. Knows no version."""

import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import numpy as np

from toy_env.server.layouts.codec import Kind


class Family(StrEnum):
    """How an actor's state is read by the client: it looks at the beginning of the type's name."""

    VEHICLE = "vehicle"
    WALKER = "walker"
    LIGHT = "traffic.traffic_light"
    SIGN = "traffic"
    OTHER = "other"


@dataclass(frozen=True)
class Composites:
    """Kinds of the values in `toy_env.server.layouts.values`."""

    vector: Kind
    vector2: Kind
    rotation: Kind
    transform: Kind
    box: Kind
    definition: Kind
    description: Kind
    actor: Kind
    map_info: Kind
    settings: Kind
    weather: Kind
    control: Kind
    ackermann: Kind
    ackermann_settings: Kind
    walker_control: Kind
    physics: Kind
    labelled_point: Kind
    environment_object: Kind


@dataclass(frozen=True)
class Layouts:
    """All that depends on the client's version."""

    version: str
    values: Composites
    commands: dict[int, tuple[str, tuple[Kind, ...]]]
    """Of apply_batch, by index: the name of the command and the kinds of its fields. The fields of SpawnActor end in a list of commands."""
    states: dict[Family, np.dtype[Any]]
    """One actor in the state message; all have the same size, and the fields up to `acceleration` lie at the same place."""
    control_offset: int
    """Bytes from the start of a vehicle's state to its control."""
    control: struct.Struct
    """The control there: throttle, steer, brake, hand brake, reverse, manual, gear."""
    state_header: struct.Struct
    """Episode, platform time, delta seconds, map origin (3), flags."""
    sensor_header: struct.Struct
    """Sensor type, frame, timestamp, x, y, z, pitch, yaw, roll."""
    sensor_types: dict[str, int]
    """The number of a sensor's data on the stream, by the blueprint; `world` is the state message."""
    arguments: Mapping[str, int]
    """Of methods that take fewer than they declare: how many. The function has defaults for the others."""
    unknown: frozenset[str]
    """Blueprints that this version does not have."""
    geolocation: Callable[[float, float, tuple[float, float]], tuple[float, float]]
    """(latitude, longitude) in degrees of a place (x, y; m, CARLA's frame) by the (latitude, longitude) of the map's origin."""
