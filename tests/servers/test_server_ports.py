"""Leases of ports: whole blocks, between processes, gone with their holder."""

import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from stub_server import first_port

from carla_rl.errors import UsageError
from carla_rl.servers import ports
from carla_rl.servers.folder import runtime_folder
from carla_rl.servers.ports import BLOCK, STRIDE, Leases, limit, taken

HOLD = """
import sys
from pathlib import Path
from carla_rl.servers.ports import Leases
lease = Leases(Path(sys.argv[1])).block(int(sys.argv[2]))
print(lease.port, flush=True)
sys.stdin.read()
"""


def _holder(folder: Path, first: int) -> "subprocess.Popen[str]":
    """Another run that leases a block and keeps it until its input ends."""
    return subprocess.Popen([sys.executable, "-c", HOLD, str(folder), str(first)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def _told(holder: "subprocess.Popen[str]") -> int:
    assert holder.stdout is not None
    return int(holder.stdout.readline())


@pytest.fixture
def first(tmp_path: Path) -> int:
    """Where the first of some free blocks in a row begins."""
    with Leases(tmp_path / "looking").block(first_port(20_000)) as lease:
        return lease.port


def test_runs_that_start_at_once_get_blocks_of_their_own(tmp_path: Path, first: int) -> None:
    holders = [_holder(tmp_path, first) for _ in range(3)]
    try:
        got = [_told(holder) for holder in holders]
        with Leases(tmp_path).block(first) as mine:
            assert len({*got, mine.port}) == 4
    finally:
        for holder in holders:
            holder.communicate("")


def test_a_lease_is_gone_with_its_holder_even_after_sigkill(tmp_path: Path, first: int) -> None:
    holder = _holder(tmp_path, first)
    port = _told(holder)
    with Leases(tmp_path).block(first) as other:
        assert other.port != port
    holder.send_signal(signal.SIGKILL)
    holder.communicate()
    with Leases(tmp_path).block(port) as again:
        assert again.port == port


@pytest.mark.parametrize("offset", BLOCK)
def test_a_block_of_which_one_port_is_taken_is_skipped(tmp_path: Path, first: int, offset: int) -> None:
    """Known defect of others: only the first port is looked at, not those that follow."""
    with socket.create_server(("127.0.0.1", first + offset)):
        assert taken(first + i for i in BLOCK) == [first + offset]
        with Leases(tmp_path).block(first) as lease:
            assert lease.port > first
    with Leases(tmp_path).block(first) as lease:
        assert lease.port == first


def test_blocks_that_overlap_are_not_leased_together(tmp_path: Path, first: int) -> None:
    """Another run may count from another first port."""
    leases = Leases(tmp_path)
    with leases.block(first), leases.block(first + 2) as second, leases.block(first - STRIDE + 8) as third:
        blocks = [{lease_port + i for i in BLOCK} for lease_port in (first, second.port, third.port)]
        assert len(set.union(*blocks)) == 12


def test_a_traffic_manager_gets_a_port_of_its_own(tmp_path: Path, first: int) -> None:
    leases = Leases(tmp_path)
    with leases.block(first), leases.traffic_manager(first) as one, leases.traffic_manager(first) as two:
        assert first + max(BLOCK) < one.port < two.port


def test_one_client_a_server(tmp_path: Path) -> None:
    leases = Leases(tmp_path)
    sole = leases.client("127.0.0.1:2000")
    assert sole is not None
    assert leases.client("127.0.0.1:2000") is None
    other = leases.client("127.0.0.1:2010")
    assert other is not None
    other.release()
    sole.release()
    sole.release()
    again = leases.client("127.0.0.1:2000")
    assert again is not None
    again.release()


def test_ports_that_the_system_hands_out_itself_are_never_leased(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "range").write_text("15025\t60999\n")
    monkeypatch.setattr(ports, "EPHEMERAL", tmp_path / "range")
    assert limit() == 15025
    with pytest.raises(UsageError, match=r"from 15030 on below 15025"):
        Leases(tmp_path).block(15030)
    # a machine on which the system hands out all ports
    (tmp_path / "range").write_text("1024\t65535\n")
    assert limit() == 65536
    monkeypatch.setattr(ports, "EPHEMERAL", tmp_path / "absent")
    assert limit() == 32768


def test_the_folder_is_this_users_alone(tmp_path: Path) -> None:
    folder = runtime_folder(tmp_path)
    assert folder.stat().st_mode & 0o777 == 0o700
    assert runtime_folder(tmp_path) == folder
    folder.chmod(0o777)
    with pytest.raises(UsageError, match="others may write to it"):
        runtime_folder(tmp_path)
