"""An actor that exists, and what only Python code reads of it: what moves stands in `toy_env.server.world.bodies`. Knows no rules."""

from dataclasses import dataclass, field

from toy_env.server.blueprints import Blueprint
from toy_env.server.layouts.table import Family
from toy_env.server.layouts.values import AckermannSettings, ActorInfo, PhysicsControl


@dataclass(eq=False)
class Actor:
    """One actor. `row` is -1 when it is gone."""

    info: ActorInfo
    """As the client keeps it: never changes."""
    family: Family
    row: int
    attributes: dict[str, str]
    """Of the blueprint, as the client has set them."""
    parent: "Actor | None" = None
    children: "list[Actor]" = field(default_factory=list)
    stream: int = 0
    """Of a sensor; 0: none."""
    lights: int = 0
    """Bits of a vehicle's lights."""
    physics: PhysicsControl | None = None
    """As a client has set it; None: that of the blueprint."""
    ackermann: AckermannSettings = field(default_factory=AckermannSettings)

    @property
    def id(self) -> int:
        """Never used twice, not even by another episode."""
        return self.info.id

    @property
    def type_id(self) -> str:
        """Name of the blueprint."""
        return self.info.description.id


def family_of(type_id: str) -> Family:
    """How the client reads the state of an actor of this type."""
    for family in (Family.VEHICLE, Family.WALKER, Family.LIGHT, Family.SIGN):
        if type_id.startswith(f"{family}.") or type_id == family:
            return family
    return Family.OTHER


def semantic_tags(blueprint: Blueprint | None, type_id: str) -> bytes:
    """CARLA's semantic tag of what has a body: 14 car, 15 truck, 16 bus, 18 motorcycle, 19 bicycle, 12 pedestrian, 20 static."""
    if blueprint is None:
        return b""
    if type_id.startswith("walker."):
        return bytes([12])
    if type_id.startswith("static.prop."):
        return bytes([20])
    if type_id.startswith("vehicle."):
        kinds = {"truck": 15, "van": 15, "bus": 16, "motorcycle": 18, "bicycle": 19}
        base = next((item.value for item in blueprint.definition.attributes if item.id == "base_type"), "car")
        return bytes([kinds.get(base, 14)])
    return b""
