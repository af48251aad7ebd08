"""What an episode is: a town, a route, traffic, weather, scripted actors, rules and seeds. Validated, frozen, simulator-free."""

from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, PlainSerializer, model_validator

from carla_rl.config import Config
from carla_rl.roads.route import Route
from carla_rl.scenario.weather import preset
from carla_rl.types import Infraction

Split = Literal["training", "validation", "evaluation", "any"]
LightCycles = Literal["drawn", "together"]
"""Where the cycles of the traffic lights are when an episode begins: drawn for each junction from the episode's seed, or all in their first
phase (0.75 s of it gone), as in the CARLA leaderboard, which resets them when it has loaded the map."""


def _infraction(value: Any) -> Any:
    """An infraction written by its name in any case; numbers pass."""
    if not isinstance(value, str):
        return value
    try:
        return Infraction[value.upper()]
    except KeyError:
        raise ValueError(f"unknown infraction; write one of {', '.join(i.name.lower() for i in Infraction)}") from None


def _with_height(value: Any) -> Any:
    """A position written as [x, y] lies at height 0."""
    return (*value, 0.0) if isinstance(value, list | tuple) and len(value) == 2 else value


InfractionName = Annotated[
    Infraction, BeforeValidator(_infraction), PlainSerializer(lambda value: value.name.lower(), return_type=str, when_used="json")
]
Position = Annotated[tuple[float, float, float], BeforeValidator(_with_height)]


class Traffic(Config):
    """Background traffic, kept around the ego. What does not fit the road is thinned by the simulator, which records what it placed."""

    vehicles: int = Field(default=8, ge=0, le=200, description="moving vehicles kept within 100 m of the ego")
    pedestrians: int = Field(default=0, ge=0, le=200, description="pedestrians walking beside and across the road")
    speed_factor: float = Field(default=0.8, gt=0, le=2, description="desired speed as a share of the limit")
    headway_s: float = Field(default=1.5, gt=0, le=5, description="IDM time headway in seconds")


class Weather(Config):
    """CARLA's weather fields (percent, degrees, m for fog_distance). The toy records it and drives the same; its pictures take sun and fog.

    May be written as the name of one of CARLA's presets, e.g. "ClearNoon".
    """

    cloudiness: float = Field(default=10.0, ge=0, le=100)
    precipitation: float = Field(default=0.0, ge=0, le=100)
    precipitation_deposits: float = Field(default=0.0, ge=0, le=100)
    wetness: float = Field(default=0.0, ge=0, le=100)
    wind_intensity: float = Field(default=0.0, ge=0, le=100)
    sun_azimuth_angle: float = Field(default=0.0, ge=-360, le=360)
    sun_altitude_angle: float = Field(default=60.0, ge=-90, le=90)
    fog_density: float = Field(default=0.0, ge=0, le=100)
    fog_distance: float = Field(default=0.0, ge=0)
    fog_falloff: float = Field(default=0.1, ge=0)
    scattering_intensity: float = Field(default=1.0, ge=0)
    mie_scattering_scale: float = Field(default=0.03, ge=0)
    rayleigh_scattering_scale: float = Field(default=0.0331, ge=0)
    dust_storm: float = Field(default=0.0, ge=0, le=100)

    @model_validator(mode="before")
    @classmethod
    def _by_name(cls, value: Any) -> Any:
        return preset(value) if isinstance(value, str) else value


class ScriptedActor(Config):
    """A scripted scenario by the leaderboard's type name, triggered where the ego reaches a place on its route."""

    name: str = ""
    type: str = Field(description="a leaderboard scenario type, e.g. DynamicObjectCrossing")
    x: float = Field(description="trigger point, m, map frame")
    y: float = Field(description="trigger point, m, map frame (the negative of CARLA's y)")
    yaw: float = Field(default=0.0, description="rad, map frame")
    parameters: dict[str, str | float] = Field(default_factory=dict)


class Rules(Config):
    """When an episode ends. The defaults are the CARLA leaderboard 2.0's."""

    time_limit_s: float | None = Field(default=None, gt=0, description="seconds; None: 300 s plus the leaderboard's advance by distance")
    blocked_after_s: float = Field(default=180.0, gt=0, description="seconds below 0.1 m/s")
    deviation_m: float = Field(default=30.0, gt=0, description="largest distance from the route")
    ends_on: tuple[InfractionName, ...] = Field(default=(), description="infractions that end the episode at once (training), by name")
    min_speed: bool = Field(default=False, description="count the leaderboard's minimum-speed infractions")


class Scenario(Config):
    """One route to drive, as written in a suite or a route file."""

    scenario_id: str = Field(min_length=1)
    town: str = Field(min_length=1)
    positions: tuple[Position, ...] = Field(min_length=2, description="x, y, z in m, map frame, in driving order; z may be left out")
    seed: int = Field(default=0, ge=0, lt=2**63)
    traffic: Traffic = Traffic()
    lights: LightCycles = "drawn"
    weather: Weather = Weather()
    actors: tuple[ScriptedActor, ...] = ()
    rules: Rules = Rules()

    @model_validator(mode="after")
    def _moves(self) -> "Scenario":
        if self.positions[0] == self.positions[-1] and len(self.positions) == 2:
            raise ValueError("positions: start and destination are the same place; give a destination elsewhere")
        return self


@dataclass(frozen=True)
class Episode:
    """One drive of a scenario: the scenario with its traced route, the repetition, and where on the route it starts."""

    scenario: Scenario
    route: Route
    repetition: int = 0
    start_m: float = 0.0
    """m along the route where the ego is put (training starts mid-route; evaluation starts at 0)."""
    skipped: tuple[str, ...] = ()
    """Names of scripted actors that were left out because the simulator cannot play them; listed in the results."""

    @property
    def episode_id(self) -> str:
        """Unique within a suite: `<scenario_id>#<repetition>`."""
        return f"{self.scenario.scenario_id}#{self.repetition}"

    @property
    def seed(self) -> int:
        """Seed of every draw of the episode's world: the scenario's seed and the repetition, mixed."""
        return drive_seed(self.scenario, self.repetition)


def drive_seed(scenario: Scenario, repetition: int) -> int:
    """The seed of one drive of a scenario: the scenario's seed and the repetition, mixed."""
    return (scenario.seed * 0x9E3779B97F4A7C15 + repetition * 0xBF58476D1CE4E5B9 + 1) % 2**63
