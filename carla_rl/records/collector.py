"""Python's search for cycles, paused while much is read that has none. Knows nothing of what is read."""

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def collector_paused() -> Iterator[None]:
    """No search for cycles inside the block: it walks what is read again and again as it grows, up to two thirds of the time."""
    running = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if running:
            gc.enable()
