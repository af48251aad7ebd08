"""JSON schemas of the file contracts, as data of the package: what this program writes is tested against them."""

import json
from importlib.resources import files
from typing import Any

NAMES = ("episode", "metrics", "training_metrics", "train_metrics", "correlation")


def load_schema(name: str) -> dict[str, Any]:
    """The schema `<name>.schema.json` (draft 2020-12); one of `NAMES`."""
    schema: dict[str, Any] = json.loads((files(__name__) / f"{name}.schema.json").read_text(encoding="utf-8"))
    return schema
