"""The result of one episode, as it stands in `episodes.jsonl` and under `scenarios` of `metrics.json`.

Holds the raw facts that every score definition needs, so that any of them can be computed later. Checks itself: numbers that contradict
each other (a file edited by hand, two versions mixed) are refused. Knows nothing of the loop that it came from nor of where it is written.
"""

import math
from collections.abc import Callable
from enum import IntEnum
from typing import Annotated, Any

from pydantic import BeforeValidator, ConfigDict, Field, PlainSerializer, field_validator, model_validator

from carla_rl.config import Config
from carla_rl.metrics.scores import DEFINITIONS, Drive, Score, definition, is_success, status
from carla_rl.types import Ending, Infraction, SimulatorKind

COLLISIONS = (Infraction.COLLISION_PEDESTRIAN, Infraction.COLLISION_VEHICLE, Infraction.COLLISION_STATIC)

LARGEST = 1e9
"""No number of a drive is larger, in any unit; sums of smaller ones stay finite."""

# strict: a text or a truth value in the place of a number was put there by hand
Count = Annotated[int, Field(ge=0, le=LARGEST, strict=True)]
Share = Annotated[float, Field(ge=0, le=1, strict=True)]
Positive = Annotated[float, Field(ge=0, le=LARGEST, strict=True)]
Signed = Annotated[float, Field(ge=-LARGEST, le=LARGEST, strict=True)]


def _member(kind: type[IntEnum]) -> Callable[[Any], Any]:
    """Reads a member of `kind` from its name in lower case, as it stands in the files; members pass."""
    names = {member.name.lower(): member for member in kind}

    def read(value: Any) -> Any:
        if isinstance(value, kind):
            return value
        if not isinstance(value, str) or value not in names:
            raise ValueError(f"unknown; write one of {', '.join(names)}")
        return names[value]

    return read


_lower = PlainSerializer(lambda member: member.name.lower(), return_type=str)
Kind = Annotated[Infraction, BeforeValidator(_member(Infraction)), _lower]
Cause = Annotated[Ending, BeforeValidator(_member(Ending)), _lower]


class Record(Config):
    """A part of a result file. Unknown fields are left alone: the file contract lets others add theirs."""

    model_config = ConfigDict(frozen=True, extra="ignore", allow_inf_nan=False, populate_by_name=True)


class InfractionRecord(Record):
    """One infraction, with when and where."""

    kind: Kind
    time_s: Positive | None = Field(description="s since the start of the episode; null where an imported result does not say")
    x: Signed | None = Field(description="m, map frame; null likewise")
    y: Signed | None
    other: int = Field(description="id of the actor, signal or scenario concerned; -1 where there is none")
    value: Signed | None = Field(
        description="share (outside_route_lanes, min_speed), impact speed in m/s (collisions; null where not told), else 0"
    )


class Comfort(Record):
    """Largest magnitudes over the episode, sampled at the decisions."""

    max_accel: Positive = Field(description="m/s^2 along the heading")
    max_jerk: Positive = Field(description="m/s^3 along the heading: change of acceleration between two decisions")
    max_lateral_accel: Positive = Field(description="m/s^2, speed times yaw rate")


class Imported(Record):
    """What the result file of another evaluator says of this drive, in its own words and numbers."""

    status: str
    infractions: dict[str, tuple[str, ...]] = Field(description="its sentences by its own names of the kinds; places in CARLA's frame")
    score_route: float = Field(description="%")
    score_penalty: float
    score_composed: float


class Raw(Record):
    """What every score definition is computed from."""

    counts: dict[Kind, Count] = Field(description="infractions by kind; absent kinds did not happen")
    outside_share: Share
    min_speed_shares: tuple[Positive, ...] = Field(description="ego's mean speed over the traffic's, of each min_speed infraction")
    tracking_lateral_m: Positive | None = Field(description="mean distance from plan to drive at the next decision, across the heading")
    tracking_longitudinal_m: Positive | None = Field(description="likewise along the heading")
    delta_m: Positive | None = Field(description="mean length of the correction of a waypoint; null without an SFT plan")
    imported: Imported | None = Field(default=None, description="left out of the file for a drive of our own")


class Motion(Record):
    """How the ego moved, measured over the whole drive from its step log (`carla_rl.metrics.motion`)."""

    step_s: Annotated[float, Field(gt=0, le=LARGEST, strict=True)] = Field(description="s between two samples: the decisions")
    chunks: Count = Field(description="pieces of 2 s that were judged for comfort; 0 for a drive of fewer than three samples")
    comfortable_chunks: Count = Field(description="those within all of nuPlan's bounds")
    comfort_worst: dict[str, Positive] = Field(description="by quantity: largest magnitude after smoothing, m/s^2, m/s^3, rad/s, rad/s^2")
    comfort_outside: dict[str, Share] = Field(description="by quantity: share of the samples outside nuPlan's bounds")
    min_ttc_s: Positive | None = Field(description="s: shortest time to collision; null where there was none within 3 s")
    ttc_short_share: Share = Field(description="share of the decisions with a time to collision below 0.95 s")
    overspeed_mps: Positive = Field(description="m/s above the speed limit, mean over the drive")
    off_centre_s: Positive = Field(description="s: longest time more than 0.5 m off the route's line")
    traffic_speed_shares: tuple[Positive, ...] = Field(
        description="ego's mean speed over that of the vehicles within 100 m that ever moved, quarter by quarter of the route"
    )
    against_m: Positive | None = Field(
        default=None, description="m: the most driven within 1 s against the direction of the lane; null where the log has no lanes"
    )

    @model_validator(mode="after")
    def _consistent(self) -> "Motion":
        if self.comfortable_chunks > self.chunks:
            raise ValueError(f"{self.comfortable_chunks} of {self.chunks} chunks are comfortable; the record was changed after the run")
        if not self.comfort_outside or self.comfort_outside.keys() != self.comfort_worst.keys():
            raise ValueError("comfort_outside and comfort_worst tell of different quantities; the record was changed after the run")
        return self


class EpisodeResult(Record):
    """One finished episode. `scenario_id` and `success` are required by the contract; the other names are kept from it or added."""

    scenario_id: str = Field(min_length=1)
    success: bool = Field(strict=True, description="route completed without an infraction other than min_speed (Bench2Drive's definition)")
    ade: Positive | None = Field(description="m: plan against the expert's plan at the states visited, mean over waypoints, then decisions")
    fde: Positive | None = Field(description="m: likewise at the last waypoint")
    route_completion: Share
    collisions: Count
    offroad: Count = Field(description="1 where the ego left the route's lanes")
    red_light: Count
    stop_sign: Count
    episode_return: Signed | None = Field(
        validation_alias="return", serialization_alias="return", description="sum of the rewards; null where none were given"
    )
    steps: Annotated[int, Field(ge=1, le=LARGEST, strict=True)] | None = Field(
        description="decisions; this and what is null below: an imported result does not say"
    )
    final_dist: Positive | None = Field(description="m in a straight line from where the ego ended to the destination")
    comfort: Comfort | None
    raw: Raw

    episode_id: str = Field(min_length=1, description="<scenario_id>#<repetition>")
    repetition: Count
    seed: int | None
    town: str | None
    simulator: SimulatorKind
    ending: Cause
    status: str = Field(description="the leaderboard's word")
    score: str = Field(description="definition of driving_score and score_penalty")
    driving_score: Annotated[float, Field(ge=0, le=100, strict=True)]
    score_penalty: Share
    infractions: tuple[InfractionRecord, ...]
    duration_s: Positive = Field(description="simulated seconds")
    driven_m: Positive | None
    route_length_m: Positive
    start_m: Positive = Field(description="m along the route where the ego was put; 0 in evaluation")
    scripted: tuple[str, ...] = Field(default=(), description="scenario types of the scripted actors that were there, each once")
    skipped: tuple[str, ...] = Field(description="scripted actors left out because the simulator cannot play them")
    void_attempts: tuple[str, ...] = Field(
        default=(),
        description="why earlier attempts were void: their worlds were lost; left out of the file where there were none",
    )
    motion: Motion | None = Field(default=None, description="null where no step log was kept; left out of the file then")

    @field_validator("score")
    @classmethod
    def _known(cls, name: str) -> str:
        if name not in DEFINITIONS:
            raise ValueError(f"unknown score definition; this version has {', '.join(DEFINITIONS)}")
        return name

    @model_validator(mode="after")
    def _consistent(self) -> "EpisodeResult":
        """The stated numbers must follow from the raw facts, else the file is not what a run wrote."""
        counts, ending = self.raw.counts, self.ending
        score = self.scored(self.score)
        stated_and_computed = {
            "episode_id": (self.episode_id, f"{self.scenario_id}#{self.repetition}"),
            "collisions": (self.collisions, sum(counts.get(kind, 0) for kind in COLLISIONS)),
            "offroad": (self.offroad, counts.get(Infraction.OUTSIDE_ROUTE_LANES, 0)),
            "red_light": (self.red_light, counts.get(Infraction.RED_LIGHT, 0)),
            "stop_sign": (self.stop_sign, counts.get(Infraction.STOP_SIGN, 0)),
            "success": (self.success, is_success(ending, counts)),
            "status": (self.status, status(ending, sum(counts.values()))),
        }
        for field, (stated, computed) in stated_and_computed.items():
            if stated != computed:
                raise ValueError(f"{field} is {stated!r} but the other fields give {computed!r}; the record was changed after the run")
        for field, value, exact in (
            ("driving_score", self.driving_score, score.score_composed),
            ("score_penalty", self.score_penalty, score.score_penalty),
        ):
            if not math.isclose(value, exact, rel_tol=1e-9, abs_tol=1e-9):
                raise ValueError(f"{field} is {value} but the raw counts give {exact}; the record was changed after the run")
        return self

    @property
    def drive(self) -> Drive:
        """The raw facts, for any score definition."""
        return Drive(self.route_completion, self.raw.counts, self.raw.outside_share, self.raw.min_speed_shares)

    @property
    def driven_km(self) -> float:
        """Kilometres by the leaderboard's rule: route length times route completion."""
        return self.route_length_m * self.route_completion / 1000.0

    def scored(self, name: str) -> Score:
        """The score of this episode by another definition, by name.

        Raises:
            UsageError: unknown name.
        """
        return definition(name).score(self.drive)

    def to_json(self) -> dict[str, Any]:
        """Plain JSON values, contract names (`return`, not `episode_return`)."""
        absent: dict[str, Any] = {
            name: True for name, there in (("motion", self.motion), ("void_attempts", self.void_attempts)) if not there
        }
        if self.raw.imported is None:
            absent["raw"] = {"imported"}
        return self.model_dump(mode="json", by_alias=True, exclude=absent)
