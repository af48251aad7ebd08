"""Puts a report together: numbers, curves, towns and drives into one page that opens from a disk, without a network.

Drives are inside the page while they are small together; larger reports keep one script file a drive in a folder beside the page (a page
opened from a disk may load scripts, nothing else). Knows no command line.
"""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

import carla_rl
from carla_rl.errors import UsageError
from carla_rl.metrics.scores import DEFAULT_SCORE
from carla_rl.records.atomic import make_folder, write_bytes
from carla_rl.records.measured import drive_of
from carla_rl.records.reading import Run
from carla_rl.records.steps import StepLog
from carla_rl.report.curves import learning_curves
from carla_rl.report.drives import pack_drive
from carla_rl.report.facts import LETTERS, Sources, facts
from carla_rl.report.ground import make_ground, pack_ground
from carla_rl.report.moments import before, seconds
from carla_rl.roads.network import RoadNetwork

INSIDE_BYTES = 4_000_000
"""Drives that take more than this together are kept beside the page."""
SCRIPTS = ("unpack", "base", "charts", "world", "drive", "plots", "player", "routes", "places", "sections", "main")
"""The parts of the page's program, in order."""


@dataclass(frozen=True, slots=True)
class Written:
    """A report on the disk."""

    path: Path
    bytes: int
    """Of the page itself."""
    beside: Path | None
    """The folder of the drives, where they are kept beside the page."""
    drives: int
    facts: dict[str, Any]
    """What it says in numbers and sentences."""
    missing: tuple[str, ...]
    """What could not be shown, a sentence each."""


@dataclass
class _Gathered:
    """What is taken from the step logs on one way through them."""

    drives: list[list[str | None]]
    places: dict[str, list[NDArray[np.float32]]]
    missing: list[str]


def write_report(
    sources: Sources, out: Path, network: Callable[[str], RoadNetwork], done: Callable[[int], None] = lambda count: None
) -> Written:
    """Write the report of `sources` to the file `out`; `done` is told how many step logs have been read.

    Towns that `network` does not know are left blank, and the report says so.

    Raises:
        UsageError: a step log that is broken, a place that cannot be written.
    """
    make_folder(out.resolve().parent)
    numbers = facts(sources)
    gathered = _gather(sources.evaluations, numbers["episodes"], done)
    towns = _towns(gathered, network)
    beside = _beside(gathered.drives, sources.evaluations, out)
    content = {
        **numbers,
        "made": datetime.now().astimezone().isoformat(timespec="minutes"),
        "version": carla_rl.__version__,
        "missing": gathered.missing,
        "curves": [{"run_id": run.run_id, "suite": run.suite.name, "curves": learning_curves(run)} for run in sources.trainings],
        "towns": towns,
        "drives": gathered.drives if beside is None else [],
        "beside": beside,
    }
    page = _page(content)
    write_bytes(out, page)
    count = sum(text is not None for drives in gathered.drives for text in drives)
    folder = out.parent / beside["folder"] if beside else None
    return Written(out, len(page), folder, count, numbers, tuple(gathered.missing))


def _gather(runs: Sequence[Run], episodes: list[list[dict[str, Any]]], done: Callable[[int], None]) -> _Gathered:
    """Pack the step logs that are there, and add to the infractions of `episodes` what went before them."""
    found = _Gathered([], {}, [])
    read = 0
    for run, results in zip(runs, episodes, strict=True):
        drives: list[str | None] = []
        driven = {episode.episode_id: episode for episode in run.episodes}
        for result in results:
            path = run.steps_path(result["id"])
            # a run may keep none; one that is there and broken is an error
            log = drive_of(run, driven[result["id"]]) if path.exists() else None
            drives.append(None if log is None else pack_drive(log, DEFAULT_SCORE))
            if log is not None:
                _tell_before(log, result)
                found.places.setdefault(log.town, []).append(np.concatenate((log.ego[::5, :2], log.route[::5, :2])))
            read += 1
            done(read)
        lacking = sum(text is None for text in drives)
        if lacking:
            found.missing.append(f"{run.run_id}: {lacking} of {len(drives)} episodes have no step log, so they cannot be played")
        found.drives.append(drives)
    return found


def _tell_before(log: StepLog, result: dict[str, Any]) -> None:
    known = {(event.kind.name.lower(), round(seconds(event), 3)): before(log, event) for event in log.events}
    for item in result["infractions"]:
        told = known.get((item["kind"], round(item["t"], 3)))
        if told is not None:
            item |= {"speed": told.speed, "forward_m": told.forward_m, "left_m": told.left_m}


def _towns(gathered: _Gathered, network: Callable[[str], RoadNetwork]) -> dict[str, str]:
    packed = {}
    for town, places in sorted(gathered.places.items()):
        try:
            packed[town] = pack_ground(make_ground(network(town), np.concatenate(places)))
        except UsageError as error:
            gathered.missing.append(f"the roads of {town} are not drawn: {error}")
    return packed


def _beside(drives: list[list[str | None]], runs: Sequence[Run], out: Path) -> dict[str, Any] | None:
    """Write large reports' drives into their folder; where each is, or None where they fit into the page."""
    if sum(len(text) for of_run in drives for text in of_run if text) <= INSIDE_BYTES:
        return None
    folder = f"{out.stem}-drives"
    make_folder(out.parent / folder)
    names: list[list[str | None]] = []
    for i, (run, of_run) in enumerate(zip(runs, drives, strict=True)):
        names.append([])
        for episode, text in zip(run.episodes, of_run, strict=True):
            name = f"{LETTERS[i]}-{run.steps_path(episode.episode_id).stem}.js" if text else None
            names[-1].append(name)
            if name and text:
                key = json.dumps(f"{i}/{name}")
                write_bytes(out.parent / folder / name, f'carlaRlDrive({key}, "{text}");\n'.encode())
    return {"folder": folder, "names": names}


def _page(content: dict[str, Any]) -> bytes:
    static = files("carla_rl.report") / "static"
    # "<" cannot occur in the JSON then, so nothing in it ends the element that holds it
    told = json.dumps(content, allow_nan=False, separators=(",", ":")).replace("<", "\\u003c")
    parts = {
        "@STYLE@": (static / "style.css").read_text(encoding="utf-8"),
        "@SCRIPT@": '"use strict";\n' + "\n".join((static / f"{name}.js").read_text(encoding="utf-8") for name in SCRIPTS),
        "@FACTS@": told,
    }
    page = (static / "page.html").read_text(encoding="utf-8")
    for mark, text in parts.items():
        before_mark, after_mark = page.split(mark)
        page = f"{before_mark}{text}{after_mark}"
    return page.encode()
