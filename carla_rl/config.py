"""The base of every configuration: frozen, no unknown keys, and errors that name the file, the field and what to write.

Knows nothing of the environment: a configuration comes from a file, the command line or code, never from a variable.
"""

from pathlib import Path
from typing import Any, Self

from pydantic import BaseModel, ConfigDict, ValidationError

from carla_rl.errors import UsageError


class Config(BaseModel):
    """A frozen, strict record. Subclasses give each field a unit in its name or its description."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    @classmethod
    def checked(cls, data: Any, source: str | Path) -> Self:
        """Validate `data` that came from `source`.

        Raises:
            UsageError: one sentence a problem: the source, the field, what is wrong and what it holds.
        """
        try:
            return cls.model_validate(data)
        except ValidationError as error:
            raise UsageError(explain(error, source)) from None


def explain(error: ValidationError, source: str | Path) -> str:
    """The problems that pydantic found as sentences: source, field, what to write, what was there."""
    sentences = []
    for item in error.errors():
        where = ".".join(str(part) for part in item["loc"]) or "the top level"
        message = item["msg"].removeprefix("Value error, ")
        match item["type"]:
            case "missing":
                sentences.append(f"{source}: {where} is missing; add it")
            case "extra_forbidden":
                sentences.append(f"{source}: {where} is not a known field; remove it or check its spelling")
            case _:
                sentences.append(f"{source}: {where}: {message} (found {item['input']!r:.80})")
    return "; ".join(sentences)
