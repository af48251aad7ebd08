"""Traffic managers: which run where, and when a tick may follow the step of one. They live in clients; all of this is about their threads.

In synchronous mode a client's `tick` wakes the manager's thread and waits for its step. That thread says in the middle of a step how the
lights and the weather are, sends its batch, lets the client's `tick` return, asks for the settings and only then lies down to wait for the
next step. Both threads wake each other without a lock: a wake-up that comes in the moment in which the other lies down is lost, and then
both wait for ever. With a server that takes milliseconds for a tick that is rare; with one that answers the settings and the next tick
together it happens every few thousand ticks. So the next tick waits for the question after the settings, and a little longer.

On a machine with too much to do it can still happen. A manager that is silent after a tick is therefore asked whether its process runs,
and if it is still silent then it is woken.
"""

from dataclasses import dataclass

from toy_env.server.rouse import is_awake, rouse

REST_S = 0.0003
"""A tick begins so long after a manager's thread has been told the settings: by then it has lain down."""
AWAITED_S = 0.05
"""How long a tick waits for the question after the settings: a manager that ends does not ask any more."""
SILENT_S = 1.5
"""A manager that asks nothing for so long after a tick is asked whether it runs; if it then asks nothing for as long again it is woken."""
LAST_QUESTION = "get_episode_settings"
STEP = ("get_vehicle_light_states", "get_weather_parameters", "apply_batch", LAST_QUESTION)
"""What a manager asks in a step, in this order."""


@dataclass(frozen=True)
class Manager:
    """One that runs; `client` is the number of the connection that has said so."""

    host: str
    port: int
    client: int
    address: str
    """Of the client, as the server sees it; `host` is what the client says."""


class Managers:
    """All managers of a server, by their ports."""

    def __init__(self) -> None:
        self._managers: dict[int, Manager] = {}
        self._stages: dict[int, int] = {}
        """How far the step of each client has come, as an index into STEP of what is asked next."""
        self._ready_at = 0.0
        self._silent: dict[int, float] = {}
        """Clients that have got a tick and whose manager has not begun to ask since, and when they are to be looked after."""
        self._asked: set[int] = set()
        """Those of them whose process runs."""

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
        self._silent.pop(client, None)
        self._asked.discard(client)
        if self._stages.pop(client, 0) == STEP.index(LAST_QUESTION):
            self._ready_at = 0.0

    def asked(self, client: int, method: str, now: float) -> None:
        """A client asks something at this time (as `time.monotonic`)."""
        stage = self._stages.get(client)
        if stage is None:
            return
        if method == "tick_cue":
            self._silent[client] = now + SILENT_S
            self._asked.discard(client)
            return
        if method == STEP[0]:
            self._silent.pop(client, None)
        if method == STEP[stage]:
            self._stages[client] = (stage + 1) % len(STEP)
            if method == LAST_QUESTION:
                self._ready_at = now + REST_S
            elif STEP[stage + 1] == LAST_QUESTION:
                self._ready_at = now + AWAITED_S
        elif method == STEP[0]:
            self._stages[client] = 1

    def look_after(self, now: float) -> tuple[float | None, list[str]]:
        """When to call this again (None: at a tick), and what has been done: a sentence for each manager that was woken."""
        told: list[str] = []
        if not self._silent:
            return None, told
        for client, due in list(self._silent.items()):
            if due > now:
                continue
            mine = [manager for manager in self._managers.values() if manager.client == client]
            if client not in self._asked and any(is_awake(manager.address, manager.port) for manager in mine):
                self._asked.add(client)
                self._silent[client] = now + SILENT_S
                continue
            woken = [manager.port for manager in mine if client in self._asked and rouse(manager.address, manager.port)]
            told += [f"the traffic manager on port {port} waited for a wake-up that was lost: it has been woken" for port in woken]
            del self._silent[client]
        return min(self._silent.values(), default=None), told

    @property
    def ready_at(self) -> float:
        """The time before which no tick may begin."""
        return self._ready_at if self._managers else 0.0
