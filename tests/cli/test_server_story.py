"""`server start|status|logs|stop` and `doctor` as a user types them, each in a process of its own: servers outlive the command."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from stub_server import first_port, stub_pids, stub_script

from carla_rl.servers.process import identity, members
from carla_rl.servers.state import ENDED, Known, Registry, status_of, stop_server

FIRST = str(first_port(24_000))


class Shell:
    """Runs commands with a runtime folder of their own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __call__(self, *arguments: str, code: int = 0) -> str:
        command = [sys.executable, "-P", "-m", "carla_rl", *arguments]
        env = {**os.environ, "TMPDIR": str(self.folder), "COLUMNS": "200"}
        done = subprocess.run(command, capture_output=True, text=True, env=env, timeout=600.0, check=False)
        assert done.returncode == code, f"{arguments} gave {done.returncode}:\n{done.stdout}\n{done.stderr}"
        assert "Traceback" not in done.stderr
        return done.stdout + done.stderr

    def registry(self) -> Registry:
        return Registry(self.folder / f"carla-rl-{os.getuid()}" / "servers")


@pytest.fixture
def shell(tmp_path: Path) -> Any:
    shell = Shell(tmp_path)
    yield shell
    for known in shell.registry().all():
        stop_server(known)


def test_the_projects_own_servers(shell: Shell) -> None:
    told = shell("server", "start", "--toy", "--map", "ring", "--count", "2", "--port", FIRST)
    one, two = shell.registry().all()
    assert told.count("ready") == 2
    assert f"--carla {one.address} --carla {two.address}" in told
    assert all(len(members(known.pid)) == 1 for known in (one, two))
    listed = json.loads(shell("server", "status", "--json"))
    assert [(row["name"], row["state"], row["version"]) for row in listed] == [(one.name, "ready", "0.9.16"), (two.name, "ready", "0.9.16")]
    assert "listening" in shell("server", "logs", one.name, "-n", "5")
    pytest.importorskip("carla")
    facts = json.loads(shell("doctor", "--carla", one.address, "--json"))
    assert facts["usable"]
    [server] = [finding for finding in facts["findings"] if finding["topic"] == "server"]
    assert server["state"] == "ok"
    assert "answers as CARLA 0.9.16, on ring, with grid, highway, ring, roundabout" in server["text"]
    os.kill(two.pid, 9)
    assert f"{two.name} ended: its process is gone" in shell("server", "status", code=1)
    assert f"{one.name}: ended" in shell("server", "stop", one.address)
    assert f"{two.name}: had ended already" in shell("server", "stop", "--all")
    assert "no servers" in shell("server", "status")
    assert not members(one.pid)


def test_one_that_does_not_come_up_leaves_nothing(shell: Shell, tmp_path: Path) -> None:
    script = stub_script(tmp_path / "stub", fail=99, code=126)
    told = shell("server", "start", "--binary", str(script), "--count", "2", "--port", FIRST, code=1)
    assert "its program cannot be executed" in told
    assert "Signal 11 caught" in told
    assert shell.registry().all() == []
    assert not any(members(pid) for pid in stub_pids(tmp_path / "stub"))


def test_servers_hold_their_ports_themselves_and_another_version_is_refused(shell: Shell, tmp_path: Path) -> None:
    pytest.importorskip("carla")
    script = str(stub_script(tmp_path / "stub"))
    shell("server", "start", "--binary", script, "--port", FIRST)
    # it listens on its first port only: the others are kept by the lease that it was given
    second = json.loads(shell("server", "start", "--binary", script, "--port", str(int(FIRST) + 2), "--json"))
    assert second[0]["port"] >= int(FIRST) + 10
    wrong = str(stub_script(tmp_path / "wrong", version="0.9.15"))
    assert "CARLA 0.9.15 and the installed client is carla" in " ".join(
        shell("server", "start", "--binary", wrong, "--port", FIRST, code=2).split()
    )
    assert len(shell.registry().all()) == 2
    shell("server", "stop", "--all")
    assert not any(members(pid) for pid in stub_pids(tmp_path / "stub"))


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["server", "start"], "say what to start: --docker IMAGE"),
        (["server", "start", "--binary", "/nowhere"], "no such file; give CarlaUE4.sh"),
        (["server", "start", "--toy", "--port", "80"], "first port 80: give one from 1024"),
        (["server", "start", "--docker", "x", "--map", "ring"], "are for --toy"),
        (["server", "stop"], "name the servers to end"),
        (["server", "stop", "2000"], "no server '2000' was started by carla-rl server start; there are: none"),
        (["server", "logs", "../x"], "no server '../x'"),
        (["doctor", "--carla", "2000"], "write HOST:PORT"),
    ],
)
def test_nonsense_is_one_sentence_and_exit_code_2(shell: Shell, arguments: list[str], said: str) -> None:
    assert said in shell(*arguments, code=2)


def test_doctor_without_a_server(shell: Shell) -> None:
    told = shell("doctor", "--carla", "127.0.0.1:1", code=1)
    assert "127.0.0.1:1 refuses connections" in told
    assert "carla-rl server start" in told
    assert "missing: 1" in told


def test_a_recycled_process_number_is_never_ended(tmp_path: Path) -> None:
    with subprocess.Popen(["sleep", "300"], start_new_session=True) as neighbour:
        known = Known("2000", "127.0.0.1", 1, 2003, neighbour.pid, "another boot:1", "it", None, "log", [], "2026")
        assert status_of(known).state == ENDED
        assert stop_server(known) is False
        nameless = Known("2000", "127.0.0.1", 1, 2003, neighbour.pid, "", "it", None, "log", [], "2026")
        assert stop_server(nameless) is False
        assert neighbour.poll() is None
        mine = Known("2000", "127.0.0.1", 1, 2003, neighbour.pid, identity(neighbour.pid), "it", None, "log", [], "2026")
        assert stop_server(mine) is True
        assert neighbour.wait() == -15


def test_a_file_that_was_not_written_here_is_told(tmp_path: Path) -> None:
    registry = Registry(tmp_path)
    (tmp_path / "2000.json").write_text('{"name": "2000"}')
    with pytest.raises(ValueError, match=r"2000\.json: does not say what carla-rl server wrote"):
        registry.all()
