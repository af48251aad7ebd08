"""What drives: a policy and the controller that follows its plans, as an agent file or the command line says it.

Knows no implementation: `carla_rl.build` turns the names into parts.
"""

import tomllib
from pathlib import Path
from typing import Literal

from pydantic import Field, model_validator

from carla_rl.config import Config
from carla_rl.errors import UsageError
from carla_rl.types import TICK_S

DECISION_TICKS = 4
"""A new plan at 5 Hz, unless something else is asked for."""
DEFAULT_CONTROLLER = "default"
"""Our own preset, unless another is asked for."""


class Agent(Config):
    """One of `policy` and `checkpoint`, and how its plans are followed."""

    policy: str | None = Field(default=None, description="`expert` or `module:Class`")
    checkpoint: Path | None = Field(default=None, description="an SFT or RL checkpoint file")
    sft: Path | None = Field(default=None, description="the SFT model under a checkpoint of the earlier delta trainer")
    controller: str = DEFAULT_CONTROLLER
    track: Literal["SENSORS", "MAP"] = Field(default="SENSORS", description="of the CARLA leaderboard, where the agent drives inside it")
    decision_ticks: int = Field(default=DECISION_TICKS, ge=1, le=20, description="ticks of 0.05 s between two plans")

    @model_validator(mode="after")
    def _one_driver(self) -> "Agent":
        if (self.policy is None) == (self.checkpoint is None):
            raise ValueError("give either a policy (`expert` or module:Class) or a checkpoint file, not both and not none")
        if self.sft is not None and self.checkpoint is None:
            raise ValueError("sft is the model under a checkpoint's heads; leave it out or give that checkpoint")
        return self

    @property
    def decision_s(self) -> float:
        """Seconds between two plans."""
        return self.decision_ticks * TICK_S


def read_agent(path: Path) -> Agent:
    """An agent file (TOML).

    Raises:
        UsageError: unreadable, no TOML, or not an agent.
    """
    try:
        data = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{path}: cannot be read ({error})") from None
    except tomllib.TOMLDecodeError as error:
        raise UsageError(f"{path}: not TOML ({error})") from None
    return Agent.checked(data, path)
