"""Scatter plots as a PNG: errors of plans against driving scores, a panel each. Draws what it is given, computes nothing."""

import io
import math
from collections.abc import Sequence
from dataclasses import dataclass

from PIL import Image, ImageDraw, ImageFont

Colour = tuple[int, int, int]

PANEL = (380, 330)
"""Width and height of a panel, pixels."""
MARGIN = (52, 48, 14, 46)
"""Left, top, right and bottom of a panel, pixels."""
FINER = 2
"""Drawn so many times larger, then scaled down: smooth lines."""
INK: Colour = (33, 37, 41)
GREY: Colour = (134, 142, 150)
LINE: Colour = (222, 226, 230)
PAPER: Colour = (255, 255, 255)
COLOURS: dict[str, Colour] = {"sft": (28, 113, 216), "rl": (230, 97, 0)}
OTHER: Colour = (38, 162, 105)
FAR = 0.5
"""Where the least error is more than this share of the largest, the axis starts there."""
COLUMNS = 4
NAMES_A_ROW = 4


@dataclass(frozen=True, slots=True)
class Mark:
    """One checkpoint in a panel."""

    number: int
    """Beside it, and in the legend."""
    kind: str
    x: float
    y: float
    low: float
    """The interval of y."""
    high: float


@dataclass(frozen=True, slots=True)
class Panel:
    """One scatter plot; y is 0..100."""

    title: str
    x_label: str
    y_label: str
    marks: tuple[Mark, ...]


def draw_scatter(title: str, panels: Sequence[Panel], names: Sequence[tuple[str, str]]) -> bytes:
    """A PNG of the panels, COLUMNS in a row, with a legend of `names`: name and kind of checkpoints 1, 2, ...

    Raises:
        ValueError: no panel, or a number that is not finite.
    """
    if not panels or not all(math.isfinite(value) for p in panels for m in p.marks for value in (m.x, m.y, m.low, m.high)):
        raise ValueError("nothing to draw, or a number that is not finite")
    rows = -(-len(panels) // COLUMNS)
    legend = 16 * -(-len(names) // NAMES_A_ROW) + 18
    width, height = PANEL[0] * min(COLUMNS, len(panels)), 34 + PANEL[1] * rows + legend
    image = Image.new("RGB", (width * FINER, height * FINER), PAPER)
    pen = _Pen(ImageDraw.Draw(image))
    pen.text(12, 10, title, 15, INK)
    for i, panel in enumerate(panels):
        _draw_panel(pen, panel, (i % COLUMNS) * PANEL[0], 34 + (i // COLUMNS) * PANEL[1])
    for i, (name, kind) in enumerate(names):
        x, y = 16 + (i % NAMES_A_ROW) * (width - 24) // NAMES_A_ROW, height - legend + 4 + 16 * (i // NAMES_A_ROW)
        pen.mark(x, y + 6, kind)
        pen.text(x + 9, y, f"{i + 1}  {name}", 11, INK)
    file = io.BytesIO()
    image.resize((width, height), Image.Resampling.LANCZOS).save(file, "PNG")
    return file.getvalue()


class _Pen:
    """Draws in pixels of the finished picture."""

    def __init__(self, draw: ImageDraw.ImageDraw) -> None:
        self._draw = draw
        self._fonts: dict[int, ImageFont.FreeTypeFont | ImageFont.ImageFont] = {}

    def line(self, x0: float, y0: float, x1: float, y1: float, colour: Colour, width: float = 1.0) -> None:
        self._draw.line([value * FINER for value in (x0, y0, x1, y1)], fill=colour, width=round(width * FINER))

    def mark(self, x: float, y: float, kind: str) -> None:
        """A disc for SFT, a triangle for refinements, a square for others."""
        colour, r = COLOURS.get(kind, OTHER), 4.0
        if kind == "sft":
            self._draw.ellipse([value * FINER for value in (x - r, y - r, x + r, y + r)], fill=colour)
        elif kind == "rl":
            corners = ((x, y - 1.2 * r), (x - 1.1 * r, y + 0.8 * r), (x + 1.1 * r, y + 0.8 * r))
            self._draw.polygon([(px * FINER, py * FINER) for px, py in corners], fill=colour)
        else:
            self._draw.rectangle([value * FINER for value in (x - r, y - r, x + r, y + r)], fill=colour)

    def text(self, x: float, y: float, text: str, size: int, colour: Colour, anchor: str = "la") -> None:
        if size not in self._fonts:
            self._fonts[size] = ImageFont.load_default(size * FINER)
        self._draw.text((x * FINER, y * FINER), text, fill=colour, font=self._fonts[size], anchor=anchor)


def _draw_panel(pen: _Pen, panel: Panel, left: int, top: int) -> None:
    x0, y0 = left + MARGIN[0], top + MARGIN[1]
    x1, y1 = left + PANEL[0] - MARGIN[2], top + PANEL[1] - MARGIN[3]
    pen.text(x0, top + 10, panel.title, 12, INK)
    values = [mark.x for mark in panel.marks] or [0.0, 1.0]
    # errors that are all alike get an axis that does not start at zero
    marks = ticks(0.0 if min(values) < FAR * max(values) else min(values), max(values))

    def place(x: float, y: float) -> tuple[float, float]:
        return x0 + (x1 - x0) * (x - marks[0]) / (marks[-1] - marks[0]), y1 - (y1 - y0) * y / 100.0

    for value in (0, 20, 40, 60, 80, 100):
        y = place(marks[0], value)[1]
        pen.line(x0, y, x1, y, LINE)
        pen.text(x0 - 6, y, str(value), 10, GREY, "rm")
    for mark in marks:
        x = place(mark, 0.0)[0]
        pen.line(x, y0, x, y1, LINE)
        pen.text(x, y1 + 5, f"{mark:g}", 10, GREY, "ma")
    pen.text((x0 + x1) / 2, y1 + 22, panel.x_label, 11, INK, "ma")
    pen.text(x0, y0 - 6, panel.y_label, 10, GREY, "ls")
    for one in panel.marks:
        x, y = place(one.x, one.y)
        pen.line(x, place(0, one.low)[1], x, place(0, one.high)[1], COLOURS.get(one.kind, OTHER), 1.2)
    for one in panel.marks:
        x, y = place(one.x, one.y)
        pen.mark(x, y, one.kind)
    for one in panel.marks:
        x, y = place(one.x, one.y)
        pen.text(x + 6, y - 2, str(one.number), 10, INK, "ls")


def ticks(low: float, high: float) -> list[float]:
    """About five round numbers from `low` or just below to `high` or just above."""
    if high <= low:
        return [low, low + 1.0]
    raw = (high - low) / 4.0
    size = 10.0 ** math.floor(math.log10(raw))
    step = next(factor * size for factor in (1.0, 2.0, 2.5, 5.0, 10.0) if factor * size >= raw * (1.0 - 1e-9))
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return [round(i * step, 12) for i in range(first, last + 1)]
