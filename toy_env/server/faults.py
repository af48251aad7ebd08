"""Faults that a server makes on purpose, for tests of whatever talks to CARLA: how they are written, and when each is due.

Knows no sockets: `toy_env.server.server` does what is due. Ticks are those of synchronous mode, counted from the start of the server, 1
the first, over all episodes and whatever they were for (`apply_settings` ticks once or twice); frames are those that the client sees.
"""

import math
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from carla_rl.errors import UsageError

CRASH_EXIT = 139
"""Exit code of a crash, as a shell tells a segmentation fault."""
_SPAN = re.compile(r"(\d+)(-(\d*))?")
_TIME = re.compile(r"(\d+(?:\.\d+)?)(ms|s)")
_VERSION = re.compile(r"\d+\.\d+\.\d+[\w.-]*")


@dataclass(frozen=True)
class Span:
    """Numbers from `first` to `last`, both included."""

    first: int
    last: float

    def __contains__(self, number: int) -> bool:
        return self.first <= number <= self.last


@dataclass
class Faults:
    """What is to go wrong. `tick` is told of every tick that a client asks for, `load` of every load."""

    crash: tuple[Span, ...] = ()
    """Ticks at which the process ends at once."""
    hang: tuple[tuple[Span, float], ...] = ()
    """Ticks that take so many seconds, during which nothing is answered."""
    slow: tuple[tuple[Span, float], ...] = ()
    """Likewise; another word for short times."""
    drop_sensor: tuple[Span, ...] = ()
    """Frames whose sensor data are lost; the state of the world is not."""
    drop_sensor_ticks: tuple[Span, ...] = ()
    """The same by ticks: a client that finds the world running cannot know the frames before."""
    wrong_version: str = ""
    """What the server says that it is; empty: the truth."""
    no_map: tuple[str, ...] = ()
    """Maps that are neither listed nor loaded when a client asks for them."""
    exit_on_load: tuple[Span, ...] = ()
    """Loads at which the process ends at once, counted from the start of the server."""
    refuse_connect_s: float = 0.0
    """For so long after its start the server refuses connections."""
    ticks: int = 0
    loads: int = 0

    def tick(self) -> tuple[bool, float]:
        """A tick begins: whether it ends the process, and how many seconds nothing happens before it."""
        self.ticks += 1
        if not (self.crash or self.hang or self.slow):
            return False, 0.0
        if any(self.ticks in span for span in self.crash):
            return True, 0.0
        return False, sum(seconds for span, seconds in (*self.hang, *self.slow) if self.ticks in span)

    def load(self) -> bool:
        """A client loads a map: whether that ends the process."""
        self.loads += 1
        return any(self.loads in span for span in self.exit_on_load)

    def drops(self, frame: int) -> bool:
        """Whether the sensor data of a frame, that of the last tick, are lost."""
        return any(frame in span for span in self.drop_sensor) or any(self.ticks in span for span in self.drop_sensor_ticks)


def read_faults(texts: Iterable[str]) -> Faults:
    """The faults that are written, one a text; see `FORMS`.

    Raises:
        UsageError: a text that is no fault.
    """
    faults = Faults()
    for text in texts:
        name = re.split("[@=:]", text, maxsplit=1)[0]
        if name not in FORMS:
            raise UsageError(f"--fault {text}: there is no fault {name!r}; there are {', '.join(form for form, _ in FORMS.values())}")
        form, add = FORMS[name]
        if not add(faults, text[len(name) :]):
            raise UsageError(f"--fault {text}: write {form} (N is a number, N-M from one to another, N- from one on)")
    return faults


def _crash(faults: Faults, rest: str) -> bool:
    span = _span(rest, "@tick=")
    faults.crash += (span,) if span else ()
    return span is not None


def _hang(faults: Faults, rest: str) -> bool:
    where, _, duration = rest.partition(":")
    span, seconds = _span(where, "@tick="), _seconds(duration) if ":" in rest else math.inf
    if span is None or not seconds:
        return False
    faults.hang += ((span, seconds),)
    return True


def _slow(faults: Faults, rest: str) -> bool:
    where, _, duration = rest.partition(":")
    span, seconds = _span(where, "@tick="), _seconds(duration)
    if span is None or not seconds:
        return False
    faults.slow += ((span, seconds),)
    return True


def _drop_sensor(faults: Faults, rest: str) -> bool:
    frames, ticks = _span(rest, "@frame="), _span(rest, "@tick=")
    faults.drop_sensor += (frames,) if frames else ()
    faults.drop_sensor_ticks += (ticks,) if ticks else ()
    return frames is not None or ticks is not None


def _wrong_version(faults: Faults, rest: str) -> bool:
    faults.wrong_version = rest[1:]
    return rest.startswith("=") and _VERSION.fullmatch(rest[1:]) is not None


def _no_map(faults: Faults, rest: str) -> bool:
    faults.no_map += (rest[1:],)
    return rest.startswith("=") and len(rest) > 1


def _exit_on_load(faults: Faults, rest: str) -> bool:
    span = _span(rest, "@load=") if rest else Span(1, math.inf)
    faults.exit_on_load += (span,) if span else ()
    return span is not None


def _refuse_connect(faults: Faults, rest: str) -> bool:
    faults.refuse_connect_s = _seconds(rest[1:]) if rest.startswith(":") else 0.0
    return faults.refuse_connect_s > 0.0


def _span(text: str, key: str) -> Span | None:
    """N, N-M or N- after `key`; None for anything else, and for spans that hold nothing."""
    found = _SPAN.fullmatch(text.removeprefix(key)) if text.startswith(key) else None
    if found is None or int(found[1]) < 1:
        return None
    first = int(found[1])
    last = first if found[2] is None else float(found[3]) if found[3] else math.inf
    return Span(first, last) if last >= first else None


def _seconds(text: str) -> float:
    """The seconds of `30s` or `50ms`; 0 for anything else."""
    found = _TIME.fullmatch(text)
    return float(found[1]) / (1000.0 if found[2] == "ms" else 1.0) if found else 0.0


FORMS: dict[str, tuple[str, Callable[[Faults, str], bool]]] = {
    "crash": ("crash@tick=N", _crash),
    "hang": ("hang@tick=N[:30s]", _hang),
    "slow": ("slow@tick=N:50ms", _slow),
    "drop-sensor": ("drop-sensor@frame=N or drop-sensor@tick=N", _drop_sensor),
    "wrong-version": ("wrong-version=0.9.15", _wrong_version),
    "no-map": ("no-map=Town01", _no_map),
    "exit-on-load": ("exit-on-load[@load=N]", _exit_on_load),
    "refuse-connect": ("refuse-connect:10s", _refuse_connect),
}
"""How a fault is written, and what reads the rest of its text; False where that is none."""
