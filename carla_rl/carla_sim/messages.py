"""What the harness orders of a worker and what it is told, as plain values: arrays and JSON. Map frame, metres, radians, m/s.

Both sides import this; it knows neither CARLA's client nor the harness.
"""

from dataclasses import asdict, dataclass, field
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from carla_rl.types import CameraSpec

LOADING_FACTOR = 4.0
"""Bringing up a map, and an episode on it, may take so many times longer than a call."""
GAP_M = 2.5
"""m that the Traffic Manager keeps between two vehicles that stand."""


def _empty(columns: int) -> NDArray[np.float64]:
    return np.zeros((0, columns))


@dataclass(frozen=True, slots=True)
class Orders:
    """What is to be done before a tick."""

    control: tuple[float, float, float] = (0.0, 0.0, 1.0)
    """Throttle, steer (positive to the left), brake."""
    come: list[tuple[int, str, float, float, float, float]] = field(default_factory=list)
    """Puppets that appear: slot, blueprint, x, y, z, yaw."""
    go: list[int] = field(default_factory=list)
    """Slots of puppets that go."""
    puppets: NDArray[np.float64] = field(default_factory=lambda: _empty(6))
    """(P, 6) where moving puppets are now: slot, x, y, z, yaw, speed."""
    moved: NDArray[np.float64] = field(default_factory=lambda: _empty(5))
    """(K, 5) background vehicles that are put elsewhere: number, x, y, z, yaw."""
    aside: list[tuple[int, bool]] = field(default_factory=list)
    """Background vehicles that change lane: number, whether to the right."""
    braking: list[int] = field(default_factory=list)
    """Background vehicles that brake hard in this tick."""
    lights: list[tuple[int, int]] = field(default_factory=list)
    """Lights that change: OpenDRIVE id, `LightState`."""

    def to_message(self) -> list[Any]:
        """As it is sent."""
        return [getattr(self, name) for name in self.__slots__]

    @classmethod
    def of(cls, message: list[Any]) -> Self:
        """As it was sent."""
        return cls(*message)


@dataclass(frozen=True, slots=True)
class Setting:
    """What an episode needs of the server before its first tick."""

    ego: tuple[float, float, float, float]
    """Pose."""
    seed: int
    """Of the Traffic Manager and of the pedestrians, below 2**31."""
    weather: dict[str, float]
    vehicles: NDArray[np.float64]
    """(V, 4) poses of the background's vehicles."""
    models: list[str]
    """(V,) their blueprints."""
    speed_factor: float
    """Their desired speed as a share of the limit."""
    pedestrians: int
    around_m: float
    """They walk within this distance of the ego."""
    cameras: list[dict[str, Any]]
    """Fields of `CameraSpec`."""

    def to_message(self) -> list[Any]:
        """As it is sent."""
        return [getattr(self, name) for name in self.__slots__]


def cameras_as_sent(cameras: tuple[CameraSpec, ...]) -> list[dict[str, Any]]:
    """What `Setting.cameras` holds."""
    return [asdict(camera) for camera in cameras]


@dataclass(frozen=True, slots=True)
class Seen:
    """The world after a tick."""

    ego: NDArray[np.float64]
    """(6,): x, y, z, yaw, speed along the heading, yaw rate."""
    others: NDArray[np.float64]
    """(M, 6) background, vehicles first, in the order of their numbers: x, y, z, yaw, speed, 1 where it is there and 0 where not."""
    hits: NDArray[np.int64]
    """(K, 3) what touched the ego: `HIT_*`, number or slot or actor id, `ObjectKind`."""
    images: dict[str, NDArray[np.uint8]]
    """(H, W, 3) RGB by camera."""

    def to_message(self) -> list[Any]:
        """As it is sent."""
        return [self.ego, self.others, self.hits, self.images]


HIT_BACKGROUND, HIT_PUPPET, HIT_SCENERY = 0, 1, 2
"""Columns of `Seen.hits`: what the number beside it counts."""
