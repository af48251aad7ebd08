"""When which sensor measures: each frame, those that are due and read. Knows no single sensor."""

import traceback
from collections.abc import Callable

from toy_env.server.sensors import SENSORS
from toy_env.server.sensors.sensor import Sensor, number
from toy_env.server.transport.streams import Streams
from toy_env.server.world.actors import Actor
from toy_env.server.world.world import World

LATE_S = 1e-6
"""A sensor is due when it is so little before its time."""


class SensorHub:
    """Keeps the sensors that are read, and sends what they measure.

    A defect in one sensor ends that sensor and nothing else: it is reported once, and `troubles` holds a sentence for the clients.

    Args:
        streams: where the data goes.
        report: takes a line about a defect.
    """

    def __init__(self, streams: Streams, report: Callable[[str], None]) -> None:
        self._streams, self._report = streams, report
        self._sensors: dict[int, Sensor] = {}
        self._next_s: dict[int, float] = {}
        """Elapsed seconds at which a sensor is due."""
        self._broken: set[int] = set()
        self.troubles: list[str] = []

    def begin(self) -> None:
        """A new episode: all sensors are gone."""
        self._sensors.clear()
        self._next_s.clear()
        self._broken.clear()
        self.troubles.clear()

    def measure(self, world: World, patient: bool) -> None:
        """Send this frame's data; `patient` as in `Streams.publish`."""
        for stream, actor in tuple(world.sensors.items()):
            if actor.type_id not in SENSORS or stream in self._broken or not self._streams.has(stream):
                continue
            due = self._next_s.get(stream, 0.0)
            if world.elapsed < due - LATE_S:
                continue
            every = number(actor, "sensor_tick")
            self._next_s[stream] = max(due + every, world.elapsed) if due else world.elapsed + every
            try:
                self._send(world, stream, actor, patient)
            except Exception as error:  # noqa: BLE001 - a defect in one sensor must not take the world away from all clients
                self._broken.add(stream)
                self._report(f"{actor.type_id} (actor {actor.id}) failed: {''.join(traceback.format_exception(error)).rstrip()}")
                self.troubles.append(f"{actor.type_id} (actor {actor.id}) failed in the server and is silent from now on: {error!r}")
        for stream in self._sensors.keys() - world.sensors.keys():
            del self._sensors[stream]
            self._next_s.pop(stream, None)
            self._broken.discard(stream)

    def _send(self, world: World, stream: int, actor: Actor, patient: bool) -> None:
        sensor = self._sensors.get(stream)
        if sensor is None:
            sensor = self._sensors[stream] = SENSORS[actor.type_id](actor, world.layouts, world.seed)
        header = world.header(world.layouts.sensor_types[actor.type_id], actor)
        for payload in sensor.measure(world):
            self._streams.publish(stream, (header, payload), patient)
