"""The step log: one `.npz` an episode, enough to redraw the drive without the simulator.

Plain arrays, float32, no pickle; a `version` field guards the reader. Frames: map for poses and actors, ego frame for plans (that of the
same row's pose). What was added to the format later is optional: older logs read as None there. Knows nothing of how a picture is made.
"""

import io
import json
import struct
import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from carla_rl.errors import UsageError
from carla_rl.loop import Decision
from carla_rl.metrics.motion import measure_motion
from carla_rl.metrics.result import Motion
from carla_rl.records.atomic import write_bytes
from carla_rl.records.buffer import EpisodeBuffer
from carla_rl.records.step_shapes import ANY, SHAPES, check_array, check_steps
from carla_rl.scenario.model import Episode, Weather
from carla_rl.types import TICK_S, Ending, Event, Infraction, ObjectKind

VERSION = 1
DRAWN_M = 100.0
"""Actors farther from the ego than this are left out, in metres."""

Float32 = NDArray[np.float32]
EGO = ("x", "y", "yaw", "speed", "yaw_rate", "acceleration")
FACTS = ("route_completion", "lateral", "speed_limit")
GRAIN_M = 2.0**-10
"""The expert's plans are kept in multiples of this: a millimetre is enough to draw, and packs in half the space."""
OPTIONAL = ("sft_waypoints", "reward", "expert_waypoints", "outside_share", "heading_error", "room")
"""Arrays that a log may lack."""
BROKEN = (OSError, ValueError, EOFError, KeyError, NotImplementedError, RuntimeError, struct.error, zlib.error, zipfile.BadZipFile)
"""What reading a damaged archive raises."""
ACTOR = ("id", "kind", "x", "y", "yaw", "speed", "half_length", "half_width")


@dataclass(frozen=True)
class StepLog:
    """The drive of one episode: T decisions, and the state at the ending as row T of `t`, `ego` and `facts`."""

    episode_id: str
    town: str
    ending: Ending
    t: Float32
    """(T + 1,) s since the start."""
    ego: Float32
    """(T + 1, 6): columns of `EGO`; m, rad, m/s, rad/s, m/s^2, map frame."""
    facts: Float32
    """(T + 1, 3): columns of `FACTS`; share, m (left positive), m/s."""
    control: Float32
    """(T, 3): throttle, steer (left positive), brake of the decision's first tick."""
    waypoints: Float32
    """(T, H, 2) m, ego frame."""
    sft_waypoints: Float32 | None
    """(T, H, 2), where the policy had a plan before the correction."""
    reward: Float32 | None
    """(T,), where rewards were given."""
    actor_start: NDArray[np.int32]
    """(T + 1,): the actors of decision i are rows actor_start[i] to actor_start[i + 1]; all zero where scenes were not kept."""
    actors: Float32
    """(A, 8): columns of `ACTOR`, within DRAWN_M of the ego; map frame."""
    lights: NDArray[np.int8]
    """(T, S): `LightState` of the town's signals; S = 0 where scenes were not kept."""
    events: tuple[Event, ...]
    route: Float32
    """(P, 4): x, y, yaw, half width of the lane; map frame."""
    expert_waypoints: Float32 | None = None
    """(T, H, 2) m, ego frame: what the expert would do at the state that the policy visited, in multiples of GRAIN_M."""
    outside_share: Float32 | None = None
    """(T + 1,) share of the driven route outside the route's lanes so far."""
    heading_error: Float32 | None = None
    """(T + 1,) rad: the ego's heading less the route's."""
    room: Float32 | None = None
    """(T, 3): columns of `RoomColumn` where the ego is, where the simulator was asked for them."""
    weather: Weather | None = None

    @property
    def delta(self) -> Float32 | None:
        """(T, H, 2): the correction, plan less SFT plan, m."""
        return None if self.sft_waypoints is None else self.waypoints - self.sft_waypoints


class StepLogger:
    """Fed with the loop's decisions, gives a `StepLog` for each episode that ends."""

    def __init__(self, num_envs: int) -> None:
        self._buffer = EpisodeBuffer(num_envs)

    def update(
        self, decision: Decision, *, reward: NDArray[np.floating] | None = None, expert: NDArray[np.floating] | None = None
    ) -> list[StepLog]:
        """Take in one decision; `reward` is (N,), `expert` the expert's plan (N, H, 2) at the same states.

        Returns the logs of the episodes that ended with it, in the order of the envs.
        """
        self._buffer.add(decision.started & decision.active, _batch(decision, reward, expert))
        logs = [self._log(decision, int(env)) for env in np.flatnonzero(decision.ended)]
        self._buffer.forget()
        return logs

    def _log(self, decision: Decision, env: int) -> StepLog:
        episode = decision.episodes[env]
        if episode is None:
            raise ValueError(f"env {env} ended an episode that it was not driving")
        rows = self._buffer.pop(env)
        after = _state(decision.after.ego, decision.after.facts)
        actors = [_near(row["actors"], row["ego"]) if "actors" in row else np.zeros((0, len(ACTOR)), np.float32) for row in rows]
        return StepLog(
            episode_id=episode.episode_id,
            town=episode.scenario.town,
            ending=Ending(int(decision.after.ending[env])),
            t=_stack([row["tick"] for row in rows] + [after["tick"][env]]) * np.float32(TICK_S),
            ego=_stack([row["ego"] for row in rows] + [after["ego"][env]]),
            facts=_stack([row["facts"] for row in rows] + [after["facts"][env]]),
            control=_stack([row["control"] for row in rows]),
            waypoints=_stack([row["waypoints"] for row in rows]),
            sft_waypoints=_optional(rows, "sft_waypoints"),
            reward=_optional(rows, "reward"),
            actor_start=np.cumsum([0] + [len(part) for part in actors]).astype(np.int32),
            actors=np.concatenate(actors).astype(np.float32),
            lights=_lights([row["lights"] for row in rows if "lights" in row], len(rows)),
            events=decision.events[env],
            route=_route(episode),
            expert_waypoints=_grained(_optional(rows, "expert")),
            outside_share=_stack([row["outside_share"] for row in rows] + [after["outside_share"][env]]),
            heading_error=_stack([row["heading_error"] for row in rows] + [after["heading_error"][env]]),
            room=_optional(rows, "room"),
            weather=episode.scenario.weather,
        )


def motion_of(log: StepLog) -> Motion:
    """Comfort, time to collision, speeding, direction and pace of the drive.

    Raises:
        ValueError: a log that no drive can have.
    """
    t, ego, facts, actors = (np.asarray(part, np.float64) for part in (log.t, log.ego, log.facts, log.actors))
    lanes = None
    if log.room is not None and log.heading_error is not None:
        lanes = np.column_stack((np.asarray(log.room, np.float64), ego[:-1, 2] - log.heading_error[:-1]))
    return measure_motion(t, ego, facts, log.actor_start, actors, lanes)


def write_steps(path: Path, log: StepLog) -> None:
    """Write a log atomically.

    Raises:
        UsageError: the place cannot be written.
    """
    meta: dict[str, Any] = {"version": VERSION, "episode_id": log.episode_id, "town": log.town, "ending": log.ending.name.lower()}
    if log.weather is not None:
        meta["weather"] = log.weather.model_dump(mode="json")
    arrays: dict[str, Any] = {
        "meta": np.array(json.dumps(meta)),
        "t": log.t,
        **{f"ego_{name}": log.ego[:, i] for i, name in enumerate(EGO)},
        **{f"facts_{name}": log.facts[:, i] for i, name in enumerate(FACTS)},
        "control": log.control,
        "waypoints": log.waypoints,
        "actor_start": log.actor_start,
        # column by column: ids, kinds and sizes repeat and pack well
        **{f"actor_{name}": log.actors[:, i] for i, name in enumerate(ACTOR)},
        "lights": log.lights,
        "events": np.array([(e.kind, e.tick, e.x, e.y, e.other, e.value) for e in log.events], np.float64).reshape(-1, 6),
        "route": log.route,
    }
    for name in OPTIONAL:
        if (values := getattr(log, name)) is not None:
            arrays[name] = values
    file = io.BytesIO()
    np.savez_compressed(file, **arrays)
    write_bytes(path, file.getvalue())


def read_steps(path: Path) -> StepLog:
    """Read a log back.

    Raises:
        UsageError: missing, truncated, not a step log, of another version, or with arrays that no drive has.
    """
    arrays = _arrays(path)
    try:
        meta = json.loads(str(arrays["meta"]))
        if meta["version"] != VERSION:
            raise UsageError(f"{path}: step log of version {meta['version']}; this program reads version {VERSION}")
        log = StepLog(
            episode_id=meta["episode_id"],
            town=meta["town"],
            ending=Ending[meta["ending"].upper()],
            t=arrays["t"],
            ego=np.stack([arrays[f"ego_{name}"] for name in EGO], axis=-1),
            facts=np.stack([arrays[f"facts_{name}"] for name in FACTS], axis=-1),
            control=arrays["control"],
            waypoints=arrays["waypoints"],
            actor_start=arrays["actor_start"],
            actors=np.stack([arrays[f"actor_{name}"] for name in ACTOR], axis=-1),
            lights=arrays["lights"],
            events=tuple(
                Event(Infraction(int(row[0])), int(row[1]), float(row[2]), float(row[3]), int(row[4]), float(row[5]))
                for row in arrays["events"]
            ),
            route=arrays["route"],
            weather=Weather.model_validate(meta["weather"]) if "weather" in meta else None,
            **{name: arrays.get(name) for name in OPTIONAL},
        )
        check_steps({name: getattr(log, name) for name in SHAPES})
        return log
    except KeyError as error:
        raise UsageError(f"{path}: not a step log of this program (lacks {error}); drive the episode again") from error
    except UsageError:
        raise
    except (ValueError, TypeError, IndexError, OverflowError) as error:
        raise UsageError(f"{path}: not a step log of this program ({error}); drive the episode again") from error


def read_plans(path: Path, episode_id: str) -> tuple[Float32, Float32 | None]:
    """The plans (T, H, 2) of an episode's log alone, and the expert's at the same states where it was asked: a fraction of reading it all.

    Raises:
        UsageError: as `read_steps`; the log of another episode.
    """
    arrays = _arrays(path, ("meta", "waypoints", "expert_waypoints"))
    try:
        meta = json.loads(str(arrays["meta"]))
        version, told, plan, expert = meta["version"], meta["episode_id"], arrays["waypoints"], arrays.get("expert_waypoints")
        for name, plans in (("waypoints", plan), ("expert_waypoints", expert)):
            if plans is not None:
                check_array(name, plans, (len(plan), ANY, 2))
    except (KeyError, ValueError, TypeError) as error:
        raise UsageError(f"{path}: not a step log of this program ({error}); drive the episode again") from error
    if version != VERSION:
        raise UsageError(f"{path}: step log of version {version}; this program reads version {VERSION}")
    if told != episode_id:
        raise UsageError(f"{path}: is of episode {told}, not {episode_id}; files were mixed")
    # a plan of another horizon cannot be set against the expert's
    return plan, expert if expert is not None and expert.shape == plan.shape else None


def _arrays(path: Path, names: tuple[str, ...] | None = None) -> dict[str, NDArray[Any]]:
    """The arrays of a log, all or some.

    Raises:
        UsageError: missing, truncated or no archive.
    """
    try:
        with np.load(io.BytesIO(path.read_bytes()), allow_pickle=False) as file:
            return {name: file[name] for name in file.files if names is None or name in names}
    except FileNotFoundError:
        raise UsageError(f"{path}: no such step log; evaluate with step logs kept") from None
    except BROKEN as error:
        raise UsageError(f"{path}: not a readable step log ({error}); it may be truncated, drive the episode again") from error


def _state(ego: Any, facts: Any) -> dict[str, NDArray[Any]]:
    return {
        "tick": facts.tick,
        "ego": np.stack([getattr(ego, name) for name in EGO], axis=-1),
        "facts": np.stack([getattr(facts, name) for name in FACTS], axis=-1),
        "outside_share": facts.outside_share,
        "heading_error": facts.heading_error,
    }


def _batch(decision: Decision, reward: NDArray[np.floating] | None, expert: NDArray[np.floating] | None) -> dict[str, NDArray[Any]]:
    control = decision.control
    batch = _state(decision.before.ego, decision.before.facts)
    batch["control"] = np.stack((control.throttle, control.steer, control.brake), axis=-1)
    batch["waypoints"] = decision.plan.waypoints
    if decision.plan.sft_waypoints is not None:
        batch["sft_waypoints"] = decision.plan.sft_waypoints
    if decision.observation.room is not None:
        # at the first point of the route that is seen: where the ego is
        batch["room"] = decision.observation.room[:, 0]
    if reward is not None:
        batch["reward"] = reward
    if expert is not None:
        batch["expert"] = expert
    if decision.scene is not None:
        batch["actors"] = decision.scene.actors
        batch["lights"] = decision.scene.lights
    return batch


def _stack(rows: list[NDArray[Any]]) -> Float32:
    return np.stack(rows).astype(np.float32)


def _optional(rows: list[dict[str, NDArray[Any]]], name: str) -> Float32 | None:
    return _stack([row[name] for row in rows]) if name in rows[0] else None


def _grained(plans: Float32 | None) -> Float32 | None:
    """Plans rounded to GRAIN_M: whole multiples of a power of two leave the last bits of a float empty."""
    return None if plans is None else np.rint(plans / np.float32(GRAIN_M)) * np.float32(GRAIN_M)


def _near(actors: NDArray[np.float32], ego: NDArray[np.float64]) -> Float32:
    """The used rows of an actor table (A, 8) within DRAWN_M of the ego."""
    used = (actors[:, 1] != ObjectKind.NONE) & (np.hypot(actors[:, 2] - ego[0], actors[:, 3] - ego[1]) <= DRAWN_M)
    near: Float32 = actors[used]
    return near


def _lights(rows: list[NDArray[np.int8]], decisions: int) -> NDArray[np.int8]:
    """(T, S) of the episode's own town: scenes are padded with zeros to the largest town of all envs, and a signal is never zero."""
    used = max((int(np.flatnonzero(row)[-1]) + 1 for row in rows if row.any()), default=0)
    lights = np.zeros((decisions, used), np.int8)
    for i, row in enumerate(rows):
        lights[i, : len(row)] = row[:used]
    return lights


def _route(episode: Episode) -> Float32:
    route = episode.route
    return np.stack((route.x, route.y, route.yaw, route.half_width), axis=-1).astype(np.float32)
