"""What can be spawned: CARLA's catalogue, from `blueprints.json` beside this module. Knows nothing of actors that exist.

The client filters by names and tags and sets attributes; which of them the server reads stands with what reads them.
"""

import json
from dataclasses import dataclass
from importlib import resources
from typing import Any

from toy_env.server.layouts.values import AttributeDefinition, Box, Definition, Vector

BOOL, INT, FLOAT, STRING, COLOR = 1, 2, 3, 4, 5
TYPES = {"b": BOOL, "i": INT, "f": FLOAT, "s": STRING}
COLORS = ("17,37,103", "66,58,58", "137,0,0", "180,180,180", "255,255,255", "0,0,0", "38,75,53", "204,160,0")
"""Recommended colours of vehicles: this project's own."""
WALKER_HALF = (0.1876, 0.1876, 0.93)
"""m, half sizes of a pedestrian."""
CHILD_HALF = (0.25, 0.25, 0.55)
WALKER_MASS = 80.0
"""kg of a pedestrian."""


@dataclass(frozen=True)
class Blueprint:
    """A thing that can be spawned."""

    definition: Definition
    box: Box
    """Zero for what has no body."""
    mass: float
    """kg, 0: it never moves."""


class Catalogue:
    """All blueprints, by name.

    Args:
        without: those that the client's version does not have.
    """

    def __init__(self, without: frozenset[str] = frozenset()) -> None:
        data = json.loads(resources.files(__package__).joinpath("blueprints.json").read_text("utf-8"))
        self.by_id: dict[str, Blueprint] = {}
        for name, fields in data["vehicles"].items():
            self._add(name, _vehicle(fields), _box(fields["half_size"], on_ground=True), fields["mass"])
        for name, fields in data["walkers"].items():
            half = CHILD_HALF if fields["age"] == "child" else WALKER_HALF
            self._add(name, _walker(fields), _box(half, on_ground=False), WALKER_MASS)
        for name, fields in data["props"].items():
            self._add(name, [_fixed("size", STRING, fields["size"])], _box(fields["half_size"], on_ground=True), 0.0)
        self._add("static.prop.mesh", [_open("mesh_path", STRING, ""), _open("scale", FLOAT, "1.0")], Box(), 0.0)
        self._add("static.trigger.friction", _trigger(), Box(), 0.0)
        for name, fields in data["sensors"].items():
            if name in without:
                continue
            self._add(name, [_open(key, TYPES[kind], value) for key, (kind, value) in fields.items()], Box(), 0.0)
        self._add("controller.ai.walker", [], Box(), 0.0)
        for name in ("util.actor.empty", "util.actor.empty.static"):
            self._add(name, [], Box(), 0.0)

    @property
    def definitions(self) -> tuple[Definition, ...]:
        """In the order of their numbers."""
        return tuple(blueprint.definition for blueprint in self.by_id.values())

    def _add(self, name: str, attributes: list[AttributeDefinition], box: Box, mass: float) -> None:
        role = "autopilot" if name.startswith("vehicle.") else "pedestrian" if name.startswith("walker.") else "default"
        every = (
            _open("role_name", STRING, role, "autopilot", "scenario", "ego_vehicle")
            if role == "autopilot"
            else _open("role_name", STRING, role),
        )
        number = self.by_id[name].definition.uid if name in self.by_id else len(self.by_id) + 1
        definition = Definition(number, name, ",".join(name.split(".")), (*every, *attributes))
        self.by_id[name] = Blueprint(definition, box, mass)


def _open(name: str, kind: int, value: str, *recommended: str) -> AttributeDefinition:
    """An attribute that clients may set; scripts take its value from what is recommended, so that is never nothing."""
    return AttributeDefinition(name, kind, value, recommended or (value,), True, False)


def _fixed(name: str, kind: int, value: str) -> AttributeDefinition:
    return AttributeDefinition(name, kind, value, (), False, False)


def _vehicle(fields: dict[str, Any]) -> list[AttributeDefinition]:
    return [
        _open("color", COLOR, COLORS[0], *COLORS),
        _open("driver_id", INT, "0", "0"),
        _open("sticky_control", BOOL, "true"),
        _open("terramechanics", BOOL, "false"),
        _fixed("object_type", STRING, ""),
        _fixed("base_type", STRING, fields["base_type"]),
        _fixed("special_type", STRING, fields["special_type"]),
        _fixed("generation", INT, str(fields["generation"])),
        _fixed("number_of_wheels", INT, str(fields["number_of_wheels"])),
        _fixed("has_lights", BOOL, str(fields["has_lights"]).lower()),
        _fixed("has_dynamic_doors", BOOL, str(fields["has_dynamic_doors"]).lower()),
    ]


def _walker(fields: dict[str, Any]) -> list[AttributeDefinition]:
    return [
        _open("speed", FLOAT, "1.4", "0.0", "1.4", "2.7"),
        _open("is_invincible", BOOL, "true"),
        _open("use_wheelchair", BOOL, "false"),
        _fixed("can_use_wheelchair", BOOL, "false"),
        _fixed("age", STRING, fields["age"]),
        _fixed("gender", STRING, fields["gender"]),
        _fixed("generation", INT, fields["generation"]),
    ]


def _trigger() -> list[AttributeDefinition]:
    return [_open(name, FLOAT, "1.0") for name in ("friction", "extent_x", "extent_y", "extent_z")]


def _box(half: Any, on_ground: bool) -> Box:
    """Half sizes in m; a pedestrian's place is the middle of its body, the others' is on the ground."""
    length, width, height = half
    return Box(location=Vector(0.0, 0.0, height if on_ground else 0.0), extent=Vector(length, width, height))
