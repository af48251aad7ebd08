"""What recordings are asked: who collided, and who stood still for long. Texts for people; knows no world."""

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

from toy_env.server.errors import Refused
from toy_env.server.world.recording import read

KINDS = {"vehicle.": "v", "walker.": "w", "traffic.traffic_light": "t"}
"""Letters of actors by how their blueprints begin; `o` are all others, `h` is the hero, whatever it is, and `a` are all."""
LETTERS = "avwtho"
DAMAGED = (KeyError, TypeError, IndexError, ValueError)


class Cast:
    """Who is in a recording, as far as it has been read."""

    def __init__(self) -> None:
        self.names: dict[int, str] = {}
        self._heroes: set[int] = set()

    def add(self, record: dict[str, Any]) -> None:
        """Read who is new in a frame."""
        for number, blueprint, attributes, _ in record.get("new", ()):
            self.names[number] = blueprint
            if any(item[0] == "role_name" and item[2] == "hero" for item in attributes):
                self._heroes.add(number)

    def is_a(self, number: int, letter: str) -> bool:
        """Whether an actor is of a kind."""
        return letter == "a" or (letter == "h" and number in self._heroes) or letter == self.letter(number)

    def letter(self, number: int) -> str:
        """The kind of an actor."""
        name = self.names.get(number, "")
        return next((letter for start, letter in KINDS.items() if name.startswith(start)), "o")


def collisions(path: Path, first: str, second: str) -> str:
    """The collisions between actors of two kinds, each when it begins; kinds are the LETTERS.

    Raises:
        Refused: no such file, none of this format, or no such kind.
    """
    for letter in (first, second):
        if letter not in LETTERS or len(letter) != 1:
            raise Refused(f"{letter!r}: kinds of actors are a (any), v (vehicle), w (walker), t (traffic light), h (hero), o (other)")
    cast = Cast()
    before: set[tuple[int, int]] = set()
    lines = [f"{'Time':>8} {'Types':>6} {'Id':>6} {'Actor 1':<35} {'Id':>6} {'Actor 2':<35}"]

    def look(record: dict[str, Any], at: float) -> None:
        nonlocal before
        cast.add(record)
        now = {(one, other) for one, other in record.get("hits", ())}
        for touch in sorted(now - before):
            # a touch has no direction: who is of the first kind is told first
            fits = [pair for pair in (touch, touch[::-1]) if cast.is_a(pair[0], first) and cast.is_a(pair[1], second)]
            if fits:
                one, other = fits[0]
                kinds = f"{cast.letter(one)} {cast.letter(other)}"
                names = cast.names.get(one, "?"), cast.names.get(other, "?")
                lines.append(f"{at:8.2f} {kinds:>6} {one:>6} {names[0]:<35} {other:>6} {names[1]:<35}")
        before = now

    return "\n".join([*_read(path, look, lines)])


def blocked(path: Path, least_s: float, distance_cm: float) -> str:
    """Vehicles and walkers that moved by less than a distance for at least so long: since when, who and for how long, the longest first.

    Raises:
        Refused: no such file, or none of this format.
    """
    cast = Cast()
    stands: dict[int, tuple[float, float, float]] = {}
    found: list[tuple[float, float, int]] = []
    last = 0.0

    def end(number: int, at: float) -> None:
        began = stands.pop(number)[0]
        if at - began >= least_s:
            found.append((at - began, began, number))

    def look(record: dict[str, Any], at: float) -> None:
        nonlocal last
        last = at
        cast.add(record)
        for number, x, y, *_ in record.get("poses", ()):
            if cast.letter(number) in "vw":
                if number in stands and 100.0 * math.hypot(x - stands[number][1], y - stands[number][2]) > distance_cm:
                    end(number, at)
                stands.setdefault(number, (at, x, y))
        for number in record.get("gone", ()):
            if number in stands:
                end(number, at)

    lines = [f"{'Time':>8} {'Id':>6} {'Actor':<35} {'Duration':>10}"]
    tail = _read(path, look, [])
    for number in list(stands):
        end(number, last)
    found.sort(key=lambda item: (-item[0], item[2]))
    lines += [f"{began:8.2f} {number:>6} {cast.names.get(number, '?'):<35} {duration:10.2f}" for duration, began, number in found]
    return "\n".join([tail[0], *lines, *tail[1:]])


def _read(path: Path, look: Callable[[dict[str, Any], float], None], lines: list[str]) -> list[str]:
    """Let `look` see every frame and its time from the first on; the map, then `lines`, then how long the recording is."""
    frames, begin, end, name = 0, 0.0, 0.0, ""
    try:
        for number, record in enumerate(read(path)):
            if number == 0:
                name = record["map"]
                continue
            frames += 1
            begin, end = (record["elapsed"] if frames == 1 else begin), record["elapsed"]
            look(record, end - begin)
    except DAMAGED as error:
        raise Refused(f"{path}: the recording is damaged ({error})") from error
    return [f"Map: {name}", *lines, "", f"Frames: {frames}", f"Duration: {end - begin:.3f} seconds", ""]
