"""What differs between the versions of the client: values worked out by hand from the layouts, and a server for 0.9.15 asked in them.

The whole folder runs with a client 0.9.15 in an environment of its own: see docs/server.md.
"""

import socket
import struct
from collections.abc import Iterator
from typing import Any

import msgpack
import pytest
from server_client import Caller

from toy_env.server.layouts import TABLES
from toy_env.server.layouts.geodesy import mercator, transverse_mercator
from toy_env.server.layouts.values import (
    ActorInfo,
    AttributeDefinition,
    AttributeValue,
    Box,
    Definition,
    Description,
    EnvironmentObject,
    Rotation,
    Transform,
    Vector,
)
from toy_env.server.testing import ServerProcess, serving

OLD, NEW = TABLES["0.9.15"], TABLES["0.9.16"]
BOX = Box(Vector(1.0, 2.0, 3.0), Vector(4.0, 5.0, 6.0), Rotation(7.0, 8.0, 9.0), 42)
CAR = Description(5, "vehicle.a.b", (AttributeValue("color", 5, "1,2,3"), AttributeValue("sticky_control", 1, "true")))


def packed(value: Any) -> Any:
    """As it arrives at the other end: arrays as lists."""
    return msgpack.unpackb(msgpack.packb(value))


def test_only_a_later_box_names_its_actor() -> None:
    place = [[1.0, 2.0, 3.0], [4.0, 5.0, 6.0], [7.0, 8.0, 9.0]]
    assert packed(OLD.values.box.encode(BOX)) == place
    assert packed(NEW.values.box.encode(BOX)) == [*place, 42]
    assert OLD.values.box.decode(tuple(map(tuple, place))) == BOX._replace(actor_id=0)
    for table, box in ((OLD, place), (NEW, [*place, 42])):
        info = ActorInfo(42, 0, CAR, BOX, b"\x0e", b"")
        assert packed(table.values.actor.encode(info))[3] == box
        thing = EnvironmentObject(Transform(), BOX, 7, "wall", 3)
        assert packed(table.values.environment_object.encode(thing)) == [[[0.0] * 3, [0.0] * 3], box, 7, "wall", 3]


def test_types_of_attributes_are_counted_from_0_and_later_from_1() -> None:
    definition = Definition(5, "vehicle.a.b", "vehicle,a,b", (AttributeDefinition("color", 5, "1,2,3", ("1,2,3",), True, False),))
    for table, colour, flag in ((OLD, 4, 0), (NEW, 5, 1)):
        assert packed(table.values.definition.encode(definition))[3] == [["color", colour, "1,2,3", ["1,2,3"], True, False]]
        wire = (5, "vehicle.a.b", (("color", colour, "1,2,3"), ("sticky_control", flag, "true")))
        assert table.values.description.decode(wire) == CAR


def test_sensors_are_numbered_alike_and_the_world_comes_one_later_since_there_is_cosmos() -> None:
    cameras = {"sensor.camera.rgb": 13, "sensor.camera.semantic_segmentation": 14, "sensor.camera.instance_segmentation": 15}
    for table, world in ((OLD, 16), (NEW, 17)):
        assert table.sensor_types.items() >= cameras.items()
        assert table.sensor_types["world"] == world
        assert {layout.itemsize for layout in table.states.values()} == {119}
        assert table.state_header.size == 36
        assert table.sensor_header.size == 48


def test_where_on_earth() -> None:
    """A degree of a great circle is 111,319.49 m; the y axis points south in 0.9.15 and is taken for north in 0.9.16."""
    assert mercator(0.0, -111319.49, (0.0, 0.0)) == pytest.approx((0.99995, 0.0), abs=1e-5)
    assert mercator(1000.0, 0.0, (60.0, 8.0)) == pytest.approx((60.0, 8.0 + 2000.0 / 111319.49), abs=1e-9)
    assert transverse_mercator(0.0, 0.9996 * 111319.49, (0.0, 0.0)) == pytest.approx((1.0, 0.0), abs=1e-7)
    for place in ((120.0, 45.0), (-300.0, 80.0)):
        old, new = mercator(*place, (0.0, 0.0)), transverse_mercator(*place, (0.0, 0.0))
        assert old[0] == pytest.approx(-0.9996 * new[0], rel=1e-6)


@pytest.fixture(scope="module")
def server() -> Iterator[ServerProcess]:
    with serving("--client", "0.9.15", "--map", "ring") as running:
        yield running


@pytest.fixture
def caller(server: ServerProcess) -> Iterator[Caller]:
    with Caller(server.port) as one:
        yield one


def _value(answer: tuple[Any, Any]) -> Any:
    error, result = answer
    assert error is None, error
    assert result[0][0] == 1, result
    return result[0][1]


def test_it_says_what_it_speaks(server: ServerProcess, caller: Caller) -> None:
    assert _value(caller.call("version")) == "0.9.15"
    assert "carla==0.9.15" in server.output


def test_the_older_blueprints(caller: Caller) -> None:
    names = {row[1]: row for row in _value(caller.call("get_actor_definitions"))}
    assert not {"sensor.other.v2x", "sensor.other.v2x_custom", "sensor.camera.cosmos_visualization"} & set(names)
    kinds = {item[0]: item[1] for item in names["vehicle.tesla.model3"][3]}
    assert (kinds["sticky_control"], kinds["number_of_wheels"], kinds["role_name"], kinds["color"]) == (0, 1, 3, 4)


def test_spawning_in_the_older_arrays(caller: Caller) -> None:
    """An attachment has no socket, neither in a call nor in a batch, and a box no actor."""
    _, points = _value(caller.call("get_map_info"))
    car = _value(caller.call("spawn_actor", [0, "vehicle.tesla.model3", []], points[0]))
    assert len(car[3]) == 3
    zero = [[0.0, 0.0, 2.0], [0.0, 0.0, 0.0]]
    sensor = _value(caller.call("spawn_actor_with_parent", [0, "sensor.other.gnss", []], zero, car[0], 0))
    assert (sensor[1], len(sensor[5])) == (car[0], 24)
    then = [[[2, [0, [1.0, 0.0, 0.0, False, False, False, 0]]]]]
    error, results = caller.call("apply_batch", [[[0, [[0, "vehicle.tesla.model3", []], points[3], [False], then]]]], False)
    assert error is None
    ((number, second),) = results[0]
    assert number == 1
    assert [row[0] for row in _value(caller.call("get_actors_by_id", [second]))] == [second]
    error, _ = caller.call("spawn_actor_with_parent", [0, "sensor.other.gnss", []], zero, car[0], 0, "")
    assert error == "spawn_actor_with_parent takes 4 arguments (found 5)"


def test_the_stream_of_the_world(server: ServerProcess, caller: Caller) -> None:
    _, (token,) = _value(caller.call("get_episode_info"))
    stream, port = struct.unpack_from("<IH", token)
    assert port == server.port + 1
    with socket.create_connection(("127.0.0.1", port), timeout=10.0) as sock, sock.makefile("rb") as data:
        sock.sendall(struct.pack("<I", stream))
        (size,) = struct.unpack("<I", data.read(4))
        message = data.read(size)
    assert struct.unpack_from("<Q", message)[0] == 16
    assert (size - 48 - 36) % 119 == 0


def test_a_version_without_a_table_is_one_sentence() -> None:
    with pytest.raises(RuntimeError, match=r"--client 0\.9\.14: there are the clients 0\.9\.15, 0\.9\.16"), serving("--client", "0.9.14"):
        pass
