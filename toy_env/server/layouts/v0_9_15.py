"""The layouts of the client 0.9.15, by what differs from 0.9.16. Facts of the network protocol, checked against the wheel."""

from dataclasses import replace
from typing import Any

from toy_env.server.layouts import v0_9_16 as later
from toy_env.server.layouts import values as v
from toy_env.server.layouts.codec import ANY, BOOL, BYTES, INT, TEXT, Kind, many, optional, record
from toy_env.server.layouts.geodesy import mercator


def _one_more(value: Any) -> int:
    number: int = INT.decode(value)
    return number + 1


attribute_type = Kind("int", _one_more, lambda value: value - 1)
"""Types of attributes are counted from 0."""
attribute_value = record(v.AttributeValue, id=TEXT, type=attribute_type, value=TEXT)
attribute = record(v.AttributeDefinition, id=TEXT, type=attribute_type, value=TEXT, recommended=many(TEXT), modifiable=BOOL, restrict=BOOL)
description = record(v.Description, uid=INT, id=TEXT, attributes=many(attribute_value))
box = record(v.Box, location=later.vector, extent=later.vector, rotation=later.rotation)
"""Without the actor's id."""

LAYOUTS = replace(
    later.LAYOUTS,
    version="0.9.15",
    values=replace(
        later.LAYOUTS.values,
        box=box,
        definition=record(v.Definition, uid=INT, id=TEXT, tags=TEXT, attributes=many(attribute)),
        description=description,
        actor=record(v.ActorInfo, id=INT, parent_id=INT, description=description, box=box, semantic_tags=BYTES, stream_token=BYTES),
        environment_object=record(v.EnvironmentObject, transform=later.transform, box=box, id=INT, name=TEXT, tag=INT),
    ),
    commands={**later.COMMANDS, 0: ("spawn", (description, later.transform, optional(INT), ANY))},
    sensor_types={**later.SENSOR_TYPES, "world": 16},
    arguments={"spawn_actor_with_parent": 4, "replay_file": 5},
    unknown=frozenset({"sensor.camera.cosmos_visualization", "sensor.other.v2x", "sensor.other.v2x_custom"}),
    geolocation=mercator,
)
