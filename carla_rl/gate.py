"""Requirements on the difference between two runs, for continuous integration: `driving_score >= 0`.

A requirement is on B - A and holds when the *unfavourable end* of its interval keeps it, so that chance does not pass a worse policy:

    driving_score >= 0          lower end at least 0: not worse
    driving_score >= -2         lower end at least -2: non-inferior by a margin of 2
    driving_score > 0           lower end above 0: superior
    collisions_per_km <= 0      upper end at most 0, for measures that are better when lower

The end of a two-sided 95 % interval makes this a one-sided test at 2.5 %. Several requirements must all hold, each at that level: whether
*all* hold needs no correction. Knows no file and no command line.
"""

import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from carla_rl.errors import UsageError
from carla_rl.metrics.comparison import Comparison
from carla_rl.metrics.measures import HIGHER

_FORM = re.compile(r"\s*([a-z][a-z0-9_.]*)\s*(>=|<=|>|<)\s*([-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?)\s*")


@dataclass(frozen=True, slots=True)
class Requirement:
    """One requirement, as it was written and as it was understood."""

    text: str
    measure: str
    sense: str
    """`>=`, `>`, `<=` or `<`."""
    bound: float


@dataclass(frozen=True, slots=True)
class Judged:
    """A requirement held against one comparison."""

    requirement: str
    run: str
    """Run B."""
    end: str
    """`low` or `high`: the end of the interval that counts."""
    value: float
    holds: bool

    def to_json(self) -> dict[str, Any]:
        """Plain JSON values."""
        return asdict(self)


def read_requirement(text: str) -> Requirement:
    """Understand a requirement.

    Raises:
        UsageError: it has another form.
    """
    found = _FORM.fullmatch(text)
    if found is None:
        raise UsageError(f"--require {text!r}: not of the form 'measure >= number' with >=, >, <= or <, e.g. 'driving_score >= 0'")
    return Requirement(text.strip(), found[1], found[2], float(found[3]))


def judge(requirements: Sequence[Requirement], found: Comparison) -> list[Judged]:
    """Hold requirements against a comparison.

    Raises:
        UsageError: a measure that is not there or is better the other way round; no interval to judge by; episodes that are missing.
    """
    if requirements and (found.only_a or found.only_b or not found.complete):
        raise UsageError(
            f"{found.run_a} and {found.run_b}: a gate needs two finished runs of the same episodes ({len(found.only_a)} are only in A, "
            f"{len(found.only_b)} only in B); finish them or drive them again"
        )
    return [_judge(requirement, found) for requirement in requirements]


def _judge(requirement: Requirement, found: Comparison) -> Judged:
    by_name = {row.name: row for row in found.measures}
    if requirement.measure not in by_name:
        raise UsageError(f"--require {requirement.text!r}: no such measure in these runs; there are {', '.join(by_name)}")
    row = by_name[requirement.measure]
    upwards = requirement.sense.startswith(">")
    if upwards != (row.better == HIGHER):
        sense = ">=" if row.better == HIGHER else "<="
        raise UsageError(f"--require {requirement.text!r}: {row.name} is better when {row.better}; write it with {sense}")
    end = row.low if upwards else row.high
    if end is None:
        raise UsageError(
            f"--require {requirement.text!r}: {found.run_a} and {found.run_b} have {row.pairs} pair{'s' * (row.pairs != 1)} with it, which "
            "says nothing of chance; drive more routes or repetitions"
        )
    holds = {">=": end >= requirement.bound, ">": end > requirement.bound, "<=": end <= requirement.bound, "<": end < requirement.bound}
    return Judged(requirement.text, found.run_b, "low" if upwards else "high", end, holds[requirement.sense])
