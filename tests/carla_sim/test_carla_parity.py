"""One closed loop, two simulators: without background traffic the expert drives every scripted type on the server as it does in the toy."""

from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest
from carla_servers import own_servers

from carla_rl.build import Networks, make_controller, make_expert, make_simulator
from carla_rl.carla_sim.simulator import CarlaSimulator
from carla_rl.evaluate import Parts, drive
from carla_rl.interfaces import Simulator
from carla_rl.metrics.result import EpisodeResult
from carla_rl.scenario.episodes import make_episodes
from carla_rl.scenario.model import Episode, Traffic
from carla_rl.scenario.suite import load_suite

pytest.importorskip("carla")
TYPES = (
    "Accident",
    "ControlLoss",
    "DynamicObjectCrossing",
    "EnterActorFlow",
    "HardBreakRoute",
    "HighwayCutIn",
    "NonSignalizedJunctionRightTurn",
    "ParkingCutIn",
    "VehicleOpensDoorTwoWays",
)
"""Of the suite: one of each way in which a script acts (props, noise, a pedestrian, a flow, a leader, a cut-in, right of way, a door)."""
DURATION_S = 0.15
"""float32 on the wire: a vehicle that waits sets off some ticks later. All but one of the 30 types take the same time to the tick."""


def episodes(networks: Networks) -> list[Episode]:
    suite = load_suite("scripted", networks)
    chosen = [episode for episode in make_episodes(suite, networks, lambda episode: ()) if episode.scenario.scenario_id in TYPES]
    empty = Traffic(vehicles=0, pedestrians=0)
    return [replace(one, scenario=one.scenario.model_copy(update={"traffic": empty})) for one in chosen]


def driven(simulator: Simulator, drives: list[Episode]) -> dict[str, EpisodeResult]:
    expert = make_expert()
    parts = Parts(simulator, expert, make_controller("default", simulator.num_envs), make_expert(), 4)
    with closing(simulator):
        return {result.episode_id: result for result in drive(parts, drives)}


def test_the_expert_drives_scripts_on_the_server_as_in_the_toy(tmp_path: Path) -> None:
    networks, expert = Networks(), make_expert()
    drives = episodes(networks)
    assert len(drives) == len(TYPES)
    toy = driven(make_simulator("toy", 4, expert.needs, networks), drives)
    with own_servers(2, tmp_path) as servers:
        carla = driven(CarlaSimulator(servers, expert.needs, networks), drives)
    for name, one in toy.items():
        other = carla[name]
        assert other.route_completion == one.route_completion, name
        assert other.raw.counts == one.raw.counts, name
        assert other.duration_s == pytest.approx(one.duration_s, abs=DURATION_S), name
        assert other.scripted == one.scripted
