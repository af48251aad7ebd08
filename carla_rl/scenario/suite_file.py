"""The suite file format: TOML with a `[suite]` head, `[[scenario]]` tables written out and `[[draw]]` tables drawn at random.

What a field means stands at the field; `scenarios/example.toml` teaches the format.
Knows no road network: `expansion` turns a file into scenarios.
"""

import tomllib
from pathlib import Path
from typing import Annotated, Any

from pydantic import BeforeValidator, Field, field_validator, model_validator

from carla_rl.config import Config
from carla_rl.errors import UsageError
from carla_rl.scenario.model import LightCycles, Position, Rules, Split, Traffic, Weather

Name = Annotated[str, Field(pattern=r"^[A-Za-z][A-Za-z0-9_.-]*$", description="a letter, then letters, digits, dot, dash or underscore")]


def _as_range(value: Any) -> Any:
    return (value, value) if isinstance(value, int | float) else value


def _as_list(value: Any) -> Any:
    return (value,) if isinstance(value, str | dict) else value


WholeRange = Annotated[tuple[int, int], BeforeValidator(_as_range)]
RealRange = Annotated[tuple[float, float], BeforeValidator(_as_range)]
WeatherChoice = Annotated[tuple[Weather, ...], BeforeValidator(_as_list), Field(min_length=1)]


class Head(Config):
    """`[suite]`: what the suite is, and what its scenarios inherit, field by field, where they do not say otherwise."""

    name: Name
    split: Split = Field(description="what may be done with it; drawn routes and seeds of different splits never coincide")
    description: str = ""
    traffic: Traffic = Traffic()
    lights: LightCycles = Field(default="drawn", description="where the lights' cycles begin: drawn by the seed, or all together")
    weather: Weather = Weather()
    rules: Rules = Rules()


class ActorEntry(Config):
    """`[[scenario.actors]]`: a scripted actor, triggered `at_m` metres along the route or at a pose on it."""

    type: str = Field(min_length=1, description="a leaderboard scenario type, e.g. DynamicObjectCrossing")
    name: str = Field(default="", description="empty: the type and a number")
    at_m: float | None = Field(default=None, ge=0)
    x: float | None = Field(default=None, description="m, map frame")
    y: float | None = Field(default=None, description="m, map frame")
    yaw: float | None = Field(default=None, description="rad, map frame; left out: the route's heading there")
    parameters: dict[str, str | float] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _one_trigger(self) -> "ActorEntry":
        by_pose = self.x is not None and self.y is not None
        if (self.at_m is None) != by_pose or (not by_pose and (self.x, self.y, self.yaw) != (None, None, None)):
            raise ValueError("write either at_m, or x and y with an optional yaw")
        return self


class ScenarioEntry(Config):
    """`[[scenario]]`: one route, written out."""

    id: Name
    town: str = Field(min_length=1)
    positions: tuple[Position, ...] = Field(min_length=2, description="[x, y] or [x, y, z] in m, map frame, in driving order")
    seed: int | None = Field(default=None, ge=0, lt=2**63, description="left out: made from the suite's name and the id")
    traffic: Traffic | None = None
    lights: LightCycles | None = None
    weather: Weather | None = None
    rules: Rules | None = None
    actors: tuple[ActorEntry, ...] = ()

    @field_validator("id")
    @classmethod
    def _ours(cls, value: str) -> str:
        if value.startswith("RouteScenario_"):
            raise ValueError("ids that start with RouteScenario_ belong to route XML files; choose another")
        return value


class ActorTemplate(Config):
    """`[[draw.actors]]`: scripted actors strewn over each drawn route, triggered where it runs straight and outside junctions."""

    type: str = Field(min_length=1)
    per_km: float = Field(
        gt=0, le=50, description="expected number for a kilometre of route; fewer where there is no room or the type has no meaning"
    )
    parameters: dict[str, str | float] = Field(default_factory=dict)


class TrafficRange(Config):
    """`[draw.traffic]`: each field a number or [lowest, highest], drawn for each route; a field left out is the suite's."""

    vehicles: WholeRange | None = None
    pedestrians: WholeRange | None = None
    speed_factor: RealRange | None = None
    headway_s: RealRange | None = None

    @model_validator(mode="after")
    def _in_order_and_possible(self) -> "TrafficRange":
        for name in self.model_fields_set:
            low, high = getattr(self, name)
            if low > high:
                raise ValueError(f"{name} = [{low}, {high}] runs backwards; write the smaller number first")
            Traffic.model_validate({name: low})
            Traffic.model_validate({name: high})
        return self


class Draw(Config):
    """`[[draw]]`: random routes through a town, the same ones whenever and wherever the file is read."""

    town: str = Field(min_length=1)
    count: int = Field(ge=1, le=100_000)
    seed: int = Field(ge=0, lt=2**63)
    length_m: tuple[float, float] = Field(default=(200.0, 400.0), description="shortest and longest route")
    part: Split | None = Field(default=None, description="share of all routes to draw from; left out: the suite's split")
    prefix: Name | None = Field(default=None, description="of the ids; left out: town and part, e.g. grid-eval")
    traffic: TrafficRange = TrafficRange()
    weather: WeatherChoice | None = Field(default=None, description="one weather, or a list to choose from for each route")
    rules: Rules | None = None
    actors: tuple[ActorTemplate, ...] = ()
    fitted: bool = Field(
        default=False, description="strew actors only where their type has a meaning and can be passed, one scene after the other"
    )

    @field_validator("length_m")
    @classmethod
    def _in_order(cls, value: tuple[float, float]) -> tuple[float, float]:
        if not 0 < value[0] < value[1]:
            raise ValueError("write [shortest, longest] in metres, both above 0 and the smaller one first")
        return value


class SuiteFile(Config):
    """A whole suite file."""

    suite: Head
    scenario: tuple[ScenarioEntry, ...] = ()
    draw: tuple[Draw, ...] = ()

    @model_validator(mode="after")
    def _holds_together(self) -> "SuiteFile":
        if not self.scenario and not self.draw:
            raise ValueError("the suite is empty; add a [[scenario]] or a [[draw]] table")
        ids = [entry.id for entry in self.scenario]
        twice = sorted({name for name in ids if ids.count(name) > 1})
        if twice:
            raise ValueError(f"scenario id {twice[0]!r} is used more than once; ids must differ")
        for number, draw in enumerate(self.draw):
            if self.suite.split != "any" and draw.part not in (None, self.suite.split):
                raise ValueError(f"draw.{number}.part is {draw.part!r} in a suite whose split is {self.suite.split!r}; remove it")
        return self


def read_suite_file(path: Path) -> SuiteFile:
    """Read and check a suite file.

    Raises:
        UsageError: with the file, and the line of a syntax error or the field at fault and what to write.
    """
    try:
        data = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UsageError(f"cannot read the suite {path}: {error.strerror}; check the path") from None
    except UnicodeDecodeError:
        raise UsageError(f"{path} is not UTF-8 text; save it as UTF-8") from None
    except tomllib.TOMLDecodeError as error:
        raise UsageError(f"{path} is not valid TOML: {error}; correct that line") from None
    return SuiteFile.checked(data, path)
