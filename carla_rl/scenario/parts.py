"""How routes and seeds are parted into training, validation and evaluation, so that suites of different splits cannot share either.

The key of a route, hashed, has a last decimal digit; the digit decides the part. A drawn scenario's seed ends in the same digit,
so seeds of different parts differ as well, whatever else the files say.
"""

from carla_rl.scenario.hashing import whole
from carla_rl.scenario.model import Split

_DIGITS: dict[Split, tuple[int, ...]] = {
    "training": (0, 1, 2, 3, 4, 5),
    "validation": (6, 7),
    "evaluation": (8, 9),
    "any": (0, 1, 2, 3, 4, 5, 6, 7, 8, 9),
}


def digit(key: str) -> int:
    """The digit of a route's key (see `carla_rl.roads.tracing.route_key`)."""
    return whole("part", key) % 10


def belongs(key: str, part: Split) -> bool:
    """Whether the route of that key is one of the part's."""
    return digit(key) in _DIGITS[part]


def seed_in_part(part: Split, *key: str | int) -> int:
    """A seed made of the key whose last digit is one of the part's."""
    digits = _DIGITS[part]
    return (whole("seed", *key) >> 4) * 10 + digits[whole("digit", *key) % len(digits)]
