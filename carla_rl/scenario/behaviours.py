"""When and how scripted actors act: one pure function a rule, compiled, for any simulator. Knows neither kernels nor CARLA.

The situations are those of the leaderboard's scenario types; the numbers are chosen so that a driver who reacts in time can master them.
"""

from numba import njit

REACTION_S = 1.0
"""Time that a driver gets to react."""
DRIVER_BRAKE = 4.0
"""m/s^2 that a driver is expected to brake with."""
SLOWEST_WALK = 0.8
"""m/s."""
STEP_OUT_M = 8.0
"""m before the ego's front: nobody steps out for an ego that crawls from farther away."""
LEAD_M = 40.0
"""m ahead of the ego within which a vehicle is the leading one."""


@njit(cache=True)
def stopping_distance(speed: float) -> float:
    """m that a driver with REACTION_S and DRIVER_BRAKE needs to stop from `speed` m/s."""
    return speed * REACTION_S + speed * speed / (2.0 * DRIVER_BRAKE)


@njit(cache=True)
def steps_out(distance: float, ego_speed: float, way: float, walk_speed: float) -> bool:
    """DynamicObjectCrossing: whether the pedestrian steps out now.

    `distance` m from the ego's front to the pedestrian's line, `way` m that it has to walk to the middle of the ego's lane at
    `walk_speed` m/s. It sets off so that both would meet there, but never later than the driver can still stop; see `crossing_pace`.
    """
    if distance < 0.0:
        return False
    meet = ego_speed * way / walk_speed
    return bool(distance <= max(meet, stopping_distance(ego_speed) + 2.0, STEP_OUT_M))


@njit(cache=True)
def crossing_pace(distance: float, ego_speed: float, way: float, walk_speed: float) -> float:
    """DynamicObjectCrossing: m/s at which the pedestrian walks once it has stepped out, so that it meets an ego that does not react.

    At most `walk_speed`; the arguments are those of `steps_out` at that moment.
    """
    if distance <= 0.0:
        return walk_speed
    return min(walk_speed, max(way * ego_speed / distance, SLOWEST_WALK))


@njit(cache=True)
def leads(ahead: float, aside: float, lane_half_width: float) -> bool:
    """HardBreakRoute: whether a vehicle `ahead` m and `aside` m from the ego's place, along and across the route, is one that leads it."""
    return 0.0 < ahead <= LEAD_M and abs(aside) < lane_half_width
