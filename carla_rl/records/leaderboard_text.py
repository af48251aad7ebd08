"""The sentences in which the CARLA leaderboard and Bench2Drive tell of infractions, as records of ours.

ScenarioRunner writes them in `srunner/scenariomanager/scenarioatomics/atomic_criteria.py` (branches leaderboard-1.0, -2.0 and -2.1 use the
same words). A place is turned from CARLA's frame into the map frame. What a sentence does not say is null. Knows nothing of files.
"""

import math
import re
from collections.abc import Mapping, Sequence

from carla_rl.errors import UsageError
from carla_rl.geometry import from_carla
from carla_rl.metrics.result import InfractionRecord
from carla_rl.types import Infraction

KINDS: Mapping[str, Infraction] = {
    "collisions_pedestrian": Infraction.COLLISION_PEDESTRIAN,
    "collisions_vehicle": Infraction.COLLISION_VEHICLE,
    "collisions_layout": Infraction.COLLISION_STATIC,
    "red_light": Infraction.RED_LIGHT,
    "stop_infraction": Infraction.STOP_SIGN,
    "scenario_timeouts": Infraction.SCENARIO_TIMEOUT,
    "yield_emergency_vehicle_infractions": Infraction.YIELD_EMERGENCY,
    "min_speed_infractions": Infraction.MIN_SPEED,
    "outside_route_lanes": Infraction.OUTSIDE_ROUTE_LANES,
    "route_dev": Infraction.ROUTE_DEVIATION,
    "vehicle_blocked": Infraction.VEHICLE_BLOCKED,
    "route_timeout": Infraction.ROUTE_TIMEOUT,
}
"""The names of the kinds in a results file, in the order in which infractions are listed here."""
COLLISIONS = (Infraction.COLLISION_PEDESTRIAN, Infraction.COLLISION_VEHICLE, Infraction.COLLISION_STATIC)
SHARES = (Infraction.MIN_SPEED, Infraction.OUTSIDE_ROUTE_LANES)

_NUMBER = r"(-?\d+(?:\.\d+)?(?:[eE][-+]?\d+)?)"
_PLACE = re.compile(rf"\(x={_NUMBER}, y={_NUMBER}, z={_NUMBER}\)")
_OTHER = re.compile(r"(?:\bid=|\bred light )(\d+)")
_PERCENT = re.compile(rf"{_NUMBER}\s*%")


def infractions(told: Mapping[str, Sequence[str]], source: str) -> tuple[InfractionRecord, ...]:
    """Records of all sentences of one route, kind by kind; `told` has the sentences by the names in `KINDS`.

    Raises:
        UsageError: a kind that is unknown, or a sentence without the percentage that the score needs.
    """
    if unknown := sorted(set(told) - set(KINDS)):
        raise UsageError(f"{source}: infractions of an unknown kind ({', '.join(unknown)}); known are {', '.join(KINDS)}")
    return tuple(_record(kind, text, source) for name, kind in KINDS.items() for text in told.get(name, ()))


def _record(kind: Infraction, text: str, source: str) -> InfractionRecord:
    x, y = _place(text)
    other = _OTHER.search(text)
    value: float | None = 0.0
    if kind in SHARES:
        value = _share(text, source)
    elif kind in COLLISIONS:
        value = None
    return InfractionRecord(kind=kind, time_s=None, x=x, y=y, other=int(other[1]) if other else -1, value=value)


def _place(text: str) -> tuple[float | None, float | None]:
    found = _PLACE.search(text)
    return (None, None) if found is None else from_carla(float(found[1]), float(found[2]))[:2]


def _share(text: str, source: str) -> float:
    found = _PERCENT.search(text)
    percent = float(found[1]) if found else math.nan
    if not percent >= 0.0:
        raise UsageError(f"{source}: {text!r} has no percentage, which the score needs; import the file as the evaluator wrote it")
    return percent / 100.0
