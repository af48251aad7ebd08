"""When and how scripted actors act: one pure function a rule, for any simulator. Knows neither kernels nor CARLA.

The situations are those of the leaderboard's scenario types; the numbers are chosen so that a driver who reacts in time can master them.
"""

import math

from carla_rl.compiled import rule

REACTION_S = 1.0
"""Time that a driver gets to react."""
DRIVER_BRAKE = 4.0
"""m/s^2 that a driver is expected to brake with."""
SLOWEST_WALK = 0.8
"""m/s."""
SLOWEST_RUN = 0.6
"""of its speed."""
STEP_OUT_M = 8.0
"""m before the ego's front: nobody steps out for an ego that crawls from farther away."""
LEAD_M = 40.0
"""m ahead of the ego within which a vehicle is the leading one."""


@rule
def stopping_distance(speed: float) -> float:
    """m that a driver with REACTION_S and DRIVER_BRAKE needs to stop from `speed` m/s."""
    return speed * REACTION_S + speed * speed / (2.0 * DRIVER_BRAKE)


@rule
def steps_out(distance: float, ego_speed: float, way: float, walk_speed: float) -> bool:
    """DynamicObjectCrossing: whether the pedestrian steps out now.

    `distance` m from the ego's front to the pedestrian's line, `way` m that it has to walk to the middle of the ego's lane at
    `walk_speed` m/s. It sets off so that both would meet there, but never later than the driver can still stop; see `crossing_pace`.
    """
    if distance < 0.0:
        return False
    meet = ego_speed * way / walk_speed
    return bool(distance <= max(meet, stopping_distance(ego_speed) + 2.0, STEP_OUT_M))


@rule
def crossing_pace(distance: float, ego_speed: float, way: float, walk_speed: float) -> float:
    """DynamicObjectCrossing: m/s at which the pedestrian walks once it has stepped out, so that it meets an ego that does not react.

    At most `walk_speed`; the arguments are those of `steps_out` at that moment.
    """
    if distance <= 0.0:
        return walk_speed
    return min(walk_speed, max(way * ego_speed / distance, SLOWEST_WALK))


@rule
def runner_speed(distance: float, ego_speed: float, way: float, speed: float) -> float:
    """OppositeVehicleRunningRedLight: m/s of a vehicle that sets off as `steps_out` says, so that it meets an ego that does not react.

    Between SLOWEST_RUN of `speed` and `speed`; the arguments are those of `steps_out` at that moment.
    """
    if distance <= 0.0:
        return speed
    return min(speed, max(way * ego_speed / distance, SLOWEST_RUN * speed))


@rule
def leads(ahead: float, aside: float, lane_half_width: float) -> bool:
    """HardBreakRoute: whether a vehicle `ahead` m and `aside` m from the ego's place, along and across the route, is one that leads it."""
    return 0.0 < ahead <= LEAD_M and abs(aside) < lane_half_width


@rule
def arrives_within(distance: float, speed: float, time_s: float, near_m: float) -> bool:
    """Whether the ego, `distance` m from a place at `speed` m/s, is there within `time_s` s or nearer to it than `near_m` m.

    ScenarioRunner's pair of conditions InTimeToArrivalToLocation and InTriggerDistanceToLocation. A place behind the ego is near.
    """
    return bool(distance < near_m or distance < speed * time_s)


@rule
def aside_at(s: float, begins_s: float, way: float, before: float, after: float) -> float:
    """m to the left of its path of a vehicle s m along it that changes over from `before` to `after` on `way` m from `begins_s` on."""
    if way <= 0.0:
        return before
    share = min(max((s - begins_s) / way, 0.0), 1.0)
    return before + (after - before) * share * share * (3.0 - 2.0 * share)


@rule
def arrival_speed(way: float, ego_distance: float, ego_speed: float, fastest: float) -> float:
    """m/s at which a vehicle that has `way` m to go arrives when the ego does, which has `ego_distance` m to go; at most `fastest`."""
    if ego_distance <= 0.0:
        return fastest
    return min(way * ego_speed / ego_distance, fastest)


@rule
def flow_gap(low: float, high: float, share: float) -> float:
    """m between the centres of two vehicles of a flow; `share` is drawn from [0, 1) for each."""
    return low + (high - low) * share


@rule
def control_noise(mean: float, deviation: float, sign: float, first: float, second: float) -> float:
    """ControlLoss: what is added to a pedal or the wheel in one tick: normal, its mean positive for a `sign` draw below 0.5, else negative.

    The three draws are from [0, 1); Box and Muller's transform.
    """
    bell = math.sqrt(-2.0 * math.log(1.0 - first)) * math.cos(2.0 * math.pi * second)
    return (mean if sign < 0.5 else -mean) + deviation * bell


@rule
def has_let_by(ego_s: float, other_s: float) -> bool:
    """YieldToEmergencyVehicle: whether the emergency vehicle, `other_s` m along the way, is ahead of the ego at `ego_s`."""
    return other_s > ego_s
