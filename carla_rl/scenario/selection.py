"""Choosing some scenarios of a suite: what `--routes` accepts.

A comma-separated list; what is chosen is driven in the suite's order, each scenario once. An item is, tried in this order:

* the id of a scenario: `grid-eval-003`, `RouteScenario_5`;
* in a route XML file a route id, `5`, or a range of numeric ids with both ends in the file, `0-3`: ids in the range that the file lacks are
  no error, since files keep ids of a larger set (the CARLA leaderboard's `--routes-subset` reads a range in file order instead;
  for a file in order of ids both mean the same);
* in any other suite an index from 0, `5`, or a range of them, `0-3`;
* a town, `Town01`: all of its routes.
"""

import re
from collections.abc import Sequence

from carla_rl.errors import UsageError
from carla_rl.scenario.model import Scenario
from carla_rl.scenario.route_xml import route_id

_RANGE = re.compile(r"(\d+)\s*-\s*(\d+)")
_SHOWN = 8


def select(scenarios: Sequence[Scenario], text: str, source: str = "the suite") -> tuple[Scenario, ...]:
    """The scenarios that `text` names, in their order.

    Raises:
        UsageError: an item that names nothing, with a list of what there is.
    """
    items = [item.strip() for item in text.split(",")]
    if not all(items):
        raise UsageError(f"--routes {text!r}: an empty item; write e.g. 0-3,7 or Town01,Town02")
    labels = _labels(scenarios)
    chosen: set[int] = set()
    for item in items:
        found = _find(scenarios, labels, item)
        if not found:
            raise UsageError(f"--routes {text!r}: {item!r} is nothing that {source} has; it has {_inventory(scenarios, labels)}")
        chosen |= found
    return tuple(scenarios[index] for index in sorted(chosen))


def _labels(scenarios: Sequence[Scenario]) -> list[str]:
    """What a number on the command line stands for: route ids in a route file, else indices."""
    ids = [route_id(scenario.scenario_id) for scenario in scenarios]
    return [str(index) if label is None else label for index, label in enumerate(ids)]


def _find(scenarios: Sequence[Scenario], labels: list[str], item: str) -> set[int]:
    found = {index for index, scenario in enumerate(scenarios) if item in (scenario.scenario_id, labels[index])}
    if found:
        return found
    if bounds := _RANGE.fullmatch(item):
        low, high = int(bounds[1]), int(bounds[2])
        numbers = {int(label): index for index, label in enumerate(labels) if label.isdecimal()}
        return {index for number, index in numbers.items() if low <= number <= high} if low in numbers and high in numbers else set()
    return {index for index, scenario in enumerate(scenarios) if item == scenario.town}


def _inventory(scenarios: Sequence[Scenario], labels: list[str]) -> str:
    numbers = sorted(int(label) for label in labels if label.isdecimal())
    parts = [f"routes {_ranges(numbers)}"] if numbers else []
    if others := [label for label in labels if not label.isdecimal()]:
        parts.append(f"routes {_some(others)}")
    if route_id(scenarios[0].scenario_id) is None:
        parts.append(f"ids {_some([scenario.scenario_id for scenario in scenarios])}")
    parts.append(f"towns {', '.join(sorted({scenario.town for scenario in scenarios}))}")
    return "; ".join(parts)


def _some(names: list[str]) -> str:
    more = len(names) - _SHOWN
    return ", ".join(names[:_SHOWN]) + (f" and {more} more" if more > 0 else "")


def _ranges(numbers: list[int]) -> str:
    """[0, 1, 2, 5] as "0-2, 5"."""
    runs: list[list[int]] = []
    for number in numbers:
        if runs and number == runs[-1][-1] + 1:
            runs[-1].append(number)
        else:
            runs.append([number])
    return _some([str(run[0]) if len(run) == 1 else f"{run[0]}-{run[-1]}" for run in runs])
