"""The arguments of the environments, and that they fit each other. Knows nothing of Gymnasium."""

from dataclasses import fields
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, model_validator

from carla_rl.agent import DECISION_TICKS
from carla_rl.config import Config
from carla_rl.policies import features
from carla_rl.reward import AnyReward, RewardConfig
from carla_rl.scenario.model import Split
from carla_rl.types import HORIZON, CameraSpec, Needs, Observation

SOURCE = "carla_rl/Toy-v0"
"""How messages call these arguments."""

_ONLY_DICT = ("route", "objects", "lights", "speed_limit", "room", "camera")
_ONLY_WAYPOINTS = ("controller", "horizon")


def _default_camera(value: Any) -> Any:
    """`camera=True` is the front camera as it stands; False is none."""
    if isinstance(value, bool):
        return CameraSpec() if value else None
    return value


class EnvConfig(Config):
    """What may be given to `gymnasium.make` and `make_vec`."""

    suite: str | Path = Field(default="train", description="name of a shipped suite, or a suite file")
    split: Split | None = Field(default=None, description="the split that the suite must be of; another one is refused")
    routes: str | None = Field(default=None, description="only these scenarios of the suite, as `--routes` takes them")
    maps: tuple[Path, ...] = Field(default=(), description="folders with maps of other towns")
    skip_unsupported: bool = Field(default=False, description="leave out scripted scenarios that the toy cannot play")
    mid_route: float = Field(default=0.0, ge=0, le=1, description="share of the episodes that start in the middle of their route")
    action: Literal["control", "waypoints"] = "control"
    controller: str = Field(default="default", description="preset that follows the waypoints")
    horizon: int = Field(default=HORIZON, ge=2, le=100, description="waypoints in a plan, 0.1 s apart")
    decision_ticks: int = Field(default=DECISION_TICKS, ge=1, le=20, description="ticks of 0.05 s in a step")
    observation: Literal["dict", "features"] = "dict"
    route: bool = Field(default=True, description="show the route ahead and what is left of it")
    objects: int = Field(default=16, ge=0, le=256, description="rows of the object table; 0: none is shown")
    lights: bool = Field(default=True, description="show the traffic light and the stop sign ahead")
    speed_limit: bool = True
    room: bool = Field(default=False, description="show how wide the road is beside the route")
    camera: Annotated[CameraSpec | None, BeforeValidator(_default_camera)] = Field(
        default=None, description="True, or a table of fields of `carla_rl.types.CameraSpec`"
    )
    reward: AnyReward = RewardConfig()
    threads: int = Field(default=1, ge=1, description="numba threads at most; changes the speed, never the results")
    render_mode: Literal["rgb_array"] | None = None

    @model_validator(mode="after")
    def _fits(self) -> "EnvConfig":
        for wanted, unless, names in (
            ("observation='dict'", self.observation == "dict", _ONLY_DICT),
            ("action='waypoints'", self.action == "waypoints", _ONLY_WAYPOINTS),
        ):
            if given := [name for name in names if name in self.model_fields_set and not unless]:
                raise ValueError(f"{', '.join(given)} can only be chosen with {wanted}; leave it out or add that")
        if self.camera is not None and self.camera.name in {field.name for field in fields(Observation)}:
            raise ValueError(f"camera.name: {self.camera.name!r} is another part of the observation; choose another name")
        return self

    @property
    def needs(self) -> Needs:
        """What the simulator has to show."""
        if self.observation == "features":
            return features.NEEDS
        cameras = () if self.camera is None else (self.camera,)
        return Needs(
            route=self.route, objects=self.objects, lights=self.lights, speed_limit=self.speed_limit, room=self.room, cameras=cameras
        )
