"""Small results files as the official evaluators write them, by hand."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

KINDS_1_0 = (
    "collisions_pedestrian",
    "collisions_vehicle",
    "collisions_layout",
    "red_light",
    "stop_infraction",
    "outside_route_lanes",
    "route_dev",
    "route_timeout",
    "vehicle_blocked",
)
KINDS = (*KINDS_1_0, "min_speed_infractions", "yield_emergency_vehicle_infractions", "scenario_timeouts")
VEHICLE = "Agent collided against object with type=vehicle.audi.tt and id=158 at (x=92.12, y=-3.5, z=0.041)"
PEDESTRIAN = "Agent collided against object with type=walker.pedestrian.0004 and id=99 at (x=1.0, y=2.0, z=0.0)"
STATIC = "Agent collided against object with type=static.prop.mesh and id=0 at (x=1e-05, y=2.0, z=0.0)"
RED = "Agent ran a red light 1410 at (x=330.5, y=199.9, z=0.0)"
STOP = "Agent ran a stop with id=77 at (x=10.0, y=20.0, z=0.0)"


def outside(percent: float) -> str:
    return f"Agent went outside its route lanes for about 12.345 meters ({percent}% of the completed route)"


def slow(percent: float) -> str:
    return f"Average speed is {percent}% of the surrounding traffic's one"


def record(
    score: float,
    penalty: float,
    *,
    route: str = "1",
    rep: int = 0,
    done: float = 100,
    status: str = "Completed",
    kinds: Sequence[str] = KINDS,
    told: dict[str, list[str]] | None = None,
    **more: Any,
) -> dict[str, Any]:
    infractions = {name: list((told or {}).get(name, [])) for name in kinds}
    return {
        "index": 0,
        "route_id": f"RouteScenario_{route}_rep{rep}",
        "status": status,
        "num_infractions": sum(map(len, infractions.values())),
        "infractions": infractions,
        "scores": {"score_route": done, "score_penalty": penalty, "score_composed": score},
        "meta": {"route_length": 873.21, "duration_game": 61.5, "duration_system": 100.0},
        **more,
    }


def write(path: Path, *records: Any, total: int | None = None) -> Path:
    count = len(records)
    checkpoint = {"global_record": {}, "progress": [count, count if total is None else total], "records": list(records)}
    path.write_text(json.dumps({"_checkpoint": checkpoint, "entry_status": "Finished", "eligible": True, "sensors": []}))
    return path
