"""Controls that are read in compiled code have the effect and the reply that they have by the dispatcher."""

import math
import time
from collections.abc import Iterator
from io import BytesIO
from types import SimpleNamespace
from typing import Any

import msgpack
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from server_client import Caller

from carla_rl.build import compile_text
from toy_env.server.blueprints import Catalogue
from toy_env.server.layouts import TABLES
from toy_env.server.layouts.values import Description, Rotation, Transform, Vector
from toy_env.server.maps import Maps
from toy_env.server.methods import MODULES
from toy_env.server.methods.at_once import Controls
from toy_env.server.methods.dispatch import Dispatcher
from toy_env.server.methods.registry import collect
from toy_env.server.testing import ServerProcess, serving
from toy_env.server.transport.rpc import SPARE_BYTES, Request
from toy_env.server.world.world import World

LAYOUTS = TABLES["0.9.16"]
MOST = 1 << 14
MKZ = "vehicle.lincoln.mkz_2020"


class Side:
    """A world with vehicles 2, 3 and 6, a walker, and a vehicle that is gone."""

    def __init__(self) -> None:
        self.world = World(LAYOUTS, Catalogue(), Maps([], compile_text).load("ring"))
        for place, blueprint in enumerate((MKZ, MKZ, "walker.pedestrian.0001", MKZ, MKZ)):
            self.world.spawn(Description(0, blueprint), Transform(Vector(20.0 * place, 500.0, 0.0)))
        self.world.destroy(self.world.actor(5))
        self.world.body(self.world.actor(3))["speed_control"] = True
        context: Any = SimpleNamespace(world=self.world, layouts=LAYOUTS, tick=lambda: 0)
        self.reports: list[str] = []
        self.dispatcher = Dispatcher(collect(MODULES), LAYOUTS, context, self.reports.append)
        self.out = bytearray()

    def answer(self, data: bytes) -> None:
        """By the dispatcher."""
        for _, number, name, params in msgpack.Unpacker(BytesIO(data), use_list=False, raw=False):
            self.out += self.dispatcher.answer(Request(number, name, params))

    def state(self) -> tuple[bytes, bytes]:
        return self.world.bodies.states.tobytes(), self.world.bodies.bodies.tobytes()


FAST, SLOW, CONTROLS = Side(), Side(), Controls(LAYOUTS, MOST)


def taken(data: bytes) -> int:
    """Let FAST answer bytes: how many of them were taken at once; the dispatcher answers the rest."""
    buffer = np.zeros(MOST + SPARE_BYTES, np.uint8)
    buffer[: len(data)] = np.frombuffer(data, np.uint8)
    done, _, _ = CONTROLS.take(buffer, len(data), FAST.world.bodies, FAST.out)
    FAST.answer(data[done:])
    return done


def same(data: bytes) -> int:
    """Both answer the bytes, to the same end; how many of them were taken at once."""
    done = taken(data)
    SLOW.answer(data)
    assert FAST.state() == SLOW.state()
    assert FAST.out == SLOW.out
    assert FAST.reports == SLOW.reports
    FAST.out.clear()
    SLOW.out.clear()
    return done


def packed(*messages: Any) -> bytes:
    return b"".join(msgpack.packb(message, use_single_float=True) for message in messages)


pedals = st.floats(width=32) | st.sampled_from([0.0, -0.0, 1.0, math.inf, -math.inf, math.nan])
actors = st.sampled_from([2, 3, 6, 2, 3, 6, 4, 5, 1, 0, 77, 70_000, -1])
gears = st.sampled_from([0, 1, -1, 5, 127, -32, -33, 300, -70_000])
controls = st.tuples(pedals, pedals, pedals, st.booleans(), st.booleans(), st.booleans(), gears).map(list)
odd_controls = st.lists(st.integers(-3, 3) | st.floats(width=32, allow_nan=False) | st.booleans() | st.none(), max_size=8)
numbers = st.sampled_from([0, 1, 127, 128, 255, 256, 65_535, 65_536, 2**32 - 1, 2**32, 2**40])
calls = st.tuples(st.booleans(), actors, controls | controls | odd_controls).map(
    lambda drawn: ("apply_control_to_vehicle", [[drawn[0]], drawn[1], drawn[2]])
)
triples = st.lists(st.floats(width=32, allow_nan=False, allow_infinity=False) | st.floats(-720.0, 720.0, width=32), min_size=3, max_size=3)
places = st.lists(triples, min_size=2, max_size=2)
odd_places = st.lists(st.lists(pedals, min_size=2, max_size=3) | st.integers(0, 3), max_size=3)
commands = (
    st.tuples(actors, controls).map(lambda drawn: [[2, list(drawn)]])
    | st.tuples(actors, places | odd_places).map(lambda drawn: [[6, list(drawn)]])
    | actors.map(lambda actor: [[16, [actor, True]]])
)
plain = st.tuples(st.sampled_from([2, 3, 6]), controls).map(lambda drawn: [[2, list(drawn)]]) | st.tuples(
    st.sampled_from([1, 2, 3, 4, 6]), places
).map(lambda drawn: [[6, list(drawn)]])
batches = st.tuples(st.booleans(), st.lists(plain, max_size=20) | st.lists(commands, max_size=4), st.booleans()).map(
    lambda drawn: ("apply_batch", [[drawn[0]], drawn[1], drawn[2]])
)
others = st.sampled_from([("get_physics_control", [[False], 2]), ("make_tea", [[False]]), ("apply_batch", [[False], 1, False])])
requests = st.lists(st.tuples(numbers, calls | calls | batches | others), max_size=6).map(
    lambda drawn: packed(*([0, number, name, params] for number, (name, params) in drawn))
)


@settings(max_examples=300, deadline=None)
@given(requests)
def test_the_same_effects_and_replies(data: bytes) -> None:
    same(data)


@settings(max_examples=200, deadline=None)
@given(requests, st.data())
def test_what_is_cut_off_is_left(data: bytes, draw: Any) -> None:
    """Of a part of the bytes only whole requests are taken, whatever stood in the buffer behind them."""
    size = draw.draw(st.integers(0, len(data)))
    buffer = np.full(MOST + SPARE_BYTES, draw.draw(st.integers(0, 255)), np.uint8)
    buffer[: len(data)] = np.frombuffer(data, np.uint8)
    out = bytearray()
    done, _, _ = CONTROLS.take(buffer, size, FAST.world.bodies, out)
    unpacker = msgpack.Unpacker()
    unpacker.feed(data)
    assert done <= size
    assert done in [0, *(unpacker.tell() for _ in unpacker)]
    SLOW.answer(data[:done])
    assert out == SLOW.out
    # a batch that is cut off may have been applied in part: the rest comes
    SLOW.out.clear()
    same(data)


def test_what_the_client_sends_is_taken() -> None:
    control = [0.25, -0.5, 0.0, False, False, True, 0]
    call = packed([0, 300, "apply_control_to_vehicle", [[True], 3, control]])
    batch = packed([0, 301, "apply_batch", [[False], [[[2, [2, control]]], [[2, [6, [math.nan, *control[1:]]]]]] * 10, False]])
    tick = packed([0, 302, "get_vehicle_light_state", [[False], 2]])
    assert same(call * 5 + batch + tick) == len(call * 5 + batch)
    world = FAST.world
    assert [float(world.state(world.actor(6))[name]) for name in ("throttle", "steer", "brake", "manual_gear_shift")] == [
        1.0,
        -0.5,
        0.0,
        1.0,
    ]
    assert not world.body(world.actor(3))["speed_control"]
    waited = packed([0, 300, "apply_control_to_vehicle", [[False], 3, control]])
    ticking = packed([0, 301, "apply_batch", [[False], [[[2, [2, control]]]], True]])
    assert same(waited) == same(ticking) == 0


def placing(actors: tuple[int, ...], transform: list[list[float]]) -> bytes:
    """A batch that puts these actors there."""
    return packed([0, 5, "apply_batch", [[False], [[[6, [actor, transform]]] for actor in actors], False]])


def test_places_are_taken() -> None:
    put = placing((2, 3, 4), [[1.5, -2.25, 0.5], [1.0, 450.0, 0.0]])
    assert same(put) == len(put)
    body = FAST.world.body(FAST.world.actor(4))
    assert [float(body[name]) for name in ("x", "y", "z", "old_x")] == [1.5, 2.25, 0.5, 1.5]
    assert float(body["yaw"]) == pytest.approx(-math.pi / 2.0)
    assert FAST.world.transform(FAST.world.actor(3)) == Transform(Vector(1.5, -2.25, 0.5), Rotation(1.0, 450.0, 0.0))
    for bad in (math.nan, math.inf, -math.inf):
        assert same(placing((2,), [[1.0, 2.0, bad], [0.0, 0.0, 0.0]])) == 0


def test_who_is_attached_is_left_to_the_dispatcher() -> None:
    for side in (FAST, SLOW):
        world = side.world
        description = Description(0, "sensor.other.imu")
        child = world.spawn(description, Transform(), world.actor(2))
    assert same(placing((child.id,), [[1.0, 0.0, 2.0], [0.0, 90.0, 0.0]])) == 0
    assert FAST.world.body(FAST.world.actor(child.id))["relative"].tolist() == [1.0, 0.0, 2.0, 0.0, 90.0, 0.0]


@pytest.mark.parametrize("number", [0, 17, 200, 60_000, 3_000_000_000])
def test_a_tick_at_the_end_is_named(number: int) -> None:
    def tick_of(data: bytes, size: int) -> tuple[int, int]:
        buffer = np.zeros(MOST + SPARE_BYTES, np.uint8)
        buffer[: len(data)] = np.frombuffer(data, np.uint8)
        done, _, tick = CONTROLS.take(buffer, size, FAST.world.bodies, bytearray())
        assert isinstance(tick, int)
        return done, tick

    call = packed([0, 9, "apply_control_to_vehicle", [[True], 2, [0.0, 0.0, 0.0, False, False, False, 0]]])
    tick = packed([0, number, "tick_cue", [[False]]])
    assert tick_of(call + tick, len(call + tick)) == (len(call), number)
    assert tick_of(tick, len(tick)) == (0, number)
    assert tick_of(call + tick, len(call + tick) - 1) == (len(call), -1)
    assert tick_of(tick + call, len(tick + call)) == (0, -1)
    assert tick_of(packed([0, number, "tick_cue", [[True]]]), len(tick)) == (0, -1)


@pytest.fixture(scope="module")
def server() -> Iterator[ServerProcess]:
    with serving("--map", "ring") as running:
        yield running


def test_requests_in_pieces(server: ServerProcess) -> None:
    """Cut at every byte, with a control in the pieces, the stream of requests is answered in full and in order."""
    with Caller(server.port) as caller:
        transform = caller.call("get_map_info")[1][0][1][1][0]
        actor = caller.call("spawn_actor", [0, MKZ, []], transform)[1][0][1][0]
        call = ["apply_control_to_vehicle", [[True], actor, [0.5, 0.0, 0.0, False, False, False, 0]]]
        data = packed([0, 500, *call], [0, 501, "version", [[False]]], [0, 502, *call], [0, 503, *call])
        for cut in range(1, len(data), 3):
            caller.sock.sendall(data[:cut])
            time.sleep(0.002)
            caller.sock.sendall(data[cut:])
            assert _numbers(caller, 4) == [500, 501, 502, 503]
        # replies that nobody waits for come all the same
        caller.sock.sendall(packed([0, 504, *call]))
        assert _numbers(caller, 1) == [504]


def _numbers(caller: Caller, count: int) -> list[int]:
    """The numbers of the next replies."""
    found: list[int] = []
    while len(found) < count:
        caller.unpacker.feed(caller.sock.recv(65536))
        found += [message[1] for message in caller.unpacker if message[2] is None]
    return found
