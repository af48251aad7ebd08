"""Recorded episodes, read with a progress bar. Knows nothing of what they are for."""

from carla_rl.cli.console import progress
from carla_rl.records.dataset import Samples, find_episodes, load_samples
from carla_rl.types import HORIZON, Needs


def read_samples(pattern: str, needs: Needs, horizon: int = HORIZON) -> Samples:
    """As `load_samples`. Raises as it does."""
    files = len(find_episodes(pattern))
    with progress() as bar:
        task = bar.add_task("reading episodes", total=files, note="")
        return load_samples(pattern, needs, horizon, lambda: bar.advance(task))
