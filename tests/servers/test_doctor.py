"""What doctor makes of what other programs say; they are stand-ins here."""

from pathlib import Path

import pytest
from stub_server import first_port, stub_launch

from carla_rl.servers import doctor
from carla_rl.servers.doctor import MISSING, NOTE, OK, Finding, examine
from carla_rl.servers.ports import Leases
from carla_rl.servers.supervise import SupervisedServer


@pytest.fixture
def programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder that is the whole PATH."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder))
    return folder


def program(folder: Path, name: str, script: str) -> None:
    path = folder / name
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)


def found(topic: str) -> list[Finding]:
    return [finding for finding in examine([]) if finding.topic == topic]


def test_a_machine_with_nothing(programs: Path) -> None:
    by_topic = {finding.topic: finding for finding in examine(["127.0.0.1:1"])}
    assert [by_topic[topic].state for topic in ("GPU", "docker", "apptainer", "server")] == [NOTE, NOTE, NOTE, MISSING]
    assert all(finding.remedy for finding in by_topic.values() if finding.state != OK)


def test_a_machine_with_everything(programs: Path) -> None:
    program(programs, "nvidia-smi", 'echo "0, NVIDIA A100, 40960 MiB, 550.54"; echo "1, NVIDIA A100, 40960 MiB, 550.54"')
    program(
        programs, "vulkaninfo", 'echo "        deviceName         = NVIDIA A100"; echo "        deviceName         = llvmpipe (LLVM 15)"'
    )
    program(programs, "docker", 'echo "28.2.2 io.containerd.runc.v2 nvidia runc "')
    program(programs, "apptainer", 'echo "apptainer version 1.3.0"')
    assert found("GPU") == [Finding("GPU", OK, "0, NVIDIA A100, 40960 MiB, 550.54; 1, NVIDIA A100, 40960 MiB, 550.54")]
    assert found("Vulkan") == [Finding("Vulkan", OK, "NVIDIA A100, llvmpipe (LLVM 15)")]
    assert found("docker") == [Finding("docker", OK, "28.2.2, with NVIDIA's runtime")]
    assert found("apptainer") == [Finding("apptainer", OK, "apptainer version 1.3.0")]


def test_the_usual_half_of_it(programs: Path) -> None:
    program(programs, "nvidia-smi", 'echo "0, NVIDIA A100, 40960 MiB, 550.54"')
    program(programs, "vulkaninfo", 'echo "        deviceName         = llvmpipe (LLVM 15)"')
    program(programs, "docker", 'echo "28.2.2 io.containerd.runc.v2 runc "')
    [vulkan] = found("Vulkan")
    assert "sees no GPU (llvmpipe (LLVM 15))" in vulkan.text
    assert "NVIDIA_DRIVER_CAPABILITIES=all" in vulkan.remedy
    assert found("docker")[0].text == "28.2.2, without NVIDIA's runtime"
    program(programs, "docker", 'echo " "; echo "Cannot connect to the Docker daemon" >&2; exit 1')
    [docker] = found("docker")
    assert (docker.state, docker.text) == (NOTE, "does not work: Cannot connect to the Docker daemon")


def test_a_client_that_is_not_there_or_cannot_be_imported(programs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "installed_client", lambda: None)
    [client] = found("client")
    assert (client.state, client.text) == (MISSING, "the carla wheel is not installed")
    assert "pip install carla==0.9.16" in client.remedy
    monkeypatch.setattr(doctor, "installed_client", lambda: "0.9.16")
    monkeypatch.setattr(doctor, "_run", lambda *words: (1, "Traceback\nImportError: libGL.so.1: cannot open shared object file"))
    [client] = found("client")
    assert client.text == "carla 0.9.16 is installed and cannot be imported: ImportError: libGL.so.1: cannot open shared object file"


def test_servers_of_another_version_and_servers_that_hang_after_their_version(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "ASK_S", 1.0)
    server = SupervisedServer(stub_launch(tmp_path / "stub"), Leases(tmp_path / "ports"), tmp_path, first=first_port(23_000))
    try:
        server.ready()
        monkeypatch.setattr(doctor, "installed_client", lambda: "0.9.15")
        told = [finding for finding in examine([server.name]) if finding.topic == "server"]
        assert told[0].text == (
            f"{server.name}: the server is CARLA 0.9.16 and the installed client is carla 0.9.15: they do not speak the same protocol"
        )
        assert told[0].remedy.startswith("start a server of 0.9.15")
        monkeypatch.setattr(doctor, "installed_client", lambda: "0.9.16")
        told = [finding for finding in examine([server.name]) if finding.topic == "server"]
        assert told[0].state == MISSING
        assert "answers as CARLA 0.9.16 and then does not tell its world: no answer within 1 s" in told[0].text
    finally:
        server.close()
