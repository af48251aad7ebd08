"""Traffic managers: which run where, and when a tick may follow the step of one. They live in clients; all of this is about their threads.

In synchronous mode a client's `tick` wakes the manager's thread and waits for its step. That thread says in the middle of a step how the
lights and the weather are, sends its batch, lets the client's `tick` return, asks for the settings and only then lies down to wait for the
next step. Both threads wake each other without a lock: a wake-up that comes in the moment in which the other lies down is lost, and then
both wait for ever. With a server that takes milliseconds for a tick that is rare; with one that answers the settings and the next tick
together it happens every few thousand ticks. So the next tick waits for the question after the settings, and a little longer.
"""

from dataclasses import dataclass

REST_S = 0.0003
"""A tick begins so long after a manager's thread has been told the settings: by then it has lain down."""
AWAITED_S = 0.05
"""How long a tick waits for the question after the settings: a manager that ends does not ask any more."""
LAST_QUESTION = "get_episode_settings"
STEP = ("get_vehicle_light_states", "get_weather_parameters", "apply_batch", LAST_QUESTION)
"""What a manager asks in a step, in this order."""


@dataclass(frozen=True)
class Manager:
    """One that runs; `client` is the number of the connection that has said so."""

    host: str
    port: int
    client: int


class Managers:
    """All managers of a server, by their ports."""

    def __init__(self) -> None:
        self._managers: dict[int, Manager] = {}
        self._stages: dict[int, int] = {}
        """How far the step of each client has come, as an index into STEP of what is asked next."""
        self._ready_at = 0.0

    def __bool__(self) -> bool:
        return bool(self._managers)

    def __contains__(self, port: int) -> bool:
        return port in self._managers

    def get(self, port: int) -> Manager | None:
        """The one on a port."""
        return self._managers.get(port)

    def add(self, manager: Manager) -> bool:
        """False where there is already one on its port."""
        if manager.port in self._managers:
            return False
        self._managers[manager.port] = manager
        self._stages.setdefault(manager.client, 0)
        return True

    def remove(self, port: int) -> bool:
        """False where there is none."""
        return self._managers.pop(port, None) is not None

    def left(self, client: int) -> None:
        """A client is gone, and its managers with it."""
        self._managers = {port: manager for port, manager in self._managers.items() if manager.client != client}
        if self._stages.pop(client, 0) == STEP.index(LAST_QUESTION):
            self._ready_at = 0.0

    def asked(self, client: int, method: str, now: float) -> None:
        """A client asks something at this time (as `time.monotonic`)."""
        stage = self._stages.get(client)
        if stage is None:
            return
        if method == STEP[stage]:
            self._stages[client] = (stage + 1) % len(STEP)
            if method == LAST_QUESTION:
                self._ready_at = now + REST_S
            elif STEP[stage + 1] == LAST_QUESTION:
                self._ready_at = now + AWAITED_S
        elif method == STEP[0]:
            self._stages[client] = 1

    @property
    def ready_at(self) -> float:
        """The time before which no tick may begin."""
        return self._ready_at if self._managers else 0.0
