"""Scripts cast on small roads, for the tests of casting."""

from small_roads import route

from carla_rl.roads.network import RoadNetwork
from carla_rl.scenario.casting import cast
from carla_rl.scenario.model import Scenario, ScriptedActor
from carla_rl.scenario.script import Part, Script


def script(network: RoadNetwork, lanes: list[int], type_name: str, x: float, **parameters: str | float) -> Script:
    """The script of one type triggered at (x, 0) on the route along the lanes; `a__b` is the parameter `a.b`."""
    written = {name.replace("__", "."): value for name, value in parameters.items()}
    actor = ScriptedActor(name="it", type=type_name, x=x, y=0.0, parameters=written)
    scenario = Scenario(scenario_id="small", town=network.town, positions=((0.0, 0.0, 0.0), (1.0, 0.0, 0.0)), seed=1, actors=(actor,))
    (found,) = cast(network, route(network, lanes), scenario)
    return found


def start(part: Part) -> tuple[float, float]:
    """Where a part's path begins, rounded to a centimetre."""
    return round(float(part.path.x[0]), 2), round(float(part.path.y[0]), 2)


def end(part: Part) -> tuple[float, float]:
    """And where it ends."""
    return round(float(part.path.x[-1]), 2), round(float(part.path.y[-1]), 2)
