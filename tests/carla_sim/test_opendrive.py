"""The map compiler on small maps written here: frames, limits, sections, signs, and every kind of broken map."""

import gzip
import math
import sys

import numpy as np
import pytest

from carla_rl.carla_sim.opendrive import compile_opendrive
from carla_rl.errors import UsageError
from carla_rl.roads.network import LaneKind, Marking, Right

pytest.importorskip("carla", reason="needs the carla wheel, the OpenDRIVE engine")

MARK = '<roadMark sOffset="0" type="{}" width="0.12" laneChange="{}"/>'
GEOREF = "<geoReference><![CDATA[+proj=tmerc +lat_0=0 +lon_0=0 +k=1 +x_0=0 +y_0=0 +datum=WGS84 +units=m +no_defs]]></geoReference>"


def lane(number, kind="driving", width=3.5, mark="solid", change="none", link=""):
    widths = f'<width sOffset="0" a="{width}" b="0" c="0" d="0"/>'
    return f'<lane id="{number}" type="{kind}" level="false"><link>{link}</link>{widths}{MARK.format(mark, change)}</lane>'


def section(s, left, right):
    centre = f'<center><lane id="0" type="none" level="false">{MARK.format("solid", "none")}</lane></center>'
    left_lanes, right_lanes = (f"<{side}>{lanes}</{side}>" if lanes else "" for side, lanes in (("left", left), ("right", right)))
    return f'<laneSection s="{s}">{left_lanes}{centre}{right_lanes}</laneSection>'


def road(number, x, y, heading, length, sections, link="", junction=-1, types="", signals=""):
    plan = f'<geometry s="0" x="{x}" y="{y}" hdg="{heading}" length="{length}"><line/></geometry>'
    return (
        f'<road id="{number}" name="" length="{length}" junction="{junction}"><link>{link}</link>{types}<planView>{plan}</planView>'
        f"<lanes>{sections}</lanes><signals>{signals}</signals></road>"
    )


def write(tmp_path, *parts):
    path = tmp_path / "small.xodr"
    path.write_text(f'<OpenDRIVE><header revMajor="1" revMinor="4">{GEOREF}</header>{"".join(parts)}</OpenDRIVE>')
    return path


def one_road(**changes):
    return road(7, 10, 20, math.pi / 6, 100, section(0, lane(1), lane(-1)), **changes)


def find(network, road_id, lane_id, section_index=0):
    roads = network.roads
    return int(np.flatnonzero((roads.road == road_id) & (roads.lane_id == lane_id) & (roads.section == section_index))[0])


def test_the_frame_is_opendrives_right_handed_one(tmp_path):
    network = compile_opendrive(write(tmp_path, one_road()))
    assert network.town == "small"
    roads, right, left = network.roads, find(network, 7, -1), find(network, 7, 1)
    c, s = math.cos(math.pi / 6), math.sin(math.pi / 6)
    # lane -1 runs 1.75 m to the right of the reference line, with it; lane 1 to its left, against it
    np.testing.assert_allclose(network.lane_points(right)[0], (10 + 1.75 * s, 20 - 1.75 * c), atol=2e-3)
    np.testing.assert_allclose(network.lane_points(right)[-1], (10 + 100 * c + 1.75 * s, 20 + 100 * s - 1.75 * c), atol=2e-3)
    np.testing.assert_allclose(network.lane_points(left)[0], (10 + 100 * c - 1.75 * s, 20 + 100 * s + 1.75 * c), atol=2e-3)
    np.testing.assert_allclose(roads.yaw[roads.sample_lane == right], math.pi / 6, atol=1e-5)
    np.testing.assert_allclose(roads.yaw[roads.sample_lane == left], math.pi / 6 - math.pi, atol=1e-5)
    np.testing.assert_allclose(roads.length, 100.0, atol=5e-3)
    np.testing.assert_allclose(roads.half_width, 1.75)
    assert np.diff(roads.s).max() <= 2.0
    assert (roads.opposite[right], roads.opposite[left]) == (left, right)
    assert np.all(roads.left == -1)
    assert (roads.left_marking[right], roads.right_marking[right]) == (Marking.SOLID, Marking.SOLID)


def test_packed_files_and_names(tmp_path):
    path = tmp_path / "Somewhere.xodr.gz"
    path.write_bytes(gzip.compress(write(tmp_path, one_road()).read_bytes()))
    assert compile_opendrive(path).town == "Somewhere"
    assert compile_opendrive(path, "Elsewhere").town == "Elsewhere"
    assert compile_opendrive(path).source_sha256 == compile_opendrive(tmp_path / "small.xodr").source_sha256


@pytest.mark.parametrize(
    ("types", "expected"),
    [
        ("", 30 / 3.6),
        ('<type s="0" type="town"><speed max="36" unit="km/h"/></type>', 10.0),
        ('<type s="0" type="town"><speed max="25" unit="mph"/></type>', 11.176),
        ('<type s="0" type="town"><speed max="12.5"/></type>', 12.5),
        ('<type s="0" type="town"><speed max="no limit"/></type>', 130 / 3.6),
        ('<type s="0" type="town"><speed max="undefined"/></type>', 30 / 3.6),
        # the range in force in the middle of the section
        ('<type s="0" type="town"><speed max="5"/></type><type s="40" type="town"><speed max="9"/></type>', 9.0),
    ],
)
def test_speed_limits_of_road_types(tmp_path, types, expected):
    network = compile_opendrive(write(tmp_path, one_road(types=types)))
    np.testing.assert_allclose(network.roads.speed_limit, expected, atol=1e-4)


def chain(*types_and_signals):
    """Roads 1, 2, 3 ... of 50 m one after the other along the x axis, one lane."""
    last = len(types_and_signals)
    parts = []
    for i, (types, signals) in enumerate(types_and_signals, start=1):
        before = f'<predecessor elementType="road" elementId="{i - 1}" contactPoint="end"/>' if i > 1 else ""
        after = f'<successor elementType="road" elementId="{i + 1}" contactPoint="start"/>' if i < last else ""
        links = ('<predecessor id="-1"/>' if i > 1 else "") + ('<successor id="-1"/>' if i < last else "")
        parts.append(road(i, 50 * (i - 1), 0, 0, 50, section(0, "", lane(-1, link=links)), before + after, types=types, signals=signals))
    return parts


def sign(number, s, value):
    what = f'type="274" subtype="-1" value="{value}" unit="km/h" dynamic="no"'
    return f'<signal id="{number}" s="{s}" t="-5" orientation="+" {what}><validity fromLane="-1" toLane="-1"/></signal>'


def test_speed_signs_rule_from_where_they_stand_until_another_limit(tmp_path):
    fifty, hundred = (f'<type s="0" type="town"><speed max="{v}" unit="km/h"/></type>' for v in (50, 100))
    network = compile_opendrive(
        write(tmp_path, *chain((fifty, ""), ("", sign(1, 10, 72)), ("", ""), ("", sign(2, 40, 36)), ("", ""), (hundred, "")))
    )
    limits = [network.roads.speed_limit[find(network, i, -1)] * 3.6 for i in range(1, 7)]
    # road 2 is ruled by its sign for 40 of 50 m, road 4 only for its last 10 m
    np.testing.assert_allclose(limits, [50, 72, 72, 72, 36, 100], atol=1e-3)
    assert [network.successors(find(network, i, -1)) for i in (1, 6)] == [[find(network, 2, -1)], []]


def test_lane_changes_only_over_broken_lines_and_only_for_driving_lanes(tmp_path):
    right = lane(-1, mark="broken", change="both") + lane(-2) + lane(-3, mark="solid") + lane(-4, "parking", 2.2) + lane(-5, "sidewalk", 2)
    network = compile_opendrive(write(tmp_path, road(1, 0, 0, 0, 60, section(0, "", right))))
    roads = network.roads
    one, two, three, parking = (find(network, 1, i) for i in (-1, -2, -3, -4))
    assert (roads.left[one], roads.right[one], roads.left[two], roads.right[two], roads.left[three]) == (-1, two, one, -1, -1)
    assert (roads.left_marking[two], roads.right_marking[two]) == (Marking.BROKEN, Marking.SOLID)
    assert [roads.kind[find(network, 1, i)] for i in (-4, -5)] == [LaneKind.PARKING, LaneKind.SIDEWALK]
    assert roads.right[three] == -1
    np.testing.assert_allclose(roads.half_width[roads.sample_lane == parking], 1.1)


def test_each_lane_section_has_lanes_of_its_own(tmp_path):
    first = section(0, "", lane(-1, link='<successor id="-1"/>'))
    second = section(30, "", lane(-1, mark="broken", change="both", link='<predecessor id="-1"/>') + lane(-2))
    network = compile_opendrive(write(tmp_path, road(1, 0, 0, 0, 60, first + second)))
    a, b = find(network, 1, -1, 0), find(network, 1, -1, 1)
    assert network.successors(a) == [b]
    np.testing.assert_allclose(network.roads.length[[a, b]], 30.0, atol=5e-3)
    assert (network.roads.right[a], network.roads.right[b]) == (-1, find(network, 1, -2, 1))


def crossing(signals_a="", signals_b="", controllers=""):
    """Two one-way roads that cross at the origin: 1 -> 11 -> 3 eastwards, 2 -> 12 -> 4 northwards; junction 100."""

    def straight(number, x, y, heading, before="", after="", **rest):
        link = "".join(
            f'<{way} elementType="{kind}" elementId="{other}" {contact}/>' for way, kind, other, contact in (before, after) if way
        )
        inside = rest.get("junction", -1) != -1
        lanes = lane(-1, link='<predecessor id="-1"/><successor id="-1"/>' if inside else "")
        return road(number, x, y, heading, 20 if inside else 40, section(0, "", lanes), link, **rest)

    none = ("", "", 0, "")
    into, out = ("successor", "junction", 100, ""), ("predecessor", "junction", 100, "")
    parts = [
        straight(1, -50, 0, 0, none, into, signals=signals_a),
        straight(3, 10, 0, 0, out, none),
        straight(2, 0, -50, math.pi / 2, none, into, signals=signals_b),
        straight(4, 0, 10, math.pi / 2, out, none),
    ]
    for number, x, y, heading, a, b in ((11, -10, 0, 0, 1, 3), (12, 0, -10, math.pi / 2, 2, 4)):
        before, after = ("predecessor", "road", a, 'contactPoint="end"'), ("successor", "road", b, 'contactPoint="start"')
        parts.append(straight(number, x, y, heading, before, after, junction=100))
    links = "".join(
        f'<connection id="{i}" incomingRoad="{a}" connectingRoad="{b}" contactPoint="start"><laneLink from="-1" to="-1"/></connection>'
        for i, (a, b) in enumerate(((1, 11), (2, 12)))
    )
    tail = "".join(f'<controller id="{i}" sequence="0" type="0"/>' for i in (51, 52) if controllers)
    return [*parts, f'<junction id="100" name="">{links}{tail}</junction>', controllers]


def standing(number, kind):
    what = f'type="{kind}" subtype="-1" value="-1" dynamic="{"yes" if kind == "1000001" else "no"}"'
    return f'<signal id="{number}" s="39" t="-5" orientation="+" {what}><validity fromLane="-1" toLane="-1"/></signal>'


def test_crossing_lanes_conflict_and_signs_rule_the_entry(tmp_path):
    network = compile_opendrive(write(tmp_path, *crossing(signals_b=standing(8, "206"))))
    roads, a, b = network.roads, find(network, 11, -1), find(network, 12, -1)
    assert (roads.junction[a], roads.junction[b]) == (100, 100)
    assert (roads.entry[a], roads.entry[b]) == (Right.PRIORITY, Right.STOP)
    assert list(roads.conflict[roads.conflict_start[a] : roads.conflict_start[a + 1]]) == [b]
    assert compile_opendrive(write(tmp_path, *crossing(signals_a=standing(8, "205")))).roads.entry[a] == Right.YIELD


@pytest.mark.parametrize(("controllers", "phases"), [("", [0, 1]), ("both", [0, 0]), ("swapped", [1, 0])])
def test_phases_come_from_controllers_else_from_headings(tmp_path, controllers, phases):
    control = {
        "": "",
        "both": '<controller id="51"><control signalId="8"/><control signalId="9"/></controller>',
        "swapped": '<controller id="52"><control signalId="8"/></controller><controller id="51"><control signalId="9"/></controller>',
    }[controllers]
    network = compile_opendrive(write(tmp_path, *crossing(standing(8, "1000001"), standing(9, "1000001"), control)))
    roads, a, b = network.roads, find(network, 11, -1), find(network, 12, -1)
    assert list(roads.entry[[a, b]]) == [Right.SIGNAL, Right.SIGNAL]
    assert list(roads.signal_id[roads.signal[[a, b]]]) == [8, 9]
    assert list(roads.signal_phase[roads.signal[[a, b]]]) == phases
    assert set(roads.signal_phases) == {max(phases) + 1}
    # the lamp of road 1 stands at s = 39, t = -5, beside the end of the road (CARLA moves signals a little)
    np.testing.assert_allclose((roads.signal_x[roads.signal[a]], roads.signal_y[roads.signal[a]]), (-11, -5), atol=0.3)


def bad(tmp_path, text):
    path = tmp_path / "bad.xodr"
    path.write_text(text)
    return path


@pytest.mark.parametrize(
    ("parts", "says"),
    [
        ([one_road().replace('type="driving"', 'type="sidewalk"')], "no driving lane"),
        ([], "no driving lane"),
        (
            [one_road(link='<successor elementType="road" elementId="99" contactPoint="start"/>')],
            "dangling link: the successor of road 7 is road 99",
        ),
        ([one_road(link='<predecessor elementType="junction" elementId="5"/>')], "dangling link: the predecessor of road 7 is junction 5"),
        ([one_road(junction=5)], "junction 5, which does not exist"),
        ([one_road().replace('length="100"', 'length="0"')], "road 7 has zero length"),
        ([one_road().replace('length="100"', 'length="nan"')], "no valid length"),
        ([one_road().replace('length="100"', 'length=""')], "no valid length"),
        ([one_road().replace('road id="7"', 'road id="A7"')], "no whole number as id"),
        ([one_road(), one_road()], "same id"),
        ([one_road().replace("<line/>", "").replace("geometry", "g")], "no geometry"),
        ([one_road().replace("laneSection", "l")], "no lane sections"),
        ([one_road(types='<type s="0" type="town"><speed max="5" unit="knots"/></type>')], "unknown unit 'knots'"),
        ([one_road().replace("<road ", '<road rule="LHT" ')], "only right-hand traffic"),
        ([part.replace('to="-1"', 'to="-4"') for part in crossing()], "lane -4 of road 11"),
        ([part.replace('from="-1"', 'from="3"') for part in crossing()], "lane 3 of road"),
        ([part.replace('connectingRoad="11"', 'connectingRoad="77"') for part in crossing()], "connects road 77"),
        (crossing(standing("A8", "1000001")), "'A8' has an id that is not a whole number"),
    ],
)
def test_broken_maps_are_refused_with_name_and_problem(tmp_path, parts, says):
    with pytest.raises(UsageError, match=says) as error:
        compile_opendrive(write(tmp_path, *parts))
    assert "small.xodr" in str(error.value)


@pytest.mark.parametrize(
    ("text", "says"), [("", "not an OpenDRIVE"), ("<OpenDRIVE><road>", "not an OpenDRIVE"), ("<osm/>", "<osm>"), ("\x00\x01", "not")]
)
def test_files_that_are_no_opendrive_are_refused(tmp_path, text, says):
    with pytest.raises(UsageError, match=says):
        compile_opendrive(bad(tmp_path, text))


def test_unreadable_files_are_refused(tmp_path):
    with pytest.raises(UsageError, match="cannot read"):
        compile_opendrive(tmp_path / "none.xodr")
    packed = tmp_path / "cut.xodr.gz"
    packed.write_bytes(gzip.compress(b"<OpenDRIVE/>" * 50)[:20])
    with pytest.raises(UsageError, match=r"cut\.xodr\.gz"):
        compile_opendrive(packed)
    packed.write_bytes(b"plain text")
    with pytest.raises(UsageError, match=r"cut\.xodr\.gz"):
        compile_opendrive(packed)


def test_a_missing_wheel_is_said_plainly(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "carla", None)
    with pytest.raises(UsageError, match=r"install carla-rl\[carla\]"):
        compile_opendrive(write(tmp_path, one_road()))
