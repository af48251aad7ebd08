"""Draws that depend on nothing but their key: the same text gives the same number on every machine and with every library version.

For choosing what to drive, where speed does not matter; worlds draw with their own counter-based generator.
"""

import hashlib


def whole(*key: str | int | float) -> int:
    """A number in [0, 2**63), uniform over keys. Keys that differ in any part are independent."""
    text = "\x1f".join(repr(part) for part in key)
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1


def unit(*key: str | int | float) -> float:
    """A number in [0, 1), uniform over keys."""
    return (whole(*key) >> 10) / 2.0**53
