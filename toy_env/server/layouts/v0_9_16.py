"""The layouts of the client 0.9.16. Facts of the network protocol, checked against the wheel; the order of fields is that of the wire."""

import struct
from typing import Any

import numpy as np

from toy_env.server.layouts import values as v
from toy_env.server.layouts.codec import ANY, BOOL, BYTES, COMMAND, FLOAT, INT, TEXT, many, optional, record
from toy_env.server.layouts.geodesy import transverse_mercator
from toy_env.server.layouts.table import Composites, Family, Layouts

vector = record(v.Vector, x=FLOAT, y=FLOAT, z=FLOAT)
vector2 = record(v.Vector2, x=FLOAT, y=FLOAT)
rotation = record(v.Rotation, pitch=FLOAT, yaw=FLOAT, roll=FLOAT)
transform = record(v.Transform, location=vector, rotation=rotation)
box = record(v.Box, location=vector, extent=vector, rotation=rotation, actor_id=INT)
attribute = record(v.AttributeDefinition, id=TEXT, type=INT, value=TEXT, recommended=many(TEXT), modifiable=BOOL, restrict=BOOL)
attribute_value = record(v.AttributeValue, id=TEXT, type=INT, value=TEXT)
description = record(v.Description, uid=INT, id=TEXT, attributes=many(attribute_value))
control = record(
    v.VehicleControl, throttle=COMMAND, steer=COMMAND, brake=COMMAND, hand_brake=BOOL, reverse=BOOL, manual_gear_shift=BOOL, gear=INT
)
ackermann = record(v.AckermannControl, steer=FLOAT, steer_speed=FLOAT, speed=FLOAT, acceleration=FLOAT, jerk=FLOAT)
walker_control = record(v.WalkerControl, direction=vector, speed=FLOAT, jump=BOOL)
gear = record(v.Gear, ratio=FLOAT, down_ratio=FLOAT, up_ratio=FLOAT)
wheel = record(v.Wheel, **dict.fromkeys(v.Wheel._fields[:-1], FLOAT), position=vector)
physics = record(
    v.PhysicsControl,
    torque_curve=many(vector2),
    max_rpm=FLOAT,
    moi=FLOAT,
    damping_rate_full_throttle=FLOAT,
    damping_rate_zero_throttle_clutch_engaged=FLOAT,
    damping_rate_zero_throttle_clutch_disengaged=FLOAT,
    use_gear_autobox=BOOL,
    gear_switch_time=FLOAT,
    clutch_strength=FLOAT,
    final_ratio=FLOAT,
    forward_gears=many(gear),
    mass=FLOAT,
    drag_coefficient=FLOAT,
    center_of_mass=vector,
    steering_curve=many(vector2),
    wheels=many(wheel),
    use_sweep_wheel_collision=BOOL,
)
settings = record(
    v.EpisodeSettings,
    synchronous_mode=BOOL,
    no_rendering_mode=BOOL,
    fixed_delta_seconds=optional(FLOAT),
    substepping=BOOL,
    max_substep_delta_time=FLOAT,
    max_substeps=INT,
    max_culling_distance=FLOAT,
    deterministic_ragdolls=BOOL,
    tile_stream_distance=FLOAT,
    actor_active_distance=FLOAT,
    spectator_as_ego=BOOL,
)

COMMANDS = {
    0: ("spawn", (description, transform, optional(INT), INT, TEXT, ANY)),
    1: ("destroy", (INT,)),
    2: ("control", (INT, control)),
    3: ("ackermann", (INT, ackermann)),
    4: ("walker_control", (INT, walker_control)),
    5: ("physics", (INT, physics)),
    6: ("transform", (INT, transform)),
    7: ("walker_state", (INT, transform, FLOAT)),
    8: ("target_velocity", (INT, vector)),
    9: ("target_angular_velocity", (INT, vector)),
    10: ("impulse", (INT, vector)),
    11: ("force", (INT, vector)),
    12: ("angular_impulse", (INT, vector)),
    13: ("torque", (INT, vector)),
    14: ("simulate_physics", (INT, BOOL)),
    15: ("enable_gravity", (INT, BOOL)),
    16: ("autopilot", (INT, BOOL)),
    17: ("telemetry_shown", (INT, BOOL)),
    18: ("vehicle_lights", (INT, INT)),
    19: ("location", (INT, vector)),
    20: ("console", (TEXT,)),
    21: ("light_state", (INT, INT)),
}

STATE_BYTES = 119
_COMMON: list[tuple[str, Any, int]] = [
    ("id", "<u4", 0),
    ("actor_state", "u1", 4),
    ("transform", ("<f4", 6), 5),
    ("velocity", ("<f4", 3), 29),
    ("angular_velocity", ("<f4", 3), 41),
    ("acceleration", ("<f4", 3), 53),
]
CONTROL_OFFSET = 65


def _state(*own: tuple[str, Any, int]) -> np.dtype[Any]:
    fields = _COMMON + list(own)
    names, formats, offsets = zip(*fields, strict=True)
    return np.dtype({"names": list(names), "formats": list(formats), "offsets": list(offsets), "itemsize": STATE_BYTES})


STATES = {
    Family.VEHICLE: _state(
        ("throttle", "<f4", 65),
        ("steer", "<f4", 69),
        ("brake", "<f4", 73),
        ("hand_brake", "u1", 77),
        ("reverse", "u1", 78),
        ("manual_gear_shift", "u1", 79),
        ("gear", "<i4", 80),
        ("speed_limit", "<f4", 84),  # km/h
        ("light_state", "u1", 88),  # 0 red, 1 yellow, 2 green, 3 off, 4 unknown
        ("at_light", "u1", 89),
        ("light_id", "<u4", 90),
        ("failure", "u1", 94),
    ),
    Family.WALKER: _state(("direction", ("<f4", 3), 65), ("speed", "<f4", 77), ("jump", "u1", 81)),
    Family.LIGHT: _state(
        ("sign_id", "S32", 65),
        ("green_time", "<f4", 97),
        ("yellow_time", "<f4", 101),
        ("red_time", "<f4", 105),
        ("elapsed_time", "<f4", 109),
        ("pole", "<u4", 113),
        ("frozen", "u1", 117),
        ("state", "u1", 118),
    ),
    Family.SIGN: _state(("sign_id", "S32", 65)),
    Family.OTHER: _state(),
}

SENSOR_TYPES = {
    "sensor.other.collision": 0,
    "sensor.camera.depth": 1,
    "sensor.camera.normals": 2,
    "sensor.camera.dvs": 3,
    "sensor.other.gnss": 4,
    "sensor.other.imu": 5,
    "sensor.other.obstacle": 7,
    "sensor.camera.optical_flow": 8,
    "sensor.other.radar": 9,
    "sensor.lidar.ray_cast_semantic": 10,
    "sensor.lidar.ray_cast": 11,
    "sensor.camera.rgb": 13,
    "sensor.camera.semantic_segmentation": 14,
    "sensor.camera.instance_segmentation": 15,
    "world": 17,
}

LAYOUTS = Layouts(
    version="0.9.16",
    values=Composites(
        vector=vector,
        vector2=vector2,
        rotation=rotation,
        transform=transform,
        box=box,
        definition=record(v.Definition, uid=INT, id=TEXT, tags=TEXT, attributes=many(attribute)),
        description=description,
        actor=record(v.ActorInfo, id=INT, parent_id=INT, description=description, box=box, semantic_tags=BYTES, stream_token=BYTES),
        map_info=record(v.MapInfo, name=TEXT, spawn_points=many(transform)),
        settings=settings,
        weather=record(v.Weather, **dict.fromkeys(v.Weather._fields, FLOAT)),
        control=control,
        ackermann=ackermann,
        ackermann_settings=record(v.AckermannSettings, **dict.fromkeys(v.AckermannSettings._fields, FLOAT)),
        walker_control=walker_control,
        physics=physics,
        labelled_point=record(v.LabelledPoint, location=vector, label=INT),
        environment_object=record(v.EnvironmentObject, transform=transform, box=box, id=INT, name=TEXT, tag=INT),
    ),
    commands=COMMANDS,
    states=STATES,
    control_offset=CONTROL_OFFSET,
    control=struct.Struct("<3f3Bi"),
    state_header=struct.Struct("<Qdf3iI"),
    sensor_header=struct.Struct("<QQd6f"),
    sensor_types=SENSOR_TYPES,
    arguments={},
    unknown=frozenset(),
    geolocation=transverse_mercator,
)
