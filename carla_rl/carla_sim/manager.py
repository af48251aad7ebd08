"""The Traffic Manager of a session: made when there is traffic, in step with the world, and woken where it has missed its cue.

The manager of CARLA 0.9.16 runs in the client. `world.tick` tells its thread to begin a step without holding the lock that the thread
waits under, so that a thread that is just about to wait misses it; then both wait for each other for ever. A server whose tick takes
milliseconds hides it. Leaving and entering synchronous mode says it again, and the step goes on as if nothing had been missed.
"""

import threading
import time

import carla

LOOK_S = 0.25
MISSED_S = 1.0
"""A tick that the server has done, and that has not come back for so long, waits for a manager that missed its cue."""


class Manager:
    """The Traffic Manager on one port, or none as long as nobody needs it."""

    def __init__(self, client: "carla.Client", world: "carla.World", port: int) -> None:
        self._client, self._world, self.port = client, world, port
        self._manager: carla.TrafficManager | None = None
        self._ticking: tuple[float, int] | None = None
        """Since when a tick is under way, and the frame before it."""
        self._over = threading.Event()

    def needed(self) -> "carla.TrafficManager":
        """The manager, in synchronous mode."""
        if self._manager is None:
            self._manager = self._client.get_trafficmanager(self.port)
            self._manager.set_synchronous_mode(True)
            threading.Thread(target=self._watch, name="traffic manager's watch", daemon=True).start()
        return self._manager

    def tick(self) -> int:
        """Advance the world by one tick; the number of its frame.

        Raises:
            RuntimeError: the server does not answer.
        """
        if self._manager is None:
            return int(self._world.tick())
        self._ticking = (time.monotonic(), int(self._world.get_snapshot().frame))
        try:
            return int(self._world.tick())
        finally:
            self._ticking = None

    def release(self) -> None:
        """Let it go on without us."""
        self._over.set()
        if self._manager is not None:
            self._manager.set_synchronous_mode(False)
            self._manager = None

    def _watch(self) -> None:
        while not self._over.wait(LOOK_S):
            ticking, manager = self._ticking, self._manager
            if ticking is None or manager is None or time.monotonic() - ticking[0] < MISSED_S:
                continue
            if self._world.get_snapshot().frame > ticking[1] and self._ticking is ticking:
                self._ticking = (time.monotonic(), ticking[1])
                manager.set_synchronous_mode(False)
                manager.set_synchronous_mode(True)
