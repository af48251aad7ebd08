"""The table of methods and sensors for docs/server.md: `python -m toy_env.server.methods.table` prints it, a test compares."""

from toy_env.server.blueprints import Catalogue
from toy_env.server.methods import MODULES
from toy_env.server.methods.names import CLIENT_METHODS, OWN_METHODS
from toy_env.server.methods.registry import collect
from toy_env.server.sensors import IN_CLIENT, SENSORS


def methods_table() -> str:
    """Every function that the client calls: whether it is provided, and how faithfully."""
    declared = collect(MODULES)
    lines = ["| function | provided | fidelity | what it does |", "|---|---|---|---|"]
    for name in (*CLIENT_METHODS, *OWN_METHODS):
        method = declared.get(name)
        if method is None:
            lines.append(f"| `{name}` | no | | |")
        else:
            fidelity = f"{method.fidelity}; {method.note}" if method.note else str(method.fidelity)
            lines.append(f"| `{name}` | yes | {fidelity} | {method.summary} |")
    return "\n".join(lines)


def sensors_table() -> str:
    """Every sensor of the catalogue: whether it can be spawned."""
    lines = ["| sensor | provided |", "|---|---|"]
    for name in Catalogue().by_id:
        if name.startswith("sensor."):
            answer = "yes" if name in SENSORS else "yes, by the client itself" if name in IN_CLIENT else "no"
            lines.append(f"| `{name}` | {answer} |")
    return "\n".join(lines)


if __name__ == "__main__":
    print(methods_table())
    print()
    print(sensors_table())
