"""One frame of a film: the bird's-eye view, and beside it who drives where, how fast, pedals, delta, score so far, infractions."""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from carla_rl.records.steps import StepLog
from carla_rl.report.instants import Instant
from carla_rl.report.moments import correction, scores_so_far, seconds
from carla_rl.report.paint import ALARM, EXPERT, PLAN, SFT, BirdPainter
from carla_rl.report.painted import Colour, Image
from carla_rl.types import Event

SIZE = 416
"""Width and height of the bird's-eye view, px."""
PANEL = 288
INK: Colour = (240, 240, 236)
DIM: Colour = (168, 164, 156)
BACK: Colour = (34, 28, 24)
BAR: Colour = (70, 62, 56)
GOOD: Colour = (120, 200, 90)
WIDEST_M = 4.0
"""Correction that fills its bar."""
ALARM_S = 0.75
"""How long before and after an infraction it is shown."""
_FONT = cv2.FONT_HERSHEY_SIMPLEX


@dataclass(frozen=True, slots=True)
class Caption:
    """What stands on every frame."""

    policy: str
    episode: str
    simulator: str


class FrameMaker:
    """Draws the frames of one drive."""

    def __init__(self, log: StepLog, painter: BirdPainter, caption: Caption, score: str) -> None:
        self._log = log
        self._painter = painter
        self._scores = scores_so_far(log, score)
        self._correction = correction(log)
        self._top_speed = max(float(log.ego[:, 3].max()), float(log.facts[:, 2].max()), 1.0)
        self._still = np.full((SIZE, PANEL, 3), BACK, np.uint8)
        self._write_still(caption)
        # most of the panel is the same for all frames of a decision
        self._decided, self._panel = -1, self._still

    def make(self, now: Instant, camera: Image | None = None) -> Image:
        """The frame (SIZE, SIZE + PANEL, 3) BGR; `camera` goes into the bird's-eye view's corner."""
        event = next((event for event in self._log.events if abs(seconds(event) - now.t) < ALARM_S), None)
        frame = np.empty((SIZE, SIZE + PANEL, 3), np.uint8)
        view = self._painter.draw(now, alarm=(event.x, event.y) if event else None, into=frame[:, :SIZE])
        if event is not None:
            _label(view, event.kind.name.lower().replace("_", " "), (8, 26), ALARM)
        if camera is not None:
            height, width = camera.shape[:2]
            view[6 : 6 + height, SIZE - width - 6 : SIZE - 6] = camera
        if now.decision != self._decided:
            self._decided, self._panel = now.decision, self._still.copy()
            self._write_decision(self._panel, now.decision)
        frame[:, SIZE:] = self._panel
        self._write_now(frame[:, SIZE:], now)
        return frame

    def _write_still(self, caption: Caption) -> None:
        """What is the same on all frames."""
        panel = self._still
        _text(panel, caption.policy[:34], (14, 30), 0.55, INK)
        _text(panel, caption.episode[:38], (14, 52), 0.45, DIM)
        _text(panel, caption.simulator[:38], (14, 72), 0.45, DIM)
        names: list[tuple[str, Colour]] = [("plan", PLAN)]
        names += [("SFT plan", SFT)] if self._log.sft_waypoints is not None else []
        names += [("expert", EXPERT)] if self._log.expert_waypoints is not None else []
        x = 14
        for name, colour in names:
            cv2.line(panel, (x, SIZE - 16), (x + 18, SIZE - 16), colour, 3, cv2.LINE_AA)
            _text(panel, name, (x + 24, SIZE - 11), 0.45, INK)
            x += 40 + 9 * len(name)

    def _write_decision(self, panel: Image, i: int) -> None:
        """What a decision sets."""
        log = self._log
        throttle, steer, brake = log.control[i].tolist()
        completion = float(log.facts[i, 0])
        _bar(panel, 142, f"route {100.0 * completion:.0f} %", completion, DIM)
        _bar(panel, 178, "throttle", throttle, GOOD)
        _bar(panel, 214, "brake", brake, ALARM)
        _middle_bar(panel, 250, "steer", -steer, PLAN)
        if self._correction is not None:
            forward, left = self._correction[i].tolist()
            _middle_bar(panel, 286, f"delta forward {forward:+.2f} m", forward / WIDEST_M, SFT)
            _middle_bar(panel, 322, f"delta left {left:+.2f} m", -left / WIDEST_M, SFT)

    def _write_now(self, panel: Image, now: Instant) -> None:
        """What changes all the time, and the time line with the infractions."""
        score = float(self._scores[min(int(now.row + 1e-6), len(self._scores) - 1)])
        _text(panel, f"{now.t:6.1f} s", (10, 100), 0.55, INK)
        _text(panel, f"score so far {score:5.1f}", (112, 100), 0.55, INK)
        limit = float(self._log.facts[now.decision, 2]) / self._top_speed
        _bar(panel, 106, f"speed {now.speed:.1f} m/s", now.speed / self._top_speed, PLAN, limit)
        end, y, left, right = max(float(self._log.t[-1]), 1e-3), 378, 14, PANEL - 14
        cv2.line(panel, (left, y), (right, y), BAR, 4, cv2.LINE_AA)
        x = round(left + (right - left) * now.t / end)
        cv2.line(panel, (left, y), (x, y), DIM, 4, cv2.LINE_AA)
        for event in self._log.events:
            cv2.circle(panel, (round(left + (right - left) * seconds(event) / end), y), 5, ALARM, -1, cv2.LINE_AA)
        cv2.line(panel, (x, y - 9), (x, y + 9), INK, 2)


def tile(view: Image, title: str, note: str, size: int) -> Image:
    """A picture of a strip: the view scaled to `size`, with a title below it."""
    small = cv2.resize(view, (size, size), interpolation=cv2.INTER_AREA)
    foot = np.full((44, size, 3), BACK, np.uint8)
    _text(foot, title[:38], (8, 18), 0.45, INK)
    _text(foot, note[:44], (8, 36), 0.4, DIM)
    return np.concatenate((small, foot), axis=0)


def words(event: Event) -> str:
    """An infraction by its name."""
    return event.kind.name.lower().replace("_", " ")


def _text(image: Image, text: str, at: tuple[int, int], scale: float, colour: Colour) -> None:
    # the font has no other letters
    cv2.putText(image, text.encode("ascii", "replace").decode(), at, _FONT, scale, colour, 1, cv2.LINE_AA)


def _label(image: NDArray[np.uint8], text: str, at: tuple[int, int], colour: Colour) -> None:
    (width, height), _ = cv2.getTextSize(text, _FONT, 0.6, 1)
    cv2.rectangle(image, (at[0] - 4, at[1] - height - 6), (at[0] + width + 6, at[1] + 8), colour, -1)
    _text(image, text, at, 0.6, (255, 255, 255))


def _bar(panel: Image, y: int, name: str, share: float, colour: Colour, mark: float | None = None) -> None:
    _text(panel, name, (14, y + 14), 0.45, DIM)
    left, right = 14, PANEL - 14
    cv2.rectangle(panel, (left, y + 20), (right, y + 28), BAR, -1)
    cv2.rectangle(panel, (left, y + 20), (left + round((right - left) * min(max(share, 0.0), 1.0)), y + 28), colour, -1)
    if mark is not None:
        x = left + round((right - left) * min(max(mark, 0.0), 1.0))
        cv2.line(panel, (x, y + 17), (x, y + 31), INK, 2)


def _middle_bar(panel: Image, y: int, name: str, share: float, colour: Colour) -> None:
    """From the middle to the right for positive shares."""
    _text(panel, name, (14, y + 14), 0.45, DIM)
    middle, half = PANEL // 2, PANEL // 2 - 14
    cv2.rectangle(panel, (middle - half, y + 20), (middle + half, y + 28), BAR, -1)
    end = middle + round(half * min(max(share, -1.0), 1.0))
    cv2.rectangle(panel, (min(middle, end), y + 20), (max(middle, end), y + 28), colour, -1)
    cv2.line(panel, (middle, y + 18), (middle, y + 30), INK, 1)
