"""Servers of our own through every way of going wrong, most of them with a stand-in that starts in no time."""

import os
import signal
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from stub_server import first_port, stub_docker, stub_launch, stub_pids

from carla_rl.errors import RunFailure, UsageError
from carla_rl.servers import supervise
from carla_rl.servers.interface import CarlaServer
from carla_rl.servers.launch import Kind, Launch, toy_options
from carla_rl.servers.ports import Leases, taken
from carla_rl.servers.probe import ask_version
from carla_rl.servers.process import members
from carla_rl.servers.supervise import SupervisedServer

FIRST = first_port(21_000)


@pytest.fixture(autouse=True)
def _hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(supervise, "OTHERS_REST_S", 0.0)
    monkeypatch.setattr(supervise, "PROBE_S", 0.3)


class Maker:
    """Makes servers and sees to it that none is left."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.leases, self.made = folder, Leases(folder / "ports"), list[SupervisedServer]()

    def __call__(self, launch: Launch, client: str | None = "0.9.16", start_s: float = 60.0, starts: int = 4) -> SupervisedServer:
        server = SupervisedServer(launch, self.leases, self.folder, client=client, first=FIRST, start_s=start_s, starts=starts)
        self.made.append(server)
        return server


@pytest.fixture
def make(tmp_path: Path) -> Iterator[Maker]:
    maker = Maker(tmp_path)
    yield maker
    for server in maker.made:
        server.close()
    assert not any(members(pid) for pid in stub_pids(tmp_path / "stub"))


def _gone(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    # collected by init a moment later
    return "\nState:\tZ" in Path(f"/proc/{pid}/status").read_text()


def test_it_starts_answers_and_is_ended(make: Maker, tmp_path: Path) -> None:
    server: CarlaServer = make(stub_launch(tmp_path / "stub"))
    server.begin()
    server.ready()
    server.ready()
    assert server.name == f"127.0.0.1:{server.port}"
    assert server.traffic_manager_port == server.port + 3
    assert ask_version(server.host, server.port).version == "0.9.16"
    assert server.why() == "the server runs and answers as version 0.9.16"
    [pid] = stub_pids(tmp_path / "stub")
    server.close()
    server.close()
    assert _gone(pid)
    assert not taken([server.port])
    assert server.restarts == 0


def test_a_start_that_fails_is_tried_again(make: Maker, tmp_path: Path) -> None:
    server = make(stub_launch(tmp_path / "stub", fail=2))
    server.ready()
    assert len(stub_pids(tmp_path / "stub")) == 3
    assert server.restarts == 0
    # all three starts are in the log, each under its command line
    log = (tmp_path / f"server-{server.port}.log").read_text()
    assert log.count("--- start ") == log.count(f"-carla-rpc-port={server.port} ") == 3


def test_what_never_comes_up_is_a_sentence_with_the_end_of_its_log(make: Maker, tmp_path: Path) -> None:
    server = make(stub_launch(tmp_path / "stub", fail=99), starts=2)
    begun = time.monotonic()
    with pytest.raises(RunFailure) as caught:
        server.ready()
    first, *log = str(caught.value).splitlines()
    assert "CarlaUE4.sh does not come up on 127.0.0.1:" in first
    assert "2 starts failed; the server ended with exit code 1; the end of its log" in first
    assert [line.strip() for line in log] == [
        "a word on standard output",
        "a word on standard error",
        "Signal 11 caught. Malloc Size=65538",
    ]
    assert "ended with exit code 1" in server.why()
    assert time.monotonic() - begun < 30.0, "a process that has ended is not waited for"


def test_a_program_that_cannot_be_executed_is_not_tried_again(make: Maker, tmp_path: Path) -> None:
    server = make(stub_launch(tmp_path / "stub", fail=99, code=127))
    with pytest.raises(RunFailure, match="its program was not found"):
        server.ready()
    assert len(stub_pids(tmp_path / "stub")) == 1


def test_a_server_that_hangs_at_its_start(make: Maker, tmp_path: Path) -> None:
    server = make(stub_launch(tmp_path / "stub", hang=True), start_s=0.7, starts=1)
    with pytest.raises(RunFailure) as caught:
        server.ready()
    assert "its only start failed; the server runs, but refuses connections; the end of its log" in str(caught.value)
    assert "a word on standard error" in str(caught.value)
    assert all(map(_gone, stub_pids(tmp_path / "stub")))


def test_a_wrong_version_names_both_and_the_remedy(make: Maker, tmp_path: Path) -> None:
    server = make(stub_launch(tmp_path / "stub", version="0.9.15"))
    with pytest.raises(UsageError) as caught:
        server.ready()
    assert "the server is CARLA 0.9.15 and the installed client is carla 0.9.16" in str(caught.value)
    assert "pip install carla==0.9.15" in str(caught.value)
    assert all(map(_gone, stub_pids(tmp_path / "stub")))
    same = make(stub_launch(tmp_path / "other", version="0.9.16-dirty"))
    same.ready()


def test_a_killed_server_is_noticed_and_replaced_on_its_ports(make: Maker, tmp_path: Path) -> None:
    server = make(stub_launch(tmp_path / "stub"))
    server.ready()
    port = server.port
    os.kill(stub_pids(tmp_path / "stub")[0], signal.SIGKILL)
    while not server.ended:
        time.sleep(0.02)
    assert server.why().startswith("the server was ended by signal 9 (SIGKILL); the end of its log")
    server.ready()
    assert (server.restarts, server.port, server.ended) == (1, port, False)
    assert "--- the server was ended by signal 9 (SIGKILL)\n--- start 2" in (tmp_path / f"server-{port}.log").read_text()


def test_a_server_that_hangs_is_given_up_and_replaced(make: Maker, tmp_path: Path) -> None:
    server = make(stub_launch(tmp_path / "stub"))
    server.ready()
    hung = stub_pids(tmp_path / "stub")[0]
    os.kill(hung, signal.SIGSTOP)
    assert server.why().startswith("the server runs, but does not answer within 0.3 s; the end of its log")
    server.give_up("no tick for 20 s")
    assert server.why().startswith("the server runs, but does not answer within 0.3 s")
    assert server.why().endswith("--- given up: no tick for 20 s")
    assert _gone(hung)
    server.ready()
    assert server.restarts == 1
    server.give_up("its memory has grown")
    server.ready()
    assert server.restarts == 2


def test_ports_that_were_taken_meanwhile_are_left_to_who_has_them(make: Maker, tmp_path: Path) -> None:
    server = make(stub_launch(tmp_path / "stub"))
    server.ready()
    server.give_up("a restart")
    before = server.port
    # not the first one: this is the port that others forget to look at
    with socket.create_server(("127.0.0.1", before + 1)):
        server.ready()
        assert server.port != before


def test_two_side_by_side_and_one_is_ended(make: Maker, tmp_path: Path) -> None:
    one, two = make(stub_launch(tmp_path / "stub")), make(stub_launch(tmp_path / "stub"))
    one.begin()
    two.begin()
    one.ready()
    two.ready()
    assert one.port != two.port
    one.give_up("a restart")
    assert ask_version(two.host, two.port).version == "0.9.16"


def test_a_container_is_ended_by_its_name_and_its_neighbour_is_not(make: Maker, tmp_path: Path) -> None:
    """What runs in a container is in none of our process groups."""
    launch = stub_docker(tmp_path / "stub")
    one, two = make(launch), make(launch)
    one.ready()
    two.ready()
    assert {path.name for path in (tmp_path / "stub").glob("carla-rl-*")} == {one.container, two.container}
    ended, other = stub_pids(tmp_path / "stub")
    one.give_up("a restart")
    assert _gone(ended)
    assert not _gone(other)
    assert ask_version(two.host, two.port).version == "0.9.16"
    one.ready()
    assert one.restarts == 1


def test_the_projects_own_server(make: Maker) -> None:
    """Refuses connections at first, is killed, is replaced, and tells of what it cannot do at once."""
    server = make(Launch(Kind.TOY, extra=toy_options(["ring"], None, ["refuse-connect:1s"])), start_s=600.0)
    server.ready()
    assert server.process is not None
    [killed] = [pid for pid in members(server.process.pid) if pid != server.process.pid]
    os.kill(killed, signal.SIGKILL)
    while server.process.exit_code is None:
        time.sleep(0.02)
    assert "listening" in server.why()
    server.ready()
    assert server.restarts == 1
    wrong = make(Launch(Kind.TOY, extra=("--fault", "explode")))
    with pytest.raises(RunFailure, match="it was given what it cannot do"):
        wrong.ready()


def test_the_projects_own_server_of_another_version(make: Maker) -> None:
    server = make(Launch(Kind.TOY, extra=toy_options(["ring"], None, ["wrong-version=0.9.15"])), start_s=600.0)
    with pytest.raises(UsageError, match=r"CARLA 0\.9\.15 and the installed client is carla 0\.9\.16"):
        server.ready()
