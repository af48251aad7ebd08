"""`settings`: every setting of a training as a file that can be edited, so that nobody has to read code to know what there is."""

import json
from collections.abc import Iterator
from enum import Enum
from typing import Any, Literal, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from carla_rl.cli import options
from carla_rl.cli.console import print_json, stdout
from carla_rl.reward import RoachRewardConfig
from carla_rl.train import TrainConfig


def settings(json: options.Json = False) -> None:
    """Print every setting of `train` as TOML, with its default, range and meaning: edit it and give it with --config.

    With --json the same as a JSON schema.
    """
    if json:
        print_json(TrainConfig.model_json_schema())
        return
    other = ["", "# Instead of [reward] above, the other form:", *(f"# {line}" for line in ("[reward]", *lines(RoachRewardConfig())))]
    text = "\n".join(["# Settings of `carla-rl train`, each with its default.", *lines(TrainConfig()), *other])
    stdout.print(text, highlight=False, markup=False, soft_wrap=True)


def lines(config: BaseModel, table: str = "") -> Iterator[str]:
    """The TOML lines of a configuration: its plain fields, then each of its tables.

    A field that is None by default is commented out, as TOML has no word for it.
    """
    fields = type(config).model_fields
    inner = {name: value for name in fields if isinstance(value := getattr(config, name), BaseModel)}
    for name, field in fields.items():
        if name not in inner:
            yield from _field(name, field, getattr(config, name))
    for name, value in inner.items():
        title = f"{table}.{name}" if table else name
        yield from ("", f"[{title}]", *lines(value, title))


def _field(name: str, field: FieldInfo, value: Any) -> Iterator[str]:
    told = "; ".join(part for part in (field.description, _choices(field), _range(field)) if part)
    if told:
        yield f"# {told}"
    yield f"# {name} = (none)" if value is None else f"{name} = {_toml(value)}"


def _choices(field: FieldInfo) -> str:
    """The words that the field takes, where it takes no others."""
    if get_origin(field.annotation) is not Literal or len(get_args(field.annotation)) < 2:
        return ""
    return "one of " + ", ".join(str(choice) for choice in get_args(field.annotation))


def _range(field: FieldInfo) -> str:
    """What pydantic holds the value to, as far as it can be told in a word."""
    signs = {"gt": ">", "ge": ">=", "lt": "<", "le": "<="}
    found = [f"{sign} {getattr(item, name)}" for item in field.metadata for name, sign in signs.items() if hasattr(item, name)]
    return ", ".join(found)


def _toml(value: Any) -> str:
    """A plain value as TOML writes it; JSON's way of writing numbers, strings, booleans and lists is TOML's, too."""
    return json.dumps(value.value if isinstance(value, Enum) else value)
