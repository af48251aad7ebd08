"""What goes wrong with servers costs an attempt, never a finished episode: each fault against this project's CARLA-compatible server."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from carla_servers import own_servers

from carla_rl.build import make_controller, make_expert
from carla_rl.carla_sim.simulator import CarlaSimulator
from carla_rl.errors import RunFailure
from carla_rl.evaluate import Parts, drive
from carla_rl.loop import Loss
from carla_rl.metrics.result import EpisodeResult
from carla_rl.roads.network import RoadNetwork
from carla_rl.roads.tracing import trace
from carla_rl.scenario.model import Episode, Rules, Scenario, Traffic
from carla_rl.servers.interface import CarlaServer
from carla_rl.servers.supervise import SupervisedServer
from carla_rl.types import CameraSpec, Control, Needs
from toy_env.towns import load_town

pytest.importorskip("carla")
DISK_BYTES = 9000
SETTLE_TICKS = 9
"""Ticks of the server before an episode's first, at the least."""


@pytest.fixture(scope="module")
def ring() -> RoadNetwork:
    return load_town("ring")


def short(ring: RoadNetwork, name: str, seconds: float) -> Episode:
    """An episode on the ring that its time limit ends."""
    x, y = ring.roads.x[:200:20], ring.roads.y[:200:20]
    scenario = Scenario(
        scenario_id=name,
        town="ring",
        positions=tuple((float(a), float(b), 0.0) for a, b in zip(x, y, strict=True)),
        traffic=Traffic(vehicles=0),
        rules=Rules(time_limit_s=seconds),
    )
    return Episode(scenario, trace(ring, scenario.positions, "the test"))


class Evaluation:
    """The expert drives episodes; what came of each, and what was void."""

    def __init__(self, ring: RoadNetwork, servers: list[CarlaServer], needs: Needs | None = None, timeout_s: float = 20.0) -> None:
        self.voids: list[Loss] = []
        expert = make_expert()
        wanted = expert.needs.union(needs) if needs else expert.needs
        self.simulator = CarlaSimulator(servers, wanted, lambda town: replace(ring, town=town), timeout_s=timeout_s)
        self.parts = Parts(self.simulator, expert, make_controller("default", len(servers)), make_expert(), 4)

    def drive(self, episodes: list[Episode], attempts: int = 3) -> Iterator[EpisodeResult]:
        with closing(self.simulator):
            yield from drive(self.parts, episodes, attempts=attempts, on_void=self.voids.append)


def test_a_server_that_is_killed_is_replaced_and_its_episode_driven_again(ring: RoadNetwork, tmp_path: Path) -> None:
    with own_servers(1, tmp_path, "--map", "ring") as servers:
        evaluation = Evaluation(ring, servers)
        found = {}
        for result in evaluation.drive([short(ring, name, 2.0) for name in ("a", "b", "c")]):
            found[result.episode_id] = result
            if len(found) == 1:
                server = servers[0]
                assert isinstance(server, SupervisedServer)
                assert server.process is not None
                # the process itself only watches over the server
                for pid in children_of(server.process.pid):
                    os.kill(pid, signal.SIGKILL)
        assert sorted(found) == ["a#0", "b#0", "c#0"]
        (loss,) = evaluation.voids
        assert "SIGKILL" in loss.reason
        # the lines of the server's log are for people, not for the record
        assert found[loss.episode.episode_id].void_attempts == (loss.reason.splitlines()[0],)
        assert servers[0].restarts == 1


def test_a_route_whose_server_hangs_every_time_is_quarantined_and_the_others_are_driven(ring: RoadNetwork, tmp_path: Path) -> None:
    with own_servers(1, tmp_path, "--map", "ring", "--fault", "hang@tick=80") as servers:
        evaluation = Evaluation(ring, servers, timeout_s=2.0)
        results = list(evaluation.drive([short(ring, "long", 20.0), short(ring, "brief", 1.0)], attempts=2))
        assert [result.episode_id for result in results] == ["brief#0"]
        assert [loss.episode.scenario.scenario_id for loss in evaluation.voids] == ["long", "long"]
        # after the last attempt there is nothing left to start it for
        assert servers[0].restarts == 1


def test_a_picture_that_is_lost_voids_the_attempt_and_not_the_server(ring: RoadNetwork, tmp_path: Path) -> None:
    with own_servers(1, tmp_path, "--map", "ring", "--fault", f"drop-sensor@tick={SETTLE_TICKS + 12}") as servers:
        evaluation = Evaluation(ring, servers, Needs(cameras=(CameraSpec(width=32, height=32),)), timeout_s=2.0)
        (result,) = evaluation.drive([short(ring, "a", 1.5)])
        (reason,) = result.void_attempts
        assert reason.startswith("camera front sent")
        assert servers[0].restarts == 0


def test_what_a_dead_client_left_on_the_map_is_not_in_the_way(ring: RoadNetwork, tmp_path: Path) -> None:
    with own_servers(1, tmp_path, "--map", "ring") as servers:
        first = Evaluation(ring, servers).simulator
        first.reset(np.array([0]), [short(ring, "a", 1.0)])
        # killed like this a client takes nothing away: its car stands where the next ego starts
        first._envs[0]._worker.drop()  # type: ignore[union-attr]
        first._envs[0]._worker = None
        evaluation = Evaluation(ring, servers)
        (result,) = evaluation.drive([short(ring, "a", 1.0)])
        assert result.void_attempts == ()


def test_restarting_every_few_episodes_loses_none(ring: RoadNetwork, tmp_path: Path) -> None:
    with own_servers(1, tmp_path, "--map", "ring") as servers:
        expert = make_expert()
        simulator = CarlaSimulator(servers, expert.needs, lambda town: ring, restart_every=2)
        parts = Parts(simulator, expert, make_controller("default", 1), make_expert(), 4)
        with closing(simulator):
            results = list(drive(parts, [short(ring, name, 0.5) for name in "abc"]))
        assert [result.void_attempts for result in results] == [(), (), ()]
        assert servers[0].restarts == 1


def test_a_server_that_does_not_come_back_leaves_its_episodes_to_the_others(
    ring: RoadNetwork, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with own_servers(2, tmp_path, "--map", "ring") as servers:
        evaluation = Evaluation(ring, servers)
        broken = servers[1]

        def ready() -> None:
            raise RunFailure("it does not come up: 4 starts failed")

        found = []
        for result in evaluation.drive([short(ring, name, 1.0) for name in "abcdef"], attempts=1):
            found.append(result.episode_id)
            if len(found) == 1:
                broken.give_up("the test ends it")
                monkeypatch.setattr(broken, "ready", ready)
        # at most the episode that it was driving is void; what it could not begin has used up no attempt
        void = [loss.episode.episode_id for loss in evaluation.voids if loss.begun]
        assert sorted([*found, *void]) == [f"{name}#0" for name in "abcdef"]
        assert len(void) <= 1
        (gone,) = (loss for loss in evaluation.voids if not loss.begun)
        assert gone.reason == "it does not come up: 4 starts failed"


def test_a_server_that_holds_too_much_memory_is_replaced_between_episodes(ring: RoadNetwork, tmp_path: Path) -> None:
    with own_servers(1, tmp_path, "--map", "ring") as servers:
        held = servers[0].memory_gb()
        assert 0.02 < held < 4.0, "the server and what watches over it"
        expert = make_expert()
        # less than any server holds: each is replaced after its first episode
        simulator = CarlaSimulator(servers, expert.needs, lambda town: ring, most_memory_gb=held / 4.0)
        parts = Parts(simulator, expert, make_controller("default", 1), make_expert(), 4)
        with closing(simulator):
            results = list(drive(parts, [short(ring, name, 0.5) for name in "ab"]))
        assert [result.void_attempts for result in results] == [(), ()]
        assert servers[0].restarts == 1


def test_a_map_that_is_missing_quarantines_its_routes_at_once(ring: RoadNetwork, tmp_path: Path) -> None:
    with own_servers(1, tmp_path, "--map", "ring", "--fault", "no-map=grid") as servers:
        evaluation = Evaluation(ring, servers)
        elsewhere = short(ring, "elsewhere", 1.0)
        elsewhere = replace(elsewhere, scenario=elsewhere.scenario.model_copy(update={"town": "grid"}))
        results = list(evaluation.drive([elsewhere, short(ring, "here", 1.0)]))
        assert [result.episode_id for result in results] == ["here#0"]
        (loss,) = evaluation.voids
        assert loss.hopeless
        assert loss.reason == "the server has no map grid; it has highway, ring, roundabout"
        assert servers[0].restarts == 0


def test_a_server_that_dies_while_it_loads_is_replaced(ring: RoadNetwork, tmp_path: Path) -> None:
    with own_servers(1, tmp_path, "--map", "grid", "--fault", "exit-on-load@load=1") as servers:
        evaluation = Evaluation(ring, servers)
        # every start of this server dies at its first load of another map
        assert list(evaluation.drive([short(ring, "a", 1.0)], attempts=2)) == []
        assert len(evaluation.voids) == 2
        assert servers[0].restarts == 1


LEFT = """
import sys, carla
client = carla.Client("127.0.0.1", int(sys.argv[1]))
client.set_timeout(20.0)
world = client.get_world()
world.wait_for_tick()
actors = world.get_actors()
kinds = ("vehicle.*", "walker.*", "sensor.*", "controller.*")
print(world.get_settings().synchronous_mode, [actor.type_id for kind in kinds for actor in actors.filter(kind)])
"""


@pytest.mark.parametrize("how", ["end", "exception"])
def test_the_server_is_left_as_it_was_found(ring: RoadNetwork, tmp_path: Path, how: str) -> None:
    with own_servers(1, tmp_path, "--map", "ring") as servers:
        evaluation = Evaluation(ring, servers, Needs(cameras=(CameraSpec(width=32, height=32),)))
        evaluation.simulator.reset(np.array([0]), [short(ring, "a", 5.0)])
        env = evaluation.simulator._envs[0]
        if how == "end":
            env._leave()
        else:
            with pytest.raises(ValueError, match="not finite"):
                evaluation.simulator.step(Control(np.array([np.nan]), np.zeros(1), np.zeros(1)))
            env._leave()
        asked = subprocess.run([sys.executable, "-c", LEFT, str(servers[0].port)], capture_output=True, text=True, timeout=60, check=True)
        assert asked.stdout.split("\n")[0] == "False []"


COUNT = 8
"""Episodes: more than are driven until a signal has arrived."""
SUITE = """
[suite]
name = "brief"
split = "evaluation"
[suite.rules]
time_limit_s = 12

[[draw]]
town = "ring"
count = COUNT
seed = 5
length_m = [200, 400]
traffic = { vehicles = 2 }
""".replace("COUNT", str(COUNT))


def evaluate(folder: Path, *options: str) -> "subprocess.Popen[str]":
    command = [sys.executable, "-m", "carla_rl", "evaluate", "--toy-server", "--server-port", "13000", *options]
    # a shell that runs this in the background may have told its children to ignore Ctrl-C
    heeds = partial(signal.signal, signal.SIGINT, signal.SIG_DFL)
    return subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, preexec_fn=heeds)


def finished(run: Path) -> list[str]:
    lines = run / "episodes.jsonl"
    return [json.loads(line)["episode_id"] for line in lines.read_text().splitlines()] if lines.exists() else []


def children_of(pid: int) -> set[int]:
    """Processes that this one has started, and theirs."""
    found, waiting = set(), [pid]
    while waiting:
        for child in Path(f"/proc/{waiting.pop()}/task").glob("*/children"):
            new = set(map(int, child.read_text().split())) - found
            found |= new
            waiting += new
    return found


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGKILL])
def test_a_run_that_is_stopped_leaves_nothing_behind_and_goes_on(tmp_path: Path, how: signal.Signals) -> None:
    (tmp_path / "brief.toml").write_text(SUITE)
    run = tmp_path / "out" / "stopped"
    told = ("--simulator", "carla", "--policy", "expert", "--suite", "brief.toml", "--run-id", "stopped", "--camera", "front")
    first = evaluate(tmp_path, *told)
    while not finished(run) and first.poll() is None:
        time.sleep(0.05)
    started = children_of(first.pid)
    assert len(started) >= 2, "a server and a worker"
    first.send_signal(how)
    output, _ = first.communicate(timeout=60)
    kept = finished(run)
    assert 1 <= len(kept) < COUNT
    if how is signal.SIGINT:
        assert first.returncode == 1
        assert f"interrupted: {len(kept)} of {COUNT} episodes were finished" in " ".join(output.split())
    deadline = time.monotonic() + 20.0
    while (left := [pid for pid in started if Path(f"/proc/{pid}").exists()]) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert not left
    again = evaluate(tmp_path, "--resume", str(run))
    output, _ = again.communicate(timeout=120)
    assert again.returncode == 0, output
    assert sorted(finished(run)) == [f"ring-eval-00{k}#0" for k in range(COUNT)]
    assert finished(run)[: len(kept)] == kept
    assert sorted(path.name for path in (run / "camera").iterdir()) == [f"ring-eval-00{k}-r0.mp4" for k in range(COUNT)]
    once_more = evaluate(tmp_path, "--resume", str(run))
    output, _ = once_more.communicate(timeout=60)
    assert once_more.returncode == 2
    assert f"all of its {COUNT} episodes were driven" in " ".join(output.split())


@pytest.mark.parametrize("moment", ["imports", "the server's start", "the first tick"])
def test_ctrl_c_before_anything_is_finished_is_one_sentence_and_leaves_nothing(tmp_path: Path, moment: str) -> None:
    (tmp_path / "brief.toml").write_text(SUITE)
    run = tmp_path / "out" / "early"
    first = evaluate(tmp_path, "--simulator", "carla", "--policy", "expert", "--suite", "brief.toml", "--run-id", "early")
    come = {
        "imports": lambda: "numpy" in Path(f"/proc/{first.pid}/maps").read_text(),
        "the server's start": lambda: len(children_of(first.pid)) >= 2,
        "the first tick": (run / "config.json").exists,
    }
    while not come[moment]() and first.poll() is None:
        time.sleep(0.02)
    started = children_of(first.pid)
    first.send_signal(signal.SIGINT)
    output, _ = first.communicate(timeout=60)
    assert first.returncode == 1
    (sentence,) = (line for line in output.replace("\n", " ").split("failed:")[1:])
    assert "interrupted" in sentence
    assert "Traceback" not in output
    deadline = time.monotonic() + 20.0
    while (left := [pid for pid in started if Path(f"/proc/{pid}").exists()]) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert not left


def test_two_runs_at_once_do_not_meet(tmp_path: Path) -> None:
    (tmp_path / "brief.toml").write_text(SUITE)
    names = ("one", "two")
    runs = [evaluate(tmp_path, "--simulator", "carla", "--policy", "expert", "--suite", "brief.toml", "--run-id", name) for name in names]
    outputs = [run.communicate(timeout=240)[0] for run in runs]
    assert [run.returncode for run in runs] == [0, 0], outputs
    kept = [sorted(finished(tmp_path / "out" / name)) for name in names]
    assert kept == [[f"ring-eval-00{k}#0" for k in range(COUNT)]] * 2
    logs = sorted(path.name for path in (tmp_path / "out" / "servers").glob("server-*.log"))
    assert len(logs) == 2, "a server each, on ports of its own"


def test_a_full_disk_ends_the_run_with_a_sentence_and_keeps_what_was_finished(tmp_path: Path) -> None:
    (tmp_path / "brief.toml").write_text(SUITE)
    options = ("--simulator", "carla", "--policy", "expert", "--suite", "brief.toml", "--run-id", "full", "--toy-server", "--no-steps")
    # no file may grow beyond this: metrics.json of one episode still fits, that of three does not
    limit = f"resource.setrlimit(resource.RLIMIT_FSIZE, ({DISK_BYTES}, -1))"
    limited = f"import resource, sys; {limit}; from carla_rl.cli.entry import main; main()"
    command = [sys.executable, "-c", limited, "evaluate", *options, "--server-port", "13000"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 2, done.stderr
    assert "cannot be written" in " ".join(done.stderr.split())
    kept = finished(tmp_path / "out" / "full")
    assert len(kept) < COUNT
    again = evaluate(tmp_path, "--resume", str(tmp_path / "out" / "full"))
    output, _ = again.communicate(timeout=120)
    assert again.returncode == 0, output
    assert sorted(finished(tmp_path / "out" / "full")) == [f"ring-eval-00{k}#0" for k in range(COUNT)]
