"""Pedestrians of the client's own crowd on the mesh that the server makes, and the mesh by itself."""

import struct
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from server_client import run_check

from toy_env.server.nav_mesh import CROSSWALK, DETAIL, LINK_BYTES, POLY, SIDEWALK, cells_of, nav_mesh
from toy_env.server.testing import ServerProcess, serving
from toy_env.towns import load_town


@pytest.fixture(scope="module")
def server() -> Iterator[ServerProcess]:
    with serving("--map", "grid") as running:
        yield running


def test_the_file_is_as_long_as_its_parts_say() -> None:
    network = load_town("roundabout")
    data = nav_mesh(network)
    assert data is not None
    magic, version, tiles, *_ = struct.unpack_from("<iii3fffii", data)
    reference, size = struct.unpack_from("<Ii", data, 40)
    assert (magic.to_bytes(4, "big"), version, tiles) == (b"MSET", 1, 1)
    assert size == len(data) - 48
    tile = data[48:]
    polys, verts, links, details, _, triangles = struct.unpack_from("<6i", tile, 24)
    assert tile[:4] == b"VAND"
    assert reference == 1 << (polys - 1).bit_length()
    sizes = [100, 12 * verts, POLY.itemsize * polys, LINK_BYTES * links, DETAIL.itemsize * details, 4 * triangles]
    assert (POLY.itemsize, DETAIL.itemsize) == (32, 12)
    assert len(tile) == sum(sizes)


def test_neighbours_know_each_other_and_share_a_side() -> None:
    data = nav_mesh(load_town("roundabout"))
    assert data is not None
    polys, verts = struct.unpack_from("<2i", data, 48 + 24)
    table = np.frombuffer(data, POLY, polys, 48 + 100 + 12 * verts)
    for number, poly in enumerate(table[::97]):
        for side in range(4):
            beyond = int(poly["neighbours"][side])
            if beyond:
                other = table[beyond - 1]
                assert number * 97 + 1 in other["neighbours"][:4]
                own = {int(poly["verts"][side]), int(poly["verts"][(side + 1) % 4])}
                assert len(own & set(other["verts"][:4].tolist())) == 2


def test_both_kinds_of_cells_are_there_and_a_town_without_sidewalks_has_no_mesh() -> None:
    _, areas, _ = cells_of(load_town("grid"))
    assert set(areas.tolist()) == {SIDEWALK, CROSSWALK}
    assert nav_mesh(load_town("ring")) is None


def check_crowd(client: Any, world: Any) -> None:
    """Walkers with an AI controller walk at their speed to where they are sent, on sidewalks and crosswalks."""
    import carla

    walkers = world.get_blueprint_library().filter("walker.pedestrian.*")
    controller = world.get_blueprint_library().find("controller.ai.walker")
    bodies = []
    world.set_pedestrians_seed(3)
    for number in range(10):
        place = world.get_random_location_from_navigation()
        assert place is not None
        place.z += 1.0
        body = world.try_spawn_actor(walkers[number], carla.Transform(place))
        if body is not None:
            bodies.append(body)
    world.tick()
    minds = [world.spawn_actor(controller, carla.Transform(), attach_to=body) for body in bodies]
    world.tick()
    for mind in minds:
        mind.start()
        mind.go_to_location(world.get_random_location_from_navigation())
        mind.set_max_speed(1.4)
    begins = [body.get_location() for body in bodies]
    for _ in range(200):
        world.tick()
    ways = [body.get_location().distance(begin) for body, begin in zip(bodies, begins, strict=True)]
    assert sum(way > 3.0 for way in ways) >= len(bodies) // 2, ways
    assert max(ways) < 1.6 * 10.0 + 1.0
    speeds = [body.get_velocity().length() for body in bodies]
    assert sum(1.0 < speed < 1.6 for speed in speeds) >= len(bodies) // 2, speeds
    assert all(abs(body.get_location().z - body.bounding_box.extent.z) < 0.3 for body in bodies)
    town = world.get_map()
    for body in bodies:
        lane = town.get_waypoint(body.get_location(), lane_type=carla.LaneType.Any)
        assert lane.transform.location.distance(body.get_location()) < 4.0
    for mind, body in zip(minds, bodies, strict=True):
        mind.stop()
        mind.destroy()
        body.destroy()
    world.tick()


def test_the_crowd_of_the_client(server: ServerProcess) -> None:
    run_check(check_crowd, server.port)
    assert "Traceback" not in server.output, server.output
