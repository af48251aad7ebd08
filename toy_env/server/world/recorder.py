"""Recording what happens in the world and playing it again. Knows of files only what `recording` says.

Played again, actors go where they were at the same time, between two frames on the straight line; an actor of the recording that is still
there with its id is taken, any other is spawned. At the end vehicles stand and can be driven.
"""

from pathlib import Path
from typing import Any

from toy_env.server.errors import Refused
from toy_env.server.layouts.table import Family
from toy_env.server.layouts.values import AttributeValue, Description, Rotation, Transform, Vector
from toy_env.server.world.actors import Actor
from toy_env.server.world.lights import Lights
from toy_env.server.world.motion import Mover
from toy_env.server.world.recording import Writer, read
from toy_env.server.world.world import World

LATE_S = 1e-6


class Recorder:
    """A part of the world, after the lights.

    Args:
        lights: whose states are recorded and set.
    """

    def __init__(self, lights: Lights) -> None:
        self._lights = lights
        self._writer: Writer | None = None
        self._told: set[int] = set()
        self._frames: list[dict[str, Any]] = []
        self._at = 0
        self._time, self._until = 0.0, 0.0
        self._cast: dict[int, Actor] = {}
        self._sensors = False
        self.speed = 1.0
        """Seconds of a recording that a second plays."""
        self.ignored_hero = False
        self.follow = 0
        """Actor of the recording that the spectator stays with; 0: none."""

    # recording

    def start(self, world: World, path: Path) -> None:
        """Record from the next frame on. Raises Refused where the file cannot be written."""
        self.stop()
        self._writer, self._told = Writer(path, world.map.name), set()

    def stop(self) -> None:
        """End a recording."""
        if self._writer is not None:
            self._writer.close()
            self._writer = None

    def _write(self, world: World, writer: Writer) -> None:
        here = {actor.id: actor for actor in world if actor.family not in (Family.LIGHT, Family.SIGN)}
        record: dict[str, Any] = {"frame": world.frame, "elapsed": world.elapsed, "dt": world.dt}
        record["new"] = [_described(actor) for number, actor in here.items() if number not in self._told]
        record["gone"] = [number for number in self._told if number not in here]
        record["poses"] = [
            [number, *world.state(actor)["transform"].tolist(), *world.state(actor)["velocity"].tolist()]
            for number, actor in here.items()
            if actor.parent is None
        ]
        record["lights"] = self._lights.programme.states.tolist()
        record["hits"] = [[hit.actor.id, hit.other.id] for hit in world.hits]
        self._told = set(here)
        writer.write({key: value for key, value in record.items() if value or key in ("frame", "elapsed", "dt")})

    # playing again

    def play(self, world: World, frames: list[dict[str, Any]], start_s: float, duration_s: float, sensors: bool) -> None:
        """Play frames of a recording from `start_s` (negative: from the end) for `duration_s` (0: all of it)."""
        self.stop_playing(world)
        length = frames[-1]["elapsed"] - frames[0]["elapsed"]
        self._time = min(max(start_s if start_s >= 0.0 else length + start_s, 0.0), length)
        self._until = min(self._time + duration_s, length) if duration_s > 0.0 else length
        self._frames, self._at, self._sensors = frames, -1, sensors
        self._cast = {number: actor for number, actor in world.actors.items() if actor.family in (Family.VEHICLE, Family.WALKER)}
        self._cast = {new[0]: self._cast[new[0]] for frame in frames for new in frame.get("new", ()) if self._fits(new)}
        for actor in self._cast.values():
            world.body(actor)["mover"] = Mover.OTHER
        self._show(world)

    def stop_playing(self, world: World, keep: bool = True) -> None:
        """Leave the actors to themselves, or take them away."""
        for actor in self._cast.values():
            if actor.row >= 0 and not keep:
                world.destroy(actor)
            elif actor.row >= 0 and actor.parent is None:
                mover = {Family.VEHICLE: Mover.VEHICLE, Family.WALKER: Mover.WALKER}.get(actor.family, Mover.NOBODY)
                body = world.body(actor)
                body["mover"], body["speed"], body["velocity"] = mover, 0.0, 0.0
        self._frames, self._cast = [], {}

    def begin(self, world: World) -> None:
        """See `Part.begin`: a new episode ends a recording and what is played."""
        self.stop()
        self._frames, self._cast = [], {}

    def before(self, world: World) -> None:
        """See `Part.before`."""
        if not self._frames:
            return
        self._time += world.dt * self.speed
        self._show(world)
        if self._time >= self._until - LATE_S:
            self.stop_playing(world)

    def after(self, world: World) -> None:
        """See `Part.after`."""
        if self._writer is not None:
            self._write(world, self._writer)

    def _fits(self, new: list[Any]) -> bool:
        actor = self._cast.get(new[0])
        return actor is not None and actor.type_id == new[1]

    def _show(self, world: World) -> None:
        """Bring the actors to where they were at the time of now."""
        zero = self._frames[0]["elapsed"]
        while self._at + 1 < len(self._frames) and (self._at < 0 or self._frames[self._at + 1]["elapsed"] - zero <= self._time + LATE_S):
            self._at += 1
            self._come_and_go(world, self._frames[self._at])
        now, after = self._frames[self._at], self._frames[min(self._at + 1, len(self._frames) - 1)]
        span = after["elapsed"] - now["elapsed"]
        share = min(max((self._time + zero - now["elapsed"]) / span, 0.0), 1.0) if span > 0.0 else 0.0
        later = {pose[0]: pose for pose in after.get("poses", ())} if share > LATE_S else {}
        for pose in now.get("poses", ()):
            actor = self._cast.get(pose[0])
            if actor is not None and actor.row >= 0:
                self._move(world, actor, pose, later.get(pose[0], pose), share)
            if pose[0] == self.follow:
                world.place(world.spectator, _transform(pose[1:7]))
        lights = now.get("lights", ())
        if len(lights) == len(self._lights.programme.states):
            self._lights.programme.states[:] = lights

    def _come_and_go(self, world: World, frame: dict[str, Any]) -> None:
        poses = {pose[0]: pose for pose in frame.get("poses", ())}
        for number, blueprint, attributes, parent in frame.get("new", ()):
            known = world.catalogue.by_id.get(blueprint)
            values = tuple(AttributeValue(*item) for item in attributes)
            hero = self.ignored_hero and any(item.id == "role_name" and item.value == "hero" for item in values)
            if known is None or hero or number in self._cast or (blueprint.startswith("sensor.") and not self._sensors):
                continue
            place = _transform(poses[number][1:7]) if number in poses else Transform()
            actor = world.add(Description(known.definition.uid, blueprint, values), place, known, self._cast.get(parent))
            if actor.parent is None:
                world.body(actor)["mover"] = Mover.OTHER
            self._cast[number] = actor
        for number in frame.get("gone", ()):
            gone = self._cast.pop(number, None)
            if gone is not None and gone.row >= 0:
                world.destroy(gone)

    @staticmethod
    def _move(world: World, actor: Actor, pose: list[float], later: list[float], share: float) -> None:
        turned = (later[5] - pose[5] + 180.0) % 360.0 - 180.0
        between = [a + share * (b - a) for a, b in zip(pose[1:], later[1:], strict=True)]
        between[4] = pose[5] + share * turned
        world.place(actor, _transform(between[:6]))
        world.state(actor)["velocity"] = between[6:9]


def frames_of(path: Path) -> tuple[str, list[dict[str, Any]]]:
    """Name of the map and frames of a recording. Raises Refused for a file that is none or has no frame."""
    records = list(read(path))
    name = records[0].get("map") if records else None
    if not isinstance(name, str) or len(records) < 2:
        raise Refused(f"{path}: the recording holds no frame")
    for record in records[1:]:
        if not isinstance(record.get("elapsed"), float) or any(len(pose) != 10 for pose in record.get("poses", ())):
            raise Refused(f"{path}: the recording is damaged")
    return name, records[1:]


def _described(actor: Actor) -> list[Any]:
    description = actor.info.description
    return [actor.id, description.id, [list(item) for item in description.attributes], actor.info.parent_id]


def _transform(numbers: list[float]) -> Transform:
    x, y, z, pitch, yaw, roll = numbers
    return Transform(Vector(x, y, z), Rotation(pitch, yaw, roll))
