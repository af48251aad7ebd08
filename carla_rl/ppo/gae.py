"""Generalised advantage estimation (Schulman et al. 2016, arXiv 1506.02438) that tells termination from truncation.

A terminated episode is worth nothing more. A truncated one would have gone on: it bootstraps with the value of what the ego saw at the
ending, never with the value of the next episode's first observation.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from carla_rl.types import Bools


@dataclass(frozen=True, slots=True)
class Estimate:
    """What GAE makes of a rollout."""

    advantages: NDArray[np.float32]
    """(T, N), 0 where an env was not driving."""
    returns: NDArray[np.float32]
    """(T, N) targets of the value head: advantage + value, 0 where an env was not driving."""


def estimate(
    rewards: NDArray[np.float32],
    values: NDArray[np.float32],
    *,
    active: Bools,
    ended: Bools,
    terminal_values: NDArray[np.float32],
    last_values: NDArray[np.float32],
    gamma: float,
    gae_lambda: float,
) -> Estimate:
    """Advantages and returns of T decisions in N envs.

    Args:
        rewards: (T, N).
        values: (T, N) of the observations that the decisions were made on.
        active: (T, N) whether the env was driving; an idle one never comes back within the rollout.
        ended: (T, N) whether the episode ended during the decision.
        terminal_values: (T, N) value of the terminal observation where the episode was truncated, 0 elsewhere.
        last_values: (N,) of the observations after the last decision; not read where that decision ended its episode.
        gamma: discount per decision.
        gae_lambda: lambda; 0 is the one-step temporal difference, 1 the Monte-Carlo return less the value.
    """
    advantages = np.zeros_like(rewards)
    following = np.zeros_like(last_values)
    next_values = last_values
    for t in reversed(range(len(rewards))):
        bootstrap = np.where(ended[t], terminal_values[t], next_values)
        surprise = rewards[t] + gamma * bootstrap - values[t]
        following = np.where(active[t], surprise + gamma * gae_lambda * np.where(ended[t], 0.0, following), 0.0).astype(np.float32)
        advantages[t] = following
        next_values = values[t]
    return Estimate(advantages=advantages, returns=np.where(active, advantages + values, np.float32(0.0)))
