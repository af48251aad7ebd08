"""What the adapter and its workers say to each other arrives as it was said, or not at all."""

import socket
import struct
import threading
from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from carla_rl.carla_sim.messages import Orders, Setting
from carla_rl.carla_sim.wire import Channel, Hung, HungUp

PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.floats(allow_nan=False) | st.text() | st.binary(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=8,
)


@pytest.fixture(scope="module")
def ends() -> Iterator[tuple[Channel, Channel]]:
    one, other = map(Channel, socket.socketpair())
    yield one, other
    one.close()
    other.close()


@given(PLAIN)
def test_plain_values_arrive(ends: tuple[Channel, Channel], value: object) -> None:
    ends[0].send(value)
    assert ends[1].waits(1.0)
    assert ends[1].receive(1.0) == value


@given(arrays(st.sampled_from([np.uint8, np.int64, np.float32, np.float64]), array_shapes(max_dims=3, max_side=5, min_side=0)))
def test_arrays_arrive_bit_for_bit(ends: tuple[Channel, Channel], value: np.ndarray) -> None:
    ends[0].send({"a": value})
    got = ends[1].receive(1.0)["a"]
    assert got.dtype == value.dtype
    assert got.shape == value.shape
    assert got.tobytes() == value.tobytes()


def test_a_picture_larger_than_the_sockets_buffer_arrives() -> None:
    one, other = map(Channel, socket.socketpair())
    picture = np.arange(3 * 1000 * 1000, dtype=np.uint32).astype(np.uint8)
    sender = threading.Thread(target=one.send, args=(picture,))
    sender.start()
    assert np.array_equal(other.receive(10.0), picture)
    sender.join()
    one.close()
    other.close()


def test_silence_and_a_hang_up_are_told_apart() -> None:
    one, other = map(Channel, socket.socketpair())
    assert not other.waits(0.01)
    with pytest.raises(Hung):
        other.receive(0.01)
    one.close()
    assert other.waits(1.0)
    with pytest.raises(HungUp):
        other.receive(1.0)
    with pytest.raises(HungUp):
        other.send("x" * 10_000_000)
    other.close()


def test_a_broken_stream_is_no_message() -> None:
    mine, its = socket.socketpair()
    channel = Channel(its)
    mine.sendall(struct.pack("<I", 2**31))
    with pytest.raises(HungUp, match="broken"):
        channel.receive(1.0)
    mine.close()
    channel.close()


def test_an_object_is_not_sent() -> None:
    one, other = map(Channel, socket.socketpair())
    with pytest.raises(TypeError, match="a object cannot be sent"):
        one.send(object())
    one.close()
    other.close()


def test_orders_and_settings_survive_the_way() -> None:
    one, other = map(Channel, socket.socketpair())
    orders = Orders((0.1, -0.2, 0.3), come=[(4, "vehicle.a.b", 1.0, 2.0, 3.0, 0.5)], go=[7], braking=[1], lights=[(12, 3)])
    setting = Setting((0.0, 1.0, 2.0, 3.0), 5, {"fog_density": 1.0}, np.ones((2, 4)), ["a", "b"], 0.8, 3, 100.0, [])
    one.send([orders.to_message(), setting.to_message()])
    got = other.receive(1.0)
    again = Orders.of(got[0])
    assert again.control == [0.1, -0.2, 0.3]
    assert again.come == [[4, "vehicle.a.b", 1.0, 2.0, 3.0, 0.5]]
    assert (again.go, again.braking, again.lights) == ([7], [1], [[12, 3]])
    assert again.puppets.shape == (0, 6)
    assert Setting(*got[1]).models == ["a", "b"]
    assert Setting(*got[1]).vehicles.shape == (2, 4)
    one.close()
    other.close()
