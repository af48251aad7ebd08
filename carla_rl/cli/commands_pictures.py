"""`report` and `render`: runs as a page, drives as films and strips."""

import difflib
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import cv2
import typer
from rich.markup import escape

from carla_rl.build import Networks, map_folders
from carla_rl.cli import options
from carla_rl.cli.console import print_json, progress, stderr, stdout
from carla_rl.errors import UsageError
from carla_rl.records.camera_films import film_path
from carla_rl.records.measured import drive_of
from carla_rl.records.reading import Run, read_run
from carla_rl.report.camera import KeptCamera, LoggedCamera
from carla_rl.report.facts import read_sources
from carla_rl.report.film import Camera, Drive, check_target, write_film, write_strip
from carla_rl.report.frames import Caption
from carla_rl.report.page import Written, write_report
from carla_rl.types import SimulatorKind

PAGE = ".html"


def report(
    runs: Annotated[
        list[Path], typer.Argument(metavar="RUN...", help="Evaluations, the baseline first, and trainings for their learning curves.")
    ],
    out: Annotated[Path, typer.Option("--out", metavar="FILE.html", help="The page.")] = Path("report.html"),
    maps: options.Maps = None,
    force: Annotated[
        bool, typer.Option("--force", help="Compare runs made under different conditions; the page shows what differs.")
    ] = False,
    seed: options.Seed = 0,
    json: options.Json = False,
) -> None:
    """Write one page that says which policy drives better, by how much, how sure and why, with every drive to play.

    It opens from the disk and needs no network. The first evaluation is the baseline; the others are set against it, pair by pair.
    """
    if out.suffix != PAGE:
        raise UsageError(f"{out}: a report is a page; give a name that ends in {PAGE}")
    sources = read_sources(runs, force=force, seed=seed)
    network = Networks(folders(sources.evaluations, maps or ()))
    total = sum(len(run.episodes) for run in sources.evaluations)
    with progress() as bar:
        task = bar.add_task("reading step logs", total=total, note="")
        written = write_report(sources, out, network, lambda count: bar.update(task, completed=count))
    if json:
        print_json(_told(written))
        return
    for sentence in (*written.facts["warnings"], *written.missing):
        stderr.print(f"[yellow]{escape(sentence)}[/]", highlight=False, soft_wrap=True)
    for verdict in written.facts["verdict"]:
        stdout.print(f"[bold]{escape(verdict['title'])}[/]", highlight=False, soft_wrap=True)
        for sentence in verdict["sentences"]:
            stdout.print(f"  {escape(sentence)}", highlight=False, soft_wrap=True)
    size = f"{written.bytes / 1e6:.1f} MB, {written.drives} drives to play"
    beside = f"; keep {escape(str(written.beside))} beside it" if written.beside else ""
    stdout.print(f"report: [bold]{escape(str(written.path))}[/] ({size}){beside}", highlight=False, soft_wrap=True)


def _told(written: Written) -> dict[str, Any]:
    return {
        "path": str(written.path),
        "bytes": written.bytes,
        "beside": str(written.beside) if written.beside else None,
        "drives": written.drives,
        "missing": list(written.missing),
        **written.facts,
    }


def render(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="An evaluation with step logs.")],
    episode: Annotated[str, typer.Option("--episode", metavar="ID", help="Which drive: <scenario>#<repetition>, or the scenario alone.")],
    out: Annotated[Path, typer.Option("--out", metavar="FILE.mp4|FILE.png", help="A film, or a strip of the key moments.")],
    fps: Annotated[int, typer.Option("--fps", min=1, max=60, help="Frames a second of the film.")] = 10,
    camera: Annotated[
        bool | None,
        typer.Option(
            "--camera/--no-camera",
            help="In a corner what the camera saw: as the run kept it, else drawn again, which only drives of the toy can be. Without the "
            "option it is there where the run kept it.",
        ),
    ] = None,
    maps: options.Maps = None,
    json: options.Json = False,
) -> None:
    """Draw one drive from its step log: seen from above with both plans, pedals, delta, score so far and infractions.

    The file's ending says what is made. Nothing is driven again.
    """
    film = check_target(out)
    if camera and not film:
        raise UsageError("--camera is for films; leave it out, or give an .mp4")
    found = read_run(run)
    name = _episode_id(found, episode)
    log = drive_of(found, next(one for one in found.episodes if one.episode_id == name))
    try:
        network = Networks(folders((found,), maps or ()))(log.town)
    except UsageError as error:
        network = None
        stderr.print(f"[yellow]only the route is drawn: {escape(str(error))}[/]", highlight=False, soft_wrap=True)
    drive = Drive(log, network, Caption(f"{found.run_id}: {found.policy.name}", name, f"{found.simulator.name} simulator"))
    began = time.monotonic()
    if film:
        made = _film(drive, out, fps, _camera(found, drive, camera))
    else:
        made = write_strip(drive, out)
    seconds = time.monotonic() - began
    driven = float(log.t[-1])
    about = {"path": str(out), "pictures": made, "driven_s": driven, "seconds": seconds, "simulator": found.simulator.name}
    if json:
        print_json(about)
        return
    speed = f", {driven / seconds:.0f} times as fast as the drive" if film else ""
    stdout.print(f"{made} pictures of {driven:.1f} s in {escape(str(out))} ({seconds:.1f} s{speed})", highlight=False, soft_wrap=True)


def _film(drive: Drive, out: Path, fps: int, camera: Camera | None) -> int:
    # OpenCV's own threads wait for one another where the encoder has the other core
    cv2.setNumThreads(1)
    with progress() as bar:
        task = bar.add_task(f"drawing {drive.log.episode_id}", total=None, note="")
        return write_film(drive, out, fps=fps, camera=camera, done=lambda count, total: bar.update(task, completed=count, total=total))


def _camera(run: Run, drive: Drive, wanted: bool | None) -> Camera | None:
    """What the camera showed, as the run kept it or drawn again; None where it is not wanted, or not asked for and not kept.

    Raises:
        UsageError: it was asked for and is not to be had; a film that is damaged or of another drive.
    """
    kept = film_path(run.path, drive.log.episode_id)
    if wanted is False:
        return None
    if kept.exists():
        return KeptCamera(kept, len(drive.log.control))
    if wanted is None:
        return None
    if run.simulator.kind != SimulatorKind.TOY:
        raise UsageError(
            f"{run.path}: kept no camera, and only the toy's can be drawn again; leave --camera out, or evaluate with --camera front"
        )
    if drive.network is None:
        raise UsageError(f"the camera needs the map of {drive.log.town}; give its folder with --maps or leave --camera out")
    return LoggedCamera(drive.log, drive.network)


def _episode_id(run: Run, asked: str) -> str:
    """The id of an episode of the run.

    Raises:
        UsageError: none or several of that name.
    """
    found = [e.episode_id for e in run.episodes if asked in (e.episode_id, e.scenario_id)]
    if len(found) == 1:
        return found[0]
    if found:
        raise UsageError(f"{run.path}: {asked} was driven {len(found)} times; give one of {', '.join(found[:5])}")
    near = difflib.get_close_matches(asked, [e.episode_id for e in run.episodes], 3, 0.3) or [e.episode_id for e in run.episodes[:3]]
    raise UsageError(f"{run.path}: no finished episode {asked!r}; it has {len(run.episodes)}, such as {', '.join(near) or 'none'}")


def folders(runs: Sequence[Run], given: Sequence[Path]) -> tuple[Path, ...]:
    """Where maps are looked for: the folders given, then those that the runs were driven with, where they still are."""
    used: list[Path] = []
    for run in runs:
        told = run.config.get("maps")
        named = [Path(folder) for folder in told if Path(folder).is_dir()] if isinstance(told, list) else []
        used += map_folders(str(run.config.get("suite", "")), named)
    return tuple(dict.fromkeys((*given, *used)))
