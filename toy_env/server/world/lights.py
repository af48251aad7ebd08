"""Traffic lights and signs as actors of the world, and which vehicles are at a light. Their programme is `programme`, their places `lines`.

A vehicle is at a light while its front is within the reach of the line, over the lanes that the light rules and along them. Clients read
that from the state of the vehicle: this is how the Traffic Manager's cars see red.
"""

import math
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from carla_rl.geometry import to_carla
from carla_rl.types import LightState
from carla_rl.world.compiled import Bound, kernel
from carla_rl.world.state import aligned
from toy_env.server.layouts.values import Box, Description, Rotation, Transform, Vector
from toy_env.server.world.actors import Actor
from toy_env.server.world.lines import TRIGGER_HALF_HEIGHT_M, TRIGGER_M, Line, light_lines
from toy_env.server.world.programme import GREEN, RED, YELLOW, Programme
from toy_env.server.world.world import World

LIGHT = "traffic.traffic_light"
ALONG_RAD = 0.6
"""A vehicle that is turned farther off the lane is not at its light."""
OVER_M = 0.5
"""A front that is less far over the line is still at it."""
LAMP_M = 5.0
"""Height of the lamps above the road,"""
LAMP_HALF_M = (0.2, 0.2, 0.6)
"""and their half size."""
LINE = np.dtype([(name, "f8") for name in ("x", "y", "cos", "sin", "half_width", "reach")] + [("id", "i8"), ("state", "i8")], align=True)

Told = Callable[[], NDArray[np.int8] | None]


@kernel
def find_lights(lines: NDArray[np.void], bodies: NDArray[np.void], states: NDArray[np.void]) -> None:
    """Write into the state of each vehicle whether it is at a light, at which, and how that is."""
    for i in range(len(bodies)):
        me, state = bodies[i], states[i]
        if not me.drives:
            continue
        cos, sin = math.cos(me.yaw), math.sin(me.yaw)
        x, y = me.x + (me.box_x + me.half_length) * cos, me.y + (me.box_x + me.half_length) * sin
        at = -1
        for k in range(len(lines)):
            line = lines[k]
            dx, dy = line.x - x, line.y - y
            ahead = dx * line.cos + dy * line.sin
            over = -OVER_M <= ahead <= line.reach and abs(dy * line.cos - dx * line.sin) <= line.half_width
            if over and cos * line.cos + sin * line.sin >= math.cos(ALONG_RAD):
                at = k
                break
        state.at_light = at >= 0
        state.light_id = lines[at].id if at >= 0 else 0
        state.light_state = lines[at].state if at >= 0 else GREEN


class Lights:
    """A part of the world.

    Args:
        told: the states of the town's lights where somebody else rules them (an episode that is played), else None.
    """

    def __init__(self, told: Told) -> None:
        self._told = told
        self._find = Bound(find_lights)
        self.actors: tuple[Actor, ...] = ()
        """In the order of the network's signals."""
        self._buffer: memoryview | None = None
        """The states in which `_rows` are those of the lights,"""
        self._first = -1
        """from this row on."""

    def begin(self, world: World) -> None:
        """See `Part.begin`."""
        roads = world.map.network.roads
        self.programme = Programme(roads.signal_junction, roads.signal_phase, world.seed)
        lines = light_lines(world.map.network)
        self._buffer = None
        self.actors = tuple(
            _spawn(world, LIGHT, str(number), float(x), float(y), line.z, line.yaw, line)
            for number, x, y, line in zip(roads.signal_id, roads.signal_x, roads.signal_y, lines, strict=True)
        )
        self._places = [world.transform(actor).location for actor in self.actors]
        self._index = {actor.id: light for light, actor in enumerate(self.actors)}
        self._lines = aligned((len(lines),), LINE)
        for row, line, actor in zip(self._lines, lines, self.actors, strict=True):
            row["x"], row["y"], row["cos"], row["sin"] = line.x, line.y, math.cos(line.yaw), math.sin(line.yaw)
            row["half_width"], row["reach"], row["id"] = line.half_width, line.reach, actor.id
        for sign in world.map.signs:
            _spawn(world, sign.type_id, sign.number, sign.x, sign.y, sign.z, sign.yaw, sign.line)
        self._show(world)

    def before(self, world: World) -> None:
        """See `Part.before`."""
        told = self._told()
        if told is None:
            self.programme.advance(world.dt)
        else:
            states = CARLA_STATES[told[: len(self.actors)]]
            self.programme.elapsed += world.dt
            self.programme.elapsed[states != self.programme.states] = 0.0
            self.programme.states[:] = states
        self._show(world)

    def after(self, world: World) -> None:
        """See `Part.after`."""
        if not self.actors:
            return
        self._lines["state"] = self.programme.states
        arguments = (self._lines, world.bodies.bodies, world.bodies.states)
        self._find.entry(arguments)(*arguments)

    def light(self, actor_id: int) -> int | None:
        """The number of a light among the signals; None for another actor."""
        return self._index.get(actor_id)

    def box(self, light: int) -> Box:
        """The lamps, in the frame of the world."""
        actor = self.actors[light]
        x, y, z = self._places[light]
        return Box(Vector(x, y, z + LAMP_M), Vector(*LAMP_HALF_M), Rotation(), actor.id)

    def _show(self, world: World) -> None:
        """Write the states of the lights as the client reads them; their rows lie together, for none is ever destroyed."""
        if not self.actors:
            return
        programme, first = self.programme, self.actors[0].row
        if self._buffer is not world.bodies.buffer or self._first != first:
            # making the views costs more than writing to them
            self._rows = world.bodies.states.view(world.layouts.states[self.actors[0].family])[first : first + len(self.actors)]
            self._columns = self._rows["state"], self._rows["elapsed_time"], self._rows["frozen"]
            self._buffer, self._first = world.bodies.buffer, first
        state, elapsed, frozen = self._columns
        state[:], elapsed[:], frozen[:] = programme.states, programme.elapsed, programme.frozen
        if programme.changed or world.fresh:
            keys = zip(programme.junctions, programme.phases, strict=True)
            times = np.array([programme.times[key] for key in keys])
            self._rows["green_time"], self._rows["yellow_time"], self._rows["red_time"] = times.T
            programme.changed = False


CARLA_STATES = np.zeros(len(LightState), np.uint8)
"""By the number of a `LightState`."""
CARLA_STATES[[LightState.NONE, LightState.GREEN, LightState.YELLOW, LightState.RED]] = (RED, GREEN, YELLOW, RED)


def _spawn(world: World, type_id: str, number: str, x: float, y: float, z: float, yaw: float, line: Line | None) -> Actor:
    """A light or a sign, turned so that its x axis lies across the lanes, to the right: ScenarioRunner takes the trigger volume so."""
    east, south, degrees = to_carla(x, y, yaw - math.pi / 2.0)
    box = Box()
    if line is not None:
        back = TRIGGER_M / 2.0
        dx, dy = line.x - back * math.cos(line.yaw) - x, line.y - back * math.sin(line.yaw) - y
        # in the actor's frame x is to the right of the travel and y against it
        cos, sin = math.cos(yaw), math.sin(yaw)
        right, behind = dx * sin - dy * cos, -(dx * cos + dy * sin)
        box = Box(Vector(right, behind, line.z - z), Vector(line.half_width, back, TRIGGER_HALF_HEIGHT_M))
    transform = Transform(Vector(east, south, z), Rotation(0.0, degrees, 0.0))
    actor = world.add(Description(0, type_id), transform, box=box)
    world.state(actor)["sign_id"] = number.encode()[:32]
    return actor
