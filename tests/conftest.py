"""What all tests share: deterministic hypothesis without deadlines (the first call compiles a kernel) and one thread of torch."""

from pathlib import Path

import pytest
import torch
from hypothesis import settings

settings.register_profile("carla-rl", deadline=None, derandomize=True, print_blob=True, max_examples=50)
settings.load_profile("carla-rl")
torch.set_num_threads(1)

SHARED = Path(__file__).parents[2] / "shared"


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder with CARLA's maps and Longest6 beside the checkout; tests that need it skip where it is absent."""
    if not SHARED.is_dir():
        pytest.skip("needs the folder shared/ with CARLA's maps and the Longest6 routes beside the checkout")
    return SHARED
