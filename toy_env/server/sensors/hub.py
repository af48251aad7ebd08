"""When which sensor measures: each frame, those that are due and read. Knows no single sensor."""

from toy_env.server.sensors import SENSORS
from toy_env.server.sensors.sensor import Sensor, number
from toy_env.server.transport.streams import Streams
from toy_env.server.world.world import World

LATE_S = 1e-6
"""A sensor is due when it is so little before its time."""


class SensorHub:
    """Keeps the sensors that are read, and sends what they measure."""

    def __init__(self, streams: Streams) -> None:
        self._streams = streams
        self._sensors: dict[int, Sensor] = {}
        self._next_s: dict[int, float] = {}
        """Elapsed seconds at which a sensor is due."""

    def begin(self) -> None:
        """A new episode: all sensors are gone."""
        self._sensors.clear()
        self._next_s.clear()

    def measure(self, world: World, patient: bool) -> None:
        """Send this frame's data; `patient` as in `Streams.publish`."""
        for stream, actor in tuple(world.sensors.items()):
            if actor.type_id not in SENSORS or not self._streams.has(stream):
                continue
            sensor = self._sensors.get(stream)
            if sensor is None:
                sensor = self._sensors[stream] = SENSORS[actor.type_id](actor, world.layouts, world.seed)
            due = self._next_s.get(stream, 0.0)
            if world.elapsed < due - LATE_S:
                continue
            every = number(actor, "sensor_tick")
            self._next_s[stream] = max(due + every, world.elapsed) if due else world.elapsed + every
            header = world.header(world.layouts.sensor_types[actor.type_id], actor)
            for payload in sensor.measure(world):
                self._streams.publish(stream, header + payload, patient)
        for stream in self._sensors.keys() - world.sensors.keys():
            del self._sensors[stream]
            self._next_s.pop(stream, None)
