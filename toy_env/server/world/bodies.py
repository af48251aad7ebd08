"""All actors of the world as rows of two tables: where they are and how they move, and their states as the client reads them.

Row i of both is the same actor; rows are in the order of spawning, so a parent stands before its children. Knows nothing of rules.
Poses in BODY are in the map frame (right-handed, metres, radians); those in the states are CARLA's.
"""

from typing import Any

import numpy as np

from carla_rl.world.state import aligned

BODY = np.dtype(
    [
        ("mover", "i8"),  # a `Mover`
        ("solid", "?"),  # others collide with it
        ("falls", "?"),  # gravity
        ("drives", "?"),  # a vehicle, whoever moves it: lights mean something to it
        ("placed", "?"),  # put somewhere by a client since the last tick: its state already holds that pose
        ("new", "?"),  # spawned since the last tick
        ("steady", "?"),  # goes at a constant velocity that a client has set
        ("held_control", "?"),  # keeps its control until there is another
        ("speed_control", "?"),  # `target_*` rule the pedals
        ("parent", "i8"),  # row, -1: none
        ("x", "f8"),
        ("y", "f8"),
        ("z", "f8"),
        ("yaw", "f8"),
        ("speed", "f8"),  # m/s along the heading, negative backwards
        ("fall", "f8"),  # m/s downwards
        ("yaw_rate", "f8"),
        ("throttle", "f8"),  # pedals and wheel where they are, a little behind their commands
        ("steer", "f8"),  # positive to the left
        ("brake", "f8"),
        ("velocity", "f8", (3,)),  # of walkers and of who is steady: m/s in the map frame
        ("target_speed", "f8"),  # m/s, of the speed control
        ("target_acceleration", "f8"),  # m/s^2, 0: as hard as it can
        ("half_length", "f8"),
        ("half_width", "f8"),
        ("half_height", "f8"),
        ("box_x", "f8"),  # centre of the box in the actor's frame (x forward, y left, z up)
        ("box_y", "f8"),
        ("box_z", "f8"),
        ("mass", "f8"),  # kg
        ("lane", "i8"),  # under it, -1: none
        ("old_x", "f8"),  # a tick ago
        ("old_y", "f8"),
        ("old_z", "f8"),
        ("old_yaw", "f8"),
        ("old_velocity", "f8", (3,)),
        ("relative", "f8", (6,)),  # pose of a child in the frame of its parent: x, y, z, pitch, yaw, roll as CARLA has them
    ],
    align=True,
)

HIT = np.dtype([("row", "i8"), ("other", "i8"), ("closing_x", "f8"), ("closing_y", "f8")], align=True)
"""A touch of two rows: by how many m/s (map frame) the first went into the second."""
MAX_HITS = 256
"""Touches of a tick that are told; the cars stop all the same."""


FIRST_ROWS = 64
"""There is room for so many before the tables grow."""


class Bodies:
    """The two tables. They grow; `bodies` and `states` are the rows in use.

    Args:
        state: layout of a state of a vehicle.
        head: bytes before the states in a message to clients.
    """

    def __init__(self, state: np.dtype[Any], head: int) -> None:
        self._state, self._head = state, head
        self.count = 0
        self._bodies = aligned((FIRST_ROWS,), BODY)
        self._make_states(FIRST_ROWS)
        self.hits = np.zeros(MAX_HITS, HIT)
        self._look()

    def _look(self) -> None:
        """Make the views of the rows in use: they are looked at more often than rows come and go."""
        self.bodies = self._bodies[: self.count]
        """(n,) BODY."""
        self.states = self._states[: self.count]
        """(n,) states."""
        self.raw = self.states.view(np.uint8).reshape(self.count, self.state_bytes)
        """(n, bytes of a state) the same as bytes."""
        self.message = memoryview(self._message)[: self._head + self.count * self.state_bytes]
        """A head for others to write, and the states."""

    def _make_states(self, rows: int) -> None:
        """Room for so many states, in a new buffer."""
        self._message = bytearray(self._head + rows * self.state_bytes)
        self._states = np.frombuffer(self._message, self._state, offset=self._head)
        self.buffer = memoryview(self._message)[self._head :]
        """Of the states: for writing a field by its place in bytes."""

    @property
    def state_bytes(self) -> int:
        """Bytes of a state."""
        return self._state.itemsize

    def add(self) -> int:
        """A new row of zeros."""
        if self.count == len(self._bodies):
            bodies, states = self._bodies, self._states
            self._bodies = aligned((2 * self.count,), BODY)
            self._make_states(2 * self.count)
            self._bodies[: self.count], self._states[: self.count] = bodies, states
        row = self.count
        self._bodies[row], self._states[row] = np.zeros((), BODY), np.zeros((), self._state)
        self._bodies[row]["parent"], self._bodies[row]["lane"] = -1, -1
        self.count += 1
        self._look()
        return row

    def remove(self, row: int) -> None:
        """Take a row out; those behind it move up. Children of the row have no parent any more."""
        last = self.count
        self._bodies[row : last - 1] = self._bodies[row + 1 : last].copy()
        self._states[row : last - 1] = self._states[row + 1 : last].copy()
        self.count -= 1
        self._look()
        parents = self._bodies["parent"][: self.count]
        parents[parents == row] = -1
        parents[parents > row] -= 1

    def clear(self) -> None:
        """Forget all rows."""
        self.count = 0
        self._look()
