"""Writes the OpenDRIVE files of our own towns: `python -m toy_env.towns.generate` (needs the `towns` extra: scenariogeneration).

The `.xodr.gz` files beside this module are its output. Compile each one again after a change: `carla-rl map compile grid.xodr.gz
grid.npz`, which is `save_network(compile_opendrive(Path("grid.xodr.gz")), Path("grid.npz"))` of `carla_rl.roads.storage` and
`carla_rl.carla_sim.opendrive`.

ring        a closed road with S-bends, two lanes each way, no junction
grid        4 x 4 blocks: avenues with lights, streets with stop and yield signs, parked-car lanes, crosswalks
roundabout  a roundabout with four arms inside a ring road
highway     a closed dual carriageway with off-ramps and on-ramps; every lane leads somewhere
"""

import gzip
import itertools
import math
from pathlib import Path

from scenariogeneration import xodr

from toy_env.towns.builder import LANE_M, Arm, Control, Edge, LaneSpec, Pose, Profile, Street, Town, curve, through_moves

_SIDEWALK = LaneSpec("sidewalk", 2.0)
_SHOULDER = LaneSpec("shoulder", 2.5)


def _driving(count: int, edge: Edge = "solid") -> tuple[LaneSpec, ...]:
    """`count` lanes side by side, `edge` on the outermost one."""
    return (LaneSpec("driving", LANE_M, "broken"),) * (count - 1) + (LaneSpec("driving", LANE_M, edge),)


def _both(side: tuple[LaneSpec, ...], centre: Edge, speed_kmh: int, kind: str = "town") -> Profile:
    return Profile(side, side, centre, speed_kmh, kind)


STREET = _both((*_driving(1, "curb"), _SIDEWALK), "broken", 30)
PARKING = _both((*_driving(1), LaneSpec("parking", 2.2, "curb"), _SIDEWALK), "broken", 30)
AVENUE = _both((*_driving(2, "curb"), _SIDEWALK), "solid", 50)


def ring() -> Town:
    """r = 170 m (1 + 0.16 cos 3a), driven by clothoids through 24 of its points; four roads."""
    town = Town("ring")
    profile = _both((*_driving(2), _SHOULDER), "solid", 60)
    poses = [_bend(2 * math.pi * i / 24) for i in range(24)]
    roads = []
    for quarter in range(4):
        stops = [poses[(6 * quarter + i) % 24] for i in range(7)]
        roads.append(town.street(profile, stops[0], [curve(a, b) for a, b in itertools.pairwise(stops)]))
    for before, after in zip(roads, roads[1:] + roads[:1], strict=True):
        town.join(before, after)
    return town


def _bend(angle: float) -> Pose:
    radius, slope = 170.0 * (1 + 0.16 * math.cos(3 * angle)), -170.0 * 0.48 * math.sin(3 * angle)
    heading = angle + math.atan2(radius, slope)
    return radius * math.cos(angle), radius * math.sin(angle), heading


_XS, _YS = (0.0, 100.0, 190.0, 310.0, 400.0), (0.0, 90.0, 200.0, 290.0, 380.0)
_SETBACK = 14.0
"""m from the middle of a junction of the grid to the ends of its streets."""
_CORNER = 20.0
"""m, radius of the corners of the grid."""


def grid() -> Town:
    """Five by five crossings; the four corners are bends, the middle row and column are avenues; one street is left out."""
    town = Town("grid")
    arms: dict[tuple[int, int], list[Arm]] = {(i, j): [] for i in range(5) for j in range(5)}
    corners = {(0, 0), (4, 0), (0, 4), (4, 4)}
    for i in range(5):
        for j in range(5):
            for di, dj in ((1, 0), (0, 1)):
                a, b = (i, j), (i + di, j + dj)
                if b in arms and a not in corners and b not in corners and (a, b) != ((1, 1), (1, 2)):
                    street = _grid_street(town, a, b)
                    arms[a].append(Arm(street, False))
                    arms[b].append(Arm(street, True))
    for corner in sorted(corners):
        _grid_corner(town, corner, arms)
    for (i, j), here in arms.items():
        if (i, j) not in corners:
            control = _grid_control(i, j, here)
            town.junction(here, through_moves(here), control, crosswalks="signal" in control)
    return town


def _grid_street(town: Town, a: tuple[int, int], b: tuple[int, int]) -> Street:
    x0, y0, x1, y1 = _XS[a[0]], _YS[a[1]], _XS[b[0]], _YS[b[1]]
    heading = math.atan2(y1 - y0, x1 - x0)
    along_avenue = a[0] == b[0] == 2 or a[1] == b[1] == 2
    with_parking = a[1] == b[1] == 1 or a[0] == b[0] == 3
    profile = AVENUE if along_avenue else PARKING if with_parking else STREET
    start = (x0 + _SETBACK * math.cos(heading), y0 + _SETBACK * math.sin(heading), heading)
    return town.street(profile, start, [xodr.Line(math.hypot(x1 - x0, y1 - y0) - 2 * _SETBACK)])


def _grid_corner(town: Town, corner: tuple[int, int], arms: dict[tuple[int, int], list[Arm]]) -> None:
    """A street from the crossing beside a corner, along its row, round the corner and along its column."""
    i, j = corner
    beside, above = (1 if i == 0 else 3, j), (i, 1 if j == 0 else 3)
    heading = math.pi if i == 0 else 0.0
    turn = -1.0 if (i == 0) == (j == 0) else 1.0
    start = (_XS[beside[0]] + _SETBACK * math.cos(heading), _YS[j], heading)
    lines = [abs(_XS[beside[0]] - _XS[i]) - _SETBACK - _CORNER, abs(_YS[above[1]] - _YS[j]) - _SETBACK - _CORNER]
    bend = xodr.Arc(turn / _CORNER, length=_CORNER * math.pi / 2)
    street = town.street(STREET, start, [xodr.Line(lines[0]), bend, xodr.Line(lines[1])])
    arms[beside].append(Arm(street, False))
    arms[above].append(Arm(street, True))


def _grid_control(i: int, j: int, arms: list[Arm]) -> list[Control]:
    """Lights along the avenues; an all-way stop at (1, 3); elsewhere the row has priority inside and the through street at the edges."""
    if i == 2 or j == 2:
        return ["signal"] * len(arms)
    if (i, j) == (1, 3):
        return ["stop"] * len(arms)
    sign: Control = "stop" if (i + j) % 2 == 0 else "yield"
    along_row = [abs(math.cos(arm.pose[2])) > 0.5 for arm in arms]
    # at the left and right edges the column goes through and the row ends there
    row_has_priority = i not in (0, 4)
    return ["priority" if row == row_has_priority else sign for row in along_row]


def roundabout() -> Town:
    """A roundabout (lane at 21.75 m) whose four arms end at a ring road of 130 m; the arms stop, yield or wait at a light there."""
    town = Town("roundabout")
    inner, outer, half = 20.0, 130.0, math.radians(25.0)
    circle = Profile((), (*_driving(1), LaneSpec("shoulder", 1.0)), "curb", 30)
    loop_half = _SETBACK / outer
    rings, arms, loops = [], [], []
    for k in range(4):
        angle = k * math.pi / 2
        rings.append(town.street(circle, _on_circle(inner, angle + half), [xodr.Arc(1 / inner, length=inner * (math.pi / 2 - 2 * half))]))
        x, y = (outer - _SETBACK) * math.cos(angle), (outer - _SETBACK) * math.sin(angle)
        arms.append(town.street(STREET, (x, y, angle + math.pi), [xodr.Line(outer - _SETBACK - 36.0)]))
        profile = _both((*_driving(1, "curb"), _SIDEWALK), "broken", 50)
        loops.append(
            town.street(profile, _on_circle(outer, angle + loop_half), [xodr.Arc(1 / outer, length=outer * (math.pi / 2 - 2 * loop_half))])
        )
    at_loop: tuple[Control, ...] = ("stop", "yield", "stop", "signal")
    for k in range(4):
        entry, leave = Arm(rings[k - 1], True), Arm(rings[k], False)
        town.junction([entry, leave, Arm(arms[k], True)], [(0, 0, 1, 0), (0, 0, 2, 0), (2, 0, 1, 0)], ["priority", "priority", "yield"])
        here = [Arm(loops[k - 1], True), Arm(loops[k], False), Arm(arms[k], False)]
        through: Control = "signal" if at_loop[k] == "signal" else "priority"
        town.junction(here, through_moves(here), [through, through, at_loop[k]], crosswalks=k == 3)
    return town


def _on_circle(radius: float, angle: float) -> Pose:
    """A pose on a circle round the origin, driven counter-clockwise."""
    return radius * math.cos(angle), radius * math.sin(angle), angle + math.pi / 2


_BEND_M, _STRAIGHT_M = 350.0, 600.0
_RAMP_M = 60.0
"""Length of the junctions where ramps leave and join."""
_MEDIAN = LaneSpec("none", 1.5, "solid")


def highway() -> Town:
    """A stadium of 3.4 km: three lanes each way between interchanges, of which the outermost comes from an on-ramp and goes to the next
    off-ramp."""
    town = Town("highway")
    wide = _both((_MEDIAN, *_driving(3), _SHOULDER), "none", 100, "motorway")
    narrow = _both((_MEDIAN, *_driving(2), _SHOULDER), "none", 100, "motorway")
    ramp = Profile((), (*_driving(1), LaneSpec("shoulder", 1.0)), "solid", 60, "motorway")
    inside_m, rest_m = 220.0, (_STRAIGHT_M - 220.0 - 2 * _RAMP_M) / 2
    wides, narrows = [], []
    for side in (0, 1):
        # the second half of the stadium is the first one, turned by half a circle
        def turned(x: float, y: float, heading: float, side: int = side) -> Pose:
            sign = 1 - 2 * side
            return sign * x, sign * y, heading + side * math.pi

        narrows.append(town.street(narrow, turned(-inside_m / 2, -_BEND_M, 0.0), [xodr.Line(inside_m)]))
        bend = [xodr.Line(rest_m), xodr.Arc(1 / _BEND_M, length=math.pi * _BEND_M), xodr.Line(rest_m)]
        wides.append(town.street(wide, turned(inside_m / 2 + _RAMP_M, -_BEND_M, 0.0), bend))
    for side in (0, 1):
        between = narrows[side]
        ramps = [_ramp(town, ramp, between, outside) for outside in (True, False)]
        first, last = Arm(wides[1 - side], True), Arm(between, False)
        lanes = [(0, i, 1, i) for i in (0, 1)] + [(1, i, 0, i) for i in (0, 1)]
        # with the reference line a ramp leaves here, against it one joins; at the other end it is the other way round
        town.junction([first, last, Arm(ramps[0], False), Arm(ramps[1], True)], [*lanes, (0, 2, 2, 0), (3, 0, 0, 2)], ["priority"] * 4)
        first, last = Arm(wides[side], False), Arm(between, True)
        town.junction([first, last, Arm(ramps[1], False), Arm(ramps[0], True)], [*lanes, (0, 2, 2, 0), (3, 0, 0, 2)], ["priority"] * 4)
    return town


def _ramp(town: Town, profile: Profile, between: Street, outside: bool) -> Street:
    """A one-way road beside a stretch of highway, from where it leaves to where it joins again; `outside` on the right of the reference
    line."""
    x, y, heading = between.start if outside else (between.end[0], between.end[1], between.end[2] + math.pi)

    def at(along: float, beside: float, turn: float) -> Pose:
        c, s = math.cos(heading), math.sin(heading)
        return x + along * c + beside * s, y + along * s - beside * c, heading + turn

    stops = [at(0.0, 12.5, -0.12), at(between.length / 2, 34.0, 0.0), at(between.length, 12.5, 0.12)]
    return town.street(profile, stops[0], [curve(a, b) for a, b in itertools.pairwise(stops)])


def main() -> None:
    """Write the four files into the folder of this module."""
    for make in (ring, grid, roundabout, highway):
        town = make()
        path = Path(__file__).with_name(f"{town.name}.xodr.gz")
        path.write_bytes(gzip.compress(town.xml().encode(), mtime=0))


if __name__ == "__main__":
    main()
