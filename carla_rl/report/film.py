"""Films and strips of one drive, made from its step log, long after the drive.

The film is encoded while the next frame is drawn. Nothing half-written is left at its place.
"""

import math
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from carla_rl.errors import RunFailure, UsageError
from carla_rl.metrics.scores import DEFAULT_SCORE
from carla_rl.records.atomic import cannot_write, make_folder, write_bytes
from carla_rl.records.encoder import Encoder, encoder
from carla_rl.records.steps import StepLog
from carla_rl.report.frames import BACK, PANEL, SIZE, Caption, FrameMaker, tile, words
from carla_rl.report.ground import make_ground
from carla_rl.report.instants import Instant, Instants
from carla_rl.report.moments import BEFORE_S, before, scores_so_far, seconds
from carla_rl.report.paint import BirdPainter
from carla_rl.report.painted import Image
from carla_rl.roads.network import RoadNetwork

TILE = 320
COLUMNS = 4
MOST_EVENTS = 8
"""A strip shows the first so many infractions."""
END_S = 1.0
"""How long the last frame stays."""

Camera = Callable[[Instant], Image]


@dataclass(frozen=True)
class Drive:
    """What is drawn."""

    log: StepLog
    network: RoadNetwork | None
    """None where the town's map is not there: the route alone is drawn."""
    caption: Caption


def write_film(
    drive: Drive, out: Path, *, fps: int = 10, camera: Camera | None = None, done: Callable[[int, int], None] = lambda count, total: None
) -> int:
    """Write an .mp4 (H.264) in real time, `fps` frames a second, and return the number of frames.

    `camera` gives a picture for the corner of the view; `done` is told frames done and in all.

    Raises:
        UsageError: the place cannot be written.
        RunFailure: it cannot be encoded.
    """
    make_folder(out.resolve().parent)
    instants, maker = Instants(drive.log), _maker(drive)
    total = max(1, math.ceil(instants.end * fps)) + 1
    with tempfile.TemporaryDirectory(dir=out.resolve().parent, prefix=f".{out.name}.") as folder:
        half = Path(folder) / "film.mp4"
        with encoder(half, SIZE + PANEL, SIZE, fps, _about(drive)) as film:
            _add_frames(film, instants, maker, fps, total, camera, done)
        try:
            half.replace(out)
        except OSError as error:
            raise cannot_write(out, error) from error
    return film.frames


def _about(drive: Drive) -> dict[str, str]:
    told = drive.caption
    return {"title": f"{told.policy}, {told.episode}", "comment": f"made by carla-rl from a drive on the {told.simulator}"}


def _add_frames(
    film: Encoder,
    instants: Instants,
    maker: FrameMaker,
    fps: int,
    total: int,
    camera: Camera | None,
    done: Callable[[int, int], None],
) -> None:
    for k in range(total):
        now = instants.at(min(k / fps, instants.end))
        picture = maker.make(now, camera(now) if camera else None)
        # the last one stays a while
        for _ in range(1 if k + 1 < total else 1 + round(END_S * fps)):
            film.add(picture)
        done(k + 1, total)


def write_strip(drive: Drive, out: Path) -> int:
    """Write a .png of the key moments: the start, each infraction (BEFORE_S before it and when it happened), the end; returns how many.

    A drive without infraction shows its hardest braking instead.

    Raises:
        UsageError: the place cannot be written.
    """
    make_folder(out.resolve().parent)
    log, instants = drive.log, Instants(drive.log)
    painter = _painter(drive)
    scores = scores_so_far(log, DEFAULT_SCORE)
    tiles = [tile(painter.draw(instants.at(0.0)), "start", f"{drive.caption.policy}", TILE)]
    if not log.events:
        hardest = float(log.t[int(np.argmin(log.ego[:, 5]))])
        tiles.append(tile(painter.draw(instants.at(hardest)), f"{hardest:.1f} s: hardest braking", f"{log.ego[:, 5].min():.1f} m/s2", TILE))
    for event in log.events[:MOST_EVENTS]:
        t, told = min(seconds(event), instants.end), before(log, event)
        early = max(t - BEFORE_S, 0.0)
        note = "" if told.forward_m is None else f"delta until then {told.forward_m:+.2f} m ahead, {told.left_m:+.2f} m left"
        tiles.append(tile(painter.draw(instants.at(early)), f"{early:.1f} s: {t - early:.1f} s before", note, TILE))
        view = painter.draw(instants.at(t), alarm=(event.x, event.y))
        tiles.append(tile(view, f"{t:.1f} s: {words(event)}", f"at {told.speed:.1f} m/s", TILE))
    ending = f"{instants.end:.1f} s: {log.ending.name.lower().replace('_', ' ')}"
    tiles.append(tile(painter.draw(instants.at(instants.end)), ending, f"score {scores[-1]:.1f}, {drive.caption.simulator}", TILE))
    shown = len(tiles)
    columns = min(COLUMNS, shown)
    tiles += [np.full_like(tiles[0], BACK)] * (-shown % columns)
    rows = [np.concatenate(tiles[k : k + columns], axis=1) for k in range(0, len(tiles), columns)]
    encoded, data = cv2.imencode(".png", np.concatenate(rows, axis=0))
    if not encoded:
        raise RunFailure(f"{out}: this OpenCV cannot encode PNG; install opencv-python-headless from its wheel")
    write_bytes(out, data.tobytes())
    return shown


def _painter(drive: Drive) -> BirdPainter:
    log = drive.log
    ground = None if drive.network is None else make_ground(drive.network, np.concatenate((log.ego[:, :2], log.route[:, :2])))
    return BirdPainter(log, ground, SIZE)


def _maker(drive: Drive) -> FrameMaker:
    return FrameMaker(drive.log, _painter(drive), drive.caption, DEFAULT_SCORE)


def check_target(out: Path) -> bool:
    """Whether `out` is a film (.mp4); a .png is a strip.

    Raises:
        UsageError: neither.
    """
    if out.suffix not in (".mp4", ".png"):
        raise UsageError(f"{out}: give a name that ends in .mp4 for a film or in .png for a strip of key moments")
    return out.suffix == ".mp4"
