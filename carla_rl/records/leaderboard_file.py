"""Results files of the CARLA leaderboard (1.0, 2.0, 2.1) and Bench2Drive: `simulation_results.json`, and what merging several makes.

Read and checked, with a sentence for every way in which one can be broken. Which evaluator wrote a file is told by its fields and by the
penalties in it: the versions count the same infractions differently. Knows nothing of run directories.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field

from carla_rl.errors import UsageError
from carla_rl.metrics.result import InfractionRecord, Record
from carla_rl.metrics.scores import Drive, Score, definition
from carla_rl.records.leaderboard_text import infractions
from carla_rl.records.reading import read_object
from carla_rl.types import Ending, Infraction

PROTOCOLS = {
    "leaderboard-1.0": "leaderboard_1.0",
    "leaderboard-2.0": "leaderboard_2.0",
    "leaderboard-2.1": "leaderboard_2.1",
    "bench2drive": "bench2drive",
}
"""Evaluators by name, with the definition of their score."""
FIRST = "leaderboard-1.0"
SINCE_2 = frozenset(["scenario_timeouts", "yield_emergency_vehicle_infractions", "min_speed_infractions"])
"""Kinds that leaderboard 1.0 does not have."""
ENDINGS = {
    "Perfect": Ending.COMPLETED,
    "Completed": Ending.COMPLETED,
    "Failed - Agent deviated from the route": Ending.ROUTE_DEVIATION,
    "Failed - Agent got blocked": Ending.VEHICLE_BLOCKED,
    "Failed - Agent timed out": Ending.ROUTE_TIMEOUT,
    "Failed - TickRuntime": Ending.ROUTE_TIMEOUT,
    "Failed - Agent crashed": Ending.AGENT_FAILED,
    "Failed - Agent couldn't be set up": Ending.AGENT_FAILED,
    "Failed - Agent's sensors were invalid": Ending.AGENT_FAILED,
}
"""How a route ended by the file's word. What is not here (a crashed simulation, a route under way) is no result of a drive."""
ROUNDED = 1.5e-6
"""Score points by which the file's score may differ from ours: it has six decimals."""
ROUNDED_PERCENT = 0.5e-4
"""Share by which the percentage outside the lanes may differ: its sentence has two decimals of a per cent, the score has all."""

ROUTE_ID = re.compile(r"(.+)_rep(\d+)")
Percent = Annotated[float, Field(ge=0, le=100)]


class RouteScores(Record):
    """Scores of a route as the file has them."""

    score_route: Percent
    score_penalty: Annotated[float, Field(ge=0, le=1)]
    score_composed: Percent


class RouteMeta(Record):
    """Measures of a route."""

    route_length: Annotated[float, Field(ge=0)] = Field(description="m")
    duration_game: float = Field(description="simulated s; negative where the drive never began")


class RouteRecord(Record):
    """One drive of one route. The last two are Bench2Drive's."""

    route_id: str
    status: str
    num_infractions: int | None = None
    infractions: dict[str, tuple[str, ...]]
    scores: RouteScores
    meta: RouteMeta
    scenario_name: str | None = None
    town_name: str | None = None


@dataclass(frozen=True)
class Told:
    """A record with what its sentences say."""

    record: RouteRecord
    scenario_id: str
    repetition: int
    ending: Ending
    infractions: tuple[InfractionRecord, ...]

    @cached_property
    def drive(self) -> Drive:
        """The raw facts, for any definition of the score."""
        kinds = [item.kind for item in self.infractions]
        inside = 1.0
        for item in self.infractions:
            if item.kind is Infraction.OUTSIDE_ROUTE_LANES:
                inside *= 1.0 - min(item.value or 0.0, 1.0)
        return Drive(
            route_completion=self.record.scores.score_route / 100.0,
            counts={kind: kinds.count(kind) for kind in Infraction if kind in kinds},
            outside_share=1.0 - inside,
            min_speed_shares=tuple(item.value or 0.0 for item in self.infractions if item.kind is Infraction.MIN_SPEED),
        )

    def differs(self, protocol: str) -> Score | None:
        """Our score by the evaluator's definition where the file's driving score is not that, within rounding."""
        ours, theirs = definition(PROTOCOLS[protocol]).score(self.drive), self.record.scores
        rounded = ROUNDED + (ROUNDED_PERCENT * theirs.score_route if self.drive.outside_share else 0.0)
        return ours if abs(ours.score_composed - theirs.score_composed) > rounded else None


@dataclass(frozen=True)
class LeaderboardFile:
    """A results file, read."""

    path: Path
    routes: tuple[Told, ...]
    """Drives that ended by the agent's doing, in the file's order."""
    without_result: tuple[tuple[str, str], ...]
    """Route id and status of the others: the simulation crashed, or the file was written while the route was driven."""
    missing: int
    """Routes that the file says were to be driven and has no record of."""
    fields_of: tuple[str, ...]
    """The evaluators whose files have these fields."""


def read_leaderboard_file(path: Path) -> LeaderboardFile:
    """Read a results file.

    Raises:
        UsageError: missing, no JSON, no results file, no record, a route twice, or a record that is incomplete or contradicts itself.
    """
    data = read_object(path)
    checkpoint = data.get("_checkpoint")
    records = checkpoint.get("records") if isinstance(checkpoint, dict) else None
    if not isinstance(checkpoint, dict) or not isinstance(records, list):
        raise UsageError(f"{path}: has no list _checkpoint.records; give the simulation_results.json of a leaderboard evaluator")
    if not records:
        raise UsageError(f"{path}: has no record; no route was finished when it was written")
    _no_doubles(path, records)
    routes, without = [], []
    for number, record in enumerate(records):
        source = f"{path}: record {number}"
        if not isinstance(record, dict) or not isinstance(record.get("route_id"), str):
            raise UsageError(f"{source}: has no route_id; the file was changed after the run")
        if record.get("status") in ENDINGS:
            routes.append(_told(RouteRecord.checked(record, source), f"{path}: {record['route_id']}"))
        else:
            without.append((record["route_id"], str(record.get("status") or "without a status")))
    return LeaderboardFile(path, tuple(routes), tuple(without), _missing(checkpoint, len(records)), _fields_of(records))


def recognise(file: LeaderboardFile, given: str | None) -> tuple[str, str]:
    """Which evaluator wrote the file, and the sentence that says how that is known.

    Raises:
        UsageError: `given` is unknown or contradicts the file; nothing is given and the file does not tell.
    """
    if given is not None and given not in PROTOCOLS:
        raise UsageError(f"--protocol {given}: unknown; write one of {', '.join(PROTOCOLS)}")
    if given is not None and given not in file.fields_of:
        raise UsageError(f"{file.path}: its fields are those of {' or '.join(file.fields_of)}; leave --protocol {given} out")
    fitting = [name for name in file.fields_of if not any(route.differs(name) for route in file.routes)]
    if given is not None:
        if fitting and given not in fitting:
            raise UsageError(f"{file.path}: its scores are those of {' or '.join(fitting)}, not of {given}; correct --protocol")
        return given, f"protocol {given}, as told by --protocol"
    if len(file.fields_of) == 1:
        return file.fields_of[0], f"protocol {file.fields_of[0]}: only its files have such fields"
    if len(fitting) == 1:
        others = [name for name in file.fields_of if name not in fitting]
        proof = next(route for route in file.routes if route.differs(others[0]))
        score = proof.record.scores.score_composed
        return fitting[0], f"protocol {fitting[0]}: only its formula gives the scores, e.g. {score:g} of {proof.record.route_id}"
    known = " or ".join(fitting or file.fields_of)
    raise UsageError(f"{file.path}: nothing in it tells whether {known} wrote it; give --protocol")


def _no_doubles(path: Path, records: Sequence[Any]) -> None:
    seen: dict[str, int] = {}
    for number, record in enumerate(records):
        name = record.get("route_id") if isinstance(record, dict) else None
        if isinstance(name, str) and name in seen:
            raise UsageError(f"{path}: {name} is in records {seen[name]} and {number}; a route counts once, remove one of them")
        if isinstance(name, str):
            seen[name] = number


def _missing(checkpoint: dict[str, Any], records: int) -> int:
    """Routes to be driven by `progress` ([done, all]) that have no record; merged files have no progress."""
    progress = checkpoint.get("progress")
    total = progress[1] if isinstance(progress, list) and len(progress) == 2 else None
    return max(total - records, 0) if isinstance(total, int) else 0


def _fields_of(records: Sequence[dict[str, Any]]) -> tuple[str, ...]:
    kinds = {name for record in records for name in (record.get("infractions") or ())}
    if not kinds & SINCE_2:
        return (FIRST,)
    if any("save_name" in record or "scenario_name" in record for record in records):
        return ("bench2drive",)
    return tuple(name for name in PROTOCOLS if name != FIRST)


def _told(record: RouteRecord, source: str) -> Told:
    found = ROUTE_ID.fullmatch(record.route_id)
    if found is None:
        raise UsageError(f"{source}: a route_id ends in _rep and a number; the file was changed after the run")
    listed = sum(map(len, record.infractions.values()))
    if record.num_infractions is not None and record.num_infractions != listed:
        raise UsageError(f"{source}: num_infractions is {record.num_infractions}, {listed} are listed; the file was changed after the run")
    ending = ENDINGS[record.status]
    if (ending is Ending.COMPLETED) != (record.scores.score_route == 100.0):
        raise UsageError(f"{source}: status {record.status!r} with score_route {record.scores.score_route:g}; the file was changed")
    return Told(record, found[1], int(found[2]), ending, infractions(record.infractions, source))
