"""CARLA's weather presets by name. The figures stand in weather.toml beside this module; nothing here knows what they look like."""

import tomllib
from functools import cache
from importlib.resources import files
from typing import Any


@cache
def _presets() -> dict[str, dict[str, float]]:
    return tomllib.loads(files(__package__).joinpath("weather.toml").read_text(encoding="utf-8"))


def preset(name: str) -> dict[str, Any]:
    """The fields of a preset, e.g. "ClearNoon". Raises ValueError for an unknown name, listing the known ones."""
    presets = _presets()
    if name not in presets:
        raise ValueError(f"unknown weather {name!r}; write one of {', '.join(presets)} or a table of fields")
    return dict(presets[name])
