"""Where traffic managers run: they live in clients, the server only knows their addresses."""

from typing import Any

from toy_env.server.errors import Malformed
from toy_env.server.managers import Manager
from toy_env.server.methods.registry import Context, method


@method("is_traffic_manager_running", "int", gives="bool")
def is_traffic_manager_running(context: Context, port: int) -> bool:
    """Whether a client has said that it runs one on this port."""
    return port in context.managers


@method("get_traffic_manager_running", "int", gives="any")
def get_traffic_manager_running(context: Context, port: int) -> Any:
    """Host and port of it; an empty host where there is none."""
    manager = context.managers.get(port)
    return (manager.host, manager.port) if manager is not None else ("", 0)


@method("add_traffic_manager_running", "any", gives="bool", note="forgotten when the client that runs it is gone")
def add_traffic_manager_running(context: Context, address: Any) -> bool:
    """Say that one runs; False where there is already one on this port."""
    if address.__class__ is not tuple or len(address) != 2 or address[0].__class__ is not str or address[1].__class__ is not int:
        raise Malformed("an address is [host, port]")
    host, port = address
    return context.managers.add(Manager(host, port, context.client, context.client_address))


@method("destroy_traffic_manager", "int", gives="bool")
def destroy_traffic_manager(context: Context, port: int) -> bool:
    """Forget it."""
    return context.managers.remove(port)
