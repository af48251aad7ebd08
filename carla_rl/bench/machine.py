"""What the figures were measured on; every benchmark prints it."""

from datetime import datetime
from typing import Any

from carla_rl.records.environment import describe_environment


def describe_machine() -> dict[str, Any]:
    """Date, machine, versions and git state, as JSON values."""
    return {"date": datetime.now().astimezone().isoformat(timespec="seconds"), **describe_environment()}
