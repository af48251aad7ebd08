"""Controls of vehicles and ticks, read from the bytes of their requests in one compiled call: they are most of what a client sends.

Taken are `apply_control_to_vehicle` that nobody waits for, and `apply_batch` of nothing but controls and places, as the client's own packer
writes them: with hybrid physics the Traffic Manager puts the cars that are far from the hero where they shall be. Anything else is left to
the dispatcher, which has the same effect and gives the same reply for what is taken here.
"""

import math

import numpy as np
from numpy.typing import NDArray

from carla_rl.geometry import wrap
from carla_rl.world.compiled import Bound, kernel, rule
from carla_rl.world.state import Record
from toy_env.server.layouts import Layouts
from toy_env.server.layouts.table import Family
from toy_env.server.world.bodies import Bodies
from toy_env.server.world.motion import Mover

SHORTEST = 48
"""Bytes of the shortest request that is taken."""
CONTROL_CALL = np.frombuffer(b"\xb8apply_control_to_vehicle", np.uint8)
BATCH_CALL = np.frombuffer(b"\xabapply_batch", np.uint8)
TICK_CALL = np.frombuffer(b"\xa8tick_cue\x91\x91\xc2", np.uint8)
"""With its parameters, which are the client's call metadata alone."""
CONTROL_COMMAND, TRANSFORM_COMMAND = 2, 6
"""Of a batch, in the table of layouts."""
CHILD = int(Mover.CHILD)
RADIANS = math.pi / 180.0
"""By which `math.radians` multiplies."""
NIL, FALSE, TRUE, FLOAT32, ARRAY = 0xC0, 0xC2, 0xC3, 0xCA, 0x90
"""Bytes of MessagePack; ARRAY plus its length, if that is below 16."""
PEDALS, SWITCHES = 3, 3
CONTROL_BYTES = 5 * PEDALS + SWITCHES + 1
TRANSFORM_BYTES = 2 * (1 + 5 * 3)
"""A location and a rotation, each an array of three."""


@rule
def whole(data: NDArray[np.uint8], at: int) -> tuple[int, int]:
    """A number of up to 32 bits that is not negative, and its length in bytes; the length is 0 where there is none."""
    # signed: an unsigned number and -1 would make a float
    head = np.int64(data[at])
    if head < 0x80:
        return int(head), 1
    length = 2 if head == 0xCC else 3 if head == 0xCD else 5 if head == 0xCE else 0
    number = np.int64(0)
    for k in range(1, length):
        number = number << 8 | np.int64(data[at + k])
    return int(number), length


@rule
def row_of(states: NDArray[np.uint8], actor: int) -> int:
    """The row of an actor, -1: none. Rows are in the order of their ids."""
    low, high = 0, len(states)
    while low < high:
        middle = (low + high) // 2
        state = states[middle]
        found = int(state[0]) | int(state[1]) << 8 | int(state[2]) << 16 | int(state[3]) << 24
        if found == actor:
            return middle
        if found < actor:
            low = middle + 1
        else:
            high = middle
    return -1


@rule
def is_at(data: NDArray[np.uint8], at: int, name: NDArray[np.uint8]) -> bool:
    """Whether these bytes stand there."""
    k = 0
    while k < len(name) and data[at + k] == name[k]:
        k += 1
    return k == len(name)


@rule
def press(data: NDArray[np.uint8], at: int, state: NDArray[np.uint8]) -> None:
    """Write a pedal or the wheel into a state: its bytes turned round; what is not finite is the most or the least."""
    low = int(data[at + 2]) & 0x7F | int(data[at + 3]) | int(data[at + 4])
    if data[at + 1] & 0x7F == 0x7F and data[at + 2] & 0x80:
        state[0], state[1], state[2] = 0, 0, 0x80
        state[3] = 0xBF if low == 0 and data[at + 1] & 0x80 else 0x3F
        return
    for k in range(4):
        state[k] = data[at + 4 - k]


@rule
def take_control(data: NDArray[np.uint8], at: int, size: int, bodies: NDArray[np.void], states: NDArray[np.uint8], control_at: int) -> int:
    """Apply an actor's number and its control, which stand there; where they end, -1 where they are not plain and nothing has happened."""
    actor, length = whole(data, at)
    start = at + length + 1
    if length == 0 or start + CONTROL_BYTES > size or data[start - 1] != ARRAY + PEDALS + SWITCHES + 1:
        return -1
    switches = start + 5 * PEDALS
    gear = data[switches + SWITCHES]
    for k in range(PEDALS):
        if data[start + 5 * k] != FLOAT32:
            return -1
    for k in range(SWITCHES):
        if data[switches + k] != FALSE and data[switches + k] != TRUE:
            return -1
    row = row_of(states, int(actor))
    if row < 0 or not bodies[row].drives or 0x80 <= gear < 0xE0:
        return -1
    state = states[row, control_at:]
    for k in range(PEDALS):
        press(data, start + 5 * k, state[4 * k :])
    for k in range(SWITCHES):
        state[4 * PEDALS + k] = data[switches + k] - FALSE
    whole_gear = 4 * PEDALS + SWITCHES
    state[whole_gear] = gear
    for k in range(1, 4):
        state[whole_gear + k] = 0xFF if gear >= 0xE0 else 0
    bodies[row].speed_control = False
    return start + CONTROL_BYTES


@rule
def take_transform(
    data: NDArray[np.uint8], at: int, size: int, bodies: Record, states: NDArray[np.uint8], told: Record, place_at: int
) -> int:
    """Put an actor where its number and its transform, which stand there, say, as `World.place`; where they end, -1 likewise."""
    actor, length = whole(data, at)
    start = at + length + 1
    if length == 0 or start + TRANSFORM_BYTES > size or data[start - 1] != ARRAY + 2:
        return -1
    for k in range(6):
        byte = start + 1 + 5 * k + k // 3
        if k % 3 == 0 and data[byte - 1] != ARRAY + 3:
            return -1
        # the exponent of what is not finite is all ones
        if data[byte] != FLOAT32 or (data[byte + 1] & 0x7F == 0x7F and data[byte + 2] & 0x80):
            return -1
    row = row_of(states, int(actor))
    if row < 0 or bodies[row].mover == CHILD:
        return -1
    for k in range(6):
        for b in range(4):
            states[row, place_at + 4 * k + b] = data[start + 5 + 5 * k + k // 3 - b]
    me, place = bodies[row], told[row].transform
    me.x, me.y, me.z = float(place[0]), 0.0 - float(place[1]), float(place[2])
    me.yaw = wrap(0.0 - float(place[4]) * RADIANS)
    me.old_x, me.old_y, me.old_z, me.old_yaw = me.x, me.y, me.z, me.yaw
    me.fall, me.placed = 0.0, True
    return start + TRANSFORM_BYTES


@rule
def take_batch(
    data: NDArray[np.uint8],
    at: int,
    size: int,
    bodies: NDArray[np.void],
    states: NDArray[np.uint8],
    told: NDArray[np.void],
    fields: tuple[int, int],
    replies: NDArray[np.uint8],
    written: int,
) -> tuple[int, int]:
    """Apply the commands that stand there, and write their results: where both end; -1 where they are not all controls and places."""
    count, header = int(data[at]) - ARRAY, 1
    if data[at] == 0xDC:
        count, header = int(data[at + 1]) << 8 | int(data[at + 2]), 3
    elif not 0 <= count < 16:
        return -1, written
    for k in range(header):
        replies[written + k] = data[at + k]
    at, written = at + header, written + header
    for _ in range(count):
        if at + 4 > size or data[at] != ARRAY + 1 or data[at + 1] != ARRAY + 2:
            return -1, written
        if data[at + 3] != ARRAY + 2:
            return -1, written
        end, length = -1, 0
        if data[at + 2] == CONTROL_COMMAND:
            end, length = take_control(data, at + 4, size, bodies, states, fields[0]), CONTROL_BYTES
        elif data[at + 2] == TRANSFORM_COMMAND:
            end, length = take_transform(data, at + 4, size, bodies, states, told, fields[1]), TRANSFORM_BYTES
        if end < 0:
            return -1, written
        replies[written], replies[written + 1], replies[written + 2] = ARRAY + 1, ARRAY + 2, 1
        written += 3
        for k in range(at + 4, end - length - 1):
            replies[written] = data[k]
            written += 1
        at = end
    if at >= size or data[at] != FALSE:
        return -1, written
    return at + 1, written


@kernel
def take_controls(
    data: NDArray[np.uint8],
    size: int,
    bodies: NDArray[np.void],
    states: NDArray[np.uint8],
    told: NDArray[np.void],
    fields: tuple[int, int],
    replies: NDArray[np.uint8],
) -> tuple[int, int, int, int]:
    """Answer the requests that `data` begins with, up to one that is not plain.

    Args:
        states: the rows of `told` as bytes.
        fields: where a control and a transform begin in them.

    Returns:
        Bytes read, bytes of replies, batches among them; the number of the request if a single tick is all that comes after them, else -1.

    A batch that turns out not to be plain has been applied in part; who then reads it again does the same again and the rest.
    """
    done, written, batches = 0, 0, 0
    while size - done >= SHORTEST and data[done] == ARRAY + 4 and data[done + 1] == 0:
        _, length = whole(data, done + 2)
        at = done + 2 + length
        call, batch = is_at(data, at, CONTROL_CALL), is_at(data, at, BATCH_CALL)
        at += len(CONTROL_CALL) if call else len(BATCH_CALL)
        if length == 0 or not (call or batch) or data[at] != ARRAY + 3 or data[at + 1] != ARRAY + 1:
            break
        waits = data[at + 2] == FALSE
        if not waits and data[at + 2] != TRUE:
            break
        end = written + 2 + length
        replies[written], replies[written + 1], replies[end] = ARRAY + 4, 1, NIL
        for k in range(length):
            replies[written + 2 + k] = data[done + 2 + k]
        end += 1
        if call:
            at = -1 if waits else take_control(data, at + 3, size, bodies, states, fields[0])
            replies[end], replies[end + 1], replies[end + 2] = ARRAY + 1, ARRAY + 1, FALSE
            end += 3
        else:
            at, end = take_batch(data, at + 3, size, bodies, states, told, fields, replies, end)
        if at < 0:
            break
        done, written = at, end
        batches += batch
    tick, length = whole(data, done + 2)
    at = done + 2 + length
    ticks = length > 0 and at + len(TICK_CALL) == size and data[done] == ARRAY + 4 and data[done + 1] == 0 and is_at(data, at, TICK_CALL)
    return done, written, batches, int(tick) if ticks else -1


class Controls:
    """Takes controls for the vehicles of a world.

    Args:
        layouts: of the client's version.
        most: bytes that are read at once.
    """

    def __init__(self, layouts: Layouts, most: int) -> None:
        fields = layouts.states[Family.VEHICLE].fields
        assert fields is not None
        self._fields = layouts.control_offset, int(fields["transform"][1])
        self._replies = np.empty(most, np.uint8)
        self._view = self._replies.data
        self._take = Bound(take_controls)

    def take(self, data: NDArray[np.uint8], size: int, bodies: Bodies, out: bytearray) -> tuple[int, int, int]:
        """Answer what can be answered at once of the first `size` bytes, into `out`.

        Returns:
            How many bytes that is, and batches among it; the number of the request if a single tick is all that comes after it, else -1.
        """
        arguments = (data, size, bodies.bodies, bodies.raw, bodies.states, self._fields, self._replies)
        told: tuple[int, int, int, int] = self._take.entry(arguments)(*arguments)  # type: ignore[assignment]
        done, written, batches, tick = told
        if written:
            out += self._view[:written]
        return done, batches, tick
