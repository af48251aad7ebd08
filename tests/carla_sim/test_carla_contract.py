"""The adapter keeps the contract of every simulator, on this project's CARLA-compatible server and through CARLA's own client."""

from collections.abc import Iterator, Sequence

import numpy as np
import pytest
from carla_servers import own_servers
from simulator_contract import SimulatorContract

from carla_rl.carla_sim.simulator import CarlaSimulator
from carla_rl.errors import UsageError
from carla_rl.roads.network import RoadNetwork
from carla_rl.roads.tracing import draw_route, trace
from carla_rl.scenario.model import Episode, Scenario, Traffic
from carla_rl.servers.interface import CarlaServer
from carla_rl.types import CameraSpec, Control, Needs, SimulatorKind
from toy_env.simulator import ToySimulator
from toy_env.towns import load_town

pytest.importorskip("carla")
_NETWORKS: dict[str, RoadNetwork] = {}


def networks(town: str) -> RoadNetwork:
    if town not in _NETWORKS:
        _NETWORKS[town] = load_town(town)
    return _NETWORKS[town]


def draw(town: str, seed: int, vehicles: int = 0) -> Episode:
    positions = draw_route(networks(town), seed, 150.0, 400.0)
    scenario = Scenario(scenario_id=f"{town}-{seed}", town=town, positions=positions, seed=seed, traffic=Traffic(vehicles=vehicles))
    return Episode(scenario, trace(networks(town), positions, "the test"))


EPISODES = [draw("grid", 1), draw("grid", 2), draw("grid", 3)]


class Kept:
    """A server that a simulator may use and must not end: the next one uses it, too."""

    def __init__(self, server: CarlaServer) -> None:
        self._server = server

    def __getattr__(self, name: str) -> object:
        return getattr(self._server, name)

    def close(self) -> None:
        pass


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[CarlaServer]]:
    with own_servers(2, tmp_path_factory.mktemp("logs"), "--map", "grid") as started:
        yield [Kept(server) for server in started]  # type: ignore[misc]


class TestCarlaSimulator(SimulatorContract):
    ticks = 40
    servers: list[CarlaServer]

    @pytest.fixture(autouse=True)
    def _servers(self, servers: list[CarlaServer]) -> None:
        self.servers = servers

    def make(self, num_envs: int, needs: Needs) -> CarlaSimulator:
        return CarlaSimulator(self.servers[:num_envs], needs, networks)

    def episodes(self) -> Sequence[Episode]:
        return EPISODES

    def test_its_numbers_do_not_pass_for_those_of_carla(self) -> None:
        simulator = self.make(1, Needs())
        assert simulator.info.kind is SimulatorKind.TOY_SERVER
        assert "its numbers are not CARLA's" in simulator.info.description
        simulator.close()

    def test_without_traffic_it_drives_as_the_toy_does(self) -> None:
        """The server is the toy's kinematics: through the client, in float32, the same pedals lead to the same place."""
        carla, toy = self.make(1, Needs()), ToySimulator(1, Needs(), networks)
        for simulator in (carla, toy):
            simulator.reset(np.array([0]), [EPISODES[0]])
        one, other = self.drive(carla, 100), self.drive(toy, 100)
        assert one.facts.route_completion == pytest.approx(other.facts.route_completion, abs=0.002)
        for name in ("x", "y", "speed"):
            assert getattr(one.ego, name) == pytest.approx(getattr(other.ego, name), abs=0.05), name
        carla.close()

    def test_it_drives_among_traffic_and_meets_it_again(self) -> None:
        """The Traffic Manager's vehicles are seen, counted, and the same when the episode is driven again."""
        simulator = self.make(1, Needs(objects=8, objects_m=150.0))
        episode = draw("grid", 1, vehicles=4)
        seen = []
        for _ in range(2):
            simulator.reset(np.array([0]), [episode])
            for _ in range(20):
                simulator.step(Control(np.zeros(1), np.zeros(1), np.ones(1)))
            objects = simulator.observe().objects
            assert objects is not None
            seen.append(objects[0])
        assert (seen[0][:, 6] == 1).sum() == 4
        np.testing.assert_allclose(seen[0], seen[1], atol=1e-3)
        simulator.close()

    def test_a_camera_sees_the_frame_of_the_tick(self) -> None:
        camera = CameraSpec(width=64, height=48)
        simulator = self.make(1, Needs(cameras=(camera,)))
        simulator.reset(np.array([0]), [EPISODES[0]])
        before = simulator.observe().images["front"].copy()
        self.drive(simulator, 40)
        after = simulator.observe().images["front"]
        assert after.shape == (1, 48, 64, 3)
        assert after.dtype == np.uint8
        assert (before != after).any()
        simulator.close()

    def test_a_town_that_the_server_lacks_is_refused_before_anything_runs(self) -> None:
        simulator = self.make(1, Needs())
        scenario = EPISODES[0].scenario.model_copy(update={"town": "Town99"})
        with pytest.raises(UsageError, match="town Town99 is not on the server, which has grid, highway, ring, roundabout"):
            simulator.unsupported(Episode(scenario, EPISODES[0].route))
        simulator.close()
