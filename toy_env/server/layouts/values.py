"""The values that client and server exchange, with the names of CARLA's Python API. Knows neither their order on the wire nor a version.

Frames and units are CARLA's: metres, degrees, left-handed (x forward, y right, z up), unless a field says otherwise.
"""

from typing import NamedTuple


class Vector(NamedTuple):
    """A location in m, or any vector with three components."""

    x: float = 0.0
    y: float = 0.0
    z: float = 0.0


class Vector2(NamedTuple):
    """A point of a curve."""

    x: float
    y: float


class Rotation(NamedTuple):
    """Degrees."""

    pitch: float = 0.0
    yaw: float = 0.0
    roll: float = 0.0


class Transform(NamedTuple):
    """Where something is and how it is turned."""

    location: Vector = Vector()
    rotation: Rotation = Rotation()


class Box(NamedTuple):
    """A bounding box in the frame of its actor; `extent` holds half sizes in m."""

    location: Vector = Vector()
    extent: Vector = Vector()
    rotation: Rotation = Rotation()
    actor_id: int = 0


class AttributeDefinition(NamedTuple):
    """An attribute that a blueprint offers; `type` is 1 bool, 2 int, 3 float, 4 str, 5 colour."""

    id: str
    type: int
    value: str
    recommended: tuple[str, ...]
    modifiable: bool
    restrict: bool


class AttributeValue(NamedTuple):
    """An attribute as the client has set it."""

    id: str
    type: int
    value: str


class Definition(NamedTuple):
    """A blueprint; `tags` is one string with commas."""

    uid: int
    id: str
    tags: str
    attributes: tuple[AttributeDefinition, ...]


class Description(NamedTuple):
    """What an actor was spawned from."""

    uid: int
    id: str
    attributes: tuple[AttributeValue, ...] = ()


class ActorInfo(NamedTuple):
    """An actor as the client keeps it: told once, never changed."""

    id: int
    parent_id: int
    description: Description
    box: Box
    semantic_tags: bytes
    stream_token: bytes


class MapInfo(NamedTuple):
    """Name of the map and where vehicles may be spawned."""

    name: str
    spawn_points: tuple[Transform, ...]


class EpisodeSettings(NamedTuple):
    """World settings."""

    synchronous_mode: bool = False
    no_rendering_mode: bool = False
    fixed_delta_seconds: float | None = None
    substepping: bool = True
    max_substep_delta_time: float = 0.01
    max_substeps: int = 10
    max_culling_distance: float = 0.0
    deterministic_ragdolls: bool = True
    tile_stream_distance: float = 3000.0
    actor_active_distance: float = 2000.0
    spectator_as_ego: bool = True


class Weather(NamedTuple):
    """Weather parameters; the defaults are those of a clear noon."""

    cloudiness: float = 5.0
    precipitation: float = 0.0
    precipitation_deposits: float = 0.0
    wind_intensity: float = 10.0
    sun_azimuth_angle: float = -1.0
    sun_altitude_angle: float = 45.0
    fog_density: float = 2.0
    fog_distance: float = 0.75
    fog_falloff: float = 0.1
    wetness: float = 0.0
    scattering_intensity: float = 1.0
    mie_scattering_scale: float = 0.03
    rayleigh_scattering_scale: float = 0.0331
    dust_storm: float = 0.0


class VehicleControl(NamedTuple):
    """Pedals and wheel; steer is positive to the right."""

    throttle: float = 0.0
    steer: float = 0.0
    brake: float = 0.0
    hand_brake: bool = False
    reverse: bool = False
    manual_gear_shift: bool = False
    gear: int = 0


class AckermannControl(NamedTuple):
    """Target of the speed controller; steer in rad, positive to the right; m/s, m/s^2, m/s^3."""

    steer: float = 0.0
    steer_speed: float = 0.0
    speed: float = 0.0
    acceleration: float = 0.0
    jerk: float = 0.0


class AckermannSettings(NamedTuple):
    """Gains of the speed controller."""

    speed_kp: float = 0.15
    speed_ki: float = 0.0
    speed_kd: float = 0.25
    accel_kp: float = 0.01
    accel_ki: float = 0.0
    accel_kd: float = 0.01


class WalkerControl(NamedTuple):
    """`direction` is a unit vector of the world, `speed` in m/s."""

    direction: Vector = Vector(1.0, 0.0, 0.0)
    speed: float = 0.0
    jump: bool = False


class Gear(NamedTuple):
    """A forward gear."""

    ratio: float
    down_ratio: float
    up_ratio: float


class Wheel(NamedTuple):
    """Physics of a wheel; `radius` and `position` in cm."""

    tire_friction: float = 3.5
    damping_rate: float = 0.25
    max_steer_angle: float = 70.0
    radius: float = 35.0
    max_brake_torque: float = 1500.0
    max_handbrake_torque: float = 3000.0
    lat_stiff_max_load: float = 2.0
    lat_stiff_value: float = 17.0
    long_stiff_value: float = 1000.0
    position: Vector = Vector()


class PhysicsControl(NamedTuple):
    """Physics of a vehicle."""

    torque_curve: tuple[Vector2, ...]
    max_rpm: float
    moi: float
    damping_rate_full_throttle: float
    damping_rate_zero_throttle_clutch_engaged: float
    damping_rate_zero_throttle_clutch_disengaged: float
    use_gear_autobox: bool
    gear_switch_time: float
    clutch_strength: float
    final_ratio: float
    forward_gears: tuple[Gear, ...]
    mass: float
    drag_coefficient: float
    center_of_mass: Vector
    steering_curve: tuple[Vector2, ...]
    wheels: tuple[Wheel, ...]
    use_sweep_wheel_collision: bool


class EnvironmentObject(NamedTuple):
    """Something of the map that is no actor; its box is in the world's frame."""

    transform: Transform
    box: Box
    id: int
    name: str
    tag: int


class LabelledPoint(NamedTuple):
    """A point of the world and what it belongs to (a semantic tag)."""

    location: Vector
    label: int
