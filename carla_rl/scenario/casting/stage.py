"""Where a scenario is played: the place on the route, the junction ahead, the parameters. What casting functions read."""

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from carla_rl.errors import UsageError
from carla_rl.roads.network import RoadNetwork
from carla_rl.roads.route import Route
from carla_rl.scenario.casting.lanes import angle, predecessors
from carla_rl.scenario.hashing import unit
from carla_rl.scenario.model import ScriptedActor

AHEAD_M = 60.0
"""A junction so near behind the trigger may be the one that a scenario is about."""
SIGNALIZED = ("SignalizedJunctionLeftTurn", "SignalizedJunctionRightTurn", "OppositeVehicleRunningRedLight")
"""Types that are about a junction with lights."""


class NoPlace(UsageError):
    """A scenario type has no meaning at the place of its trigger."""


@dataclass(frozen=True)
class Pose:
    """A place on the route."""

    s: float
    """m along the route."""
    x: float
    y: float
    z: float
    yaw: float
    lane: int


@dataclass(frozen=True)
class Ahead:
    """The next junction on the route."""

    junction: int
    entry_s: float
    """m along the route, of its first point inside."""
    exit_s: float
    """m along the route, of its first point behind; the route's end where it ends inside."""
    lanes: tuple[int, ...]
    """The route's lanes inside."""
    approach: int
    """The route's lane before it."""
    yaw: float
    """rad, of the route where it enters."""


@dataclass(frozen=True)
class Entry:
    """A way into a junction."""

    lane: int
    """Before the junction."""
    inner: int
    """Inside."""
    direction: str
    """Where its traffic comes from as seen from the ego's entry: ref, left, opposite or right."""
    conflicts: bool
    """It crosses the ego's way or merges with it."""


@dataclass(frozen=True)
class Stage:
    """What a casting function is given."""

    network: RoadNetwork
    route: Route
    actor: ScriptedActor
    name: str
    trigger_s: float
    seed: int
    where: str
    """For messages: which scenario of which file."""

    def error(self, problem: str) -> UsageError:
        """What is wrong with this scenario, with its name, type and place."""
        return UsageError(self._told(problem))

    def no_place(self, problem: str) -> "NoPlace":
        """The same, where it is the place that does not do."""
        return NoPlace(self._told(problem))

    def _told(self, problem: str) -> str:
        return f"{self.where}: {self.name} ({self.actor.type}) at ({self.actor.x:.1f}, {self.actor.y:.1f}): {problem}"

    def number(self, name: str, default: float, least: float = 0.0) -> float:
        """A parameter above `least`."""
        value = self.actor.parameters.get(name, default)
        try:
            number = float(value)
        except ValueError:
            number = math.nan
        if not least < number < math.inf:
            above = f" above {least:g}" if math.isfinite(least) else ""
            raise self.error(f"{name} must be a number{above} (found {value!r})")
        return number

    def coordinate(self, name: str) -> float:
        """A parameter that is a coordinate of a place, in m."""
        return self.number(name, math.nan, least=-math.inf)

    def interval(self, name: str, default: tuple[float, float]) -> tuple[float, float]:
        """A parameter written with `from` and `to` in a route file, as `NAME.from` and `NAME.to` in a suite."""
        low, high = self.number(f"{name}.from", default[0]), self.number(f"{name}.to", default[1])
        if low > high:
            raise self.error(f"{name} runs backwards, from {low:g} to {high:g}; write the smaller number first")
        return low, high

    def choice(self, name: str, default: str, choices: tuple[str, ...]) -> str:
        """A parameter that is one of some words."""
        value = self.actor.parameters.get(name, default)
        if value not in choices:
            raise self.error(f"{name} must be one of {', '.join(choices)} (found {value!r})")
        return str(value)

    def text(self, name: str, default: str) -> str:
        """A parameter in words."""
        return str(self.actor.parameters.get(name, default))

    def draw(self, *key: str) -> float:
        """A number in [0, 1) that depends on the scenario's seed, its name and the key."""
        return unit("cast", self.seed, self.name, *key)

    def at(self, s: float) -> Pose:
        """The place s metres from the route's start, clipped to the route."""
        route = self.route
        s = min(max(s, 0.0), route.length)
        k = max(int(np.searchsorted(route.s, s, side="right")) - 1, 0)
        x, y, z = (float(np.interp(s, route.s, values)) for values in (route.x, route.y, route.z))
        return Pose(s, x, y, z, float(route.yaw[k]), int(route.lane[k]))

    def half_width(self, here: Pose) -> float:
        """Half the width of the route's lane at a place, m."""
        return float(np.interp(here.s, self.route.s, self.route.half_width))

    def sample_near(self, lane: int, x: float, y: float) -> int:
        """Which of a lane's samples is nearest to a point, counted from its first."""
        roads = self.network.roads
        part = slice(int(roads.start[lane]), int(roads.start[lane + 1]))
        return int(np.argmin(np.hypot(roads.x[part] - x, roads.y[part] - y)))

    def lane_s(self, lane: int, x: float, y: float) -> float:
        """m along a lane of its sample nearest to a point."""
        return float(self.network.roads.s[self.network.roads.start[lane] + self.sample_near(lane, x, y)])

    @cached_property
    def ahead(self) -> Ahead:
        """The junction that the scenario is about: the first one ahead.

        Within AHEAD_M of the trigger one whose ways conflict with the ego's is preferred, with lights where the type asks for them.

        CARLA's maps have junctions of one way only, where a road forks; no traffic crosses there.

        Raises:
            UsageError: there is none.
        """
        found = self.junctions
        if not found:
            raise self.no_place("its route has no junction behind the trigger; move the trigger to before one")
        near = [ahead for ahead in found if ahead.entry_s <= self.trigger_s + AHEAD_M]
        crossed = [ahead for ahead in near if any(entry.conflicts for entry in self._ways_into(ahead))]
        lit = [ahead for ahead in crossed if self.network.roads.signal[ahead.lanes[0]] >= 0]
        return ((lit if self.actor.type in SIGNALIZED else []) or crossed or found)[0]

    @cached_property
    def junctions(self) -> list[Ahead]:
        """The junctions on the route at or after the trigger, in order."""
        route, junction = self.route, self.network.roads.junction[self.route.lane]
        starts = np.flatnonzero(np.diff(junction, prepend=-2) != 0)
        ends = np.append(starts[1:], len(route.s) - 1)
        found = []
        for entry, end in zip(starts, ends, strict=True):
            if junction[entry] >= 0 and route.s[end] > self.trigger_s:
                lanes = tuple(dict.fromkeys(int(n) for n in route.lane[entry : max(end, entry + 1)]))
                before = int(route.lane[entry - 1]) if entry > 0 else -1
                s0, s1 = float(route.s[entry]), float(route.s[end])
                found.append(Ahead(int(junction[entry]), s0, s1, lanes, before, float(route.yaw[entry])))
        return found

    @property
    def entries(self) -> tuple[Entry, ...]:
        """All other ways into the junction ahead, those that conflict with the ego's first, then the straightest."""
        return self._ways_into(self.ahead)

    def _ways_into(self, ahead: Ahead) -> tuple[Entry, ...]:
        """Directions are ScenarioRunner's, from the headings alone (`srunner/tools/scenario_helper.py`)."""
        roads = self.network.roads
        ego_road = -1 if ahead.approach < 0 else (int(roads.road[ahead.approach]), int(np.sign(roads.lane_id[ahead.approach])))
        found: list[tuple[bool, float, Entry]] = []
        for inner in np.flatnonzero(roads.junction == ahead.junction):
            for lane in predecessors(self.network, int(inner)):
                here = (int(roads.road[lane]), int(np.sign(roads.lane_id[lane])))
                if roads.junction[lane] == ahead.junction or here == ego_road:
                    continue
                k = roads.start[inner]
                theirs = roads.conflict[roads.conflict_start[inner] : roads.conflict_start[inner + 1]]
                conflicts = bool(set(ahead.lanes) & {int(n) for n in theirs})
                turned = abs(angle(float(roads.yaw[roads.start[inner + 1] - 1] - roads.yaw[k])))
                entry = Entry(lane, int(inner), direction(float(roads.yaw[k]) - ahead.yaw), conflicts)
                found.append((not conflicts, round(turned, 3), entry))
        return tuple(entry for _, _, entry in sorted(found, key=lambda item: (item[0], item[1], item[2].lane, item[2].inner)))


def direction(turned: float) -> str:
    """Where traffic comes from whose heading is `turned` rad to the left of the ego's: ref (the ego's side), left, opposite or right."""
    degrees = math.degrees(turned) % 360.0
    if degrees <= 30.0 or degrees > 330.0:
        return "ref"
    if degrees <= 135.0:
        return "right"
    return "opposite" if degrees <= 225.0 else "left"
