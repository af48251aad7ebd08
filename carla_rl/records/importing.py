"""Results of the official evaluators as runs of ours: episodes with raw facts, in a run directory that every command takes.

What a results file does not say (ADE, comfort, decisions, distance driven, when something happened) is null. The route file that was driven
gives towns, scripted types and our seeds, so that episodes pair with those of `carla-rl evaluate` on the same file; the leaderboard draws
its traffic from a seed of its own all the same. The fingerprint says who measured.
"""

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from carla_rl.errors import UsageError
from carla_rl.interfaces import SimulatorInfo
from carla_rl.metrics.result import COLLISIONS, EpisodeResult, Imported, Raw
from carla_rl.metrics.scores import definition, is_success, status
from carla_rl.records.leaderboard_file import PROTOCOLS, ROUTE_ID, LeaderboardFile, Told
from carla_rl.records.run import EVALUATION, PolicyRecord, RunDirectory, SuiteRecord, start_run
from carla_rl.scenario.model import Scenario, drive_seed
from carla_rl.scenario.route_xml import read_routes
from carla_rl.scenario.selection import select
from carla_rl.scenario.suite import Suite
from carla_rl.types import Infraction, SimulatorKind

NOT_TOLD = "not told"
_DIGITS = "0123456789"


@dataclass(frozen=True)
class Source:
    """What is imported, and what the file does not say of it."""

    file: LeaderboardFile
    protocol: str
    suite: Suite | None
    """The routes that were driven."""
    policy: str
    simulator: SimulatorKind
    """What the evaluator drove on; the file cannot tell CARLA from a server that stands in for it."""
    version: str
    """Of that simulator."""


def episodes(source: Source) -> tuple[EpisodeResult, ...]:
    """The drives of the file, in its order.

    Raises:
        UsageError: a route that the suite does not have.
    """
    known = {scenario.scenario_id: scenario for scenario in source.suite.scenarios} if source.suite else {}
    for route in source.file.routes:
        if source.suite and route.scenario_id not in known:
            raise UsageError(f"{source.file.path}: {route.scenario_id} is no route of {source.suite.source}; give the file that was driven")
    return tuple(_episode(source, route, known.get(route.scenario_id)) for route in source.file.routes)


def lacking(source: Source) -> tuple[str, ...]:
    """What the file has no result of, an item each: crashes of the simulation, routes under way, routes without a record."""
    driven = {route.scenario_id for route in source.file.routes} | {name.partition("_rep")[0] for name, _ in source.file.without_result}
    if source.suite:
        unseen = [f"{one.scenario_id} (no record)" for one in source.suite.scenarios if one.scenario_id not in driven]
    else:
        unseen = []
    more = source.file.missing - len(unseen)
    void = [f"{name} ({status})" for name, status in source.file.without_result]
    return (*void, *unseen, *([f"{more} drives that have no record"] if more > 0 else ()))


def disagreements(source: Source) -> tuple[str, ...]:
    """A sentence for every route whose driving score in the file does not follow from its infractions."""
    sentences = []
    for route in source.file.routes:
        if ours := route.differs(source.protocol):
            told = route.record.scores.score_composed
            sentences.append(
                f"{route.record.route_id}: the file's driving score is {told:g}, "
                f"its infractions give {ours.score_composed:.6g} by {definition(PROTOCOLS[source.protocol]).name}"
            )
    return tuple(sentences)


def write_run(source: Source, out: Path, run_id: str | None) -> tuple[dict[str, Any], Path]:
    """Write the run directory; what its metrics.json holds, and where it is. Incomplete where the file lacks a result.

    Raises:
        UsageError: a route that the suite does not have; `out` cannot be written.
    """
    results, lack, protocol = episodes(source), lacking(source), source.protocol
    config = {
        "imported": str(source.file.path),
        "sha256": hashlib.sha256(source.file.path.read_bytes()).hexdigest(),
        "protocol": protocol,
        "lacking": list(lack),
        "disagreements": list(disagreements(source)),
    }
    server = "CARLA" if source.simulator is SimulatorKind.CARLA else "this project's CARLA-compatible server, not CARLA"
    started = start_run(
        out,
        EVALUATION,
        config=config,
        simulator=SimulatorInfo(
            kind=source.simulator,
            version=source.version,
            description=f"{server}, measured by the official {protocol}; imported from its results file",
            parameters={},
        ),
        suite=_suite(source),
        policy=PolicyRecord(name=source.policy),
        protocol={"evaluator": f"official {protocol}", "score": PROTOCOLS[protocol]},
        run_id=run_id,
        code=f"official {protocol}",
    )
    run = RunDirectory(started)
    for result in results:
        run.add(result)
    for name, told in source.file.without_result:
        if found := ROUTE_ID.fullmatch(name):
            run.quarantine(f"{found[1]}#{found[2]}", [told])
    return run.finish(complete=not lack), run.path


def _suite(source: Source) -> SuiteRecord:
    if source.suite is None:
        return SuiteRecord(name=f"{source.protocol}, routes {NOT_TOLD}", sha256=None, split="any")
    return SuiteRecord(name=source.suite.name, sha256=source.suite.sha256, split=source.suite.split, omitted=source.suite.omitted)


def _episode(source: Source, route: Told, scenario: Scenario | None) -> EpisodeResult:
    record, drive = route.record, route.drive
    score = definition(PROTOCOLS[source.protocol]).score(drive)
    return EpisodeResult(
        scenario_id=route.scenario_id,
        success=is_success(route.ending, drive.counts),
        ade=None,
        fde=None,
        route_completion=drive.route_completion,
        collisions=sum(drive.counts.get(kind, 0) for kind in COLLISIONS),
        offroad=drive.counts.get(Infraction.OUTSIDE_ROUTE_LANES, 0),
        red_light=drive.counts.get(Infraction.RED_LIGHT, 0),
        stop_sign=drive.counts.get(Infraction.STOP_SIGN, 0),
        episode_return=None,
        steps=None,
        final_dist=None,
        comfort=None,
        raw=_raw(route),
        episode_id=f"{route.scenario_id}#{route.repetition}",
        repetition=route.repetition,
        seed=None if scenario is None else drive_seed(scenario, route.repetition),
        town=scenario.town if scenario else record.town_name,
        simulator=source.simulator,
        ending=route.ending,
        status=status(route.ending, sum(drive.counts.values())),
        score=PROTOCOLS[source.protocol],
        driving_score=score.score_composed,
        score_penalty=score.score_penalty,
        infractions=route.infractions,
        # negative where the drive never began
        duration_s=max(record.meta.duration_game, 0.0),
        driven_m=None,
        route_length_m=record.meta.route_length,
        start_m=0.0,
        scripted=_scripted(scenario, record.scenario_name),
        skipped=(),
    )


def _raw(route: Told) -> Raw:
    record, drive = route.record, route.drive
    return Raw(
        counts=dict(drive.counts),
        outside_share=drive.outside_share,
        min_speed_shares=drive.min_speed_shares,
        tracking_lateral_m=None,
        tracking_longitudinal_m=None,
        delta_m=None,
        imported=Imported(
            status=record.status,
            infractions={name: told for name, told in record.infractions.items() if told},
            score_route=record.scores.score_route,
            score_penalty=record.scores.score_penalty,
            score_composed=record.scores.score_composed,
        ),
    )


def _scripted(scenario: Scenario | None, name: str | None) -> tuple[str, ...]:
    """Scenario types that the route asks for; Bench2Drive's records name the one of theirs, as `ParkedObstacle_1`."""
    if scenario is not None:
        return tuple(sorted({actor.type for actor in scenario.actors}))
    return () if not name else (name.rstrip(_DIGITS).rstrip("_"),)


def route_file(path: Path, routes: str | None = None) -> Suite:
    """A route file, or the part of it that `routes` selects, as a suite whose routes are not traced: that needs no map.

    Raises:
        UsageError: see `read_routes` and `select`.
    """
    found, notes = read_routes(path)
    scenarios = found if routes is None else select(found, routes, str(path))
    omitted = tuple(note for scenario in scenarios for note in notes.get(scenario.scenario_id, ()))
    return Suite(path.stem, "any", f"CARLA leaderboard routes of {path.name}", path, scenarios, (), omitted)
