"""Random numbers by counter: a draw is a function of a seed and a number, so it does not matter who draws first.

The mix is SplitMix64's finalizer (Steele, Lea and Flood 2014). Knows nothing of what the numbers are for.
"""

import numpy as np

from carla_rl.world.compiled import inline_rule

GOLDEN = np.uint64(0x9E3779B97F4A7C15)
MIX_A = np.uint64(0xBF58476D1CE4E5B9)
MIX_B = np.uint64(0x94D049BB133111EB)
# Numba turns uint64 with int64 into float64, so every operand below is a uint64.
SHIFT_30 = np.uint64(30)
SHIFT_27 = np.uint64(27)
SHIFT_31 = np.uint64(31)
SHIFT_11 = np.uint64(11)
UNIT = 2.0**-53


@inline_rule
def mix(seed: np.uint64, number: int) -> np.uint64:
    """A number that depends on every bit of `seed` and `number`."""
    z = seed + (np.uint64(number) + np.uint64(1)) * GOLDEN
    z = (z ^ (z >> SHIFT_30)) * MIX_A
    z = (z ^ (z >> SHIFT_27)) * MIX_B
    return z ^ (z >> SHIFT_31)


@inline_rule
def uniform(seed: np.uint64, number: int) -> float:
    """Draw `number` of the stream `seed`, in [0, 1)."""
    return float(mix(seed, number) >> SHIFT_11) * UNIT


@inline_rule
def pick(seed: np.uint64, number: int, count: int) -> int:
    """Draw `number` of the stream `seed`, one of 0 .. count - 1."""
    return min(int(uniform(seed, number) * count), count - 1)
