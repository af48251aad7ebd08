"""A figure measured several times: its median and its spread. Knows nothing of what is measured."""

import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Measured:
    """Several measurements of one figure."""

    median: float
    lowest: float
    highest: float
    repetitions: int

    def to_json(self, name: str) -> dict[str, float | int]:
        """The median under `name`, beside the spread."""
        return {name: self.median, "lowest": self.lowest, "highest": self.highest, "repetitions": self.repetitions}


def summary(values: Sequence[float]) -> Measured:
    """Of at least one measurement."""
    return Measured(statistics.median(values), min(values), max(values), len(values))


def rate(run: Callable[[int], int], repetitions: int, seconds: float) -> Measured:
    """Units a second of `run`, which does a number of rounds and says how many units of work they were.

    The first round, which may compile, is thrown away; then rounds are doubled until they take a tenth of `seconds`, which warms up.
    Each repetition takes about `seconds`.
    """
    run(1)
    rounds, took = 1, _timed(run, 1)[0]
    while took < 0.1 * seconds:
        rounds *= 2
        took = _timed(run, rounds)[0]
    rounds = max(round(rounds * seconds / took), 1)
    values = []
    for _ in range(repetitions):
        took, units = _timed(run, rounds)
        values.append(units / took)
    return summary(values)


def _timed(run: Callable[[int], int], rounds: int) -> tuple[float, int]:
    before = time.perf_counter()
    units = run(rounds)
    return time.perf_counter() - before, units
