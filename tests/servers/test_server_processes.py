"""Processes of servers: what is ended, what never is, and what is known afterwards."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from carla_rl.errors import RunFailure, UsageError
from carla_rl.servers import process
from carla_rl.servers.process import ServerProcess, end_group, exit_words, identity, members, tail

FAMILY = "sleep 300 & sleep 300 & wait"
HARNESS = """
import sys, time
from pathlib import Path
from carla_rl.servers.process import ServerProcess
server = ServerProcess(["/bin/bash", "-c", sys.argv[2]], ["touch", sys.argv[3]], Path(sys.argv[1]))
print(server.pid, flush=True)
time.sleep(300)
"""


def wait_for(condition: Callable[[], object], seconds: float = 20.0) -> None:
    """Fails the test where it does not come true."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not come true"
        time.sleep(0.02)


def shell(script: str, folder: Path, guarded: bool = False) -> ServerProcess:
    """A server that is this script."""
    return ServerProcess(["/bin/bash", "-c", script], [], folder / "server.log", guarded=guarded)


@pytest.mark.parametrize("guarded", [False, True])
def test_the_log_holds_both_streams_and_the_exit_code_is_kept(tmp_path: Path, guarded: bool) -> None:
    """Known defect of others: `2>&1 > file` sends errors to the terminal."""
    server = shell("echo out; echo err >&2; exit 3", tmp_path, guarded)
    wait_for(lambda: server.exit_code is not None)
    assert server.exit_code == 3
    assert server.ended() == "ended with exit code 3"
    assert server.tail() == "out\nerr"
    server.end()
    assert server.exit_code == 3


@pytest.mark.parametrize("guarded", [False, True])
def test_the_end_by_a_signal_is_told(tmp_path: Path, guarded: bool) -> None:
    server = shell("kill -SEGV $$", tmp_path, guarded)
    wait_for(lambda: server.exit_code is not None)
    assert server.ended() == "was ended by signal 11 (SIGSEGV)"
    server.end()


@pytest.mark.parametrize(
    ("code", "words"),
    [
        (-9, "was ended by signal 9 (SIGKILL)"),
        (139, "was ended by signal 11 (SIGSEGV)"),
        (0, "ended by itself with exit code 0"),
        (1, "ended with exit code 1"),
        (255, "ended with exit code 255"),
    ],
)
def test_exit_codes_in_words(code: int, words: str) -> None:
    assert exit_words(code) == words


@pytest.mark.parametrize("guarded", [False, True])
def test_the_whole_group_is_ended_and_never_a_neighbour(tmp_path: Path, guarded: bool) -> None:
    """Known defect of others: everything of the same name or on the same GPU is killed."""
    neighbour, server = shell(FAMILY, tmp_path), shell(FAMILY, tmp_path, guarded)
    try:
        wait_for(lambda: len(members(server.pid)) == 3 + guarded and len(members(neighbour.pid)) == 3)
        server.end()
        assert members(server.pid) == []
        assert len(members(neighbour.pid)) == 3
        server.end()
    finally:
        neighbour.end()


def test_who_does_not_heed_term_is_killed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process, "TERM_S", 0.2)
    server = shell('trap "" TERM; echo deaf; sleep 300', tmp_path)
    wait_for(lambda: "deaf" in server.tail())
    server.end()
    assert server.exit_code == -signal.SIGKILL
    assert members(server.pid) == []


def test_children_of_a_server_that_has_died_are_ended(tmp_path: Path) -> None:
    """The game behind CARLA's start script outlives it."""
    server = shell("sleep 300 & exit 1", tmp_path)
    wait_for(lambda: server.exit_code == 1)
    assert len(members(server.pid)) == 1
    server.end()
    assert members(server.pid) == []


def test_a_server_ends_with_its_command_even_after_sigkill(tmp_path: Path) -> None:
    log, stopped = tmp_path / "server.log", tmp_path / "stopped"
    command = [sys.executable, "-c", HARNESS, str(log), FAMILY, str(stopped)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as harness:
        assert harness.stdout is not None
        group = int(harness.stdout.readline())
        wait_for(lambda: len(members(group)) == 4)
        harness.kill()
        wait_for(lambda: not members(group))
    assert "the process that started this server is gone" in log.read_text()
    assert stopped.exists()


def test_a_program_that_is_not_there_is_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no-such-program: the server cannot be started"):
        ServerProcess(["/no-such-program"], [], tmp_path / "log", guarded=False)
    guarded = ServerProcess(["/no-such-program"], [], tmp_path / "log")
    wait_for(lambda: guarded.exit_code == 127)
    assert "cannot start /no-such-program: No such file" in guarded.tail()
    guarded.end()


def test_a_container_that_cannot_be_stopped_is_told_and_one_that_is_gone_is_fine(tmp_path: Path) -> None:
    for words, told in (("permission denied", "permission denied"), ("Error: No such container: c7", "")):
        server = shell("sleep 300", tmp_path)
        stop = ["/bin/bash", "-c", f'echo "{words}" >&2; exit 1']
        if told:
            with pytest.raises(RunFailure, match=told):
                end_group(server.pid, stop)
        else:
            end_group(server.pid, stop)
        server.end()


def test_a_process_is_known_by_its_start(tmp_path: Path) -> None:
    server = shell("sleep 300", tmp_path)
    known = identity(server.pid)
    assert known == identity(server.pid) != identity(os.getpid())
    server.end()
    assert identity(server.pid) == ""


def test_the_tail_of_a_log(tmp_path: Path) -> None:
    log = tmp_path / "log"
    assert tail(log, 3) == ""
    log.write_bytes(b"a\n" * 100_000 + b"b\n\xff\nc\n")
    assert tail(log, 3) == "b\n\N{REPLACEMENT CHARACTER}\nc"
    assert tail(log, 3, begin=log.stat().st_size - 2) == "c"
