"""From what a user says to servers, and one sentence for nonsense."""

import os
import stat
from pathlib import Path
from typing import Any

import pytest
from stub_server import first_port, stub_launch, stub_script

from carla_rl.errors import RunFailure, UsageError
from carla_rl.servers import choose
from carla_rl.servers.choose import make_launch, make_servers
from carla_rl.servers.launch import Kind, Launch, Quality
from carla_rl.servers.ports import Leases
from carla_rl.servers.running import RunningServer
from carla_rl.servers.supervise import SupervisedServer

FIRST = first_port(22_000)


@pytest.fixture
def leases(tmp_path: Path) -> Leases:
    return Leases(tmp_path / "ports")


def test_without_a_word_it_is_the_server_at_carlas_own_port(tmp_path: Path, leases: Leases) -> None:
    [server] = make_servers(logs=tmp_path, leases=leases)
    assert isinstance(server, RunningServer)
    assert server.name == "127.0.0.1:2000"
    assert server.traffic_manager_port >= 8000
    # another run on it is told so
    with pytest.raises(UsageError, match=r"another command on this machine drives on the server 127\.0\.0\.1:2000"):
        make_servers(logs=tmp_path, leases=leases)
    server.close()
    server.close()
    [again] = make_servers(logs=tmp_path, leases=leases)
    again.close()


def test_running_servers_each_get_a_traffic_manager_of_their_own(tmp_path: Path, leases: Leases) -> None:
    one, two = make_servers(["localhost:2000", "10.0.0.7:2000"], logs=tmp_path, leases=leases)
    assert [one.name, two.name] == ["localhost:2000", "10.0.0.7:2000"]
    assert one.traffic_manager_port != two.traffic_manager_port
    one.close()
    two.close()


def test_our_own_are_spread_over_gpus(tmp_path: Path, leases: Leases) -> None:
    launch = Launch(Kind.BINARY, "/opt/carla/CarlaUE4.sh")
    servers = make_servers(count=3, gpus="0,2", launch=launch, logs=tmp_path / "logs", port=FIRST, leases=leases)
    assert [server.gpu for server in servers if isinstance(server, SupervisedServer)] == [0, 2, 0]
    assert len({server.port for server in servers}) == len({server.traffic_manager_port for server in servers}) == 3
    for server in servers:
        server.close()


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"running": ["127.0.0.1:2000"], "launch": Launch(Kind.TOY)}, "give either"),
        ({"running": ["2000"]}, "--carla 2000: write HOST:PORT"),
        ({"running": ["127.0.0.1:http"]}, "write HOST:PORT"),
        ({"running": ["127.0.0.1:0"]}, "write HOST:PORT"),
        ({"running": ["127.0.0.1:65534"]}, "write HOST:PORT"),
        ({"running": ["http://127.0.0.1:2000"]}, "write HOST:PORT"),
        ({"running": ["a:2000", "a:2000"]}, "the same server twice"),
        ({"count": 2}, "--servers is for servers that are started here; say how"),
        ({"gpus": "0"}, "--gpus is for servers that are started here; say how"),
        ({"launch": Launch(Kind.TOY), "count": 0}, "--servers 0: give a number from 1 to 64"),
        ({"launch": Launch(Kind.TOY), "gpus": "0"}, "uses no GPU"),
        ({"launch": Launch(Kind.BINARY, "x"), "gpus": "0,a"}, "--gpus 0,a: write numbers"),
        ({"launch": Launch(Kind.BINARY, "x"), "gpus": "1,1"}, "each once"),
        ({"launch": Launch(Kind.BINARY, "x"), "port": 80}, "first port 80: give one from 1024"),
        ({"launch": Launch(Kind.BINARY, "x"), "port": 60000}, "the system hands ports out"),
    ],
)
def test_nonsense_is_one_sentence(tmp_path: Path, leases: Leases, options: dict[str, Any], said: str) -> None:
    with pytest.raises(UsageError) as caught:
        make_servers(**{"logs": tmp_path, "leases": leases, **options})
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


def test_what_is_started_and_how(tmp_path: Path) -> None:
    script = stub_script(tmp_path)
    assert make_launch() is None
    launch = make_launch(binary=str(script), quality=Quality.LOW, rendering=False)
    assert launch == Launch(Kind.BINARY, str(script), Quality.LOW, False)
    assert make_launch(toy=True, extra=("--map", "ring")) == Launch(Kind.TOY, extra=("--map", "ring"))


def test_ways_that_this_machine_does_not_have(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    script = stub_script(tmp_path)
    with pytest.raises(UsageError, match="--docker and --binary are two ways"):
        make_launch(docker="carlasim/carla:0.9.16", binary=str(script))
    with pytest.raises(UsageError, match=r"--binary /nowhere: no such file; give CarlaUE4\.sh"):
        make_launch(binary="/nowhere")
    script.chmod(stat.S_IRUSR | stat.S_IWUSR)
    with pytest.raises(UsageError, match="cannot be executed"):
        make_launch(binary=str(script))
    monkeypatch.setattr(choose.shutil, "which", lambda name: None)
    with pytest.raises(UsageError, match="there is no docker here"):
        make_launch(docker="carlasim/carla:0.9.16")
    with pytest.raises(UsageError, match="neither apptainer nor singularity"):
        make_launch(apptainer=str(script))
    monkeypatch.setattr(choose.shutil, "which", lambda name: name if name == "singularity" else None)
    launch = make_launch(apptainer=str(script))
    assert launch is not None
    assert launch.command(2000)[:2] == ["singularity", "exec"]
    with pytest.raises(UsageError, match="give the name of an image"):
        make_launch(docker="--privileged")


def test_a_running_server_is_waited_for_and_never_ended(tmp_path: Path, leases: Leases) -> None:
    ours = SupervisedServer(stub_launch(tmp_path / "stub"), leases, tmp_path, first=FIRST)
    server = RunningServer("127.0.0.1", ours.port, leases, client="0.9.16", first_wait_s=0.0, again_wait_s=30.0)
    with pytest.raises(RunFailure, match=r"refuses connections; waited for 0 s; start it"):
        server.ready()
    try:
        ours.ready()
        server.ready()
        server.give_up("no tick for 20 s")
        assert server.why() == f"the server at {server.name}, which is not ours, answers as version 0.9.16"
        # its owner starts it anew
        ours.give_up("a restart")
        ours.begin()
        server.ready()
        assert server.restarts == 0
        server.close()
        assert "answers as version" in ours.why()
    finally:
        ours.close()
    other = RunningServer("127.0.0.1", ours.port, leases, client="0.9.16", first_wait_s=0.0)
    assert other.why().endswith("which is not ours, refuses connections")
    other.close()


def test_no_descriptor_is_left_open_where_a_server_cannot_be_made(tmp_path: Path, leases: Leases) -> None:
    before = len(os.listdir("/proc/self/fd"))
    [taken] = make_servers(["b:2000"], logs=tmp_path, leases=leases)
    with pytest.raises(UsageError, match="another command"):
        make_servers(["a:2000", "b:2000"], logs=tmp_path, leases=leases)
    taken.close()
    assert len(os.listdir("/proc/self/fd")) == before
